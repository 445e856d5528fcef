"""Builders: events and experiments in Python, checked like a file and refused in one sentence."""

import inspect
import math

import pytest

from twin_harness.errors import InvalidInput
from twin_harness.plugin import markers
from twin_harness.schedule.builders import cpu, disk, memory, plan
from twin_harness.schedule.model import Schedule
from twin_harness.shapes import shape as shapes

EVENT_IN_A_LIST = "[Event(id='', stressor='cpu', start_s=0.0, duration_s=1.0"


# -- builders --------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0, 100, 40.5])
def test_a_number_is_a_constant_level(level):
    """``cpu(50, …)`` is short for a constant shape."""
    assert cpu(level, duration_s=1).shape == shapes.constant(float(level))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: cpu("50", duration_s=1),
            "cpu(): expected a number or a shape such as ramp(0, 80) but got shape='50' (type=str)",
        ),
        (
            lambda: cpu(True, duration_s=1),
            (
                "cpu(): expected a number or a shape such as ramp(0, 80) but got shape=True"
                " (type=bool)"
            ),
        ),
        (
            lambda: memory(None, duration_s=1),
            (
                "memory(): expected a number or a shape such as ramp(0, 80) but got shape=None"
                " (type=NoneType)"
            ),
        ),
        (lambda: cpu(101, duration_s=1), "cpu(): shape.level: 101 is above 100 percent"),
        (
            lambda: cpu(math.nan, duration_s=1),
            "cpu(): shape.level: nan is not valid: input should be a finite number",
        ),
        (
            lambda: cpu(5, duration_s="1"),
            "cpu(): duration_s: '1' is not valid: input should be a valid number",
        ),
        (
            lambda: cpu(5, duration_s=1, cpu=[0]),
            "cpu(): options.cpu: is not a known key; expected one of cpus, target, method",
        ),
        (
            lambda: cpu(5, duration_s=1, unit="bytes"),
            "cpu(): options.unit: is not a known key; expected one of cpus, target, method",
        ),
        (
            lambda: memory(5, duration_s=1, unit="GiB"),
            "memory(): unit: 'GiB' does not fit memory; expected 'percent' or 'bytes'",
        ),
        (lambda: disk(-1, duration_s=1), "disk(): shape.level: -1 is below 0 bytes_per_s"),
        (
            lambda: plan([cpu(5, duration_s=1)]),
            (
                "plan(): expected events made by cpu(), memory(), disk(), command() or custom()"
                f" but got events[0]={EVENT_IN_A_LIST}… (type=list)"
            ),
        ),
        (
            lambda: plan(lead_s=-1),
            "plan(): lead_s: -1 is not valid: input should be greater than or equal to 0",
        ),
        (
            lambda: plan(tolerance=5),
            "plan(): tolerance: 5 is not valid: input should be a valid string",
        ),
        (
            Schedule.of,
            (
                "Schedule.of(): experiments: () is not valid: tuple should have at least 1 item"
                " after validation, not 0"
            ),
        ),
    ],
)
def test_a_misused_builder_says_so_in_one_sentence(make, message):
    """The message names builder, argument, value and what was expected."""
    with pytest.raises(InvalidInput) as caught:
        make()
    assert str(caught.value) == message


def test_a_level_beyond_every_float_is_refused():
    """A whole number of 400 digits is out of range like any other."""
    with pytest.raises(InvalidInput, match=r"^cpu\(\): "):
        cpu(10**400, duration_s=1)


def test_a_builder_reads_a_trace_file(tmp_path):
    """A trace by file is read when the event is made, from any folder."""
    (tmp_path / "load.csv").write_text("0,5\n2,30\n")
    event = cpu(shapes.trace(file=str(tmp_path / "load.csv"), level_scale=2.0), duration_s=4)
    assert event.shape == shapes.trace([(0, 5), (2, 30)], level_scale=2.0)
    with pytest.raises(
        InvalidInput,
        match=(
            r"^cpu\(\): shape\.file: 'no\.csv' is not a regular file; expected CSV lines of"
            r" seconds,level$"
        ),
    ):
        cpu(shapes.trace(file="no.csv"), duration_s=4)


def test_plan_and_the_marker_take_the_same_arguments():
    """``@pytest.mark.experiment`` is ``plan()`` of the test: same names, kinds and defaults."""

    def arguments(function):
        parameters = inspect.signature(function).parameters.values()
        return [(parameter.name, parameter.kind, parameter.default) for parameter in parameters]

    assert arguments(markers.experiment) == arguments(plan)
