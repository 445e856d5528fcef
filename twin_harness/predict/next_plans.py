"""The next plans of an adaptive campaign: fitted to what was recorded, the most telling ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.predict.gathering import too_few
from twin_harness.predict.suggest import Enough, suggest
from twin_harness.predict.twin import Twin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twin_harness.predict.observation import Observation
    from twin_harness.schedule.model import Experiment


def choose_plans(
    observations: Sequence[Observation],
    candidates: Sequence[Experiment],
    usual: Sequence[Experiment],
    count: int,
    report: Callable[[str], None],
) -> list[Experiment]:
    """Return the plans to run next; the first candidates where the runs tell too little.

    Args:
        observations: what was recorded on this machine.
        candidates: what might be run.
        usual: plans whose predictions are to be precise.
        count: how many to choose.
        report: called with a sentence on what was chosen, and by what.

    Raises:
        InvalidInput: the runs are of several machines.
    """
    few = too_few(observations)
    if few:
        report(f"the next {count} plans are drawn, not chosen: {few}")
        return list(candidates[:count])
    twin = Twin(starts=1).fit_observations(observations, calibrates=False)
    chosen = suggest(twin.model_, candidates, usual, Enough(count))
    left = 100.0 * chosen[-1].left
    report(
        f"the next {count} plans were chosen from {len(observations)} runs: {left:.0f} % of the"
        " variance of usual predictions is expected to be left after them"
    )
    return [one.experiment for one in chosen]
