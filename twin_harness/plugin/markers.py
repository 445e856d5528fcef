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

    Args:
        events: made by ``cpu()``, ``memory()``, ``disk()``, ``command()`` or ``custom()``.
        name: of the experiment; the test's unless given.
        lead_s: quiet time that is recorded before the events.
        tail_s: quiet time that is recorded after them.
        share: run beside experiments that use other resources.
        settle_s: the longest wait for an idle machine before the lead.
        tolerance: how far an event's mean load may be from the plan (``"5%"``), or ``"none"``; the
            session's unless given.
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

    Args:
        max_cpu_percent: highest CPU load, in percent of the machine: 10 to 100.
        max_memory_percent: highest memory load, in percent of the machine: 10 to 95.
        max_disk_bytes_per_s: highest disk load, but for the run that saturates the device: 10 MB/s
            to 1 TB/s.
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
    interleave: str | float | None = None,
) -> Measure:
    """Declare a measure of this test for the regression gate.

    A column of its recording, or what it passes to gate.record(metric, …). Where neighbours disturb
    the machine its pairs are adjusted for their CPU time (auto), always for background, steal or
    probe, or never (none). With interleave both variants take turns within one test.

    Args:
        metric: a column, or a name under which the test records values itself.
        statistic: of a column; a recorded value takes none.
        window: the event whose time counts; None is the whole experiment, or the first event for
            times.
        better: lower or higher; the registry's own for a column.
        threshold: a percent such as ``"3%"``, on a ratio scale.
        floor: the threshold in the metric's unit, for what can be 0 (a difference scale).
        trips: the level of ``time_to_threshold_s``.
        covariate: what its pairs are adjusted for; auto is background where the machine is
            disturbed. Background is the CPU time of all that pytest has not started.
        interleave: both variants are alive in one test and take turns in slices of this length,
            ``"0.2s"``: ``for turn in gate.turns(): turn.record(…)``.
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
        interleave=interleave,
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
    """Return the lines of ``pytest --markers``, made of the functions above.

    What their ``Args`` say is for readers of the code: a line has no room for it.
    """
    lines = []
    for name, function in MARKERS.items():
        parameters = inspect.signature(function).parameters.values()
        arguments = ", ".join(
            str(parameter.replace(annotation=inspect.Parameter.empty)) for parameter in parameters
        )
        text = " ".join((inspect.getdoc(function) or "").partition("Args:")[0].split())
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
