"""The file of a baseline: JSON with a format, and a checksum by which an edited one is refused."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import TYPE_CHECKING, Any

from twin_harness.errors import InvalidInput
from twin_harness.runs.documents import write_json
from twin_harness.schedule.file import read_json

if TYPE_CHECKING:
    from pathlib import Path


FORMAT = "twin-baseline/1"
_MOST_BYTES = 64 * 2**20


def read_baseline(path: Path) -> dict[str, Any]:
    """Return the content of a baseline's file: of a known format, and as it was written.

    Raises:
        InvalidInput: it is missing, too large, no JSON, edited, or of a newer version.
    """
    with contextlib.suppress(OSError):  # read_json says why it cannot be read
        if path.stat().st_size > _MOST_BYTES:
            msg = (
                f"{path}: is larger than {_MOST_BYTES // 2**20} MiB and not a baseline; name the"
                " file that pytest --twin-gate-save wrote"
            )
            raise InvalidInput(msg)
    if path.exists():
        expected = "the file that pytest --twin-gate-save wrote"
    else:
        expected = f"a baseline: make one with pytest --twin-gate-save {path}"
    data = read_json(path, expected)
    version = None
    if isinstance(data, dict):
        version = data.get("format")
    if not isinstance(data, dict) or version != FORMAT:
        msg = (
            f"{path}: format is {version!r}; expected {FORMAT!r}, written by pytest"
            " --twin-gate-save of this version"
        )
        raise InvalidInput(msg)
    if data.get("checksum") != _checksum(data):
        msg = (
            f"{path}: was edited or damaged after it was written (its checksum is wrong);"
            " restore it, or collect it anew with pytest --twin-gate-save"
        )
        raise InvalidInput(msg)
    return data


def write_baseline(path: Path, content: dict[str, Any]) -> None:
    """Write a baseline's content with format and checksum, whole or not at all."""
    data = {"format": FORMAT, **content}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {**data, "checksum": _checksum(data)})


def _checksum(data: dict[str, Any]) -> str:
    content = {key: value for key, value in data.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
