"""How a recording becomes a measure's value: windows, plateaus, times."""

import pytest

from tests.support.runs import ZERO_S, annotate, csv_row, make_folder, planned, write_dataset
from twin_harness import cpu, plan, ramp
from twin_harness.errors import InvalidInput, Undecided
from twin_harness.gate.declaration import declare
from twin_harness.runs.recording import Recording

EXPERIMENT = plan(cpu(50, duration_s=10), lead_s=5, tail_s=10, name="a")


@pytest.fixture
def recording(tmp_path):
    """A recording whose CPU and memory are functions of the time on the events' clock."""

    def make(cpu_percent, memory_percent=lambda _: 40.0, experiment=EXPERIMENT, **row):
        folder = make_folder(tmp_path / "data")
        lines = [
            csv_row(
                ZERO_S + t / 10,
                cpu_percent=cpu_percent(t / 10),
                memory_percent=memory_percent(t / 10),
            )
            for t in range(-60, int(10 * (experiment.span_s + experiment.tail_s)) + 10)
        ]
        write_dataset(folder, lines)
        return Recording.whole(folder, planned(experiment), (annotate(experiment, "cpu-0", **row),))

    return make


def test_a_plateau_is_trimmed_by_the_schedule(recording):
    """The first second of a plateau is its transient, however long the load took to settle."""
    made = recording(lambda t: 90.0 if 0 <= t < 1 else 50.0 if 1 <= t <= 10 else 5.0, settled_s=5.0)
    assert declare("t", "cpu_percent", "max", "cpu-0").value(made) == 50.0
    assert declare("t", "cpu_percent", "max").value(made) == 90.0


def test_an_integral_takes_the_whole_event(recording):
    """Its time is the schedule's: a load that settled late is no smaller for it."""
    made = recording(lambda t: 50.0 if 0 <= t <= 10 else 5.0, settled_s=4.0)
    assert declare("t", "cpu_percent", "integral", "cpu-0").value(made) == pytest.approx(
        500.0, rel=0.03
    )


def test_a_ramp_is_not_trimmed(recording):
    """What is no plateau has no transient."""
    made = recording(
        lambda t: max(0.0, 8 * t),
        experiment=plan(cpu(ramp(0, 80), duration_s=10), lead_s=5, tail_s=10, name="a"),
    )
    assert declare("t", "cpu_percent", "median", "cpu-0").value(made) == pytest.approx(
        40.0, abs=1.0
    )


def test_recovery_is_counted_from_the_end_of_the_load(recording):
    """Until the column is where it was before, for a second on end.

    A column that never is back is UNDECIDED.
    """
    measure = declare("t", "cpu_percent", "recovery_s", floor=1.0)
    back = recording(lambda t: 5.0 if t < 0 or t > 13 else 50.0)
    assert measure.value(back) == pytest.approx(3.0, abs=0.3)


def test_what_never_recovers_is_undecided(recording):
    """A longer tail is the next step."""
    with pytest.raises(
        Undecided, match=r"was not back within 10\.0 s after 'cpu-0'; make the tail longer"
    ):
        declare("t", "cpu_percent", "recovery_s", floor=1.0).value(
            recording(lambda t: 5.0 if t < 0 else 50.0)
        )


@pytest.mark.parametrize(
    ("memory_percent", "expected_s"),
    [(lambda t: 40 + 10 * max(0, t), 5.0), (lambda t: 95.0 if t > 0 else 40.0, 0.1)],
)
def test_time_to_a_level_counts_from_the_start(recording, memory_percent, expected_s):
    """A level that the very first sample has passed was reached at once.

    No waiting for it to fall below again.
    """
    measure = declare(
        "t", "memory_percent", "time_to_threshold_s", better="higher", floor=1.0, trips=90.0
    )
    assert measure.value(recording(lambda _: 5.0, memory_percent)) == pytest.approx(
        expected_s, abs=0.11
    )


def test_a_column_that_is_not_there_is_refused(recording):
    """A CPU that this machine has not, an event that the experiment has not."""
    made = recording(lambda _: 5.0)
    for measure in (
        declare("t", "cpu99_percent", "recovery_s", floor=1.0),
        declare("t", "cpu_percent", "median", "cpu-7"),
    ):
        with pytest.raises(InvalidInput, match="is not in"):
            measure.value(made)
