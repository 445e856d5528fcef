"""What a run writes down of its experiments: rows and plans that survive their text."""

import json
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given

from tests.support.rows import rows
from twin_harness.runs.records import ANNOTATION_COLUMNS, AnnotationRow, PlannedExperiment, cell
from twin_harness.schedule.builders import cpu, plan

COLUMN_LINE = (
    "run, experiment, event, stressor, shape, unit, planned_start_s, planned_end_s, actual_start_s,"
    " actual_end_s, start_time, end_time, start_monotonic_s, end_monotonic_s, start_error_ms,"
    " end_error_ms, requested_mean, delivered_mean, delivered_error_percent, delivered_rmse,"
    " settled_s, release_s, overlapped, status, message, host, worker, partition, parameters"
)
COLUMNS = COLUMN_LINE.split(", ")


def test_the_columns_are_those_of_the_format():
    """Names and order are spelled out here once more."""
    assert list(ANNOTATION_COLUMNS) == COLUMNS


@given(rows())
def test_a_row_survives_its_cells(row):
    """Cells and back give an equal row: numbers to a microsecond, any text, empty cells as None."""
    assert (
        AnnotationRow.from_cells(dict(zip(ANNOTATION_COLUMNS, row.to_cells(), strict=True))) == row
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (0.0, "0"),
        (100.0, "100"),
        (1.5, "1.5"),
        (1e-6, "0.000001"),
        (12345.678901, "12345.678901"),
        (-2.5, "-2.5"),
        (2e15, "2000000000000000.0"),
        (3, "3"),
        (np.float64(2.5), "2.5"),
    ],
)
def test_cells_are_short(value, expected):
    """Numbers have no trailing zeros and at most six decimals, booleans are in lower case."""
    assert cell(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(np.float64(2e15), "2000000000000000.0"), (np.True_, "true")]
)
def test_cells_of_numpy_values_are_cells_like_any_other(value, expected):
    """What comes out of an array is written like a plain number."""
    assert cell(value) == expected


def test_a_tiny_negative_number_is_zero():
    """Nothing reads like minus nothing."""
    assert cell(-1e-9) == "0"


def test_columns_of_a_later_version_are_left_out():
    """Unknown columns do not disturb, and missing ones are empty."""
    row = AnnotationRow.from_cells(
        {
            "run": "r",
            "experiment": "a",
            "event": "e",
            "stressor": "cpu",
            "colour": "red",
            "overlapped": "true",
        }
    )
    assert (row.run, row.event, row.overlapped, row.settled_s) == ("r", "e", True, None)


def test_a_plan_survives_json():
    """An experiment as it was begun goes through JSON text unchanged."""
    first = PlannedExperiment(
        plan(cpu(50, duration_s=5)),
        9.0,
        10.0,
        16.0,
        "gw1",
        "COMPLETE",
        {"name": "random", "seed": 3},
    )
    assert PlannedExperiment.from_json(json.loads(json.dumps(first.to_json()))) == first


def test_dataclass_fields_are_all_scalars():
    """Every annotation is a number, a text or a boolean, so that a row is a line."""
    assert {field.type for field in fields(AnnotationRow)} == {"str", "bool", "float | None"}
