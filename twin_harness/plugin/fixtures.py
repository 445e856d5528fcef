"""The fixtures: the running logger, annotations, stressors, experiments, recordings, the gate.

Public names are thin: they request each other only under ``_twin_…`` names, so that a project's own
fixture called ``machine`` harms nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from twin_harness.errors import InvalidInput, TwinError, Undecided
from twin_harness.plugin.adaptive import chosen_for
from twin_harness.plugin.drawing import drawing_mark, drawn_experiments
from twin_harness.plugin.gate_items import measures_of, test_name
from twin_harness.plugin.gate_recorder import GateRecorder
from twin_harness.plugin.markers import name_of
from twin_harness.plugin.planned import planned_of
from twin_harness.plugin.running import ExperimentRunner, open_session, run_for
from twin_harness.plugin.state import TestState, state_of, test_state
from twin_harness.plugin.stress_fixture import StressFixture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from twin_harness.control.annotations import AnnotationRecorder
    from twin_harness.gate.variant import Variant
    from twin_harness.gate.variants import Variants
    from twin_harness.predict.twin import Twin
    from twin_harness.runs.recording import Recording
    from twin_harness.schedule.model import Experiment
    from twin_harness.session.config import TwinConfig
    from twin_harness.session.session import Session
    from twin_harness.system.machine import Machine


@dataclass(frozen=True)
class RunningLogger:
    """The running telemetry logger, as a test sees it.

    Attributes:
        dataset: the CSV that it appends to.
        interval_s: seconds between two samples.
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
    # Between the two runs of a pair nobody else has the machine.
    if _twin_pair < 0 or test.position:
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
            return chosen_for(request.config, mark, drawn)
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


@pytest.fixture(name="variants")
def fixture_variants(request: pytest.FixtureRequest) -> Iterator[Variants]:
    """Both variants, base first, alive at once in a test whose marker has interleave="0.2s".

    Start a service for each: ``{variant: start(variant.environ) for variant in variants}``; a
    single one where nothing is compared.
    """
    _require_server(request, "services under test")
    from twin_harness.gate.variants import Variants

    both = state_of(request.config).config.variants or (test_state(request.node).variant,)
    with Variants(both, str(request.config.rootpath)) as variants:
        yield variants


@pytest.fixture(name="gate")
def fixture_gate(
    request: pytest.FixtureRequest, _twin_session: Session, _twin_test: TestState
) -> Iterator[GateRecorder]:
    """Takes what the test measures of its own service.

    ``gate.record("requests_per_s", 812.0, unit="1/s", better="higher")``.
    """
    _require_server(request, "what a test measures itself")
    settings = state_of(request.config).config
    variants = settings.variants or (_twin_test.variant,)
    name, measures = test_name(request.node), measures_of(request.node)
    recorder = GateRecorder(
        _twin_test,
        name,
        measures,
        variants,
        settings.seed,
        is_judged=bool(settings.variants or settings.gate or settings.gate_save),
        has_profile=settings.gate_profile,
    )
    yield recorder
    recorder.close()


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
