"""Provenance of a run: whether its machine recorded it, or a twin predicted it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PREDICTED_BY = "predicted_by"
_FORMERLY = "foretold_by"  # until 0.1.0


def is_predicted(machine: Mapping[str, Any]) -> bool:
    """Tell whether the ``machine.json`` of a run says that a twin predicted the run."""
    return bool(machine.get(PREDICTED_BY) or machine.get(_FORMERLY))
