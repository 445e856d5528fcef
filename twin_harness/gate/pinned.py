"""The process of one variant's function: ``python -P …/pinned.py CPU``.

It needs the standard library alone: the variant may bring a package of our name. Its first line on
stdin says what to call, each further line is a call; an answer is a JSON line. What the function
prints goes to stderr. End of stdin means stop.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_PR_SET_PDEATHSIG, _SIGKILL = 1, 9


def _function_of(line: str) -> tuple[Callable[..., Any], list[Any], int]:
    """Import what the first line names: after the variant's own folders, those of the test."""
    target, arguments, number, folders, root = json.loads(line)
    for folder in (root, *folders):
        if folder not in sys.path:
            sys.path.append(folder)
    module, _, names = target.partition(":")
    found: Any = import_module(module)
    for name in names.split("."):
        found = getattr(found, name)
    return found, arguments, max(1, number)


def measured(function: Callable[..., Any], arguments: list[Any], number: int) -> float:
    """Return the seconds of a call; what a profiler counts of this process is what is below it.

    Args:
        function: of the variant.
        arguments: of each call.
        number: of calls.
    """
    begin_s = time.perf_counter()
    for _ in range(number):
        function(*arguments)
    return (time.perf_counter() - begin_s) / number


def main() -> None:
    """Answer until stdin ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    os.sched_setaffinity(0, {int(sys.argv[1])})
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(**content: object) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    try:
        function, arguments, number = _function_of(sys.stdin.readline())
        function(*arguments)  # warm: what it loads at its first call is not of the others
    except Exception as error:  # noqa: BLE001 - whatever the user's function raises is an answer
        answer(error=f"{type(error).__name__}: {error}")
        return
    answer(ready=True)
    gc.collect()
    gc.freeze()  # what was loaded is not looked through again and again
    for _ in sys.stdin:
        try:
            seconds = measured(function, arguments, number)
        except Exception as error:  # noqa: BLE001 - as above
            answer(error=f"{type(error).__name__}: {error}")
            return
        answer(seconds=seconds)


if __name__ == "__main__":
    main()
