"""A stream whose reader may go away or stop reading, which neither ends nor delays its writer.

Text goes out as far as the descriptor takes it at once: what poll(2) calls ready takes PIPE_BUF
bytes of a pipe without blocking. The rest waits here, and goes with the next writing or with
``flush``. The descriptor's own flags stay as they are: O_NONBLOCK would hold for everybody who
shares the pipe or terminal, the user's shell included.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import threading
from typing import TYPE_CHECKING

from twin_harness.system.clock import monotonic_s, sleep_s

if TYPE_CHECKING:
    from typing import TextIO

_PIECE_BYTES = 4096  # PIPE_BUF of Linux; where it is less a write may wait for the next read
_REFUSED_S = 0.01
# What we print ourselves in its plain form, of the same width where a figure is drawn with it.
_PLAIN = str.maketrans({
    "█": "#", "▁": "_", "▂": "_", "▃": "-", "▄": "-", "▅": "=", "▆": "=", "▇": "#",
    "–": "-", "−": "-", "…": "~", "×": "x", "→": ">",
    "±": "+-", "·": ".", "°": "deg ", "µ": "u", "≥": ">=", "≤": "<=",
})  # fmt: skip


class Outlet:
    """A stream by its descriptor, or by its own ``write`` where it has none.

    Args:
        descriptor: where text goes; None takes ``stream``.
        stream: what the descriptor is of, if anything.

    Attributes:
        stream: as given.
        fault: why nothing goes out any more, for people; empty while it does.
        is_reader_gone: whether the fault is that the reader went away.
        lost_lines: how many lines did not go out.
    """

    def __init__(self, descriptor: int | None, stream: TextIO | None = None) -> None:
        self.stream = stream
        self.fault = ""
        self.is_reader_gone = False
        self.lost_lines = 0
        self._descriptor = descriptor
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._errors = "strict"
        if getattr(stream, "errors", None) == "surrogateescape":
            # A C locale: bytes of file names come out as they came in.
            self._errors = "surrogateescape"
        self._waiting = bytearray()
        self._lock = threading.Lock()

    @classmethod
    def for_stream(cls, stream: TextIO | None) -> Outlet:
        """Return the outlet of ``sys.stdout`` or ``sys.stderr``.

        None is what Python makes of one that was closed from the start.
        """
        descriptor = None
        with contextlib.suppress(OSError, ValueError, AttributeError):
            if stream is not None:
                descriptor = stream.fileno()
        outlet = cls(descriptor, stream)
        if stream is None:
            outlet.fault = "it is closed"
        return outlet

    @property
    def is_ready(self) -> bool:
        """Whether a line would go out now."""
        return not self.fault and not self._waiting and self._takes(0.0)

    @property
    def is_gone(self) -> bool:
        """Whether nothing can go out any more, looked up now.

        A reader's end is seen before the next line meets it.
        """
        if not self.fault and self._descriptor is not None and hasattr(select, "poll"):
            poll = select.poll()
            poll.register(self._descriptor, 0)
            if any(events & (select.POLLERR | select.POLLNVAL) for _, events in poll.poll(0)):
                self._fail(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)))
        return bool(self.fault)

    def write(self, text: str) -> None:
        """Hand text on, now or as soon as the reader takes it.

        Nothing is raised, and nothing waited for.
        """
        if self.fault:
            self.lost_lines += _lines_in(text)
        elif self._descriptor is None:
            self._write_to_stream(text)
        else:
            with self._lock:
                self._waiting += self._encode(text)
                self._push(0.0)

    def flush(self, patience_s: float | None = None) -> None:
        """Wait for the reader to take what is left, and count as lost what it does not take.

        Args:
            patience_s: how long at most, in seconds; None waits for ever.
        """
        with self._lock:
            self._push(patience_s)
            if self._waiting and not self.fault:
                self._fail(TimeoutError(errno.ETIMEDOUT, "its reader reads nothing"))

    def _push(self, patience_s: float | None) -> None:
        if self._waiting and self.stream is not None:
            with contextlib.suppress(OSError, ValueError):
                self.stream.flush()  # what others wrote there comes first
        end_s = None if patience_s is None else monotonic_s() + patience_s
        while self._waiting and not self.fault:
            left_s = None if end_s is None else max(0.0, end_s - monotonic_s())
            if not self._takes(left_s):
                return
            try:
                written_bytes = os.write(self._descriptor or 0, self._waiting[:_PIECE_BYTES])
            except BlockingIOError:  # somebody else made it non-blocking, and was faster
                if left_s == 0.0:
                    return
                sleep_s(_REFUSED_S)
            except OSError as error:
                self._fail(error)
            else:
                del self._waiting[:written_bytes]

    def _takes(self, patience_s: float | None) -> bool:
        """Tell whether within the time the descriptor takes a piece, or has a fault to tell."""
        if self._descriptor is None or not hasattr(select, "poll"):
            return True
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        return bool(poll.poll(None if patience_s is None else patience_s * 1e3))

    def _write_to_stream(self, text: str) -> None:
        try:
            plain = self._encode(text).decode(self._encoding, self._errors)
            self.stream.write(plain)  # type: ignore[union-attr]  # None has a fault
            self.stream.flush()  # type: ignore[union-attr]  # as above
        except (OSError, ValueError) as error:
            self._fail(error, text)

    def _encode(self, text: str) -> bytes:
        """Return the bytes of a text.

        What the stream's encoding has not is put plainly, or by its number.
        """
        try:
            return text.encode(self._encoding, self._errors)
        except UnicodeEncodeError:
            return text.translate(_PLAIN).encode(self._encoding, "backslashreplace")

    def _fail(self, error: Exception, text: str = "") -> None:
        self.is_reader_gone = isinstance(error, OSError) and error.errno in (
            errno.EPIPE,
            errno.EIO,
            errno.ECONNRESET,
        )
        if self.is_reader_gone:
            self.fault = "its reader went away"
        else:
            self.fault = str(getattr(error, "strerror", None) or error)
        self.lost_lines += _lines_in(text) + _lines_in(
            self._waiting.decode(self._encoding, "replace")
        )
        self._waiting.clear()


def _lines_in(text: str) -> int:
    return text.count("\n") + (not text.endswith("\n") and bool(text))
