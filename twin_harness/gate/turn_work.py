"""Who works in whose turns: CPU time of each variant's processes, from slice to slice.

Two variants that are one service (the second found the first one's port, and asks it) look equal;
one that puts its work off into the other's turns looks as quick. Both show in the CPU time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.gate.profiling import processes_of
from twin_harness.system.load_tree import descendants
from twin_harness.system.procfs import process_cpu_ns, waited_for_ns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.gate.variant import Variant

# In its own turns a variant takes less than this share of what the other takes there: it is not it
# that answers.
_SILENT = 0.05
# Less CPU time in all turns together tells nothing: it waits for something else.
_LEAST_NS = 20_000_000
# Of its CPU time a variant takes no more than this share in the other's turns: half is what a
# service takes that is asked in both.
_SHARED = 1.0 / 3.0


class TurnWork:
    """The CPU time of both variants, in their own turns and in the other's.

    Args:
        variants: base and candidate, whose processes are there already.

    Attributes:
        tops: of each variant, its processes without those below them.
    """

    def __init__(self, variants: Sequence[Variant]) -> None:
        self._names = [variant.name for variant in variants]
        self.tops = [processes_of(variant) for variant in variants]
        self._before = self._read()
        # By variant: in the base's turns, in the candidate's.
        self._spent_ns = [[0, 0] for _ in variants]
        self._is_gone = [False for _ in variants]

    def begin(self) -> None:
        """Note where they stand at the begin of a turn."""
        self._before = self._read()

    def end(self, index: int) -> None:
        """Add up what each took in a turn.

        Args:
            index: whose turn it was.
        """
        for variant, (before, now) in enumerate(zip(self._before, self._read(), strict=True)):
            self._is_gone[variant] = now is None
            if before is not None and now is not None:
                self._spent_ns[variant][index] += max(0, now - before)

    def _read(self) -> list[int | None]:
        return [_cpu_ns(tops) for tops in self.tops]

    def fault(self) -> str:
        """Return why the turns are not what they seem; empty where nothing is seen."""
        for variant, name in enumerate(self._names):
            if not self.tops[variant]:
                continue
            if self._is_gone[variant]:
                return f"{name} ended during the turns"
            other = 1 - variant
            own_ns, theirs_ns = self._spent_ns[variant][variant], self._spent_ns[other][variant]
            if theirs_ns > _LEAST_NS and own_ns < _SILENT * theirs_ns:
                return (
                    f"in the turns of {name} it was {self._names[other]} that worked"
                    f" ({theirs_ns / 1e6:.0f} ms of CPU time, {name} {own_ns / 1e6:.0f} ms): is the"
                    " same service asked twice? each needs a port of its own"
                )
        for variant, share in enumerate(self.idle_shares()):
            if share > _SHARED:
                return (
                    f"{self._names[variant]} did {100.0 * share:.0f} % of its work in the turns of"
                    f" {self._names[1 - variant]}: is the same service asked twice, or do both"
                    " listen on one port? each needs a port of its own; work that goes on in"
                    " either's turns cannot be compared in turns"
                )
        return ""

    def idle_shares(self) -> tuple[float, float]:
        """Return which share of its CPU time each variant took in the other's turns."""
        shares = [0.0, 0.0]
        for variant, spent in enumerate(self._spent_ns):
            total = sum(spent)
            if total > _LEAST_NS:
                shares[variant] = spent[1 - variant] / total
        return shares[0], shares[1]


def _cpu_ns(tops: Sequence[int]) -> int | None:
    """Return the CPU time of some processes and what is below them; None where all are gone."""
    total, found = 0, False
    for top in tops:
        if (own := process_cpu_ns(top)) is None:
            continue
        found = True
        total += own + waited_for_ns(top)
        for pid in descendants(top):
            total += (process_cpu_ns(pid) or 0) + waited_for_ns(pid)
    return total if found else None
