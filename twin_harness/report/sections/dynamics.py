"""How load rises, settles and goes, and how soon the machine is itself again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.metrics import RESOURCE_COLUMNS
from twin_harness.quantity import signed
from twin_harness.report.document import Cell, Paragraph, Section, Table, measured, number
from twin_harness.report.facts import DISK_COLUMNS, ask

if TYPE_CHECKING:
    from twin_harness.report.document import Block
    from twin_harness.report.evidence import Evidence
    from twin_harness.report.facts import EventFacts

_LEAST_ROWS, _MOST_ROWS = 8, 60
_RESPONSE_OF = {"cpu": ("cpu_percent",), "memory": ("memory_percent",), "disk": DISK_COLUMNS}
_TEXT = (
    "For events of a constant level. Rise: from 10 to 90 % of the plateau (the median of the"
    " event's second half), as the rows show it, so to one interval. Settled: as annotated."
    " Overshoot: the highest row above the plateau. Recovery: from the end of the event until the"
    " machine's own column (CPU, memory, disk traffic) is back within a tenth of its step for good;"
    " a dash where the experiment ends before, or other load of the resource follows."
)


@dataclass(frozen=True)
class Dynamics:
    """One event's course; None is what is not known."""

    rise_s: float | None
    overshoot_percent: float
    recovery_s: float | None


def dynamics_of(item: EventFacts) -> Dynamics | None:
    """Measure an event of a constant level.

    None for any other, and where there are too few rows.
    """
    row, event, recording = item.row, item.event, item.recording
    if (
        row is None
        or row.actual_start_s is None
        or row.actual_end_s is None
        or event.stressor not in RESOURCE_COLUMNS
        or event.shape.kind != "constant"
    ):
        return None
    frame, _ = ask(lambda: recording.samples)
    if frame is None:
        return None
    t_s = frame.index.to_numpy(dtype=float)
    inside = (t_s > row.actual_start_s) & (t_s <= row.actual_end_s)
    delivered = frame[RESOURCE_COLUMNS[event.stressor][1]].to_numpy(dtype=float)[inside]
    at_s = t_s[inside] - row.actual_start_s
    if len(delivered) < _LEAST_ROWS or np.isnan(delivered).any():
        return None
    plateau = float(np.median(delivered[len(delivered) // 2 :]))
    if plateau <= 0:
        return None
    reached = [
        float(at_s[np.argmax(has_risen)]) if has_risen.any() else None
        for has_risen in (delivered >= share * plateau for share in (0.1, 0.9))
    ]
    if reached[0] is None or reached[1] is None:
        rise_s = None
    else:
        rise_s = reached[1] - reached[0]
    return Dynamics(
        rise_s,
        100.0 * (float(delivered.max()) / plateau - 1.0),
        _recovery_s(item, row.actual_start_s, row.actual_end_s),
    )


def _recovery_s(item: EventFacts, start_s: float, end_s: float) -> float | None:
    event, frame = item.event, item.recording.samples
    others = [
        other
        for other in item.recording.experiment.events
        if other.id != event.id and other.end_s > event.start_s
    ]
    if any(event.stressor in (other.stressor, "cpu") for other in others):
        return None  # what follows would be taken for this event's
    t_s = frame.index.to_numpy(dtype=float)
    response = (
        frame[list(_RESPONSE_OF[event.stressor])].sum(axis=1, skipna=False).to_numpy(dtype=float)
    )
    before, during, after = (
        response[t_s <= start_s],
        response[(t_s > (start_s + end_s) / 2) & (t_s <= end_s)],
        t_s > end_s,
    )
    if (
        not (len(before) and len(during) and after.any())
        or np.isnan(before).all()
        or np.isnan(during).all()
    ):
        return None  # nothing to come back to, or a column that this machine does not measure
    rest, step = float(np.nanmedian(before)), float(np.nanmedian(during) - np.nanmedian(before))
    is_back = np.abs(response[after] - rest) <= max(0.1 * abs(step), 1e-9)
    if not is_back[-1]:
        return None
    away = np.flatnonzero(~is_back)
    return float(t_s[after][away[-1] + 1 if len(away) else 0] - end_s)


def section(evidence: Evidence) -> Section:
    """Return the section on dynamics."""
    found = [
        (facts, item, dynamics)
        for facts in evidence.experiments
        for item in facts.events
        if (dynamics := dynamics_of(item)) is not None
    ]
    title = "How load rises, settles and goes"
    if not found:
        return Section(
            "dynamics",
            title,
            (Paragraph("No event of a constant level has enough rows to judge."),),
        )
    rows = tuple(
        (
            Cell(f"{facts.name} / {item.event.id}", href=facts.anchor),
            measured(dynamics.rise_s, "s", "it never reached 90 % of its plateau"),
            measured(item.row.settled_s if item.row else None, "s", "it never settled"),
            number(signed(dynamics.overshoot_percent, "percent")),
            measured(
                dynamics.recovery_s, "s", "the experiment ended before, or other load followed"
            ),
        )
        for facts, item, dynamics in found[:_MOST_ROWS]
    )
    more = ""
    if len(found) > _MOST_ROWS:
        more = f"; the first {_MOST_ROWS} of {len(found)}"
    caption = f"Dynamics of events of a constant level{more}"
    blocks: list[Block] = [
        Paragraph(_TEXT),
        Table(
            "table-dynamics",
            caption,
            ("event", "rise", "settled after", "overshoot", "recovery"),
            rows,
        ),
    ]
    return Section("dynamics", title, tuple(blocks))
