"""The gate in pytest.

Which tests are gated, how one item runs a whole pair, and what a run gave.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING

import pytest
from _pytest.runner import runtestprotocol

from twin_harness.errors import InvalidInput, TwinError
from twin_harness.plugin import undecided, workers
from twin_harness.plugin.markers import call_marker, name_of
from twin_harness.plugin.state import TEST, TestState, state_of, test_state
from twin_harness.system.clock import monotonic_s

if TYPE_CHECKING:
    from twin_harness.gate.measures import Measure
    from twin_harness.gate.trials import Trial
    from twin_harness.plugin.state import PluginState

PAIR = "_twin_pair"
_QUIET_S = 10.0
_OURS = re.compile(r"(?<=[\[-])(?:pair|repeat|spare)-\d+(?:-|(?=\]))")


def is_gated(node: pytest.Item | pytest.Function) -> bool:
    """Tell whether a test has measures for the gate: a marker, or our fixture."""
    return node.get_closest_marker("gate") is not None or _is_ours(node, "gate")


def _is_ours(node: pytest.Item, fixture: str) -> bool:
    """Tell whether a test requests a fixture of that name, and it is ours and not the project's own."""
    found = getattr(getattr(node, "_fixtureinfo", None), "name2fixturedefs", {}).get(fixture, ())
    return bool(found) and str(found[-1].func.__module__).startswith("twin_harness.")


def test_name(item: pytest.Item) -> str:
    """Return an item's node id without what tells its pairs and repetitions apart."""
    path, bracket, parameters = item.nodeid.partition("[")
    return f"{path}{_OURS.sub('', bracket + parameters).replace('-]', ']').removesuffix('[]')}"


test_name.__test__ = False  # type: ignore[attr-defined]  # no test, whatever its name


def measures_of(item: pytest.Item) -> list[Measure]:
    """Return the measures that a test's markers declare.

    Raises:
        InvalidInput: a marker is wrong, or nothing in the test gives what it asks for.
    """
    measures: list[Measure] = [
        replace(call_marker(mark), test=test_name(item)) for mark in item.iter_markers("gate")
    ]
    names, shown = [measure.short_name for measure in measures], test_name(item).rpartition("::")[2]
    if len(set(names)) < len(names):
        msg = (
            f"marker gate: {next(name for name in names if names.count(name) > 1)!r} is declared"
            f" twice on {shown}; declare it once"
        )
        raise InvalidInput(msg)
    needed = {
        measure.short_name: "recording" if measure.statistic else "gate" for measure in measures
    }
    loads = {"recording", "experiment", "cpu_stress", "mem_stress", "disk_stress"}
    for name, fixture in needed.items():
        if not (loads if fixture == "recording" else {"gate"}) & set(
            getattr(item, "fixturenames", ())
        ):
            msg = (
                f"marker gate: nothing in {shown} gives {name!r}; expected it to request {fixture}"
            )
            raise InvalidInput(msg)
    return measures


# -- collection ------------------------------------------------------------------------------------


def parametrize_pairs(metafunc: pytest.Metafunc) -> None:
    """Make an item of each pair of a gated test, and of three spares, where variants are compared.

    Raises:
        CollectError: a gated test takes no variant, or no fixture of ours.
    """
    settings = state_of(metafunc.config).config
    if not settings.variants or not is_gated(metafunc.definition):
        return
    name = metafunc.definition.name
    if not _is_ours(metafunc.definition, "variant"):
        msg = (
            f"{name} is gated but nothing in it requests our fixture variant, so both runs of a"
            " pair would be alike; start its service with variant.environ"
        )
        raise pytest.Collector.CollectError(msg)
    if PAIR not in metafunc.fixturenames:
        msg = (
            f"marker gate: nothing measures {name}; expected it to request recording, experiment or"
            " gate"
        )
        raise pytest.Collector.CollectError(msg)
    from twin_harness.gate.trials import SPARES

    ids = [f"pair-{index}" for index in range(settings.gate_pairs)] + [
        f"spare-{index}" for index in range(SPARES)
    ]
    metafunc.parametrize(PAIR, range(len(ids)), ids=ids, indirect=True)


def choose_items(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the gated tests alone where variants are compared, pair by pair.

    Refuse before the start what could not decide anything.

    Raises:
        pytest.UsageError: too few pairs for the family (on the controller; a worker leaves the
        sentence and runs nothing).
    """
    state = state_of(config)
    gated = [item for item in items if is_gated(item)]
    if state.config.variants:
        stray = next(
            (
                item
                for item in gated
                if PAIR not in getattr(getattr(item, "callspec", None), "params", ())
            ),
            None,
        )
        if stray is not None:
            _refuse(
                config,
                items,
                f"{stray.nodeid}: became gated after it was collected, or is no test function, so"
                " it cannot run in pairs; mark the function",
            )
            return
        config.hook.pytest_deselected(items=[item for item in items if item not in gated])
        items[:] = sorted(
            gated, key=_pair_of
        )  # sorted is stable: within a pair, the order of collection
    measures = {measure.name: measure for item in gated for measure in _measures_if_right(item)}
    state.declared = list(measures.values())
    if not state.config.variants or not items:
        return
    unmarked = {test_name(item) for item in gated if item.get_closest_marker("gate") is None}
    if strangers := _resumed_tests(state) - {test_name(item) for item in gated}:
        _refuse(
            config,
            items,
            f"--twin-gate-resume: {state.config.gate_resume} holds pairs of {min(strangers)}, which"
            " is not collected here; name the same tests",
        )
        return
    try:
        from twin_harness.gate.trials import check_pairs

        check_pairs(state.config.gate_pairs, len(measures) + len(unmarked))
    except InvalidInput as error:
        _refuse(config, items, str(error))


def _measures_if_right(item: pytest.Item) -> list[Measure]:
    """Return the measures of an item.

    None of one whose mark was added late and is wrong, which fails in its set-up.
    """
    with contextlib.suppress(InvalidInput):
        return measures_of(item)
    return []


def _resumed_tests(state: PluginState) -> set[str]:
    from twin_harness.runs.folder import RunFolder

    if state.config.gate_resume:
        return {
            str(entry["test"])
            for entry in RunFolder.open(state.config.gate_resume).read_gate()["trials"]
        }
    return set()


def _refuse(config: pytest.Config, items: list[pytest.Item], sentence: str) -> None:
    """Run nothing, and say why.

    At once where there are no workers, else by the controller at the end.
    """
    items.clear()
    state_of(config).refusal = sentence
    if not workers.is_worker(config):
        raise pytest.UsageError(sentence)


def _pair_of(item: pytest.Item) -> int:
    return int(getattr(item, "callspec").params[PAIR])  # noqa: B009 - Function items alone have it


def runs_of(item: pytest.Item) -> int:
    """Return how often an item is run.

    Twice where it is a pair, and as a spare not at all as far as planned.
    """
    params = getattr(getattr(item, "callspec", None), "params", {})
    if PAIR not in params:
        return 1
    if params[PAIR] < state_of(item.config).config.gate_pairs:
        return 2
    return 0


def plan_line(state: PluginState, items: list[pytest.Item], seconds_s: float) -> list[str]:
    """Return what the gate is going to do, before anything runs."""
    settings, gated = state.config, sum(1 for item in items if is_gated(item))
    if settings.variants and gated:
        from twin_harness.gate.trials import SPARES

        pairs = settings.gate_pairs
        names = " and ".join(variant.name for variant in settings.variants)
        if seconds_s:
            load = f", {seconds_s / 60.0:.1f} min of planned load"
        else:
            load = ""
        return [
            (
                f"twin: gate: {pairs} pairs of {names}{load}, up to {SPARES} more in place of unfit"
                f" ones; {_counts(state, items)}"
            )
        ]
    if gated and (settings.gate or settings.gate_save):
        return [
            (
                "twin: gate:"
                f" {f'against {settings.gate}' if settings.gate else f'for {settings.gate_save}'};"
                f" {_counts(state, items)}"
            )
        ]
    return []


def _counts(state: PluginState, items: list[pytest.Item]) -> str:
    """Return how many tests are gated, and by what."""
    tests = {test_name(item) for item in items if is_gated(item)}
    unmarked = {
        test_name(item)
        for item in items
        if is_gated(item) and item.get_closest_marker("gate") is None
    }
    if unmarked:
        more = f", and what {len(unmarked)} of them record without a marker"
    else:
        more = ""
    return f"{len(tests)} tests, {len(state.declared)} declared measures{more}"


# -- one item, one pair ----------------------------------------------------------------------------


def run_pair(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Run both halves of a pair: set-up, call and teardown under each variant, in the drawn order.

    One set of reports for pytest.

    A pair that is not wanted (done before, stopped for good, a spare that nothing needs) leaves no
    trace.
    """
    from twin_harness.gate.trials import order_of

    state, number, name = state_of(item.config), _pair_of(item), test_name(item)
    if not _is_wanted(state, item, name, number):
        _tear_down(item, nextitem)
        return True
    _tell_progress(state, number)
    is_candidate_first = order_of(state.config.seed, name, state.config.gate_pairs)[number]
    if is_candidate_first:
        variants = state.config.variants[::-1]
    else:
        variants = state.config.variants
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    kept: list[pytest.TestReport] = []
    for position, variant in enumerate(variants):
        item.stash[TEST] = TestState(
            variant=variant, pair=number, position=position, is_begun=False
        )
        if position:
            item._initrequest()  # type: ignore[attr-defined]  # noqa: SLF001 - fixtures anew, as pytest-rerunfailures has it
        is_last = position == len(variants) - 1
        # After the first half the item alone is torn down: the chain of its parent stays.
        kept = runtestprotocol(item, log=False, nextitem=nextitem if is_last else item.parent)  # type: ignore[arg-type]
        if not all(report.passed for report in kept):
            if not is_last:
                _tear_down(item, nextitem)
            break
    _give_machine_back(state)
    for report in kept:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _tear_down(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Tear down what the next item does not need, as pytest's own protocol ends.

    Told only when it fails.

    Not by the teardown hook: other plugins expect an item there that has been set up.
    """
    state = item.session._setupstate  # noqa: SLF001 - pytest has no public way to tear down early
    call = pytest.CallInfo.from_call(lambda: state.teardown_exact(nextitem), when="teardown")
    report = pytest.TestReport.from_item_and_call(item, call)
    if report.failed:
        item.ihook.pytest_runtest_logreport(report=report)


def take_machine(item: pytest.Item) -> None:
    """Before a gated test is set up.

    Have the logger run and the machine to ourselves, so that a service starts and warms up alone.

    Raises:
        TwinError: there is no session, no logger or no machine to be had.
    """
    if not is_gated(item):
        return
    from twin_harness.plugin.fixtures import open_session

    session, test = open_session(item.config), test_state(item)
    session.ensure_logger()
    session.admission.hold(name_of(item.name))
    test.note_waits(session.admission.take_waits())
    test.begin_s = monotonic_s()


def give_machine_back(item: pytest.Item) -> None:
    """After a gated test is torn down.

    Between the two runs of a pair nobody else has the machine.
    """
    if (
        is_gated(item)
        and item.stash.get(TEST, None) is not None
        and (item.stash[TEST].pair < 0 or item.stash[TEST].position)
    ):
        _give_machine_back(state_of(item.config))


def _give_machine_back(state: PluginState) -> None:
    if state.session is not None:
        state.session.admission.release()


def _tell_progress(state: PluginState, number: int) -> None:
    """Say how many pairs are done and how long the rest may take, when a new one begins.

    One worker alone does.
    """
    now_s = monotonic_s()
    if state.seat.worker not in ("main", "gw0") or number in state.pairs_begun:
        return
    state.pairs_begun.setdefault(number, now_s)
    first, first_s = next(iter(state.pairs_begun.items()))
    done, pairs = number - first, state.config.gate_pairs
    if done > 0 and now_s - first_s > _QUIET_S and number < pairs:
        left_s = (now_s - first_s) / done * (pairs - number)
        state.status.say(
            f"gate: {number} of {pairs} pairs done, about {round(left_s / 60.0, 1):g} min left,"
            " waiting aside"
        )


def _is_wanted(state: PluginState, item: pytest.Item, name: str, number: int) -> bool:
    from twin_harness.gate.trials import is_wanted, stopped_at

    if number >= state.config.gate_pairs and state.session is not None:
        state.session.admission.hold(
            name_of(item.name)
        )  # a spare is decided on when no pair is under way any more
        state.session.admission.release()
    trials = known_trials(state)
    names = (state.config.variants[0].name, state.config.variants[1].name)
    return (
        is_wanted(trials, names, name, number, state.config.gate_pairs)
        and stopped_at(trials, names, family(state, trials)) is None
    )


def known_trials(state: PluginState) -> list[Trial]:
    """Return what has been measured so far, by all workers, and in the run that is resumed."""
    from twin_harness.gate.trials import Trial
    from twin_harness.runs.folder import RunFolder

    if state.seat.run_dir.is_dir():
        entries = RunFolder(state.seat.run_dir).read_gate()["trials"]
    else:
        entries = []
    if state.config.gate_resume:
        entries = [*RunFolder.open(state.config.gate_resume).read_gate()["trials"], *entries]
    return [Trial.from_json(entry) for entry in entries]


def family(state: PluginState, trials: list[Trial]) -> list[Measure]:
    """Return the family that is judged: what was declared, and what tests recorded besides."""
    from twin_harness.gate.trials import family_of

    measured = [measure for trial in trials for measure in trial.measures]
    units = {measure.name: measure.unit for measure in measured if measure.unit}
    declared = [
        replace(measure, unit=measure.unit or units.get(measure.name, ""))
        for measure in _declared(state)
    ]
    return family_of([*measured, *declared])


def _declared(state: PluginState) -> list[Measure]:
    """Return what the gated tests of this session declare.

    Under pytest-xdist the controller has collected nothing, and reads it.
    """
    from twin_harness.gate.measures import Measure as _Measure
    from twin_harness.runs.folder import RunFolder

    if state.declared or not state.seat.run_dir.is_dir():
        return state.declared
    return [
        _Measure(**measure) for measure in RunFolder(state.seat.run_dir).read_gate()["declared"]
    ]


# -- what a run gave -------------------------------------------------------------------------------


def note_trial(item: pytest.Item, report: pytest.TestReport) -> None:
    """Keep what a run of a gated test gave: after its call, or after a set-up that failed."""
    if not is_gated(item) or not (
        report.when == "call" or (report.when == "setup" and not report.passed)
    ):
        return
    state, test = state_of(item.config), test_state(item)
    if state.session is None:  # it was skipped, or there could be no session; pytest says why
        return
    folder, worker = state.session.folder, state.session.seat.worker
    try:
        trial = _trial_of(item, test, report, state)
        if not folder.has_gate(worker):
            folder.append_trial(
                worker, {"declared": [measure.to_json() for measure in state.declared]}
            )
        if test.replaced:
            folder.append_trial(worker, {"replaced": list(test.replaced)})
        folder.append_trial(worker, trial.to_json())
        test.has_trial = True
    except (OSError, TwinError) as error:
        if report.failed:  # it says already what is wrong
            return
        report.outcome, report.longrepr = (
            "failed",
            f"what {test_name(item)} measured could not be kept for the gate: {error}",
        )


def _trial_of(
    item: pytest.Item, test: TestState, report: pytest.TestReport, state: PluginState
) -> Trial:
    from twin_harness.gate.environment import Environment
    from twin_harness.gate.trials import Trial
    from twin_harness.runs.frames import read_frame

    measures = measures_of(item)
    values = {
        measure.short_name: value for measure, value in test.recorded.values() if isfinite(value)
    }
    faults = {
        measure.short_name: f"{measure.short_name} is {value!r}"
        for measure, value in test.recorded.values()
        if not isfinite(value)
    }
    if report.outcome != "passed":
        faults[""] = f"its test {report.outcome}: {undecided.reason_line(report)}"
    elif test.subtest_faults:  # pytest fails the test later on, where it counts them
        faults[""] = f"its test failed: {test.subtest_faults[0]}"
    elif reason := _lack_of_room(test):
        faults[""] = reason
    for measure in measures:
        if measure.statistic and "" not in faults:
            try:
                values[measure.short_name] = _figure(measure, test)
            except TwinError as error:
                faults[measure.short_name] = str(error)
    end_s, session = monotonic_s(), state.session
    environment = Environment()
    if session is not None and (valid_bytes := session.board.dataset_state()[0]):
        with (
            contextlib.suppress(OSError, TwinError),
            session.folder.open_dataset(valid_bytes) as dataset,
        ):
            begin_s = min(
                test.begin_s, end_s - 2 * session.config.interval_s
            )  # a test shorter than a sample has the one before it
            environment = Environment.of(
                read_frame(dataset, begin_s, end_s, session.machine.partition)
            )
    recorded = [measure for measure, _ in test.recorded.values()]
    everything = {measure.name: measure for measure in [*measures, *recorded]}
    return Trial(
        test=test_name(item),
        variant=test.variant.name,
        pair=test.pair,
        position=test.position,
        measures=tuple(everything.values()),
        values=values,
        faults=faults,
        schedule=_schedule_of(test),
        environment=environment,
        begin_s=test.begin_s,
        end_s=end_s,
        tries=test.tries,
    )


def _lack_of_room(test: TestState) -> str:
    """Return why the machine could not deliver a load of the test.

    What was measured then is of a machine that others filled.
    """
    for recording in test.recordings:
        for event in recording.experiment.events:
            with contextlib.suppress(TwinError):
                if reason := recording.lack_of_room(event.id):
                    return f"event {event.id!r}: {reason}"
    return ""


def _figure(measure: Measure, test: TestState) -> float:
    """Return a measure's value in the recording that has its window, or in the first one."""
    recordings = [
        recording
        for recording in test.recordings
        if not measure.window or any(row.event == measure.window for row in recording.rows)
    ]
    if not recordings:
        msg = (
            f"{measure.short_name}: the test recorded no"
            f" experiment{f' with event {measure.window!r}' if measure.window else ''}"
        )
        raise InvalidInput(msg)
    return measure.value(recordings[0])


def _schedule_of(test: TestState) -> str:
    """Return the hash of the experiment that was planned, or of all of them; empty without any."""
    import hashlib

    hashes = [experiment.hash() for experiment in test.planned]
    if len(hashes) == 1:
        return hashes[0]
    if hashes:
        return hashlib.sha256(" ".join(hashes).encode()).hexdigest()
    return ""
