"""Where the command writes: lines and data to stdout, complaints to stderr; and its exit codes.

Writing never waits for a reader, and raises nothing, while a command works: what it is for goes on
to its end. ``finish`` waits once, when all is done, as any program does, and makes of what could
not be written a sentence and an exit code.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from math import isfinite

from twin_harness.system.outlet import Outlet

OK, FAILED, USAGE, ABORTED, INTERRUPTED = 0, 1, 2, 3, 130
# 128 + SIGPIPE, as a shell has it: the reader left before it had all, and the command is for it.
CUT_OFF = 141
_COMPLAINTS_PATIENCE_S = 2.0
_outlets: dict[str, Outlet] = {}


def begin() -> None:
    """Make stdout and stderr safe to write to, whatever they are.

    A standard descriptor that is closed leads to /dev/null: else the next file that is opened, a
    board or a dataset, would get its number, and what is written to stderr by number, here or in a
    child, would be written into that file.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", "") == "strict":  # for what others write there: rich, warnings
            # Where that fails it stays as it is.
            with contextlib.suppress(AttributeError, OSError, ValueError):
                stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    _outlets.clear()


def stdout() -> Outlet:
    """Return what the command's output goes to."""
    return _outlet("stdout")


def _outlet(name: str) -> Outlet:
    stream = getattr(sys, name)
    if name not in _outlets or _outlets[name].stream is not stream:
        _outlets[name] = Outlet.for_stream(stream)
    return _outlets[name]


def echo(*lines: str) -> None:
    """Write lines for people."""
    stdout().write("".join(f"{line}\n" for line in lines))


def echo_error(text: str) -> None:
    """Write a complaint."""
    _outlet("stderr").write(f"twin: {text}\n")


def echo_error_as_is(text: str) -> None:
    """Write a complaint that has its own form."""
    _outlet("stderr").write(text)


def write_json(data: object) -> None:
    """Write machine output; JSON has no NaN and no infinity, so these are null."""
    stdout().write(json.dumps(_finite(data), indent=1, default=str, allow_nan=False) + "\n")


def _finite(data: object) -> object:
    if isinstance(data, float) and not isfinite(data):
        return None
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return data


def unread() -> str:
    """Return what became of output that could not be written, in words; empty while all could."""
    outlet = stdout()
    if not outlet.lost_lines:
        return ""
    lines = "1 line was" if outlet.lost_lines == 1 else f"{outlet.lost_lines:,} lines were"
    return f"stdout: {outlet.fault}; {lines} not written"


def finish(code: int, *, has_work: bool, is_for_machines: bool = False) -> int:
    """Wait for stdout's reader, say what could not be written, and return the exit code.

    Args:
        code: as the command's work went.
        has_work: whether the command is for something else than its output: a load, a file, a
            verdict. Its code stays then.
        is_for_machines: whether the output is data; half of it is no success, whatever else was
            done.
    """
    outlet = stdout()
    outlet.flush()
    is_cut = bool(outlet.lost_lines) or outlet.is_reader_gone
    is_product = not has_work or (is_for_machines and not outlet.is_reader_gone)
    if outlet.lost_lines and (has_work or not outlet.is_reader_gone):
        echo_error(unread())
    _outlet("stderr").flush(_COMPLAINTS_PATIENCE_S)
    if code != OK or not is_cut or not is_product:
        return code
    return CUT_OFF if outlet.is_reader_gone else FAILED
