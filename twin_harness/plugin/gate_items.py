"""Gated tests: which they are, the measures that they declare, and one item for each pair."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from twin_harness.errors import InvalidInput
from twin_harness.gate.measures import OF_TESTS
from twin_harness.plugin import workers
from twin_harness.plugin.markers import call_marker
from twin_harness.plugin.requested import LOADING, PAIR, is_ours, parameters_of, requests
from twin_harness.plugin.state import state_of

if TYPE_CHECKING:
    from twin_harness.gate.measures import Measure
    from twin_harness.plugin.state import PluginState


_OURS = re.compile(r"(?<=[\[-])(?:pair|repeat|spare)-\d+(?:-|(?=\]))")


def is_gated(node: pytest.Item) -> bool:
    """Tell whether a test has measures for the gate: a marker, or our fixture."""
    return node.get_closest_marker("gate") is not None or is_ours(node, "gate")


def test_name(item: pytest.Item) -> str:
    """Return an item's node id without what tells its pairs and repetitions apart."""
    path, bracket, parameters = item.nodeid.partition("[")
    return f"{path}{_OURS.sub('', bracket + parameters).replace('-]', ']').removesuffix('[]')}"


test_name.__test__ = False  # type: ignore[attr-defined]  # no test, whatever its name


def measures_of(item: pytest.Item) -> list[Measure]:
    """Return the measures that a test's markers declare.

    Raises:
        InvalidInput: a marker is wrong, or nothing in the test gives what it asks for, or some
            measures are taken in turns and some in runs of their own.
    """
    measures: list[Measure] = [
        replace(call_marker(mark), test=test_name(item)) for mark in item.iter_markers("gate")
    ]
    names = [measure.short_name for measure in measures]
    shown = test_name(item).rpartition("::")[2]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        msg = f"marker gate: {twice!r} is declared twice on {shown}; declare it once"
        raise InvalidInput(msg)
    for measure in measures:
        if measure.statistic:
            fixture, givers = "recording", LOADING
        elif measure.metric in OF_TESTS:
            fixture, givers = "gate or recording", LOADING | {"gate"}
        else:
            fixture, givers = "gate", frozenset({"gate"})
        if not any(requests(item, giver) for giver in givers):
            msg = (
                f"marker gate: nothing in {shown} gives {measure.short_name!r}; expected it to"
                f" request {fixture}"
            )
            raise InvalidInput(msg)
    lengths = {measure.interleave_s for measure in measures}
    of_both = [one for one in measures if one.statistic or one.metric in OF_TESTS]
    if of_both and len(lengths) > 1:
        msg = (
            f"marker gate: both variants are alive at once in {shown}, so"
            f" {of_both[0].short_name!r} would be of both; give it a test of its own, without"
            " interleave"
        )
        raise InvalidInput(msg)
    if len(lengths) > 1:
        msg = (
            f"marker gate: {shown} has measures with interleave of"
            f" {', '.join(f'{length:g}s' for length in sorted(lengths))}; give all of them the same"
        )
        raise InvalidInput(msg)
    return measures


def is_interleaved(node: pytest.Item) -> bool:
    """Tell whether both variants of a gated test are alive at once, and take turns."""
    return any(mark.kwargs.get("interleave") is not None for mark in node.iter_markers("gate"))


def parametrize_pairs(metafunc: pytest.Metafunc) -> None:
    """Make an item of each pair of a gated test, and of three spares, where variants are compared.

    Raises:
        CollectError: a gated test takes no variant, or no fixture of ours.
    """
    settings = state_of(metafunc.config).config
    if not settings.variants or not is_gated(metafunc.definition):
        return
    name = metafunc.definition.name
    if fault := _lack_of_variants(metafunc.definition):
        msg = f"{name} {fault}"
        raise pytest.Collector.CollectError(msg)
    if PAIR not in metafunc.fixturenames:
        msg = (
            f"marker gate: nothing measures {name}; expected it to request recording, experiment or"
            " gate"
        )
        raise pytest.Collector.CollectError(msg)
    from twin_harness.gate.pairs import SPARES

    ids = [f"pair-{index}" for index in range(settings.gate_length.most)] + [
        f"spare-{index}" for index in range(SPARES)
    ]
    metafunc.parametrize(PAIR, range(len(ids)), ids=ids, indirect=True)


def _lack_of_variants(node: pytest.Item) -> str:
    """Return why a gated test could not tell the variants apart; empty where it can."""
    takes = {name for name in ("variant", "variants") if is_ours(node, name)}
    if is_interleaved(node):
        if takes == {"variants"}:
            return ""
        if takes:
            return (
                "is interleaved, so both variants are alive at once, but requests our fixture"
                " variant, which is one of them; start a service for each of variants instead"
            )
        return (
            "is interleaved but nothing in it requests our fixture variants; start a service for"
            " each, with its environ"
        )
    if "variants" in takes:
        return (
            "requests our fixture variants, both of them at once, so they have to take turns; add"
            " interleave='0.2s' to its gate marker"
        )
    if not takes:
        return (
            "is gated but nothing in it requests our fixture variant, so both runs of a pair would"
            " be alike; start its service with variant.environ"
        )
    return ""


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
        stray = next((item for item in gated if PAIR not in parameters_of(item)), None)
        if stray is not None:
            _refuse(
                config,
                items,
                f"{stray.nodeid}: became gated after it was collected, or is no test function, so"
                " it cannot run in pairs; mark the function",
            )
            return
        config.hook.pytest_deselected(items=[item for item in items if item not in gated])
        # sorted is stable: within a pair, the order of collection
        items[:] = sorted(gated, key=pair_of)
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
        from twin_harness.gate.pairs import check_pairs

        check_pairs(state.config.gate_length.least, len(measures) + len(unmarked))
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


def pair_of(item: pytest.Item) -> int:
    """Return the number of the pair that an item is."""
    return int(parameters_of(item)[PAIR])
