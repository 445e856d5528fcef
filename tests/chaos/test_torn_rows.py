"""The logger killed at random moments.

What it wrote is whole, but for one torn line at the most, which readers drop and count.
"""

import os
import signal
import time

from twin_harness.runs.dataset_file import DatasetFile
from twin_harness.system.board import Board
from twin_harness.system.machine import inspect_machine
from twin_harness.telemetry.start import Telemetry


def test_dataset_is_readable_whenever_the_logger_dies(
    tmp_path, chance, pytestconfig, record_property
):
    """From its start to many rows at 100 Hz.

    A heading or none, whole rows in the order of time, never more rows told than written.
    """
    machine = inspect_machine(tmp_path).to_json()
    kills, torn, empty, rows = pytestconfig.getoption("--chaos-kills"), 0, 0, 0
    for number in range(kills):
        folder = tmp_path / str(number)
        folder.mkdir()
        board = Board.create()
        try:
            telemetry = Telemetry(
                folder / "dataset.csv",
                folder / "logger.json",
                folder / "logger.lock",
                board.path,
                0.01,
                os.getpid(),
                machine,
            )
            logger = telemetry.ensure_logger()
            time.sleep(chance.uniform(0.0, 0.3))
            os.kill(logger.pid, signal.SIGKILL)
            logger.end(5.0)
            with DatasetFile(folder / "dataset.csv") as dataset:
                lines = dataset.read().decode().splitlines()
                torn += dataset.torn_bytes > 0
            told_bytes, _, told_rows, _ = board.dataset_state()
        finally:
            board.close(unlink=True)
        heading, *found = (line.split(",") for line in lines)
        assert {len(cells) for cells in found} <= {len(heading)}
        instants = [float(cells[heading.index("monotonic_s")]) for cells in found]
        assert instants == sorted(set(instants))
        assert told_bytes <= (folder / "dataset.csv").stat().st_size
        assert told_rows <= len(found) <= told_rows + 1
        empty += not found
        rows += len(found)
    record_property(
        "kills",
        f"{kills} kills, all readable: {torn} with a torn last line, {empty} without a row yet,"
        f" {rows} rows in all",
    )
