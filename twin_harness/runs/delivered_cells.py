"""Cells of an annotation row that say what was requested and delivered, in the event's unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twin_harness.runs.fidelity import Fidelity
    from twin_harness.runs.records import AnnotationRow


def fill_delivery(row: AnnotationRow, fidelity: Fidelity, scale: float) -> None:
    """Fill in what was requested and delivered of an event.

    Args:
        row: the event's.
        fidelity: of the event, in the unit of its columns.
        scale: what one unit of the event's level is in that unit; see ``Event.scale``.
    """
    row.requested_mean = fidelity.requested_mean / scale
    row.delivered_mean = fidelity.delivered_mean / scale
    row.delivered_error_percent = fidelity.error_percent
    row.delivered_rmse = fidelity.rmse / scale
    row.settled_s = fidelity.settled_s
