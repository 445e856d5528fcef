"""The command ``twin``: parse, run the command, and turn what it raises into an exit code."""

from __future__ import annotations

import re
import signal
import sys
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from twin_harness.cli import output
from twin_harness.cli.output import FAILED, INTERRUPTED, OK, USAGE, echo_error
from twin_harness.cli.parser import build_parser
from twin_harness.errors import (
    HarnessFailure,
    InvalidInput,
    TwinError,
    UnreadableRun,
    advise,
    in_a_line,
)
from twin_harness.system.support import lack_of_support

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence


def _run(parsed: argparse.Namespace) -> int:
    """Run a command where the system and the installation have what it needs.

    Raises:
        HarnessFailure: they lack a module, or a name of ``os`` or ``signal``, as Windows and macOS
            do.
    """
    try:
        return int(parsed.run_command(parsed))
    except (ImportError, AttributeError) as error:
        reason = lack_of_support(f"twin {parsed.command}")
        if not reason and isinstance(error, AttributeError):
            raise
        if not reason:
            reason = f"twin {parsed.command}: {in_a_line(error)}; see what is installed (pip check)"
        raise HarnessFailure(reason) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    0 fine, 1 failed, 2 usage or bad input, 3 aborted by the guard, 130 interrupted, 141 when the
    reader of its output went away and output was all that the command is for.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    output.begin()
    end = len(words)
    if "--" in words and words[0] == "stress":
        end = words.index("--")
    try:
        parsed = build_parser().parse_args(words[:end])
    except SystemExit as request:  # --help, --version, or wrong use
        raise SystemExit(output.finish(int(request.code or OK), has_work=False)) from None
    parsed.argv, parsed.command = words[end + 1 :], words[0]
    has_work = getattr(parsed, "has_work", False) or getattr(parsed, "out", None) not in (None, "-")
    try:
        with _ended_in_order():
            code = _run_command(parsed)
        is_for_machines = getattr(parsed, "json", False)
        return output.finish(code, has_work=has_work, is_for_machines=is_for_machines)
    except KeyboardInterrupt:  # while the reader of stdout was waited for
        return INTERRUPTED


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Have SIGTERM and SIGHUP end a command as Ctrl-C does.

    What it has made is removed, what it has recorded is written. One that is ignored stays so:
    that is what nohup is for.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        names = ("SIGTERM", "SIGHUP")  # Windows has not both
        for number in (getattr(signal, name) for name in names if hasattr(signal, name)):
            if signal.getsignal(number) == signal.SIG_DFL:
                before[number] = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run_command(parsed: argparse.Namespace) -> int:
    """Run a command; what it raises becomes a sentence and an exit code, a warning a sentence."""
    show = warnings.showwarning
    warnings.showwarning = lambda message, category, *rest, **more: (
        echo_error(str(message))
        if category is UserWarning
        else show(message, category, *rest, **more)
    )
    try:
        return _run(parsed)
    except TwinError as error:
        # The same options have longer names under pytest; what is to be typed there stays as it is.
        echo_error(re.sub(r"(pytest [^;,]*)|--twin-", lambda found: found[1] or "--", str(error)))
        return USAGE if isinstance(error, (InvalidInput, UnreadableRun)) else FAILED
    except OSError as error:
        echo_error(f"{error.filename or 'a file'}: {error.strerror or error}; {advise(error)}")
        return USAGE if error.filename else FAILED
    except KeyboardInterrupt:
        echo_error("interrupted")
        return INTERRUPTED
    finally:
        warnings.showwarning = show
