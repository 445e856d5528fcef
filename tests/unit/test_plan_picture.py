"""A schedule drawn: one bar per event, and up to twelve experiments in one figure."""

import pytest

from twin_harness.report.drawing.plan_picture import plan_png
from twin_harness.report.plan_bars import plan_lines
from twin_harness.schedule.builders import command, cpu, disk, memory, plan
from twin_harness.schedule.model import Schedule
from twin_harness.shapes.shape import ramp, sine, steps, trace

SCHEDULE = Schedule.of(
    plan(cpu(ramp(0, 80), duration_s=8), disk(20e6, start_s=4, duration_s=4), name="both at once"),
    plan(
        memory(steps([0, 50]), duration_s=10),
        command(["sleep", "5"], start_s=2, duration_s=5),
        name="second",
        tolerance="5%",
    ),
    plan(name="idle", lead_s=1, tail_s=1),
)


def test_lines_tell_when_and_how_high():
    """One line an experiment, one an event.

    Its bar stands where the event does, the highest level under a full block.
    """
    lines = plan_lines(SCHEDULE)
    assert lines[0].startswith("both ")
    assert "tolerance 5%" in "".join(lines)
    assert lines[-1] == "  no load: the idle machine"
    bars = {line.split()[0]: line.split("|")[1] for line in lines if "|" in line}
    assert bars["cpu-0"].strip()[0] < bars["cpu-0"].strip()[-1] == "█"
    assert bars["disk-0"][: len(bars["disk-0"]) // 2 - 1].strip() == ""
    assert set(bars["disk-0"].strip()) == set(bars["command-0"].strip()) == {"█"}
    assert len({len(bar) for bar in bars.values()}) == 1


@pytest.mark.parametrize("count", [1, 40])
def test_figure_is_a_picture_of_bounded_size(count):
    """However many experiments there are, the figure stays one that can be looked at."""
    idle = SCHEDULE.experiments[-1]
    picture = plan_png(
        Schedule.of(*(idle.model_copy(update={"name": f"e{n}"}) for n in range(count)))
    )
    assert picture.startswith(b"\x89PNG")
    assert int.from_bytes(picture[20:24], "big") < 2500


def test_equal_plans_give_equal_pictures():
    """Every resource, a command and an idle experiment, drawn twice, are the same bytes."""
    picture = plan_png(SCHEDULE)
    assert picture.startswith(b"\x89PNG")
    assert picture == plan_png(SCHEDULE)


def test_a_second_of_a_week_stands_in_the_bar():
    """The bar shows the highest level of each of its cells.

    What is said to be the highest is.
    """
    points = [(60.0 * row, 80.0 if row == 5_000 else 10.0) for row in range(10_080)]
    _, line = plan_lines(
        Schedule.of(
            plan(cpu(trace(points, interpolation="previous"), duration_s=604_800), name="week")
        )
    )
    bar = line.split("|")[1]
    assert (bar.count("█"), bar.index("█"), line.endswith("trace, up to 80.0 %")) == (
        1,
        56 * 5_000 // 10_080,
        True,
    )


def test_a_level_beyond_the_end_is_not_said():
    """A wave that has no time to rise is not said to."""
    _, line = plan_lines(
        Schedule.of(plan(cpu(sine(50, 40, 100, 0.75), duration_s=25), name="rise"))
    )
    assert line.endswith("sine, up to 50.0 %")
