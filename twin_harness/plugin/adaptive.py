"""The adaptive campaign in a session: what a placeholder runs is chosen when its turn comes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.plugin.markers import call_marker
from twin_harness.plugin.state import state_of

if TYPE_CHECKING:
    import pytest

    from twin_harness.plugin.state import PluginState
    from twin_harness.schedule.model import Experiment

_AT_ONCE = 3  # a fit for each would take as long as the run


def chosen_for(config: pytest.Config, mark: pytest.Mark, planned: Experiment) -> Experiment:
    """Return what is run where an experiment of a campaign is planned.

    In the place of a placeholder that is what was chosen for it, under its name.

    Args:
        config: of the session, whose state keeps what is chosen for the next placeholders.
        mark: the marker ``campaign`` with its bounds.
        planned: of the campaign.
    """
    from twin_harness.control.adaptive import is_open

    state = state_of(config)
    if not is_open(planned):
        return planned
    if not state.chosen:
        state.chosen = _choose(state, mark, planned.name)
    return state.chosen.pop(0).model_copy(update={"name": planned.name})


def _choose(state: PluginState, mark: pytest.Mark, name: str) -> list[Experiment]:
    from twin_harness.control.adaptive import draw_candidates, usual_plans
    from twin_harness.control.campaign import campaign_folders
    from twin_harness.control.campaign_bounds import CampaignBounds
    from twin_harness.predict.gathering import gather, without_tests
    from twin_harness.predict.next_plans import choose_plans
    from twin_harness.runs.run import load

    bounds = CampaignBounds(**call_marker(mark))
    number = int(name.rpartition(" ")[2])
    data_dir = Path(state.seat.data_dir)
    state.status.write_line(f"{name}: the next {_AT_ONCE} plans are being chosen")

    def report(line: str) -> None:
        state.status.write_line(f"{name}: {line}")

    runs = []
    if state.session is not None:
        here = state.session.machine.to_json()
        runs = [load(folder) for folder in campaign_folders(data_dir, here)]
    return choose_plans(
        without_tests(gather(runs, report)),
        draw_candidates(1_000 * state.config.seed + number, bounds),
        usual_plans(state.config.seed, bounds),
        _AT_ONCE,
        report,
    )
