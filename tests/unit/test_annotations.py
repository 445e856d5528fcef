"""What is written of an event fits into a cell that other tools read.

A long trace is told by its extent, its points stand in schedule.json.
"""

import csv
import json

from tests.support.runs import make_folder
from twin_harness.control.annotations import LONGEST_CELL, AnnotationRecorder, fit_in_cell
from twin_harness.shapes.shape import steps, to_json, trace

LONG = trace([(k / 10, float(k % 91)) for k in range(20_000)])


def recorded(tmp_path, parameters):
    """The row of an event with such parameters, as Python's csv reads it without any setting.

    As we do.
    """
    folder = make_folder(tmp_path)
    recorder = AnnotationRecorder(folder, "h")
    row = recorder.new_row("day", "cpu-0", "cpu")
    row.parameters = json.dumps(parameters)
    recorder.record(row)
    limit = csv.field_size_limit(131_072)
    try:
        with (folder.path / "annotations.main.csv").open(newline="") as file:
            (theirs,) = csv.DictReader(file)
    finally:
        csv.field_size_limit(limit)
    (ours,) = folder.read_annotations()
    assert theirs["parameters"] == ours.parameters
    return ours.parameters


def test_a_trace_of_twenty_thousand_points_fits_into_a_cell(tmp_path):
    """Everything else of its parameters is kept.

    Of the points how many they are and what they span.
    """
    text = recorded(
        tmp_path, {"shape": to_json(LONG), "options": {"method": "integer"}, "starved_s": 1.5}
    )
    assert len(text) <= LONGEST_CELL
    assert json.loads(text) == {
        "shape": {
            "kind": "trace",
            "interpolation": "linear",
            "time_scale": 1.0,
            "level_scale": 1.0,
            "points_in_schedule_json": {"count": 20_000, "lowest": 0.0, "highest": 90.0},
        },
        "options": {"method": "integer"},
        "starved_s": 1.5,
    }


def test_a_short_trace_stands_there_whole(tmp_path):
    """What fits is not touched."""
    parameters = {"shape": to_json(trace([(0, 10), (5, 90)])), "options": {}, "starved_s": 0.0}
    assert json.loads(recorded(tmp_path, parameters)) == parameters


def test_a_long_staircase_fits_too():
    """Levels as well as points.

    Parameters of a mark that are long by themselves stay what they are.
    """
    data = json.loads(fit_in_cell(json.dumps({"shape": to_json(steps([1.25, 99.5] * 5_000))})))
    assert data["shape"]["levels_in_schedule_json"] == {
        "count": 10_000,
        "lowest": 1.25,
        "highest": 99.5,
    }
    for mark in (json.dumps({"text": "x" * 40_000}), json.dumps(["x" * 40_000])):
        assert fit_in_cell(mark) == mark


def test_a_long_cell_of_an_older_run_is_read(tmp_path):
    """Runs recorded before hold the points in the cell: 1.4 MB of them."""
    folder = make_folder(tmp_path)
    row = AnnotationRecorder(folder, "h").new_row("day", "cpu-0", "cpu")
    row.parameters = json.dumps({"shape": to_json(LONG)}) + " " * 1_400_000
    folder.append_annotation(row)
    limit = csv.field_size_limit(131_072)
    try:
        (found,) = folder.read_annotations()
    finally:
        csv.field_size_limit(limit)
    assert found.parameters == row.parameters
