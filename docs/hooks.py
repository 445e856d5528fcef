"""MkDocs hook: pages made from the code as the site is built, so that they cannot lie."""

from pathlib import Path

import maps
import reference


def on_pre_build(config):
    """Write every reference page."""
    folder = Path(config["docs_dir"]) / "reference"
    folder.mkdir(exist_ok=True)
    for name, text in {**reference.pages(), **maps.pages()}.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def on_page_markdown(markdown, **_):
    """Fill in the tables that stand in other pages."""
    return reference.fill_markers(markdown)
