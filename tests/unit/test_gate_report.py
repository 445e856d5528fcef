"""The gate in the EDA report.

There when something was judged, a notice when it cannot be read, absent otherwise.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.support.runs import make_folder
from twin_harness.gate.declaration import declare
from twin_harness.gate.judging import Evidence, judge_pairs
from twin_harness.gate.verdict import Judgement
from twin_harness.report.sections import verdicts


def judged(*changes):
    """The gate.json of some measures."""
    rng = np.random.default_rng(1)
    evidence = [
        Evidence(
            declare(f"<b>test_{number}", "ms", better="lower"),
            (4.0,) * 12,
            tuple(4.0 * change * np.exp(rng.normal(0, 0.005, 12))),
        )
        for number, change in enumerate(changes)
    ]
    return Judgement(
        judge_pairs(
            [
                *evidence,
                Evidence(declare("test_x", "rps", better="higher"), fault="it never started"),
            ]
        ),
        "paired",
    ).to_json()


@pytest.fixture
def sections(tmp_path):
    def of(data):
        folder = make_folder(tmp_path / "data")
        if data is not None:
            folder.write_gate(data)
        return verdicts.sections(SimpleNamespace(run=SimpleNamespace(folder=folder)))

    return of


def test_a_run_without_gate_has_no_section(sections):
    """Nothing judged, nothing shown; figures that were only recorded are no verdict."""
    assert sections(None) == ()


def test_recorded_figures_are_no_verdict(sections):
    """A default run records what gated tests measure, and its report has no section on it."""
    assert sections({"status": "RECORDED", "declared": [], "trials": []}) == ()


def test_every_measure_has_a_line_and_a_row(sections):
    """The worst first; what was not measured has a row with its reason, and is not drawn."""
    (section,) = sections(judged(1.2, 1.0))
    table, picture = section.blocks[-1], section.blocks[-2]
    assert [row[1].text for row in table.rows] == ["REGRESSED", "UNDECIDED", "PASSED"]
    assert "it never started" in [cell.title for row in table.rows for cell in row]
    assert picture.png.startswith(b"\x89PNG")
    assert "REGRESSED, +" in picture.alt
    assert "test_x" not in picture.alt


@pytest.mark.parametrize(
    "damage",
    [
        {"verdicts": [{"measure": {"what": 1}}]},
        {"verdicts": [{}]},
        {"verdicts": [{"measure": None}]},
    ],
)
def test_a_damaged_gate_is_a_notice(sections, damage):
    """A file that cannot be read does not cost the rest of the report."""
    (section,) = sections(damage)
    assert "cannot be read" in section.blocks[0].text
