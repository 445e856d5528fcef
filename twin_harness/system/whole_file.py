"""Files that readers see whole: the old content or the new one, never half of it."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that it holds the old content or the new one at any moment.

    The text goes to a draft beside it, which takes its place when it is complete (rename(2)). A
    draft that was not completed is removed.

    Raises:
        OSError: the file cannot be written. It names ``path``, not the draft; the old file is as it
            was.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except BaseException as reason:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        if isinstance(reason, OSError) and reason.filename:
            reason.filename, reason.filename2 = str(path), None
        raise
