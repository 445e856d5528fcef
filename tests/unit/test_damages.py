"""Twelve damages of a dataset: each is found, named, and cleaned or refused.

An undamaged one has no fault.
"""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.support.runs import NAMES, ZERO_S, csv_row, make_folder, planned
from twin_harness import cpu, plan
from twin_harness.dataset import rows, steps
from twin_harness.dataset.cleaning import clean
from twin_harness.dataset.package import describe, write_package
from twin_harness.dataset.steps import FLAGS
from twin_harness.dataset.validation import validate
from twin_harness.errors import UnreadableRun
from twin_harness.metrics import by_name, columns
from twin_harness.runs.run import Run

ROWS = 300


def line(step, **changes):
    """A whole row: every column filled, background as its definition says."""
    values = {
        name: 1.0 for name in NAMES if by_name(name).unit and name not in ("time", "monotonic_s")
    }
    values |= {
        "cpu_percent": 30.0,
        "cpu_steal_percent": 0.0,
        "cpu_delivered_percent": 20.0,
        "cpu_side_percent": 2.0,
        "harness_cpu_percent": 1.0,
    }
    values |= {"cpu_background_percent": 7.0, "missed_samples": 0.0, "lateness_ms": 0.1}
    return csv_row(ZERO_S + step / 10, **(values | changes))


@pytest.fixture(scope="module")
def lines():
    """A dataset of half a minute, undamaged: the heading, then its rows."""
    return [",".join(NAMES) + "\n", *(line(step) for step in range(ROWS))]


@pytest.fixture
def run_of(tmp_path):
    """Make a run of such lines, or of such bytes."""

    def make(content):
        folder = make_folder(tmp_path)
        folder.write_state({"status": "PARTIAL", "settings": {"interval_s": 0.1}})
        folder.dataset.write_bytes(
            content if isinstance(content, bytes) else "".join(content).encode()
        )
        return Run(folder)

    return make


def torn_tail(lines):
    return "".join(lines)[:-100].encode()


def nul_block(lines):
    text = "".join(lines).encode()
    middle = len(text) // 2
    return text[:middle] + bytes(1500) + text[middle + 1500 :]


def duplicate_row(lines):
    return [*lines[:125], lines[124], *lines[125:]]


def swapped_rows(lines):
    return [*lines[:125], lines[126], lines[125], *lines[127:]]


def wall_clock(lines):
    set_back = [text.replace("2026-01-02T00:1", "2026-01-01T23:1", 1) for text in lines[150:]]
    return [*lines[:150], *set_back]


def counter_reset(lines):
    return [*lines[:100], line(99, network_sent_bytes_per_s=-5e9), *lines[101:]]


def gap(lines):
    return [*lines[:100], *lines[150:]]


def out_of_range(lines):
    return [*lines[:100], line(99, memory_percent=250.0), *lines[101:]]


def unknown_column(lines):
    return [
        lines[0].rstrip("\n") + ",cpu_of_the_moon\n",
        *(text.rstrip("\n") + ",3\n" for text in lines[1:]),
    ]


def missing_column(lines):
    at = NAMES.index("load1")
    return [
        ",".join(cell for index, cell in enumerate(text.rstrip("\n").split(",")) if index != at)
        + "\n"
        for text in lines
    ]


def cut_in_the_middle(lines):
    text = "".join(lines).encode()
    middle = len(text) // 2
    return text[: middle - 7000] + text[middle:]


def two_hosts(lines):
    return [*lines[:150], *(text.replace(",h,", ",other,", 1) for text in lines[150:])]


# Damage; kind as cleaning names it; what is done; rows left.
DAMAGES = {
    torn_tail: ("torn line", "left out", ROWS - 1),
    nul_block: ("damaged line", "left out", None),
    duplicate_row: ("duplicate row", "left out", ROWS),
    swapped_rows: ("swapped rows", "put in order", ROWS),
    wall_clock: ("clock step", "kept: monotonic_s counts", ROWS),
    counter_reset: ("counter reset", "emptied", ROWS),
    gap: ("gap", "flagged, no row made up", ROWS - 50),
    out_of_range: ("impossible value", "emptied", ROWS),
    unknown_column: ("unknown column", "kept as it is", ROWS),
    missing_column: ("missing column", "left empty", ROWS),
    cut_in_the_middle: ("damaged line", "left out", None),
}


def test_a_dataset_from_before_a_column_is_whole(lines, run_of, monkeypatch):
    """What was added later is left empty in older runs, and is no fault of theirs."""
    later = tuple(replace(metric, is_later=metric.name == "load1") for metric in columns(()))
    monkeypatch.setattr(steps, "columns", lambda _: later)
    frame, faults = clean(run_of(missing_column(lines)))
    assert list(faults) == []
    assert frame["load1"].isna().all()


def test_undamaged_dataset_has_no_fault(lines, run_of):
    """Nothing is found where nothing is wrong, and every row and cell is kept."""
    run = run_of(lines)
    frame, faults = clean(run)
    assert validate(run).empty
    assert list(faults) == []
    assert len(frame) == ROWS
    assert list(frame.columns) == [*NAMES, "dt_s", *FLAGS]
    assert frame["is_first"].tolist() == [True] + [False] * (ROWS - 1)
    assert not frame[["is_after_gap", "is_stolen"]].to_numpy().any()


@pytest.mark.parametrize(
    ("capacity", "is_valid"), [(2.0, False), (0.5, True)], ids=["whole machine", "within a quota"]
)
def test_bursts_of_a_quota_are_no_damage(lines, run_of, capacity, is_valid):
    """Where a control group's quota is 100 percent a single row may exceed it.

    Valid, kept, and described so; elsewhere it is impossible.
    """
    cells = lines[125].rstrip("\n").split(",")
    cpu, background = NAMES.index("cpu_percent"), NAMES.index("cpu_background_percent")
    cells[background] = str(float(cells[background]) + 150.0 - float(cells[cpu]))
    cells[cpu] = "150.0"
    run = run_of([*lines[:125], ",".join(cells) + "\n", *lines[126:]])
    run.folder.write_machine({"cpus": [0, 1], "cpu_capacity": capacity})
    found, (frame, faults) = validate(run), clean(run)
    assert ("impossible value" in set(found["kind"])) is not is_valid
    assert (list(faults) == [], bool((frame["cpu_percent"] == 150.0).sum())) == (is_valid, is_valid)
    constraints = {
        field["name"]: field["constraints"]
        for field in describe(run)["resources"][0]["schema"]["fields"]
        if "constraints" in field
    }
    assert constraints["cpu_percent"].get("maximum") == (None if is_valid else 100)
    assert constraints["memory_percent"]["maximum"] == 100


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_is_found_named_and_cleaned(damage, lines, run_of):
    """Validation names it, cleaning says what it did, and the rest is ordered, in range, unique."""
    kind, action, rows = DAMAGES[damage]
    run = run_of(damage(lines))
    found, (frame, faults) = validate(run), clean(run)
    assert kind in set(found["kind"]), found
    assert action in {fault.action for fault in faults if fault.kind == kind}
    assert ROWS - 60 < len(frame) <= ROWS
    assert rows is None or len(frame) == rows
    assert (np.diff(frame["monotonic_s"]) > 0).all()
    assert frame["memory_percent"].max() <= 100
    assert frame["network_sent_bytes_per_s"].min() >= 0
    assert all(fault.sentence.startswith(fault.kind) for fault in faults)


def test_rows_of_two_hosts_are_refused(lines, run_of):
    """Rows of two machines make no dataset.

    Validation names it, cleaning refuses with both names.
    """
    run = run_of(two_hosts(lines))
    assert "rows of two hosts" in set(validate(run)["kind"])
    with pytest.raises(UnreadableRun, match=r"rows of 2 hosts \(h, other\) stand in one dataset"):
        clean(run)


def test_gap_is_flagged_at_the_row_after_it(lines, run_of):
    """The row after a gap says so; its length is in dt_s."""
    frame, _ = clean(run_of(gap(lines)))
    (after,) = frame.index[frame["is_after_gap"]]
    assert frame.loc[after, "dt_s"] == pytest.approx(5.1)


@pytest.mark.parametrize("part_bytes", [3_000, 40_000])
def test_parts_make_no_difference(lines, run_of, part_bytes, monkeypatch):
    """Cleaning gives the same rows and faults however the file is cut into parts.

    Also where damages lie at their borders.
    """
    damaged = [
        *lines[:75],
        lines[74],
        *lines[75:125],
        lines[126],
        lines[125],
        *lines[127:175],
        "torn\n",
        *lines[175:],
    ]
    run = run_of(damaged)
    whole, faults = clean(run)
    monkeypatch.setattr(rows.typed_parts, "__defaults__", (part_bytes,))
    again, faults_again = clean(run)
    assert again.equals(whole)
    assert {(fault.kind, fault.count) for fault in faults_again} == {
        (fault.kind, fault.count) for fault in faults
    }


def test_background_that_does_not_add_up_is_named(lines, run_of):
    """Background is total less steal, delivered, side and harness.

    A row in which it is not is a fault.
    """
    found = validate(run_of([*lines[:100], line(99, cpu_background_percent=3.0), *lines[101:]]))
    assert found["kind"].tolist() == ["background"]


def test_unreadable_cells_are_emptied(lines, run_of):
    """A cell that holds no number is empty afterwards; the rest of its row stays."""
    run = run_of([*lines[:100], lines[100].replace(",0.1,", ",zero,", 1), *lines[101:]])
    frame, faults = clean(run)
    (fault,) = faults
    assert (fault.kind, fault.column, fault.action) == (
        "unreadable value",
        "lateness_ms",
        "emptied",
    )
    assert frame["lateness_ms"].isna().sum() == 1
    assert len(frame) == ROWS


def test_empty_dataset_is_a_table_without_rows(run_of):
    """A heading alone: no rows, no faults, all columns."""
    frame, faults = clean(run_of([",".join(NAMES) + "\n"]))
    assert (len(frame), list(faults)) == (0, [])
    assert set(NAMES) <= {*frame.columns, "cpu0_percent", "cpu1_percent"}


def test_lost_heading_is_one_sentence(lines, run_of):
    """Without its heading nobody knows which column is which: refused, by validation too."""
    run = run_of(lines[1:])
    for read in (clean, validate):
        with pytest.raises(UnreadableRun, match="its heading names no time and monotonic_s"):
            read(run)


def test_other_files_are_looked_at_too(lines, run_of):
    """A file that is gone, damaged, or not what its description says is a fault."""
    run = run_of(lines)
    write_package(run)
    assert validate(run).empty
    run.folder.annotations.write_text("x")
    (run.path / "machine.json").write_text("{")
    package = run.folder.read_package()
    package["resources"].append({"path": "gone.parquet", "hash": "sha256:0"})
    (run.path / "datapackage.json").write_text(json.dumps(package))
    found = {(row.kind, row.where) for row in validate(Run(run.folder)).itertuples()}
    assert ("missing file", "gone.parquet") in found
    assert ("changed file", "machine.json") in found
    assert ("unreadable file", "machine.json") in found


@pytest.mark.parametrize(
    "column", ["disk_write_bytes_per_s", "network_received_bytes_per_s", "cpu_percent"]
)
def test_a_column_without_a_figure_is_said(run_of, column):
    """What the kernel shows everywhere and was not measured is no undamaged run.

    One figure is enough, and sensors may be empty.
    """
    heading = ",".join(NAMES) + "\n"
    empty = {"cpu_background_percent": float("nan")} if column == "cpu_percent" else {}
    rows_of = [
        line(step, **{column: float("nan"), "temperature_celsius": float("nan"), **empty})
        for step in range(5)
    ]
    faults = validate(run_of([heading, *rows_of]))
    assert [[fault.kind, fault.column, fault.action] for fault in faults.itertuples()] == [
        ["not measured", column, "empty: the notes of run.json say why"],
    ]
    assert validate(run_of([heading, *rows_of, line(5)])).empty


def test_an_event_without_a_row_is_named(lines, run_of):
    """A plan that is over and an annotations file that was cut.

    What became of the event is unknown, and that is said.
    """
    run = run_of(lines)
    experiment = plan(cpu(20, duration_s=2), name="cut")
    run.folder.append_plan(replace(planned(experiment), status="completed"))
    found = {(row.kind, row.where) for row in validate(Run(run.folder)).itertuples()}
    assert ("missing annotation", "experiment 'cut', event 'cpu-0'") in found


@pytest.mark.parametrize(
    "name", [name for name in NAMES if name.startswith(("cpu_", "harness_", "probe_cpu"))]
)
def test_column_that_is_not_there_is_a_fault_of_its_own(run_of, lines, name):
    """Whatever is made of it is left out, and nothing else is found."""
    at = NAMES.index(name)
    without = [
        ",".join(cell for number, cell in enumerate(text.split(",")) if number != at)
        for text in (line.rstrip("\n") for line in lines[:30])
    ]
    faults = validate(run_of("\n".join(without) + "\n"))
    assert list(zip(faults["kind"], faults["column"], strict=True)) == [("missing column", name)]
