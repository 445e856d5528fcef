"""``latest``: the name beside the folders of runs, or of reports, that leads to the newest one.

A symbolic link; where the filesystem has none (vfat, exFAT, some network and container mounts) a
file ``latest.txt`` that holds the folder's name. Whoever reads ``data/latest``, or a path through
it, goes through ``follow``, which knows both.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path

NAME, TEXT_NAME = "latest", "latest.txt"
_LONGEST_NAME_BYTES = 255
# What symlink(2) answers where there are none: the filesystem (EPERM, EOPNOTSUPP, EINVAL), a filter
# (ENOSYS, EACCES), FUSE (EIO).
_NO_LINKS = (
    errno.EPERM,
    errno.EOPNOTSUPP,
    errno.ENOTSUP,
    errno.ENOSYS,
    errno.EACCES,
    errno.EINVAL,
    errno.EIO,
)


def point(path: Path) -> bool:
    """Have ``latest`` beside a folder lead to it, in one step; return whether it is a link.

    Raises:
        OSError: neither a link nor a file can be made there, or a folder stands in the way.
    """
    draft = path.parent / f".{NAME}.{secrets.token_hex(4)}"
    try:
        draft.symlink_to(path.name)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _move(draft, path.parent / TEXT_NAME, f"{path.name}\n")
        with contextlib.suppress(OSError):
            (path.parent / NAME).unlink()  # of a time when there were links
        return False
    _move(draft, path.parent / NAME)
    with contextlib.suppress(OSError):
        (path.parent / TEXT_NAME).unlink()
    return True


def _move(draft: Path, target: Path, text: str = "") -> None:
    try:
        if text:
            draft.write_text(text, encoding="utf-8")
        draft.replace(target)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def unpoint(folder: Path) -> str:
    """Take ``latest`` away from a folder, and return what it led to.

    Nothing else of that name is touched.
    """
    led_to = led_to_by(folder)
    for path in (folder / NAME, folder / TEXT_NAME):
        if led_to and (path.is_symlink() or path.name == TEXT_NAME):
            with contextlib.suppress(OSError):
                path.unlink()
    return led_to


def led_to_by(folder: Path) -> str:
    """Return the name of the folder that ``latest`` in a folder leads to.

    Whether or not that is there; empty without one.
    """
    try:
        return (folder / NAME).readlink().name
    except OSError:
        pass
    if os.path.lexists(folder / NAME):
        return ""
    try:
        with (folder / TEXT_NAME).open(encoding="utf-8") as file:
            name = file.read(_LONGEST_NAME_BYTES + 1).strip()
    except (OSError, ValueError):
        return ""
    is_name = name == Path(name).name and name not in ("", ".", "..")
    return name if is_name and len(name) <= _LONGEST_NAME_BYTES else ""


def follow(path: str | Path) -> Path:
    """Return a path with every ``latest`` that is a file replaced by what that file names.

    Links are left as they are.
    """
    followed = Path()
    for part in Path(path).parts:
        name = part
        if part == NAME and not os.path.lexists(followed / part):
            name = led_to_by(followed) or part
        followed /= name
    return followed
