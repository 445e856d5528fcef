"""Sampling both variants from outside while they take turns: Python by py-spy, others by perf.

A process belongs to a variant by TWIN_VARIANT in its environment, which ``variant.environ`` sets.
Neither profiler counts a thread that waits, so the slices of the other variant add nothing.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.gate.samplers import targets
from twin_harness.gate.variant import VARIABLE
from twin_harness.system.load_tree import descendants, send
from twin_harness.system.procfs import children_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.gate.samplers import Sampler
    from twin_harness.gate.variant import Variant

FAULT = "# fault: "


class Profilers:
    """The profilers of one pair: one for each process of each variant that stands at the top."""

    def __init__(self, variants: Sequence[Variant]) -> None:
        self._faults: dict[str, str] = {}
        self._running: list[Sampler] = []
        for variant in variants:
            pids = processes_of(variant)
            if not pids:
                self._faults[variant.name] = (
                    f"no process of {variant.name} was there when the turns began (start it with"
                    " {**os.environ, **variant.environ}; what lives within a turn is too short)"
                )
            for kind, below in (target for pid in pids for target in targets(pid)):
                try:
                    self._running.append(kind(variant.name, below))
                except OSError as error:
                    self._faults[variant.name] = (
                        f"{error.filename} could not be started ({error.strerror})"
                    )

    def end(self) -> dict[str, str]:
        """End them, and return the collapsed stacks of each variant, or a line with its fault."""
        for sampler in self._running:
            send(sampler.process.pid, signal.SIGINT)
        stacks: dict[str, str] = {}
        for sampler in self._running:
            seen, fault = sampler.end()
            if seen:
                stacks[sampler.name] = f"{stacks.get(sampler.name, '')}{seen}\n"
            else:
                self._faults.setdefault(sampler.name, fault)
        for name, fault in self._faults.items():
            stacks.setdefault(name, f"{FAULT}{fault}\n")
        return stacks


def processes_of(variant: Variant) -> list[int]:
    """Return the processes below this one that bear a variant's name, parents without children."""
    wanted = f"{VARIABLE}={variant.name}".encode()
    found = []
    for pid in descendants(os.getpid()):
        try:
            entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if wanted in entries:
            found.append(pid)
    below = {child for pid in found for child in children_of(pid)}
    return [pid for pid in found if pid not in below]
