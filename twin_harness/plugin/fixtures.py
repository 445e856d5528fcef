"""The fixtures that every project has.

The running logger, annotations, stressors, experiments and recordings.

Public names are thin: they request each other only under ``_twin_…`` names, so that a project's own
fixture called ``machine`` harms nobody.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import pytest

from twin_harness.errors import ExperimentError, InvalidInput, TwinError, Undecided
from twin_harness.gate.measures import declare
from twin_harness.plugin.collection import drawing_mark, drawn_experiments, planned_of
from twin_harness.plugin.gate import measures_of, test_name
from twin_harness.plugin.markers import name_of
from twin_harness.plugin.state import TestState, state_of, test_state
from twin_harness.system.support import lack_of_support

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from twin_harness.control.annotations import AnnotationRecorder
    from twin_harness.gate.measures import Measure
    from twin_harness.gate.variant import Variant
    from twin_harness.predict.twin import Twin
    from twin_harness.runs.recording import Recording
    from twin_harness.schedule.model import Experiment
    from twin_harness.session.config import TwinConfig
    from twin_harness.session.session import Session
    from twin_harness.shapes.shape import Shape
    from twin_harness.system.machine import Machine


def open_session(config: pytest.Config) -> Session:
    """Return the session; the first call makes its run folder.

    Raises:
        Undecided: this system is one that cannot be loaded and recorded.
    """
    state = state_of(config)
    if state.session is None:
        if reason := lack_of_support("an experiment"):
            raise Undecided(reason)
        from twin_harness.session.session import Session as _Session

        state.session = _Session.open(state.config, state.seat, state.status.say)
    return state.session


def run_for(
    test: TestState,
    session: Session,
    experiment: Experiment,
    generator: dict[str, Any] | None = None,
) -> Recording:
    """Run an experiment for a test and keep what was recorded, also when it failed.

    Raises:
        as ``ServerRunner.run``.
    """
    test.planned.append(experiment)
    try:
        recording = session.runner.run(experiment, generator)
    except (ExperimentError, Undecided) as error:
        if error.recording is not None:
            test.recordings.append(error.recording)
        raise
    finally:
        test.note_waits(session.admission.take_waits())
    test.recordings.append(recording)
    return recording


@dataclass(frozen=True)
class RunningLogger:
    """The running telemetry logger, as a test sees it.

    Attributes:
        dataset: the CSV that it appends to. interval_s: seconds between two samples.
    """

    dataset: Path
    interval_s: float
    _session: Session

    @property
    def rows(self) -> int:
        """Rows written so far."""
        return self._session.board.dataset_state()[2]

    @property
    def pid(self) -> int:
        """The logger's process."""
        return self._session.board.logger_pid


class ExperimentRunner:
    """The ``experiment`` fixture: runs experiments that a test makes itself."""

    def __init__(self, test: TestState, session: Session) -> None:
        self._test = test
        self._session = session

    def run(self, experiment: Experiment) -> Recording:
        """Run an experiment and return its recording.

        Raises:
            InvalidInput: ``experiment`` is none, or the machine cannot carry it.
            ExperimentFailed, ExperimentAborted, FidelityMissed, Undecided: as it went.
        """
        from twin_harness.schedule.model import Experiment as _Experiment

        if not isinstance(experiment, _Experiment):
            msg = (
                "experiment.run(): expected an Experiment made by plan() but got"
                f" experiment={experiment!r} (type={type(experiment).__name__})"
            )
            raise InvalidInput(msg)
        return run_for(self._test, self._session, experiment)


class BackgroundLoad:
    """A load that runs while a block does; ``recording`` is there once the block is left."""

    def __init__(self) -> None:
        self._recordings: list[Recording] = []

    @property
    def recording(self) -> Recording:
        """What was recorded.

        Raises:
            InvalidInput: the block has not been left yet.
        """
        if not self._recordings:
            msg = "background load: recording is there once the with block is left; leave it first"
            raise InvalidInput(msg)
        return self._recordings[0]


class StressFixture:
    """``cpu_stress``, ``mem_stress``, ``disk_stress``.

    One load on one resource, from within a test.

    ``cpu_stress(ramp(0, 80), duration_s=10)`` runs it and returns its Recording;
    ``with cpu_stress.background(50, at_most_s=600):`` keeps it up while the block runs.
    """

    def __init__(self, stressor: str, test: TestState, session: Session, name: str) -> None:
        self._stressor = stressor
        self._test = test
        self._session = session
        self._name = name

    def _plan(
        self,
        shape: Shape | float,
        duration_s: float,
        lead_s: float,
        tail_s: float,
        tolerance: str | None,
        options: dict[str, Any],
    ) -> Experiment:
        from twin_harness.schedule import builders

        make = {"cpu": builders.cpu, "memory": builders.memory, "disk": builders.disk}[
            self._stressor
        ]
        event = make(shape, duration_s=duration_s, **options)
        return builders.plan(
            event, name=self._name, lead_s=lead_s, tail_s=tail_s, tolerance=tolerance
        )

    def __call__(
        self,
        shape: Shape | float,
        *,
        duration_s: float,
        lead_s: float = 1,
        tail_s: float = 1,
        tolerance: str | None = None,
        **options: Any,
    ) -> Recording:
        """Run the load for ``duration_s`` seconds and return its recording.

        Args:
            shape: a level, or a shape of levels.
            duration_s: how long.
            lead_s: quiet seconds before.
            tail_s: quiet seconds after.
            tolerance: how far the load may be from its plan, ``"5%"``; the session's unless given,
                ``"none"`` judges nothing.
            options: of the stressor.

        Raises:
            InvalidInput: an argument is out of range, or the machine cannot carry it.
            ExperimentFailed, ExperimentAborted, FidelityMissed, Undecided: as it went.
        """
        planned = self._plan(shape, duration_s, lead_s, tail_s, tolerance, options)
        return run_for(self._test, self._session, planned)

    @contextmanager
    def background(
        self,
        shape: Shape | float,
        *,
        at_most_s: float,
        lead_s: float = 0,
        tail_s: float = 0,
        tolerance: str | None = None,
        **options: Any,
    ) -> Iterator[BackgroundLoad]:
        """Keep the load up while a block runs, ``at_most_s`` seconds at the longest.

        Leaving the block ends it as completed.

        Args:
            shape: a level, or a shape of levels.
            at_most_s: the longest it may last.
            lead_s: quiet seconds before.
            tail_s: quiet seconds after.
            tolerance: as for calling it.
            options: of the stressor.

        Raises:
            as calling it does, when the block is left.
        """
        load, planned = (
            BackgroundLoad(),
            self._plan(shape, at_most_s, lead_s, tail_s, tolerance, options),
        )
        self._test.planned.append(planned)
        try:
            with self._session.runner.background(planned, load._recordings):  # noqa: SLF001 - its maker
                yield load
        except (ExperimentError, Undecided) as error:
            if error.recording is not None:
                load._recordings.append(error.recording)  # noqa: SLF001 - its maker
                self._test.recordings.append(error.recording)
            raise
        finally:
            self._test.note_waits(self._session.admission.take_waits())
        self._test.recordings += load._recordings  # noqa: SLF001 - its maker


class GateRecorder:
    """The ``gate`` fixture: takes what a test measures of its own service."""

    def __init__(self, test: TestState, name: str, declared: Sequence[Measure]) -> None:
        self._test = test
        self._name = name
        self._declared = {measure.metric: measure for measure in declared if not measure.statistic}

    def record(
        self,
        name: str,
        value: float,
        *,
        unit: str = "",
        better: str | None = None,
        threshold: str = "3%",
        floor: float | None = None,
    ) -> None:
        """Record a value for the gate, once a test and name.

        A marker ``gate(name, …)`` on the test declares direction and threshold; without one they
        are given here.

        Args:
            name: what people call it, with its unit: ``requests_per_s``.
            value: the figure. One that is no number (NaN) makes the measure UNDECIDED.
            unit: for display.
            better: ``lower`` or ``higher``.
            threshold: the least change that matters, a percent.
            floor: the same in the figure's unit, for figures that can be 0.

        Raises:
            InvalidInput: an argument is not what it has to be, or the name was recorded already.
        """
        if isinstance(value, bool) or not isinstance(value, Real):
            msg = (
                f"gate.record({name!r}): expected a number but got value={value!r}"
                f" (type={type(value).__name__})"
            )
            raise InvalidInput(msg)
        if name in self._test.recorded:
            msg = (
                f"gate.record({name!r}): it was recorded already in this test; record one figure,"
                " such as the median of many"
            )
            raise InvalidInput(msg)
        measure = self._declared.get(name)
        if measure is None:
            measure = declare(self._name, name, None, None, better, threshold, floor, unit)
            if measure.statistic:
                msg = (
                    f"gate.record({name!r}): is a column of the dataset, which the gate measures"
                    f" itself: mark the test gate({name!r})"
                )
                raise InvalidInput(msg)
        self._test.recorded[name] = (replace(measure, unit=unit or measure.unit), float(value))


# -- what ours request of each other ---------------------------------------------------------------


@pytest.fixture(scope="session")
def _twin_session(request: pytest.FixtureRequest) -> Session:
    return open_session(request.config)


@pytest.fixture
def _twin_repeat(request: pytest.FixtureRequest) -> int:
    return int(getattr(request, "param", 0))


@pytest.fixture
def _twin_pair(request: pytest.FixtureRequest) -> int:
    return int(getattr(request, "param", -1))


@pytest.fixture
def _twin_test(
    request: pytest.FixtureRequest, _twin_session: Session, _twin_repeat: int, _twin_pair: int
) -> Iterator[TestState]:
    test = test_state(request.node)
    yield test
    if (
        _twin_pair < 0 or test.position
    ):  # between the two runs of a pair nobody else has the machine
        _twin_session.admission.release()


@pytest.fixture
def _twin_drawn(request: pytest.FixtureRequest) -> int | None:
    return getattr(request, "param", None)


@pytest.fixture
def _twin_experiment_plan(request: pytest.FixtureRequest, _twin_drawn: int | None) -> Experiment:
    mark = drawing_mark(request.node)
    if _twin_drawn is not None and mark is not None:
        drawn = drawn_experiments(request.config, mark)[_twin_drawn]
        if mark.name == "campaign":
            return drawn
        return drawn.model_copy(update={"name": name_of(request.node.name)})
    planned = planned_of(request.node)
    if planned is None:
        msg = f"{request.node.name} plans nothing; expected @pytest.mark.experiment(...) on it"
        raise InvalidInput(msg)
    return planned


def _generator(mark: pytest.Mark | None, settings: TwinConfig) -> dict[str, Any] | None:
    """Return what the plan says of its origin."""
    if mark is None:
        return None
    if mark.name == "campaign":
        return {
            "name": "campaign",
            "seed": settings.seed,
            "arguments": {"size": settings.campaign, **mark.kwargs},
        }
    return {
        "name": "random",
        "seed": settings.seed,
        "arguments": {"n": settings.random, **mark.kwargs},
    }


def _require_server(request: pytest.FixtureRequest, what: str) -> None:
    """Go on only where experiments run on the real machine.

    Raises:
        Undecided: they run on the twin alone.
    """
    if state_of(request.config).config.on == "twin":
        msg = f"{request.node.name}: {what} needs the real machine; run it with --twin-on=server"
        raise Undecided(msg)


# -- what projects use -----------------------------------------------------------------------------


@pytest.fixture(name="psutil_logger", scope="session")
def fixture_psutil_logger(_twin_session: Session) -> RunningLogger:
    """The running telemetry logger: where its dataset is, how many rows it has."""
    _twin_session.ensure_logger()
    return RunningLogger(
        _twin_session.folder.dataset, _twin_session.config.interval_s, _twin_session
    )


@pytest.fixture(name="annotations")
def fixture_annotations(_twin_session: Session, _twin_test: TestState) -> AnnotationRecorder:
    """Marks moments and phases on the timeline.

    ``annotations.mark("deploy")``, ``with annotations.phase("warm-up"):``.
    """
    return _twin_session.recorder


@pytest.fixture(name="machine", scope="session")
def fixture_machine(_twin_session: Session) -> Machine:
    """This machine: CPUs, capacity, memory limit, fingerprint."""
    return _twin_session.machine


@pytest.fixture(name="experiment_plan")
def fixture_experiment_plan(_twin_experiment_plan: Experiment) -> Experiment:
    """This test's experiment, as its marker plans it."""
    return _twin_experiment_plan


@pytest.fixture(name="experiment")
def fixture_experiment(_twin_session: Session, _twin_test: TestState) -> ExperimentRunner:
    """Runs experiments that the test makes itself.

    ``experiment.run(plan(cpu(50, duration_s=10)))``.
    """
    return ExperimentRunner(_twin_test, _twin_session)


@pytest.fixture(name="recording")
def fixture_recording(
    request: pytest.FixtureRequest,
    _twin_session: Session,
    _twin_test: TestState,
    _twin_experiment_plan: Experiment,
) -> Recording | None:
    """This test's experiment, already run.

    An abort or a fidelity miss fails the test in its call phase.
    """
    generator = _generator(drawing_mark(request.node), state_of(request.config).config)
    try:
        return run_for(_twin_test, _twin_session, _twin_experiment_plan, generator)
    except TwinError as error:
        _twin_test.fault = error
        return None


@pytest.fixture(name="twin_model", scope="session")
def fixture_twin_model(request: pytest.FixtureRequest) -> Twin:
    """The fitted twin that --twin-model names.

    ``twin_model.predict(experiment).overload("memory_percent > 90 for 5 s")``.
    """
    path = state_of(request.config).config.model
    if not path:
        msg = (
            "twin_model: there is no model; name one with --twin-model FILE, made with: twin fit"
            " data/2026* -o twin.json"
        )
        raise Undecided(msg)
    from twin_harness.predict.twin import Twin as _Twin

    return _Twin.load(path)


@pytest.fixture(name="variant")
def fixture_variant(request: pytest.FixtureRequest) -> Variant:
    """Which of two variants this run is of.

    Start the service under test with ``{**os.environ, **variant.environ}``.
    """
    _require_server(request, "a service under test")
    return test_state(request.node).variant


@pytest.fixture(name="gate")
def fixture_gate(
    request: pytest.FixtureRequest, _twin_session: Session, _twin_test: TestState
) -> GateRecorder:
    """Takes what the test measures of its own service.

    ``gate.record("requests_per_s", 812.0, unit="1/s", better="higher")``.
    """
    _require_server(request, "what a test measures itself")
    return GateRecorder(_twin_test, test_name(request.node), measures_of(request.node))


@pytest.fixture(name="cpu_stress")
def fixture_cpu_stress(
    request: pytest.FixtureRequest, _twin_session: Session, _twin_test: TestState
) -> StressFixture:
    """CPU load from within a test.

    ``cpu_stress(50, duration_s=10)``, ``with cpu_stress.background(50, at_most_s=60):``.
    """
    return StressFixture("cpu", _twin_test, _twin_session, name_of(request.node.name))


@pytest.fixture(name="mem_stress")
def fixture_mem_stress(
    request: pytest.FixtureRequest, _twin_session: Session, _twin_test: TestState
) -> StressFixture:
    """Memory load from within a test.

    ``mem_stress(20, duration_s=10)`` takes 20 percent of the machine's memory.
    """
    return StressFixture("memory", _twin_test, _twin_session, name_of(request.node.name))


@pytest.fixture(name="disk_stress")
def fixture_disk_stress(
    request: pytest.FixtureRequest, _twin_session: Session, _twin_test: TestState
) -> StressFixture:
    """Disk load from within a test.

    ``disk_stress(20e6, duration_s=10, operation="read")`` moves 20 MB/s.
    """
    return StressFixture("disk", _twin_test, _twin_session, name_of(request.node.name))
