"""A run whose session is gone: what it says of itself."""

import os

import pytest

from twin_harness.runs.folder import RunFolder
from twin_harness.runs.run import Run
from twin_harness.system.procfs import start_ticks


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path)


def test_a_run_of_a_living_session_is_running(folder):
    """While the controller lives the run is RUNNING, and nothing is lost."""
    folder.write_state(
        {
            "status": "RUNNING",
            "controller_pid": os.getpid(),
            "controller_start_ticks": start_ticks(os.getpid()),
        }
    )
    assert (Run(folder).status, Run(folder).losses) == ("RUNNING", [])


@pytest.mark.parametrize(
    "change",
    [{"controller_pid": 2**22 + 1}, {"controller_start_ticks": 1}],
    ids=["gone", "another process has its pid"],
)
def test_a_run_of_a_killed_session_is_partial(folder, change):
    """When the controller is gone, or its pid another's, the run is PARTIAL and says why.

    With the notes of its workers.
    """
    folder.write_state(
        {
            "status": "RUNNING",
            "controller_pid": os.getpid(),
            "controller_start_ticks": start_ticks(os.getpid()),
            **change,
        }
    )
    folder.append_note("gw0", "partial", "the telemetry logger died")
    assert Run(folder).status == "PARTIAL"
    assert Run(folder).losses == [
        "the telemetry logger died",
        "its session was killed before it could finish",
    ]


def test_a_run_that_ended_is_what_it_says(folder):
    """Nobody looks for the controller of a run that has ended."""
    folder.write_state(
        {"status": "COMPLETE", "controller_pid": 2**22 + 1, "controller_start_ticks": 1}
    )
    assert Run(folder).status == "COMPLETE"
