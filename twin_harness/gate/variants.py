"""Both variants at once, and functions that each calls in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from twin_harness.errors import ExperimentFailed, InvalidInput
from twin_harness.system.child import close_pipes, end_child, readable_of
from twin_harness.system.forks import close_in_forks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from twin_harness.gate.variant import Variant

_PROGRAM = Path(__file__).with_name("pinned.py")
PATIENCE_S = 60.0
_END_S = 1.0


class Variants:
    """The variants that an interleaved test keeps alive at once, base first.

    They can be iterated, and ``function`` calls a function under each. It is left at the end of the
    test: the processes of functions end then.

    Args:
        variants: one or two, base first.
        folder: where modules are found after those of the variant's own PYTHONPATH.
    """

    def __init__(self, variants: Iterable[Variant], folder: str) -> None:
        self._variants = tuple(variants)
        self._folder = folder
        self._stack = ExitStack()

    def __iter__(self) -> Iterator[Variant]:
        return iter(self._variants)

    def __len__(self) -> int:
        return len(self._variants)

    def function(
        self, target: str, *arguments: Any, number: int = 1, patience_s: float = PATIENCE_S
    ) -> dict[Variant, PinnedFunction]:
        """Return a function in a process of its own for each variant, under its environment.

        All are pinned to one CPU, for they take turns. A variant's PYTHONPATH comes before
        everything else that is installed, so ``candidate:PYTHONPATH=../candidate`` is another
        checkout.

        Args:
            target: ``module:function``, importable there.
            arguments: of each call; plain data, as JSON has it.
            number: calls between two readings of the clock; the time of one is their mean.
            patience_s: how long one answer may take.

        Raises:
            InvalidInput: the target is not written so, or an argument is no plain data.
            ExperimentFailed: a variant has no such function, or its process ended; one sentence.
        """
        module, _, name = target.partition(":")
        if not (module and name):
            msg = f"variants.function: expected 'module:function' but got {target!r}"
            raise InvalidInput(msg)
        try:
            words = json.dumps([target, list(arguments), int(number), sys.path, self._folder])
        except (TypeError, ValueError) as error:
            msg = (
                f"variants.function({target!r}): expected arguments of plain data (numbers, text,"
                f" lists, dicts) but {error}"
            )
            raise InvalidInput(msg) from None
        cpu = max(os.sched_getaffinity(0))
        return {
            variant: self._stack.enter_context(
                PinnedFunction(variant, target, words, cpu, patience_s)
            )
            for variant in self
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


class PinnedFunction:
    """A function of one variant, called in a process of its own; a call returns its seconds."""

    def __init__(
        self, variant: Variant, target: str, words: str, cpu: int, patience_s: float
    ) -> None:
        self._label = f"{target} of {variant.name or 'the variant'}"
        self._patience_s = patience_s
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_PROGRAM), str(cpu)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **variant.environ},
            start_new_session=True,
            bufsize=0,
        )
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                close_in_forks(pipe)
        try:
            self._answer(words)
        except BaseException:  # Ctrl-C, too: nothing is left behind
            self._end()
            raise

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def __call__(self) -> float:
        """Call it, and return how many seconds a call took.

        Raises:
            ExperimentFailed: it raised an error, ended, or gave no answer in time; one sentence.
        """
        return float(self._answer("call")["seconds"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        end_child(self._process, _END_S)
        close_pipes(self._process)

    def _answer(self, line: str) -> dict[str, Any]:
        """Send a line, and return the answer."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:  # it was started with both
            raise ExperimentFailed(self._label)
        # Where it has ended, its last line, or the lack of one, says more.
        with suppress(BrokenPipeError):
            stdin.write(line.encode() + b"\n")
        if not readable_of([stdout.fileno()], self._patience_s):
            self._process.kill()
            msg = (
                f"{self._label}: no answer within {self._patience_s:g} s, so it was ended; give"
                " patience_s= where it needs longer"
            )
            raise ExperimentFailed(msg)
        answer = stdout.readline()
        if not answer:
            self._end()
            code = self._process.returncode
            msg = f"{self._label}: its process ended (exit {code}); its messages are on stderr"
            raise ExperimentFailed(msg)
        found: dict[str, Any] = json.loads(answer)
        if "error" in found:
            msg = f"{self._label}: {found['error']}"
            raise ExperimentFailed(msg)
        return found
