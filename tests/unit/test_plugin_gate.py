"""The gate in pytest: gated tests, their pairs, what is refused, what a run leaves."""

import json
from types import SimpleNamespace

import pytest

from tests.support.items import Item, config_of, report_of
from twin_harness.errors import InvalidInput
from twin_harness.gate.looks import Length
from twin_harness.gate.variant import Variant
from twin_harness.plugin import gate_items, gate_pairs, gate_plan, gate_trials, gate_verdict
from twin_harness.plugin.collection import pytest_generate_tests
from twin_harness.plugin.gate_recorder import GateRecorder
from twin_harness.plugin.state import TEST, TestState, state_of
from twin_harness.runs.folder import RunFolder
from twin_harness.session.config import TwinConfig

VARIANTS = (Variant("base"), Variant("candidate", (("WORK", "110"),)))
GATE = ("gate", "variant", "_twin_pair")
MARK = pytest.mark.gate("latency_ms", better="lower")


def gated(name, config, *marks, **more):
    return Item(name, config, marks=marks or [MARK], fixtures=GATE, **more)


def pair(name, config, number):
    return gated(f"{name}[pair-{number}]", config, params={"_twin_pair": number})


@pytest.mark.parametrize(
    ("nodeid", "name"),
    [
        ("test_a", "test_a"),
        ("test_a[pair-3]", "test_a"),
        ("test_a[json-spare-0]", "test_a[json]"),
        ("test_a[pair-11-json]", "test_a[json]"),
        ("test_a[a-repeat-1-b]", "test_a[a-b]"),
        ("test_a[repair-1]", "test_a[repair-1]"),
    ],
)
def test_pairs_of_a_test_have_one_name(tmp_path, nodeid, name):
    """What tells pairs and repetitions apart is no part of a measure's name."""
    assert gate_items.test_name(Item(nodeid, config_of(tmp_path))) == f"test_x.py::{name}"


def test_gated_is_by_marker_or_by_our_fixture(tmp_path):
    """A fixture of the project's own called gate gates nothing."""
    config = config_of(tmp_path)
    assert gate_items.is_gated(gated("test_a", config))
    assert gate_items.is_gated(Item("test_a", config, fixtures=["gate"]))
    assert not gate_items.is_gated(Item("test_a", config, theirs=["gate"]))


@pytest.mark.parametrize(
    ("marks", "sentence"),
    [
        ([pytest.mark.gate("cpu_percent")], "gives 'cpu_percent median'; expected it to request r"),
        ([pytest.mark.gate("rps")], "expected better='lower' or better='higher'"),
        ([MARK, MARK], "'latency_ms' is declared twice on test_a; declare it once"),
    ],
)
def test_measure_that_nothing_gives_is_refused(tmp_path, marks, sentence):
    """A marker that asks for what the test does not give is one sentence."""
    with pytest.raises(InvalidInput) as error:
        gate_items.measures_of(gated("test_a", config_of(tmp_path), *marks))
    assert sentence in str(error.value)


class Metafunc:
    """Keeps what a test function is parametrized by."""

    def __init__(self, item):
        self.definition, self.config, self.fixturenames = item, item.config, item.fixturenames
        self.ids = []

    def parametrize(self, name, values, *, ids, indirect):
        assert indirect
        assert (name, len(values)) == ("_twin_pair", len(ids))
        self.ids = ids


def test_gated_test_is_an_item_for_each_pair(tmp_path):
    """As many as are asked for, and three spares; only where variants are compared."""
    config = config_of(tmp_path, variants=VARIANTS, gate_pairs=Length(8, 8))
    metafunc = Metafunc(gated("test_a", config))
    pytest_generate_tests(metafunc)
    assert metafunc.ids == [
        *(f"pair-{number}" for number in range(8)),
        "spare-0",
        "spare-1",
        "spare-2",
    ]
    plain = Metafunc(gated("test_a", config_of(tmp_path)))
    pytest_generate_tests(plain)
    assert plain.ids == []


@pytest.mark.parametrize(
    ("fixtures", "theirs", "sentence"),
    [
        (["gate", "_twin_pair"], [], "nothing in it requests our fixture variant"),
        (["gate", "_twin_pair"], ["variant"], "nothing in it requests our fixture variant"),
        (["gate", "variant"], [], "nothing measures test_a"),
    ],
)
def test_test_that_cannot_run_in_pairs_is_refused(tmp_path, fixtures, theirs, sentence):
    """Both runs of a pair have to differ by the variant, and to be measured."""
    config = config_of(tmp_path, variants=VARIANTS)
    metafunc = Metafunc(Item("test_a", config, marks=[MARK], fixtures=fixtures, theirs=theirs))
    with pytest.raises(pytest.Collector.CollectError, match=sentence):
        pytest_generate_tests(metafunc)


def test_gated_tests_are_kept_alone_pair_by_pair(tmp_path):
    """Others are deselected, and all first pairs come before all second ones."""
    config = config_of(tmp_path, variants=VARIANTS)
    left_out = []
    config.hook = SimpleNamespace(pytest_deselected=lambda **named: left_out.append(named))
    items = [pair(name, config, number) for name in ("test_a", "test_b") for number in range(2)]
    items.append(Item("test_c", config, fixtures=["tmp_path"]))
    gate_items.choose_items(config, items)
    assert [item.name for item in items] == [
        "test_a[pair-0]",
        "test_b[pair-0]",
        "test_a[pair-1]",
        "test_b[pair-1]",
    ]
    assert [item.name for item in left_out[0]["items"]] == ["test_c"]
    assert [measure.name for measure in state_of(config).declared] == [
        "test_x.py::test_a: latency_ms",
        "test_x.py::test_b: latency_ms",
    ]


@pytest.mark.parametrize("is_worker", [False, True])
def test_too_few_pairs_are_refused_before_anything_runs(tmp_path, is_worker):
    """At once where there are no workers; a worker runs nothing and leaves the sentence."""
    config = config_of(tmp_path, variants=VARIANTS, gate_pairs=Length(5, 5))
    items = [pair("test_a", config, number) for number in range(5)]
    if is_worker:
        config.workerinput = {}
        gate_items.choose_items(config, items)
    else:
        with pytest.raises(pytest.UsageError, match="5 pairs can never show a regression"):
            gate_items.choose_items(config, items)
    assert items == []
    assert "5 pairs can never show a regression" in state_of(config).refusal


def test_test_that_became_gated_late_is_refused(tmp_path):
    """It has no pairs, and would be compared with nothing."""
    config = config_of(tmp_path, variants=VARIANTS)
    with pytest.raises(pytest.UsageError, match="became gated after it was collected"):
        gate_items.choose_items(config, [gated("test_a", config)])


def test_plan_says_what_the_gate_does(tmp_path):
    """Pairs, tests, measures, and a baseline where there is one."""
    config = config_of(tmp_path, variants=VARIANTS, gate_pairs=Length(8, 8))
    items = [pair("test_a", config, 0), pair("test_a", config, 8)]
    assert [gate_plan.runs_of(item) for item in items] == [2, 0]
    assert gate_plan.runs_of(gated("test_a", config)) == 1
    line, looks = gate_plan.gate_line(state_of(config), items, 90)
    assert looks == (
        "twin: gate: 8 pairs where nothing is clear before; 6 where all measures have passed for"
        " sure; none fewer where one of 0 is worse, for so few cannot show it"
    )
    assert line == (
        "twin: gate: 8 pairs of base and candidate, 1.5 min of planned load, up to 3 more in place"
        " of unfit ones; 1 tests, 0 declared measures"
    )
    config = config_of(tmp_path, gate="b.json")
    items = [gated("test_a", config), Item("test_b", config, fixtures=["gate"])]
    (line,) = gate_plan.gate_line(state_of(config), items, 0)
    assert line == (
        "twin: gate: against b.json; 2 tests, 0 declared measures, and what 1 of them record"
        " without a marker"
    )
    assert gate_plan.gate_line(state_of(config_of(tmp_path)), items, 0) == []


def recorder(*marks):
    test = TestState()
    measures = [gate_items.call_marker(mark.mark) for mark in marks]
    return test, GateRecorder(test, "test_x.py::test_a", measures)


def test_recorded_value_has_the_declared_measure():
    """The marker's direction counts, the unit of the call is kept."""
    test, gate = recorder(MARK)
    gate.record("latency_ms", 3, unit="ms")
    measure, value = test.recorded["latency_ms"]
    assert (measure.better, measure.unit, value) == ("lower", "ms", 3.0)


@pytest.mark.parametrize(
    ("name", "value", "more", "sentence"),
    [
        ("x", True, {"better": "lower"}, r"expected a number but got value=True \(type=bool\)"),
        ("x", "1", {"better": "lower"}, r"got value='1' \(type=str\)"),
        ("x", 1, {}, "expected better='lower' or better='higher'"),
        ("cpu_percent", 1, {}, "is a column of the dataset, which the gate measures itself"),
        ("again", 1, {"better": "lower"}, "it was recorded already in this test"),
    ],
)
def test_wrong_recording_is_one_sentence(name, value, more, sentence):
    """What is recorded is one number under one name, and its direction is known."""
    _, gate = recorder()
    gate.record("again", 1, better="lower")
    with pytest.raises(InvalidInput, match=sentence):
        gate.record(name, value, **more)


class Session:
    """A session whose run folder is there, and whose dataset is empty."""

    def __init__(self, path):
        path.mkdir(parents=True)
        self.folder = RunFolder(path)
        self.seat = SimpleNamespace(worker="main")
        self.board = SimpleNamespace(dataset_state=lambda: (0, 0, 0))
        self.calls = []
        self.admission = SimpleNamespace(
            hold=lambda name: self.calls.append(f"hold {name}"),
            release=lambda: self.calls.append("release"),
            take_waits=lambda: [(1.0, 3.0)],
        )

    def ensure_logger(self):
        self.calls.append("logger")


def test_what_a_run_gave_is_kept_and_read_back(tmp_path):
    """Values, faults and the declared measures; a value that is no number is a fault."""
    config = config_of(tmp_path)
    state = state_of(config)
    state.session = Session(state.seat.run_dir)
    item = gated("test_a", config)
    state.declared = gate_items.measures_of(item)
    item.stash[TEST] = test = TestState(variant=Variant("base"), pair=2)
    gate = GateRecorder(test, "test_x.py::test_a", state.declared)
    gate.record("latency_ms", 3.0, unit="ms")
    gate.record("broken", float("nan"), better="lower")
    gate_trials.note_trial(item, report_of(when="setup"))
    assert not test.has_trial
    gate_trials.note_trial(item, report_of())
    assert test.has_trial
    (trial,) = gate_trials.known_trials(state)
    assert (trial.test, trial.variant, trial.pair) == ("test_x.py::test_a", "base", 2)
    assert trial.values == {"latency_ms": 3.0}
    assert trial.faults == {"broken": "broken is nan"}
    names = [measure.short_name for measure in gate_trials.family(state, [trial])]
    assert names == ["latency_ms", "broken"]


@pytest.mark.parametrize(
    ("report", "subtest_faults", "fault"),
    [
        (report_of("failed", "setup", "it does not start"), [], "its test failed: it does not s"),
        (report_of("skipped", "call", ("f", 1, "no")), [], "its test skipped: no"),
        (report_of(), ["a subtest failed"], "its test failed: a subtest failed"),
    ],
)
def test_run_that_failed_gives_a_reason(tmp_path, report, subtest_faults, fault):
    """A whole trial is void with the test's own reason."""
    config = config_of(tmp_path)
    state = state_of(config)
    state.session = Session(state.seat.run_dir)
    item = gated("test_a", config)
    item.stash[TEST] = TestState(subtest_faults=subtest_faults)
    gate_trials.note_trial(item, report)
    (trial,) = gate_trials.known_trials(state)
    assert trial.faults[""].startswith(fault)


def test_trial_that_cannot_be_kept_fails_its_test(tmp_path):
    """A full disk is said by the test whose figures are lost."""
    config = config_of(tmp_path)
    state = state_of(config)
    state.session = Session(state.seat.run_dir)
    item, report = gated("test_a", config), report_of()
    state.seat.run_dir.rmdir()
    gate_trials.note_trial(item, report)
    assert report.outcome == "failed"
    assert "what test_x.py::test_a measured could not be kept for the gate" in report.longrepr


def test_machine_is_taken_before_a_service_starts(tmp_path):
    """The logger runs, the machine is ours, and waiting is no part of the test's time."""
    config = config_of(tmp_path)
    session = state_of(config).session = Session(state_of(config).seat.run_dir)
    gate_pairs.take_machine(Item("test_c", config))
    assert session.calls == []
    item = gated("test_a", config)
    gate_pairs.take_machine(item)
    assert session.calls == ["logger", "hold test_a"]
    assert item.stash[TEST].waited_s == 2.0
    gate_pairs.give_machine_back(item)
    assert session.calls[-1] == "release"
    session.calls.clear()
    item.stash[TEST] = TestState(pair=1, position=0)
    gate_pairs.give_machine_back(item)
    assert session.calls == []  # between the two runs of a pair nobody else has it


@pytest.mark.parametrize(
    ("settings", "status", "fault", "has_trials", "code"),
    [
        ({"gate": "b"}, "PASSED", "", True, 0),
        ({"gate": "b"}, "REGRESSED", "", True, 1),
        ({"gate": "b"}, "UNDECIDED", "", True, 0),
        ({"gate": "b", "undecided": "fail"}, "UNDECIDED", "", True, 1),
        ({"gate": "b", "undecided": "fail"}, None, "no baseline", True, 1),
        ({"gate": "b"}, "UNDECIDED", "", False, 5),
        ({"gate_save": "b"}, None, "", True, 0),
        ({"gate_save": "b"}, None, "full disk", True, 1),
    ],
)
def test_exit_code_is_that_of_the_verdict(settings, status, fault, has_trials, code):
    """A regression fails the session though every test has passed."""
    judgement = status and SimpleNamespace(status=status)
    settings = TwinConfig(**settings)
    given = gate_verdict._exit_code(settings, judgement, fault, has_trials=has_trials)
    assert given == code


def test_session_is_judged_and_written(tmp_path):
    """Pairs from the run folder give a verdict, a section, an exit code and gate.json."""
    config = config_of(tmp_path, variants=VARIANTS, gate_pairs=Length(8, 8))
    state = state_of(config)
    state.session = Session(state.seat.run_dir)
    for number in range(8):
        for position, (variant, value) in enumerate(zip(VARIANTS, (100.0, 150.0), strict=True)):
            item = pair("test_a", config, number)
            item.stash[TEST] = test = TestState(variant=variant, pair=number, position=position)
            gate = GateRecorder(test, "test_x.py::test_a", gate_items.measures_of(item))
            gate.record("latency_ms", value + number + position * number / 9)
            gate_trials.note_trial(item, report_of())
    state.declared = gate_items.measures_of(item)
    session = SimpleNamespace(config=config, exitstatus=pytest.ExitCode.OK)
    gate_verdict.finish(session, state)
    data = json.loads((state.seat.run_dir / "gate.json").read_text())
    # Nothing is known of the environment, so what is surely worse is still no verdict.
    assert data["status"] == "UNDECIDED"
    assert "environment: steal" in data["verdicts"][0]["reason"]
    assert len(data["trials"]) == 16
    assert session.exitstatus == pytest.ExitCode.OK
    assert state.gate_lines[0].startswith("UNDECIDED: candidate against base, 1 measures")


def test_refusal_of_a_worker_ends_the_session(tmp_path):
    """The controller says it at the end, with the exit code of a usage error."""
    config = config_of(tmp_path, option={"dist": "load"}, variants=VARIANTS)
    state_of(config).refusal = "too few pairs"
    session = SimpleNamespace(config=config, exitstatus=pytest.ExitCode.NO_TESTS_COLLECTED)
    gate_verdict.finish(session, state_of(config))
    assert state_of(config).gate_lines == ["ERROR: too few pairs"]
    assert session.exitstatus == pytest.ExitCode.USAGE_ERROR
