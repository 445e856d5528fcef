"""``latest``: the name beside folders of runs, or of reports, that leads to the newest one.

A symbolic link; where the filesystem has none (vfat, exFAT, some network and container mounts) a
file ``latest.txt`` that holds the folder's name. Whoever reads ``data/latest``, or a path through
it, goes through ``follow``, which knows both. A file of either name that somebody else wrote is
neither replaced nor removed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path

from twin_harness.system.run_id import RUN_ID

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


def set_latest(path: Path) -> bool:
    """Make ``latest`` beside a folder lead to it, in one step; return whether it is a link.

    Raises:
        OSError: neither a link nor a file can be made there, or something of that name is there
            that we did not write.
    """
    link, text = path.parent / NAME, path.parent / TEXT_NAME
    draft = path.parent / f".{NAME}.{secrets.token_hex(4)}"
    try:
        draft.symlink_to(path.name)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _move(draft, text, f"{path.name}\n")
        _remove_ours(link)  # from a time when there were links
        return False
    _move(draft, link)
    _remove_ours(text)
    return True


def _is_ours(path: Path) -> bool:
    """Whether we wrote it: ``latest`` as a link, ``latest.txt`` as one line that is a run id."""
    if path.name == NAME or path.is_symlink():
        return path.name == NAME and path.is_symlink()
    try:
        if not path.is_file():  # a pipe would be waited for
            return False
        with path.open("rb") as file:
            line = file.read(_LONGEST_NAME_BYTES + 1).decode("ascii")
    except (OSError, ValueError):
        return False
    return RUN_ID.fullmatch(line.removesuffix("\n").removesuffix("\r")) is not None


def _remove_ours(path: Path) -> None:
    if _is_ours(path):
        with contextlib.suppress(OSError):
            path.unlink()


def _move(draft: Path, target: Path, text: str = "") -> None:
    """Put a draft in the place of a link or file of ours.

    Raises:
        OSError: something else is there, or the filesystem refuses.
    """
    try:
        if os.path.lexists(target) and not target.is_dir() and not _is_ours(target):
            reason = f"{target.name} is there already and was not written by twin-harness"
            raise FileExistsError(errno.EEXIST, reason, str(target))
        if text:
            draft.write_text(text, encoding="utf-8")
        draft.replace(target)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def remove_latest(folder: Path) -> str:
    """Remove ``latest`` from a folder, and return the name of the folder that it led to.

    Nothing of that name that somebody else wrote is touched.
    """
    led_to = latest_name(folder)
    for path in (folder / NAME, folder / TEXT_NAME):
        if led_to:
            _remove_ours(path)
    return led_to


def latest_name(folder: Path) -> str:
    """Return the name of the folder that ``latest`` leads to, whether or not that is there.

    Empty without one.
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
    if is_name and len(name) <= _LONGEST_NAME_BYTES:
        return name
    return ""


def follow(path: str | Path) -> Path:
    """Return a path with every ``latest`` that is a file replaced by what that file names.

    Links are left as they are.
    """
    followed = Path()
    for part in Path(path).parts:
        name = part
        if part == NAME and not os.path.lexists(followed / part):
            name = latest_name(followed) or part
        followed /= name
    return followed
