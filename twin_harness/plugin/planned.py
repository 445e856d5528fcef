"""What an item plans: its experiment, and why it cannot run as its markers have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.errors import InvalidInput
from twin_harness.plugin.drawing import drawing_mark, drawn_experiments, drawn_index
from twin_harness.plugin.gate_items import measures_of
from twin_harness.plugin.markers import planned_experiment
from twin_harness.plugin.requested import LOADING, is_ours, requests
from twin_harness.plugin.schedule_items import ExperimentItem

if TYPE_CHECKING:
    import pytest

    from twin_harness.schedule.model import Experiment


def check_item(item: pytest.Item) -> None:
    """Check what an item plans.

    Raises:
        InvalidInput: its marker is wrong, it requests ``recording`` and has no marker, or it stands
            inside @given.
    """
    is_hypothesis_test = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    if is_hypothesis_test and any(is_ours(item, name) for name in LOADING):
        msg = (
            "puts this machine inside @given, where failing examples are run again and differ by"
            " noise; expected @pytest.mark.random_schedules, or a model"
        )
        raise InvalidInput(msg)
    drawing = drawing_mark(item)
    is_planned = planned_experiment(item) is not None or drawing is not None
    if not is_planned and requests(item, "_twin_experiment_plan"):
        msg = (
            "requests recording or experiment_plan but plans nothing; expected"
            " @pytest.mark.experiment(cpu(50, duration_s=10)) or random_schedules"
        )
        raise InvalidInput(msg)
    if drawing is not None and drawn_index(item) is None:
        msg = (
            f"marker {drawing.name}: makes several items of a test, which a mark on one parameter"
            " (pytest.param) or one that is added to a collected item comes too late for; put it"
            " on the function, its class or its module"
        )
        raise InvalidInput(msg)
    measures_of(item)


def fault_of(item: pytest.Item) -> str:
    """Return why an item cannot run as its markers have it, in a sentence; empty when it can.

    Collection refuses a wrong marker; this is for what became wrong afterwards, and for marks on
    single parameters: the item fails in its set-up, and all others run.
    """
    try:
        check_item(item)
    except InvalidInput as error:
        return str(error)
    return ""


def planned_of(item: pytest.Item) -> Experiment | None:
    """Return the experiment that an item is going to run as far as its markers tell."""
    if isinstance(item, ExperimentItem):
        return item.experiment
    mark = drawing_mark(item)
    try:
        if mark is None:
            return planned_experiment(item)
        index = drawn_index(item)
        if index is None or index < 0:
            return None
        return drawn_experiments(item.config, mark)[index]
    except InvalidInput:
        return None  # a mark that was added late; the item's set-up says why
