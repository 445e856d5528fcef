"""What is collected.

Experiments of markers, random schedules as items of their own, and the experiments of a schedule
file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from twin_harness.errors import InvalidInput
from twin_harness.plugin import gate
from twin_harness.plugin.markers import DRAWING, call_marker, name_of, planned_experiment
from twin_harness.plugin.state import state_of, test_state
from twin_harness.system import newest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from twin_harness.schedule.model import Experiment


def drawn_experiments(config: pytest.Config, mark: pytest.Mark) -> tuple[Experiment, ...]:
    """Return the random experiments of a marker; drawn once, from the session's seed.

    Raises:
        InvalidInput: the marker's arguments are wrong.
    """
    state = state_of(config)
    if mark.name == "campaign":
        return _campaign(config, mark)
    if state.config.random:
        override = {"n": state.config.random}
    else:
        override = {}
    kwargs = {
        **dict(zip(("n",), mark.args, strict=False)),
        **mark.kwargs,
        **override,
        "seed": state.config.seed,
    }
    key = json.dumps(kwargs, sort_keys=True, default=repr)
    if key not in state.drawn:
        drawn: tuple[Experiment, ...] = call_marker(
            pytest.Mark("random_schedules", (), kwargs, _ispytest=True)
        )
        state.drawn[key] = drawn
    return state.drawn[key]


def _campaign(config: pytest.Config, mark: pytest.Mark) -> tuple[Experiment, ...]:
    """Return the experiments of the campaign that were not recorded yet on this machine.

    None where no campaign is asked for.

    Raises:
        InvalidInput: the marker's arguments are wrong.
    """
    state = state_of(config)
    bounds = call_marker(mark)
    if not state.config.campaign:
        return ()
    key = json.dumps(["campaign", bounds], sort_keys=True, default=repr)
    if key not in state.drawn:
        from twin_harness.control.campaign import draw_campaign, recorded_hashes, remaining
        from twin_harness.control.campaign_bounds import CampaignBounds
        from twin_harness.system.machine import inspect_machine

        data_dir = Path(state.seat.data_dir)
        machine = inspect_machine(data_dir if data_dir.is_dir() else config.rootpath)
        planned = draw_campaign(state.config.campaign, state.config.seed, CampaignBounds(**bounds))
        left = remaining(planned, recorded_hashes(data_dir, machine.to_json(), state.seat.run_id))
        state.drawn[key] = left
        if len(left) < len(planned):
            state.campaign_line = (
                f"campaign {state.config.campaign}: {len(planned) - len(left)} of {len(planned)}"
                f" runs are recorded in {data_dir} already"
            )
    return state.drawn[key]


def drawing_mark(node: pytest.Item | pytest.Function) -> pytest.Mark | None:
    """Return the marker by which a test runs on experiments that are drawn for it."""
    found = next(
        (mark for name in DRAWING if (mark := node.get_closest_marker(name)) is not None), None
    )
    is_ours = (
        found is None
        or found.name != "campaign"
        or "_twin_drawn" in getattr(node, "fixturenames", ())
    )
    if is_ours:
        return found
    return None  # a word that a project may have a marker of its own for


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make an item of each experiment that is drawn, of each repetition, and of each pair of variants."""
    mark = drawing_mark(metafunc.definition)
    if mark is not None:
        if "_twin_drawn" not in metafunc.fixturenames:
            msg = (
                f"marker {mark.name}: nothing runs the schedules of {metafunc.definition.name};"
                " expected it to request recording"
            )
            raise pytest.Collector.CollectError(msg)
        try:
            drawn = drawn_experiments(metafunc.config, mark)
        except InvalidInput as error:
            raise pytest.Collector.CollectError(str(error)) from None
        ids = [
            experiment.name if mark.name == "campaign" else f"random-{index}"
            for index, experiment in enumerate(drawn)
        ]
        metafunc.parametrize("_twin_drawn", range(len(drawn)), ids=ids, indirect=True)
    gate.parametrize_pairs(metafunc)
    repeat = state_of(metafunc.config).config.repeat
    if repeat > 1 and "_twin_repeat" in metafunc.fixturenames:
        metafunc.parametrize(
            "_twin_repeat",
            range(repeat),
            ids=[f"repeat-{index}" for index in range(repeat)],
            indirect=True,
        )


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Refuse markers that plan nothing possible, as a collection error of one sentence."""
    report = yield
    for node in report.result or ():
        if isinstance(node, pytest.Item):
            try:
                if not (_is_marked_late(node) or _may_be_planned_late(node)):
                    check_item(node)
            except InvalidInput as error:
                return pytest.CollectReport(
                    collector.nodeid, "failed", f"{node.nodeid}: {error}", []
                )
    return report


def _is_marked_late(item: pytest.Item) -> bool:
    """Tell whether a mark that makes several items stands on this one alone.

    It fails by itself, and the others run.
    """
    return drawing_mark(item) is not None and drawn_index(item) is None


def _may_be_planned_late(item: pytest.Item) -> bool:
    """Tell whether a test that plans nothing may get its mark in a hook of the project.

    If it does not, it fails by itself.
    """
    if (
        "_twin_experiment_plan" not in getattr(item, "fixturenames", ())
        or item.get_closest_marker("experiment") is not None
    ):
        return False
    if drawing_mark(item) is not None:
        return False
    manager = item.config.pluginmanager
    installed = {
        _package_of(getattr(plugin, "__name__", "")) for plugin, _ in manager.list_plugin_distinfo()
    } | {"_pytest"}
    hooks = item.config.hook.pytest_collection_modifyitems.get_hookimpls()
    return any(_package_of(hook.function.__module__) not in installed for hook in hooks)


def _package_of(module: str) -> str:
    return module.partition(".")[0]


_NO_EXPERIMENT = object()
_LOADING = {"recording", "experiment", "cpu_stress", "mem_stress", "disk_stress"}


def check_item(item: pytest.Item) -> None:
    """Check what an item plans.

    Raises:
        InvalidInput: its marker is wrong, it requests ``recording`` and has no marker, or it stands
            inside @given.
    """
    if getattr(getattr(item, "obj", None), "is_hypothesis_test", False) and any(
        _is_ours(item, name) for name in _LOADING
    ):
        msg = (
            "puts this machine inside @given, where failing examples are run again and differ by"
            " noise; expected @pytest.mark.random_schedules, or a model"
        )
        raise InvalidInput(msg)
    drawing = drawing_mark(item)
    is_planned = planned_experiment(item) is not None or drawing is not None
    if not is_planned and "_twin_experiment_plan" in getattr(item, "fixturenames", ()):
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
    gate.measures_of(item)


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


def drawn_index(item: pytest.Item) -> int | None:
    """Return which of the experiments that are drawn for a test an item runs on.

    None for one that was not made for any.
    """
    params = getattr(getattr(item, "callspec", None), "params", {})
    index = params.get("_twin_drawn", _NO_EXPERIMENT)
    if index is _NO_EXPERIMENT:
        return None
    if isinstance(index, int):
        return index
    return -1  # pytest's own item of an empty set, which it skips


def _is_ours(item: pytest.Item, fixture: str) -> bool:
    """Tell whether an item requests a fixture of that name, and it is ours and not the project's own."""
    found = getattr(item, "_fixtureinfo").name2fixturedefs.get(fixture, ())  # noqa: B009 - Function items alone have it
    return bool(found) and str(found[-1].func.__module__).startswith("twin_harness.")


def planned_of(item: pytest.Item) -> Experiment | None:
    """Return the experiment that an item is going to run as far as its markers tell."""
    if isinstance(item, ExperimentItem):
        own: Experiment = item.experiment
        return own
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


# -- --twin-schedule -------------------------------------------------------------------------------


def replay_alone(config: pytest.Config) -> None:
    """Collect the schedule file, and it alone unless paths were named on the command line."""
    named = config.invocation_params.dir / state_of(config).config.schedule
    path = str(newest.follow(named).resolve())
    is_alone = config.args_source is not pytest.Config.ArgsSource.ARGS
    if is_alone:
        config.args[:] = [path]
    else:
        config.args[:] = [*config.args, path]


def campaign_alone(config: pytest.Config) -> None:
    """Collect the campaign alone, unless paths were named on the command line."""
    folder = config.rootpath / "scenarios" / "campaign"
    if config.args_source is not pytest.Config.ArgsSource.ARGS and folder.is_dir():
        config.args[:] = [str(folder)]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScheduleFile | None:
    """Collect the experiments of the file that --twin-schedule names."""
    wanted = state_of(parent.config).config.schedule
    named = parent.config.invocation_params.dir / wanted
    if wanted and file_path == newest.follow(named).resolve():
        return ScheduleFile.from_parent(parent, path=file_path)
    return None


class ScheduleFile(pytest.File):
    """A ``schedule.json`` whose experiments are tests."""

    def collect(self) -> Iterator[ExperimentItem]:
        """Return an item an experiment and repetition.

        Raises:
            CollectError: the file is no schedule; one sentence.
        """
        from twin_harness.schedule.model import Schedule

        try:
            schedule = Schedule.read(self.path)
        except InvalidInput as error:
            raise self.CollectError(str(error)) from None
        repeat = state_of(self.config).config.repeat
        for experiment in schedule.experiments:
            for index in range(repeat):
                if repeat > 1:
                    name = f"{experiment.name}[repeat-{index}]"
                else:
                    name = experiment.name
                yield ExperimentItem.from_parent(self, name=name, experiment=experiment)


class ExperimentItem(pytest.Item):
    """One experiment of a schedule file: it passes when it ran as planned."""

    def __init__(self, *, experiment: Experiment, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.experiment = experiment

    def runtest(self) -> None:
        """Run the experiment."""
        from twin_harness.plugin.fixtures import open_session, run_for

        session = open_session(self.config)
        try:
            run_for(
                test_state(self),
                session,
                self.experiment.model_copy(update={"name": name_of(self.experiment.name)}),
            )
        finally:
            session.admission.release()

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where the item stands."""
        return self.path, 0, self.name
