"""Markers and what they plan: each wrong use is a sentence, known before anything runs."""

from types import SimpleNamespace

import pytest

from tests.support.items import Item, config_of
from twin_harness.errors import InvalidInput
from twin_harness.plugin import markers
from twin_harness.plugin.collection import pytest_generate_tests
from twin_harness.plugin.drawing import drawing_mark, drawn_experiments, drawn_index
from twin_harness.plugin.planned import check_item, fault_of, planned_of
from twin_harness.schedule.builders import cpu

RECORDING = ("recording", "_twin_experiment_plan", "_twin_drawn")
experiment = pytest.mark.experiment
random_schedules = pytest.mark.random_schedules


def test_help_is_made_of_signatures():
    """The list of pytest --markers shows every marker with its arguments, one line each."""
    lines = markers.marker_lines()
    assert [line.partition("(")[0] for line in lines] == list(markers.MARKERS)
    assert lines[0].startswith("experiment(*events, name=None, lead_s=1, tail_s=1, share=False")
    assert all("\n" not in line and "Args:" not in line for line in lines)


def test_names_of_tests_become_names_of_files():
    """What files cannot hold is replaced, and a name begins with a letter or digit."""
    assert markers.name_of("test_it[a b/ü]") == "test_it[a b/-]"
    assert markers.name_of("[x]") == "t[x]"
    assert len(markers.name_of("x" * 200)) == 120


def test_experiment_is_named_after_its_test(tmp_path):
    """Unless the marker names it."""
    config = config_of(tmp_path)
    for arguments, name in (({}, "test_it"), ({"name": "spike"}, "spike")):
        mark = experiment(cpu(20, duration_s=1), **arguments)
        item = Item("test_it", config, marks=[mark], fixtures=RECORDING)
        check_item(item)
        assert planned_of(item).name == name
    assert planned_of(Item("test_it", config)) is None


@pytest.mark.parametrize(
    ("marks", "fixtures", "sentence"),
    [
        (
            [experiment(cpu(20, duration_s=1), lead=3)],
            RECORDING,
            "marker experiment: got an unexpected keyword argument 'lead'; see pytest --markers",
        ),
        ([experiment(3)], RECORDING, "expected events made by cpu(), memory(), disk()"),
        ([experiment(tolerance="x", lead_s=1)], RECORDING, "tolerance: 'x' is "),
        (
            [experiment(cpu(20, duration_s=1))],
            ["tmp_path"],
            "nothing runs the experiment of test_it",
        ),
        ([], RECORDING, "requests recording or experiment_plan but plans nothing"),
        (
            [experiment(lead_s=1), random_schedules(2)],
            RECORDING,
            "marker random_schedules: makes several items of a test",
        ),
        (
            [experiment(lead_s=1), pytest.mark.campaign()],
            RECORDING,
            "marker campaign: makes several items of a test",
        ),
        (
            [experiment(lead_s=1), pytest.mark.gate("cpu_percent", statistic="nonsense")],
            RECORDING,
            "gate('cpu_percent'): expected statistic of median, p95",
        ),
    ],
)
def test_wrong_use_is_one_sentence(tmp_path, marks, fixtures, sentence):
    """The sentence is that of the collection error, and of an item that was marked late."""
    item = Item("test_it", config_of(tmp_path), marks=marks, fixtures=fixtures)
    with pytest.raises(InvalidInput) as error:
        check_item(item)
    assert sentence in str(error.value)
    assert fault_of(item) == str(error.value)


def test_real_machine_is_not_for_given(tmp_path):
    """A test of hypothesis that requests a load is refused; a fixture of its own is not ours."""
    config = config_of(tmp_path)
    for fixtures, theirs, is_refused in (
        (["cpu_stress"], [], True),
        ([], ["cpu_stress"], False),
    ):
        item = Item("test_it", config, fixtures=fixtures, theirs=theirs)
        item.obj = SimpleNamespace(is_hypothesis_test=True)
        assert ("puts this machine inside @given" in fault_of(item)) is is_refused


def test_random_experiments_are_drawn_once_by_the_seed(tmp_path):
    """The same seed draws the same, --twin-random overrides n, and another seed draws others."""
    mark = random_schedules(3).mark
    config = config_of(tmp_path)
    drawn = drawn_experiments(config, mark)
    assert len(drawn) == 3
    assert drawn_experiments(config, mark) is drawn
    assert drawn_experiments(config_of(tmp_path), mark) == drawn
    assert drawn_experiments(config_of(tmp_path, seed=1), mark) != drawn
    assert len(drawn_experiments(config_of(tmp_path, random=5), mark)) == 5


@pytest.mark.parametrize(
    ("mark", "sentence"),
    [
        (random_schedules(n=2, max_cpu=3), "'max_cpu' is "),
        (random_schedules(n=0), "expected n from 1 to 10000 but got n=0"),
        (random_schedules(2, 3), "takes from 0 to 1 positional arguments"),
    ],
)
def test_wrong_bounds_are_one_sentence(tmp_path, mark, sentence):
    """A bound that is unknown or out of range is named."""
    if "positional" in sentence:  # the seed's word stands in place of whatever follows n
        with pytest.raises(InvalidInput, match="too many positional arguments"):
            markers.call_marker(mark.mark)
        return
    with pytest.raises(InvalidInput) as error:
        drawn_experiments(config_of(tmp_path), mark.mark)
    assert str(error.value).startswith("marker random_schedules: ")
    assert sentence in str(error.value)


def test_item_knows_its_drawn_experiment(tmp_path):
    """An item of its own has an index; pytest's item of an empty set has none to run."""
    config = config_of(tmp_path)
    mark = random_schedules(2)
    for parameters, index in (({"_twin_drawn": 1}, 1), ({"_twin_drawn": object()}, -1), ({}, None)):
        item = Item("test_it", config, marks=[mark], fixtures=RECORDING, params=parameters)
        assert drawn_index(item) == index
        if index == 1:
            assert planned_of(item) == drawn_experiments(config, mark.mark)[1]
        else:
            assert planned_of(item) is None


def test_marker_of_a_project_is_left_alone(tmp_path):
    """A marker called campaign on a test without our fixture is the project's own."""
    config = config_of(tmp_path, campaign="10m")
    item = Item("test_it", config, marks=[pytest.mark.campaign("spring")])
    assert drawing_mark(item) is None
    assert fault_of(item) == ""


def test_campaign_that_nobody_asks_for_draws_nothing(tmp_path):
    """Whoever runs all tests does not load the machine for an hour."""
    assert drawn_experiments(config_of(tmp_path), pytest.mark.campaign().mark) == ()


class Metafunc:
    """Keeps what a test function is parametrized by."""

    def __init__(self, item):
        self.definition, self.config, self.fixturenames = item, item.config, item.fixturenames
        self.calls = {}

    def parametrize(self, name, values, *, ids, indirect):
        assert indirect
        assert len(values) == len(ids)
        self.calls[name] = ids


def test_items_of_drawn_experiments_and_repetitions(tmp_path):
    """random_schedules(n) makes n items, --twin-repeat N makes N of each."""
    config = config_of(tmp_path, repeat=2)
    fixtures = [*RECORDING, "_twin_repeat"]
    metafunc = Metafunc(Item("test_it", config, marks=[random_schedules(2)], fixtures=fixtures))
    pytest_generate_tests(metafunc)
    assert metafunc.calls == {
        "_twin_drawn": ["random-0", "random-1"],
        "_twin_repeat": ["repeat-0", "repeat-1"],
    }
    other = Metafunc(Item("test_other", config, fixtures=["tmp_path"]))
    pytest_generate_tests(other)
    assert other.calls == {}


def test_schedules_that_nothing_runs_are_refused(tmp_path):
    """random_schedules on a test without recording is a collection error."""
    item = Item("test_it", config_of(tmp_path), marks=[random_schedules(1)])
    with pytest.raises(pytest.Collector.CollectError, match="nothing runs the schedules of test_i"):
        pytest_generate_tests(Metafunc(item))
