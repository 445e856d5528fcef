"""A lock on a folder itself, held for as long as a block runs."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from twin_harness.system.file_lock import FileLock

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def locked(folder: str | os.PathLike[str], what: str = "folder") -> Iterator[None]:
    """Hold a folder alone, waiting for whoever has it.

    Args:
        folder: the folder, which holds no lock file for it.
        what: what it is, as a message names it.

    Raises:
        HarnessFailure: its filesystem cannot lock.
    """
    path = os.fspath(folder)
    lock = FileLock(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), f"{what} {path!r}")
    try:
        lock.take()
        yield
    finally:
        lock.release()
