"""The errors of Twin Harness; each class says who has to act.

Every message is one sentence that names the argument, its value, what was expected and the next
step.
"""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


_LONGEST, _KEPT = 900, 440
_SPACE = "free some space, or name a folder on another disk"
_ADVICE = {
    errno.EAGAIN: (
        "no further process or thread is permitted: raise pids.max of the control group, or"
        " ulimit -u"
    ),
    errno.ENOMEM: (
        "the kernel has no memory for it: free some, or raise the limit of the control group"
    ),
    errno.EMFILE: "this process has no descriptor left: raise ulimit -n",
    errno.ENFILE: "the machine has no descriptor left: raise the sysctl fs.file-max",
    errno.EFBIG: "files may not become that long here: raise ulimit -f",
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EROFS: "it is mounted read-only: name another folder",
    errno.EACCES: "look at the rights of the folder and of the file",
    errno.EPERM: (
        "look at the rights of the folder and of the file, and at the seccomp filter of the"
        " container"
    ),
    errno.ENOLCK: (
        "its filesystem has no locks, or none are left: use a folder on a local filesystem"
    ),
}


def advise(error: OSError) -> str:
    """Return what to do about what the operating system refused, by its number (errno(3))."""
    return _ADVICE.get(
        error.errno or 0, "look at the space, the descriptors and the rights of the data folder"
    )


def in_a_line(error: BaseException, longest: int = 300) -> str:
    """Return what an error of anybody says, its kind and the beginning of its text.

    Libraries put whole logs into theirs.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, TwinError):
        kind = ""
    else:
        kind = f"{type(error).__name__}: "
    return f"{kind}{' '.join(lines) or 'no reason given'}"[:longest]


class TwinError(Exception):
    """Base of every error that Twin Harness raises on purpose.

    Of a message with a huge value in it the middle is left out.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(
            message if len(message) <= _LONGEST else f"{message[:_KEPT]} … {message[-_KEPT:]}"
        )


class InvalidInput(TwinError, ValueError):
    """The caller must change an argument, an option or a file."""


class UnreadableRun(TwinError):
    """The reader of a run folder must name another one, or wait until this one holds something."""


class HarnessFailure(TwinError, RuntimeError):
    """The harness could not do its work; the owner of the machine must look at the reason."""


class ExperimentError(TwinError):
    """An experiment did not run as planned; what was recorded of it is kept.

    Attributes:
        recording: the Recording of what was measured until then, or None when nothing was.
    """

    def __init__(self, message: str, recording: Any = None) -> None:
        super().__init__(message)
        self.recording = recording


class ExperimentFailed(ExperimentError):
    """A stressor died or could not do what was asked; its owner must look at event and reason."""


class ExperimentAborted(ExperimentError):
    """The guard stopped the load; the author of the experiment must ask for less."""


class FidelityMissed(ExperimentError, AssertionError):
    """The load delivered is not the load asked for, beyond the tolerance of the experiment."""


class Undecided(TwinError):
    """The data cannot tell; nobody is at fault, and a verdict either way would be a guess.

    Attributes:
        recording: the Recording that the tolerance of an experiment could not be judged on; None
            elsewhere.
    """

    recording: Any = None


@contextmanager
def as_harness_failure() -> Iterator[None]:
    """Turn what the operating system refused to the harness itself into one sentence.

    Raises:
        HarnessFailure: a file could not be written, a process not be started.
    """
    try:
        yield
    except OSError as error:
        if error.filename:
            where = f" ({error.filename})"
        else:
            where = ""
        msg = f"the harness could not go on: {error.strerror or error}{where}; {advise(error)}"
        raise HarnessFailure(msg) from None
