"""The markers, and the experiments that they plan: each function is a signature, and its help."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

from twin_harness.errors import InvalidInput
from twin_harness.plugin.requested import requests

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from twin_harness.gate.measures import Measure
    from twin_harness.schedule.model import Experiment

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9 _.,:/#\[\]-]")
USERS = frozenset({"recording", "experiment_plan"})


def experiment(
    *events: Any,
    name: str | None = None,
    lead_s: float = 1,
    tail_s: float = 1,
    share: bool = False,
    settle_s: float = 0,
    tolerance: str | None = None,
) -> Experiment:
    """Plan the experiment of this test from cpu(), memory() and disk() events.

    The `recording` fixture runs it.
    """
    from twin_harness.schedule.builders import plan

    return plan(
        *events,
        name=name,
        lead_s=lead_s,
        tail_s=tail_s,
        share=share,
        settle_s=settle_s,
        tolerance=tolerance,
    )


def random_schedules(n: int = 3, **bounds: Any) -> tuple[Experiment, ...]:
    """Run this test on n random experiments, a test item each.

    They are drawn by --twin-seed within bounds (see strategies.Bounds).
    """
    from twin_harness.control.make_schedule import draw_experiments

    return draw_experiments(n, **bounds)


def campaign(
    max_cpu_percent: int = 100,
    max_memory_percent: int = 80,
    max_disk_bytes_per_s: int = 1_000_000_000,
) -> dict[str, int]:
    """Run this test on each experiment of the training campaign, a test item each.

    The campaign is the one that --twin-campaign asks for, without what was recorded already.
    """
    return {
        "max_cpu_percent": max_cpu_percent,
        "max_memory_percent": max_memory_percent,
        "max_disk_bytes_per_s": max_disk_bytes_per_s,
    }


def gate(
    metric: str,
    statistic: str = "median",
    window: str | None = None,
    better: str | None = None,
    threshold: str = "3%",
    floor: float | None = None,
    trips: float | None = None,
    covariate: str = "auto",
) -> Measure:
    """Declare a measure of this test for the regression gate.

    A column of its recording, or what it passes to gate.record(metric, …). Beside neighbours its
    pairs are adjusted for their covariate: auto, background, steal, probe or none.
    """
    from twin_harness.gate.declaration import declare

    return declare(
        "",
        metric,
        statistic,
        window,
        better,
        threshold,
        floor,
        trips=trips,
        covariate=covariate,
    )


MARKERS: dict[str, Callable[..., Any]] = {
    "experiment": experiment,
    "random_schedules": random_schedules,
    "campaign": campaign,
    "gate": gate,
}
# Those that make an item of each experiment that they draw.
DRAWING = ("random_schedules", "campaign")


def marker_lines() -> list[str]:
    """Return the lines of ``pytest --markers``, made of the functions above."""
    lines = []
    for name, function in MARKERS.items():
        parameters = inspect.signature(function).parameters.values()
        arguments = ", ".join(
            str(parameter.replace(annotation=inspect.Parameter.empty)) for parameter in parameters
        )
        text = " ".join((inspect.getdoc(function) or "").split())
        lines.append(f"{name}({arguments}): {text}")
    return lines


def call_marker(mark: pytest.Mark, **more: Any) -> Any:
    """Call a marker's function with the marker's arguments.

    Raises:
        InvalidInput: an argument is unknown or out of range; one sentence that names marker and
            argument.
    """
    try:
        inspect.signature(MARKERS[mark.name]).bind(*mark.args, **{**more, **mark.kwargs})
    except TypeError as error:
        msg = f"marker {mark.name}: {error}; see pytest --markers"
        raise InvalidInput(msg) from None
    try:
        return MARKERS[mark.name](*mark.args, **{**more, **mark.kwargs})
    except InvalidInput as error:
        msg = f"marker {mark.name}: {error}"
        raise InvalidInput(msg) from None


def name_of(node_name: str) -> str:
    """Return a pytest id as a name that files can hold."""
    cleaned = _NOT_IN_NAMES.sub("-", node_name)[:120]
    if cleaned[:1].isalnum():
        return cleaned
    return f"t{cleaned}"[:120]


def planned_experiment(item: pytest.Item) -> Experiment | None:
    """Return the experiment that an item's marker plans; None without a marker.

    It is named after the test unless the marker names it.

    Raises:
        InvalidInput: the marker's arguments are wrong, or nothing in the test runs the experiment.
    """
    mark = item.get_closest_marker("experiment")
    if mark is None:
        return None
    if not any(requests(item, name) for name in USERS):
        msg = (
            f"marker experiment: nothing runs the experiment of {item.name}; expected the test to"
            " request recording (or experiment_plan)"
        )
        raise InvalidInput(msg)
    planned: Experiment = call_marker(mark)
    if mark.kwargs.get("name"):
        return planned
    return planned.model_copy(update={"name": name_of(item.name)})
