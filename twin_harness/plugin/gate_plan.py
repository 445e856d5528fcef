"""What the gate is going to do, said before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.plugin.gate_items import is_gated, test_name
from twin_harness.plugin.requested import PAIR, parameters_of
from twin_harness.plugin.state import state_of

if TYPE_CHECKING:
    import pytest

    from twin_harness.gate.looks import Length
    from twin_harness.plugin.state import PluginState


def runs_of(item: pytest.Item) -> int:
    """Return how often an item is run.

    Twice where it is a pair, and as a spare not at all as far as planned.
    """
    parameters = parameters_of(item)
    if PAIR not in parameters:
        return 1
    if parameters[PAIR] < state_of(item.config).config.gate_length.least:
        return 2
    return 0


def gate_line(state: PluginState, items: list[pytest.Item], seconds_s: float) -> list[str]:
    """Return what the gate is going to do, before anything runs.

    Args:
        state: of the plugin.
        items: those that are going to run.
        seconds_s: load and quiet of all planned experiments together; 0 is not mentioned.
    """
    settings = state.config
    gated = sum(1 for item in items if is_gated(item))
    if settings.variants and gated:
        from twin_harness.gate.pairs import SPARES

        length = settings.gate_length
        names = " and ".join(variant.name for variant in settings.variants)
        if seconds_s:
            load = f", {seconds_s / 60.0:.1f} min of planned load"
        else:
            load = ""
        return [
            (
                f"twin: gate: {length.least} pairs of {names}{load}, up to {SPARES} more in place"
                f" of unfit ones{_longer(length)}; {_counts(state, items)}"
            ),
            f"twin: gate: {_looks(length, len(state.declared))}",
        ]
    if gated and (settings.gate or settings.gate_save):
        if settings.gate:
            purpose = f"against {settings.gate}"
        else:
            purpose = f"for {settings.gate_save}"
        return [f"twin: gate: {purpose}; {_counts(state, items)}"]
    return []


def _longer(length: Length) -> str:
    """Return how long a session may become, in words; empty where it has one length."""
    if length.most == length.least:
        return ""
    return f", {' or '.join(map(str, length.ends[1:]))} pairs where others disturb the machine"


def _looks(length: Length, family: int) -> str:
    """Return how many pairs are expected, and when the session may end early."""
    looks = length.looks(family)
    worse = [str(look.pairs) for look in looks if look.alpha]
    passing = [str(look.pairs) for look in looks if look.may_pass]
    sentences = [f"{length.least} pairs where nothing is clear before"]
    if passing:
        sentences.append(f"{' or '.join(passing)} where all measures have passed for sure")
    if worse:
        sentences.append(f"{' or '.join(worse)} where one is worse for sure")
    elif not length.calls_early:
        sentences.append("none fewer where one is worse, for the profile needs them all")
    else:
        sentences.append(f"none fewer where one of {family} is worse, for so few cannot show it")
    return "; ".join(sentences)


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
