"""Claims of a run's processes on names and turns: whoever makes a file first has it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from typing import TYPE_CHECKING

from twin_harness.errors import HarnessFailure

if TYPE_CHECKING:
    from pathlib import Path

_CLAIM = re.compile(r"[0-9a-f]{32}")
_LONGEST_NAME = 120


class Claims:
    """The claims of one run, an empty file each.

    Args:
        folder: where they stand; made with the first one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def claim_name(self, name: str) -> str:
        """Return ``name``, or ``name#2`` and so on: the first that nobody has claimed yet.

        Raises:
            HarnessFailure: it is taken a million times.
        """
        if self._claim(name):
            return name
        for count in range(2, 1_000_000):
            candidate = f"{name[: _LONGEST_NAME - 1 - len(str(count))]}#{count}"
            if self._claim(candidate):
                return candidate
        msg = (
            f"name {name!r} is taken a million times in {self._folder.parent}; name experiments"
            " apart"
        )
        raise HarnessFailure(msg)

    def claim_turn(self, number: int) -> bool:
        """Take a turn that several processes may take; return False when another has it."""
        return self._claim(f"turn/{number}")  # no experiment's name holds a slash and only that

    def _claim(self, text: str) -> bool:
        """Make the file of a text, and return whether nobody had."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / hashlib.sha256(text.encode()).hexdigest()[:32]
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            return False
        return True

    def remove(self) -> None:
        """Remove the folder of claims.

        By descriptor, links not followed, files of our pattern alone.
        """
        try:
            descriptor = os.open(
                self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            )
        except OSError:
            return
        try:
            for name in os.listdir(descriptor):  # noqa: PTH208 - relative to an open folder
                if _CLAIM.fullmatch(name):
                    os.unlink(name, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        with contextlib.suppress(OSError):
            self._folder.rmdir()
