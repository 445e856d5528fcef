"""The experiments that a marker draws for a test: random schedules and the campaign, once each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from twin_harness.plugin.markers import DRAWING, call_marker
from twin_harness.plugin.requested import DRAWN, parameters_of, requests
from twin_harness.plugin.state import state_of

if TYPE_CHECKING:
    from twin_harness.schedule.model import Experiment


def drawn_experiments(config: pytest.Config, mark: pytest.Mark) -> tuple[Experiment, ...]:
    """Return the random experiments of a marker; drawn once, from the session's seed.

    Raises:
        InvalidInput: the marker's arguments are wrong.
    """
    state = state_of(config)
    if mark.name == "campaign":
        return _campaign(config, mark)
    if state.config.random:
        override = {"n": state.config.random}
    else:
        override = {}
    kwargs = {
        **dict(zip(("n",), mark.args, strict=False)),
        **mark.kwargs,
        **override,
        "seed": state.config.seed,
    }
    key = json.dumps(kwargs, sort_keys=True, default=repr)
    if key not in state.drawn:
        drawn: tuple[Experiment, ...] = call_marker(
            pytest.Mark("random_schedules", (), kwargs, _ispytest=True)
        )
        state.drawn[key] = drawn
    return state.drawn[key]


def _campaign(config: pytest.Config, mark: pytest.Mark) -> tuple[Experiment, ...]:
    """Return the experiments of the campaign that were not recorded yet on this machine.

    None where no campaign is asked for.

    Raises:
        InvalidInput: the marker's arguments are wrong.
    """
    state = state_of(config)
    bounds = call_marker(mark)
    if not state.config.campaign:
        return ()
    key = json.dumps(["campaign", bounds], sort_keys=True, default=repr)
    if key not in state.drawn:
        from twin_harness.control.adaptive import draw_adaptive, is_adaptive
        from twin_harness.control.campaign import draw_campaign, recorded_hashes, remaining
        from twin_harness.control.campaign_bounds import CampaignBounds
        from twin_harness.system.machine import inspect_machine

        data_dir = Path(state.seat.data_dir)
        machine = inspect_machine(data_dir if data_dir.is_dir() else config.rootpath)
        size = state.config.campaign
        if is_adaptive(size):
            draw = draw_adaptive
        else:
            draw = draw_campaign
        planned = draw(size, state.config.seed, CampaignBounds(**bounds))
        recorded = recorded_hashes(data_dir, machine.to_json(), state.seat.run_id)
        missing = remaining(planned, recorded)
        state.drawn[key] = missing
        if len(missing) < len(planned):
            state.campaign_line = (
                f"campaign {size}: {len(planned) - len(missing)} of {len(planned)}"
                f" runs are recorded in {data_dir} already"
            )
    return state.drawn[key]


def drawing_mark(node: pytest.Item) -> pytest.Mark | None:
    """Return the marker by which a test runs on experiments that are drawn for it."""
    marks = (node.get_closest_marker(name) for name in DRAWING)
    mark = next((mark for mark in marks if mark is not None), None)
    if mark is not None and mark.name == "campaign" and not requests(node, DRAWN):
        return None  # a word that a project may have a marker of its own for
    return mark


def drawn_index(item: pytest.Item) -> int | None:
    """Return which of the experiments that are drawn for a test an item runs on.

    None for one that was not made for any.
    """
    parameters = parameters_of(item)
    if DRAWN not in parameters:
        return None
    index = parameters[DRAWN]
    if isinstance(index, int):
        return index
    return -1  # pytest's own item of an empty set, which it skips
