"""Builders: events and experiments in Python, with the same checks as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.errors import InvalidInput
from twin_harness.schedule.event import Event
from twin_harness.schedule.file import read_trace
from twin_harness.schedule.model import Experiment
from twin_harness.schedule.validation import short, validated
from twin_harness.shapes import shape as shapes

if TYPE_CHECKING:
    from collections.abc import Sequence


def _event(
    stressor: str,
    shape: object,
    start_s: float,
    duration_s: float,
    event_id: str | None,
    unit: str,
    options: dict[str, Any],
) -> Event:
    if isinstance(shape, (int, float)) and not isinstance(shape, bool):
        try:
            shape = shapes.constant(float(shape))
        except OverflowError:
            msg = f"{stressor}(): shape.level: {short(shape)} is too large; lower it"
            raise InvalidInput(msg) from None
    if not isinstance(shape, tuple(shapes.SHAPES.values())):
        msg = (
            f"{stressor}(): expected a number or a shape such as ramp(0, 80) but got"
            f" shape={short(shape)} (type={type(shape).__name__})"
        )
        raise InvalidInput(msg)
    if isinstance(shape, shapes.Trace) and shape.file is not None and not shape.points:
        points = read_trace(Path(shape.file), f"{stressor}(): shape.file")
        shape = shapes.trace(
            [(t_s, level) for t_s, level in points],
            interpolation=shape.interpolation,
            time_scale=shape.time_scale,
            level_scale=shape.level_scale,
        )
    data = {
        "id": event_id or "",
        "stressor": stressor,
        "start_s": start_s,
        "duration_s": duration_s,
        "shape": shape,
        "unit": unit,
        "options": options,
    }
    event: Event = validated(Event, data, f"{stressor}()")
    return event


def cpu(
    shape: shapes.Shape | float,
    *,
    start_s: float = 0,
    duration_s: float,
    id: str | None = None,
    **options: Any,
) -> Event:
    """Plan CPU load in percent of the machine; a number is a constant level.

    Args:
        shape: levels over the event; a number is a constant.
        start_s: on the events' clock.
        duration_s: how long it lasts.
        id: of the event; ``cpu-0``, ``cpu-1`` … unless given.
        options: see ``CpuOptions``.

    Raises:
        InvalidInput: a value is out of range, or an option unknown.
    """
    return _event("cpu", shape, start_s, duration_s, id, "percent", options)


def memory(
    shape: shapes.Shape | float,
    *,
    start_s: float = 0,
    duration_s: float,
    id: str | None = None,
    unit: str = "percent",
    **options: Any,
) -> Event:
    """Plan memory load in percent of the machine's limit, or in bytes with ``unit="bytes"``.

    Args:
        shape: levels over the event; a number is a constant.
        start_s: on the events' clock.
        duration_s: how long it lasts.
        id: of the event; ``mem-0``, ``mem-1`` … unless given.
        unit: ``percent`` or ``bytes``.
        options: see ``MemoryOptions``.

    Raises:
        InvalidInput: a value is out of range, or an option unknown.
    """
    return _event("memory", shape, start_s, duration_s, id, unit, options)


def disk(
    shape: shapes.Shape | float,
    *,
    start_s: float = 0,
    duration_s: float,
    id: str | None = None,
    unit: str = "bytes_per_s",
    **options: Any,
) -> Event:
    """Plan disk load in bytes per second, or in operations with ``unit="operations_per_s"``.

    Args:
        shape: levels over the event; a number is a constant.
        start_s: on the events' clock.
        duration_s: how long it lasts.
        id: of the event; ``disk-0``, ``disk-1`` … unless given.
        unit: ``bytes_per_s`` or ``operations_per_s``.
        options: see ``DiskOptions``.

    Raises:
        InvalidInput: a value is out of range, or an option unknown.
    """
    return _event("disk", shape, start_s, duration_s, id, unit, options)


def command(
    argv: Sequence[str],
    *,
    start_s: float = 0,
    duration_s: float,
    id: str | None = None,
    cwd: str | None = None,
    env: Sequence[str] = (),
) -> Event:
    """Plan a program as load, which runs from start to end and is stopped then.

    It is run only where commands are allowed.

    Args:
        argv: the program and its arguments; no shell.
        start_s: on the events' clock.
        duration_s: how long it may run.
        id: of the event.
        cwd: the folder it runs in; the scratch folder unless given.
        env: names of the caller's variables that it gets besides PATH, HOME and the locale.

    Raises:
        InvalidInput: a value is not of its kind.
    """
    if isinstance(argv, str):
        msg = (
            f"command(): expected argv as a list of words but got argv={argv!r} (type=str); write"
            f" e.g. {argv.split()!r}"
        )
        raise InvalidInput(msg)
    options = {
        "argv": list(argv),
        **({"cwd": cwd} if cwd is not None else {}),
        **({"env": list(env)} if env else {}),
    }
    data = {
        "id": id or "",
        "stressor": "command",
        "start_s": start_s,
        "duration_s": duration_s,
        "options": options,
    }
    event: Event = validated(Event, data, "command()")
    return event


def custom(
    stressor: str,
    shape: shapes.Shape | float,
    *,
    start_s: float = 0,
    duration_s: float,
    id: str | None = None,
    unit: str = "",
    **options: Any,
) -> Event:
    """Plan load by a stressor that an installed project brings, in its own unit.

    The entry-point group of such stressors is ``twin_harness.stressors``.

    Args:
        stressor: its name in that group.
        shape: levels over the event; a number is a constant.
        start_s: on the events' clock.
        duration_s: how long it lasts.
        id: of the event; the stressor's name and a number unless given.
        unit: of the levels, for people.
        options: plain data, which the stressor itself checks.

    Raises:
        InvalidInput: there is no such stressor, or a value is out of range.
    """
    return _event(stressor, shape, start_s, duration_s, id, unit, options)


def plan(
    *events: Event,
    name: str | None = None,
    lead_s: float = 1,
    tail_s: float = 1,
    share: bool = False,
    settle_s: float = 0,
    tolerance: str | None = None,
) -> Experiment:
    """Make an experiment of events.

    Args:
        events: made by ``cpu()``, ``memory()``, ``disk()``, ``command()`` or ``custom()``.
        name: of the experiment.
        lead_s: quiet time that is recorded before the events.
        tail_s: quiet time that is recorded after them.
        share: run beside experiments that use other resources.
        settle_s: the longest wait for an idle machine before the lead.
        tolerance: how far an event's mean load may be from the plan (``"5%"``), or ``"none"``; the
            session's unless given.

    Raises:
        InvalidInput: a value is out of range, or two events have one id.
    """
    for index, event in enumerate(events):
        if not isinstance(event, Event):
            makers = "cpu(), memory(), disk(), command() or custom()"
            msg = (
                f"plan(): expected events made by {makers} but got events[{index}]={short(event)}"
                f" (type={type(event).__name__})"
            )
            raise InvalidInput(msg)
    data = {
        "name": name or "experiment",
        "lead_s": lead_s,
        "tail_s": tail_s,
        "share": share,
        "settle_s": settle_s,
        "tolerance": tolerance,
        "events": events,
    }
    experiment: Experiment = validated(Experiment, data, "plan()")
    return experiment
