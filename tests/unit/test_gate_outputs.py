"""What is written of a judgement: widths, escapes, limits, and the formats of those who read it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from twin_harness.gate import outputs
from twin_harness.gate.advice import all_doubts, next_command
from twin_harness.gate.declaration import declare
from twin_harness.gate.judging import Evidence, judge_pairs
from twin_harness.gate.terminal import terminal_lines
from twin_harness.gate.verdict import Judgement

HOSTILE = "<img src=x onerror=alert(1)>|`rm`\n::error::[a](javascript:x)\x1b[31m\u202e @user"


def judgement(
    *changes,
    test="scenarios/test_service.py::test_service_beside_memory_load",
    spread=0.005,
    **more,
):
    """A judgement of one measure a change."""
    rng = np.random.default_rng(1)
    evidence = []
    for number, change in enumerate(changes):
        measure = declare(f"{test}[{number}]", "latency_median_ms", better="lower", unit="ms")
        noise = np.exp(rng.normal(0, spread, 12))
        evidence.append(
            Evidence(
                measure,
                (4.0,) * 6 + (4.1,) * 6,
                tuple(np.array((4.0,) * 6 + (4.1,) * 6) * change * noise),
            )
        )
    return Judgement(judge_pairs(evidence), "paired", **more)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_terminal_lines_are_no_wider_than_the_terminal(width):
    """Verdict first, then the table, then the next command, and no line is too wide."""
    lines = terminal_lines(judgement(1.2, 1.0, 0.8, doubts=("x " * 100,)), width)
    assert "".join(lines[:2]).startswith(
        "REGRESSED: candidate against base, 3 measures: 1 REGRESSED,"
    )
    assert max(map(len, lines)) <= max(width, 72)
    rows = [line for line in lines if line.startswith("…") or "latency" in line]
    assert [
        word in row for word, row in zip(("REGRESSED", "IMPROVED", "PASSED"), rows, strict=False)
    ] == [True] * 3
    assert lines[-1].strip() or lines[-2].startswith("next:")


def hostile():
    found = judgement(1.2)
    verdict = found.verdicts[0]
    return replace(
        found,
        verdicts=(
            replace(verdict, measure=replace(verdict.measure, test=HOSTILE), reason=HOSTILE),
        ),
        doubts=(HOSTILE,),
    )


def test_names_cannot_leave_their_place():
    """Hostile names stay text in terminal, Markdown and workflow commands."""
    terminal = "\n".join(terminal_lines(hostile(), 200))
    assert "\x1b" not in terminal
    assert "\u202e" not in terminal
    text = outputs.markdown(hostile())
    assert "<img" not in text
    assert "\n::error" not in text
    assert "\\[a\\]\\(" in text
    (command,) = outputs.error_commands(hostile())
    assert "\n" not in command
    assert command.startswith("::error title=REGRESSED ")


def test_at_most_ten_error_lines():
    """GitHub shows ten annotations: the tenth says how many there are besides."""
    lines = outputs.error_commands(judgement(*[1.5] * 25))
    assert len(lines) == 10
    assert "and 16 more" in lines[-1]
    assert outputs.error_commands(judgement(1.0)) == []


def test_github_action_benchmark_reads_it():
    """A list of name, unit and value, smaller is better."""
    (entry,) = json.loads(outputs.github_benchmark(judgement(1.2)))
    assert set(entry) == {"name", "unit", "value", "extra"}
    assert entry["value"] == pytest.approx(4.86, abs=0.1)
    rate = replace(
        judgement(1.2).verdicts[0], measure=declare("t", "rps", better="higher", unit="1/s")
    )
    (entry,) = json.loads(outputs.github_benchmark(Judgement((rate,), "paired")))
    assert (entry["value"], entry["unit"]) == (pytest.approx(1 / rate.candidate), "1/(1/s)")


def test_bencher_reads_it():
    """Benchmark, measure, value: Bencher Metric Format; slugs for measures."""
    data = json.loads(outputs.bencher(judgement(1.2)))
    assert list(data.values()) == [{"latency-median-ms": {"value": pytest.approx(4.86, abs=0.1)}}]


def test_junit_and_json_have_a_sentence_a_measure():
    """The verdict of the whole, then one sentence each; gate.json has the numbers beside."""
    found = judgement(1.2, 1.0)
    properties = outputs.junit_properties(found)
    assert properties[0][0] == "twin_gate"
    assert len(properties) == 3
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (data["format"], data["status"]) == ("twin-gate/1", "REGRESSED")
    assert data["verdicts"][0]["effect_shown"] == pytest.approx(20, abs=1)


def test_doubts_warn_of_what_moved():
    """A measure that surely worsened, by less than the threshold, is a warning and no verdict."""
    found = judgement(1.01, spread=0.001)
    assert found.status == "PASSED"
    assert "moved for the worse" in all_doubts(found)[0]


@pytest.mark.parametrize(("spread", "says"), [(0.02, "--twin-gate-pairs 24"), (0.3, "pairs would")])
def test_so_many_pairs_are_advised_as_would_be_needed(spread, says):
    """By what this run could have seen; where no session is that long, longer slices instead."""
    rng = np.random.default_rng(4)
    candidate = tuple(np.exp(0.02 + rng.normal(0, spread, 12)))
    evidence = Evidence(declare("test_a", "ms", better="lower"), (1.0,) * 12, candidate)
    judgement = Judgement(judge_pairs([evidence]), "paired", facts={"pairs_done": {"test_a": 12}})
    assert judgement.status == "UNDECIDED"
    assert says in next_command(judgement)
