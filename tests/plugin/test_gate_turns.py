"""Interleaved gated tests in pytest: one run a pair, both variants alive, refusals, verdicts."""

import json

import pytest

PROJECT = """
import random
import pytest

chance = random.Random(20261130)

@pytest.fixture
def services(variants):
    return {variant: float(variant.environ.get("WORK", "100")) for variant in variants}

@pytest.mark.gate("latency_ms", better="lower", interleave="0.05s")
def test_orders(services, gate):
    machine = 1 + chance.random()  # whole runs scatter
    for turn in gate.turns():
        value = services[turn.variant] * machine * chance.gauss(1, 0.01)
        turn.record("latency_ms", value, unit="ms")
"""
BASE = "--twin-variant=base:"


def gate_of(project):
    """The gate.json of the last run."""
    return json.loads((project.path / "data" / "latest" / "gate.json").read_text())


@pytest.mark.parametrize(
    "mode", [(), pytest.param(("-n2",), marks=pytest.mark.by_workers)], ids=["plain", "n2"]
)
def test_a_small_regression_is_found_where_whole_runs_scatter_by_half(project, run, mode):
    """Of +5 %, in 8 pairs, each one item that ran once, with the spread of its slices."""
    project.makepyfile(PROJECT)
    result = run(*mode, BASE, "--twin-variant=candidate:WORK=105")
    assert result.ret == 1
    assert set(result.parseoutcomes()) == {"passed"}
    found = gate_of(project)
    (verdict,) = found["verdicts"]
    assert (verdict["status"], verdict["pairs"]) == ("REGRESSED", 8)
    assert verdict["effect_shown"] == pytest.approx(5, abs=1)
    assert verdict["sd_log_ratio"] < 0.01
    assert {trial["variant"] for trial in found["trials"]} == {"base", "candidate"}
    assert all(trial["folded"]["latency_ms"]["slice_pairs"] == 20 for trial in found["trials"])


def test_without_variants_it_is_an_ordinary_test(project, run):
    """One variant takes the turns, and its median is the figure."""
    project.makepyfile(PROJECT)
    result = run()
    result.assert_outcomes(passed=1)
    (trial,) = gate_of(project)["trials"]
    assert 95 < trial["values"]["latency_ms"] < 205


def test_turns_that_are_not_taken_leave_it_undecided(project, run):
    """A loop that ends early, and one that never began."""
    project.makepyfile(
        PROJECT.replace(
            "        turn.record", "        if turn.is_open: break\n        turn.record"
        )
    )
    result = run(BASE, "--twin-variant=candidate:")
    found = gate_of(project)
    assert found["status"] == "UNDECIDED"
    assert "only 0 of 40 turns were taken" in found["verdicts"][0]["reason"]
    assert result.ret == 0


def test_variants_that_cannot_be_alive_together_say_so(project, run):
    """What the second one ran into, and why it may be."""
    project.makepyfile(
        PROJECT.replace(
            "    return {",
            "    if len(variants) > 1: raise OSError(98, 'Address already in use')\n    return {",
        )
    )
    run(BASE, "--twin-variant=candidate:")
    reason = gate_of(project)["verdicts"][0]["reason"]
    assert "Address already in use" in reason
    assert "both variants are alive at once" in reason


WRONG = [
    (
        PROJECT.replace("services(variants)", "services(variant)"),
        "test_orders is interleaved, so both variants are alive at once, but requests our fixture",
    ),
    (
        PROJECT.replace(', interleave="0.05s"', ""),
        "test_orders requests our fixture variants, both of them at once, so they have to take",
    ),
    (
        PROJECT.replace("(services, gate)", "(gate)"),
        "test_orders is interleaved but nothing in it requests our fixture variants",
    ),
]


@pytest.mark.parametrize(("text", "sentence"), WRONG, ids=["variant", "no interleave", "neither"])
def test_a_test_that_cannot_take_turns_is_a_collection_error(project, run_here, text, sentence):
    """One sentence that says what to change."""
    project.makepyfile(text)
    result = run_here(BASE, "--twin-variant=candidate:")
    assert result.ret == 2
    assert sentence in result.stdout.str()


def test_a_value_outside_turns_is_refused(project, run):
    """It would be of both variants at once."""
    project.makepyfile(PROJECT + "    gate.record('other', 1.0, better='lower')\n")
    result = run("-x", BASE, "--twin-variant=candidate:")
    assert "both variants take turns in this test" in result.stdout.str()
