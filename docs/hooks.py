"""MkDocs hook: the reference pages are generated from the code when the site is built, so that they cannot say otherwise."""

from pathlib import Path

import reference


def on_pre_build(config):
    """Write every reference page."""
    folder = Path(config["docs_dir"]) / "reference"
    folder.mkdir(exist_ok=True)
    for name, text in reference.pages().items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
