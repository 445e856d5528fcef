"""Metadata that depends on where the project is built: its addresses, and the README's links.

On PyPI the README stands alone, so that its relative links lead nowhere. Where the build knows the
repository's address (the release workflow; or ``TWIN_HARNESS_REPOSITORY``), links are made
absolute and the project's addresses are named. Elsewhere both are left out.
"""

import os
import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?\[[^\]]*\])\((?![a-z]+:|#)([^)\s]+)\)")


def repository():
    """Return the repository's address, or nothing where this build does not know it."""
    if address := os.environ.get("TWIN_HARNESS_REPOSITORY"):
        return address.rstrip("/")
    server, name = (os.environ.get(key, "") for key in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY"))
    return f"{server}/{name}" if server and name else ""


def with_absolute_links(text, address, ref):
    """Return Markdown whose relative links and pictures lead into the repository."""

    def absolute(match):
        label, target = match.groups()
        kind = "raw" if label.startswith("!") else "blob"
        return f"{label}({address}/{kind}/{ref}/{target})"

    return LINK.sub(absolute, text)


class CustomMetadataHook(MetadataHookInterface):
    """Fills ``readme`` and ``urls``."""

    def update(self, metadata):
        """Add what depends on the place of the build."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        address = repository()
        if address:
            ref = os.environ.get("GITHUB_REF_NAME") or "main"
            text = with_absolute_links(text, address, ref)
            metadata["urls"] = {
                "Homepage": address,
                "Documentation": f"{address}/blob/{ref}/docs/index.md",
                "Changelog": f"{address}/blob/{ref}/CHANGELOG.md",
                "Issues": f"{address}/issues",
            }
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
