"""The dataset of a machine in parts.

A row a part and moment, read part by part or put together again.
"""

import pytest

from tests.support.runs import ZERO_S, csv_row, make_folder, write_dataset
from twin_harness.runs.frames import read_frame, whole_machine


@pytest.fixture
def folder(tmp_path):
    """Three moments of two parts."""
    made = make_folder(tmp_path)
    lines = []
    for step in range(3):
        for part, cpu, held in (("p0", 80, 1000), ("p1", 20, 3000)):
            values = {
                "partition": part,
                "experiment": f"on {part}" if step else "",
                "cpu_percent": cpu,
                "memory_delivered_bytes": held,
                "load1": 1.5,
            }
            lines.append(csv_row(ZERO_S + step / 10, **values))
    write_dataset(made, lines)
    return made


@pytest.mark.parametrize("partition", ["", "p0", "p1"])
def test_interval_is_that_of_the_part(folder, partition):
    """The time since the row before is that of the same part, also where only a window is read."""
    with folder.open_dataset() as dataset:
        whole, window = (
            read_frame(dataset, partition=partition),
            read_frame(dataset, ZERO_S + 0.05, None, partition),
        )
    assert whole["dt_s"].dropna().tolist() == pytest.approx([0.1] * (2 if partition else 4))
    assert window["dt_s"].tolist() == pytest.approx([0.1] * (2 if partition else 4))
    assert set(whole["partition"]) == ({partition} if partition else {"p0", "p1"})


def test_parts_make_the_machine_again(folder):
    """One row per moment: percents are averaged over parts, bytes added up, names joined.

    The machine's own columns are kept.
    """
    with folder.open_dataset() as dataset:
        frame = whole_machine(read_frame(dataset))
    assert len(frame) == 3
    assert frame["cpu_percent"].tolist() == [50.0] * 3
    assert frame["memory_delivered_bytes"].tolist() == [4000.0] * 3
    assert frame["load1"].tolist() == [1.5] * 3
    assert frame["experiment"].tolist() == ["", "on p0+on p1", "on p0+on p1"]
    assert frame["dt_s"].dropna().tolist() == pytest.approx([0.1, 0.1])


def test_whole_machine_stays_as_it_is(tmp_path):
    """Without parts nothing is put together."""
    made = make_folder(tmp_path)
    write_dataset(made, [csv_row(ZERO_S, cpu_percent=5)])
    with made.open_dataset() as dataset:
        frame = read_frame(dataset)
    assert whole_machine(frame) is frame
