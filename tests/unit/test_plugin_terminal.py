"""Lines of pytest's terminal: the plan before, where everything is after."""

from types import SimpleNamespace

import pytest

from tests.support.items import Item, config_of
from twin_harness.control.limits import parse_guard
from twin_harness.plugin import terminal
from twin_harness.plugin.plan_lines import plan_lines
from twin_harness.plugin.state import state_of
from twin_harness.schedule.builders import cpu, disk, memory
from twin_harness.shapes.shape import ramp, trace

RECORDING = ("recording", "_twin_experiment_plan", "_twin_session")


def planned_item(name, config, *events, **arguments):
    mark = pytest.mark.experiment(*events, **arguments)
    return Item(name, config, marks=[mark], fixtures=RECORDING)


def test_plan_is_told_in_lines(tmp_path):
    """How many experiments, how long, how high, the guard, and where data goes."""
    config = config_of(tmp_path, guard=parse_guard("off"), tolerance="none")
    item = planned_item("test_it", config, cpu(ramp(0, 60), duration_s=3), memory(1, duration_s=2))
    assert plan_lines(config, [item]) == [
        "twin: 1 experiments planned, 5.0 s of load and quiet",
        "twin: highest level asked for: cpu 60.0 %, memory 1.00 %",
        "twin: guard off; tolerance none; seed 0; a sample every 0.1 s",
        "twin: data goes to data/, report to reports/",
    ]


def test_nothing_is_said_where_nothing_is_planned(tmp_path):
    """A project that uses nothing of ours sees no line."""
    config = config_of(tmp_path)
    assert plan_lines(config, [Item("test_it", config, fixtures=["tmp_path"])]) == []


def test_seconds_of_each_test_are_told_where_tests_are_only_collected(tmp_path):
    """--collect-only lists the planned seconds of every test that has an experiment."""
    config = config_of(tmp_path, option={"collectonly": True})
    items = [
        planned_item("test_a", config, cpu(20, duration_s=7), lead_s=1, tail_s=2),
        Item("test_c", config, fixtures=["tmp_path"]),
    ]
    assert plan_lines(config, items)[-1] == "twin:    10.0 s  test_x.py::test_a"
    config.option.collectonly = False
    assert not [line for line in plan_lines(config, items) if "::test_a" in line]


def test_tests_that_plan_their_own_load_are_counted(tmp_path):
    """Those that use a stressor fixture have no plan yet; those with a fault are left out."""
    config = config_of(tmp_path, has_report=False, parts=2)
    items = [
        Item("test_a", config, fixtures=["cpu_stress", "_twin_session"]),
        planned_item("test_b", config, cpu(20, duration_s=1), lead_s=-5),
    ]
    lines = plan_lines(config, items)
    assert lines[0].endswith(", and 1 tests that plan their own load")
    assert "twin: highest level asked for: none" in lines
    assert "twin: 2 experiments at once, each with 1/2 of CPUs, memory and guard" in lines
    assert lines[-1] == "twin: data goes to data/, no report"


def test_plan_on_the_twin_is_virtual_time(tmp_path):
    """On the twin nothing is loaded, and beside it both are named."""
    config = config_of(tmp_path, on="twin", model="twin.json")
    item = planned_item("test_it", config, cpu(20, duration_s=1))
    assert plan_lines(config, [item])[0].endswith("of virtual time, on the twin twin.json")
    config = config_of(tmp_path, on="both", model="twin.json")
    assert "each beside what the twin twin.json predicts" in plan_lines(config, [item])[0]


def test_highest_level_is_of_all_events_together(tmp_path):
    """What overlaps is added up, what follows is not, and units are told apart."""
    config = config_of(tmp_path)
    points = [(second, 70 if second == 1321 else 10) for second in range(1500)]
    long = trace(points, interpolation="previous")
    items = [
        planned_item(
            "test_it",
            config,
            cpu(long, duration_s=1500),
            cpu(25, duration_s=1400),
            memory(2, duration_s=5),
            memory(2**26, unit="bytes", duration_s=5),
            memory(2**27, unit="bytes", start_s=5, duration_s=5),
        ),
        planned_item("test_b", config, cpu(50, duration_s=5), cpu(60, start_s=5, duration_s=5)),
        planned_item("test_c", config, disk(2**20, duration_s=1)),
        planned_item("test_d", config, disk(9, unit="operations_per_s", duration_s=1)),
    ]
    assert plan_lines(config, items)[1] == (
        "twin: highest level asked for: cpu 95.0 %, memory 2.00 % and 128 MiB, disk 1.00 MiB/s and"
        " 9.00 /s"
    )


RUN = {
    "status": "PARTIAL",
    "experiments": [{"begin_s": 0.0, "end_s": 61.0}, {"begin_s": 70.0, "end_s": 72.0}],
    "logger": {"rows": 630, "missed_samples": 2},
    "partial": ["worker gw1 was lost"],
    "notes": ["the governor is powersave"],
}


def test_closing_lines_say_where_everything_is(tmp_path, monkeypatch):
    """Status, seconds, samples, folders, and what is missing."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data" / "run"
    assert terminal.closing_lines(folder, RUN, tmp_path / "reports" / "index.html") == [
        "PARTIAL: 2 experiments, 1 min 3 s, 630 samples, 2 missed",
        "data    data/run/",
        "report  reports/index.html",
        "partial worker gw1 was lost",
        "note    the governor is powersave",
    ]
    without = terminal.closing_lines(folder, {**RUN, "settings": {"on": "twin"}}, None)
    assert without[0] == "PARTIAL: 2 experiments, 1 min 3 s, predicted, nothing was loaded"
    assert without[2] == "report  not made for this run; `twin report data/run` makes it"


class Reporter:
    """Keeps what is written to the terminal."""

    def __init__(self):
        self.lines = []

    def section(self, title):
        self.lines.append(f"= {title} =")

    def write_line(self, line):
        self.lines.append(line)


def test_summary_names_every_undecided_test(tmp_path):
    """Count, tests and reasons stand in the summary, also where no session was made."""
    state, reporter = state_of(config_of(tmp_path)), Reporter()
    terminal.write_summary(reporter, state)
    assert reporter.lines == []
    state.gate_lines = ["PASSED: all"]
    state.undecided = [("test_x.py::test_it", "no room")]
    terminal.write_summary(reporter, state)
    assert reporter.lines == [
        "= twin gate =",
        "PASSED: all",
        "= twin harness =",
        "undecided: 1",
        "  test_x.py::test_it: no room",
    ]


def test_summary_is_part_of_a_session_alone(tmp_path):
    """Where nothing of ours was used, there is no section."""
    reporter = SimpleNamespace()
    terminal.write_summary(reporter, state_of(config_of(tmp_path)))
