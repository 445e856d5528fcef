"""Delivered is what the kernel says the load processes got, never what was planned."""

import math
import os
import subprocess
import sys
import time

import pytest

from twin_harness.shapes.shape import constant, to_json
from twin_harness.system.board import Board
from twin_harness.telemetry import process_account
from twin_harness.telemetry.load_account import LoadAccount

BURN = """
import sys, time
while time.process_time() < 0.05:
    pass
print("burned", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def board():
    made = Board.create()
    yield made
    made.close(unlink=True)


def planned(*events):
    now_s = time.monotonic()
    described = [
        {
            "id": f"{stressor}-{number}",
            "stressor": stressor,
            "start_s": 0.0,
            "duration_s": 3600.0,
            "shape": to_json(constant(level)),
            "scale": 1.0,
        }
        for number, (stressor, level) in enumerate(events)
    ]
    return {
        "experiment": "x",
        "begin_s": now_s - 10.0,
        "zero_s": now_s - 10.0,
        "end_s": now_s + 3600.0,
        "events": described,
    }


def test_plan_without_processes_delivers_nothing(board):
    """Requested comes from the plan alone, delivered from processes alone."""
    board.publish_plan(
        planned(("cpu", 50.0), ("memory", 1e6), ("disk", 2e6), ("command", 0.0), ("sockets", 7.0))
    )
    now_s = time.monotonic()
    row = LoadAccount(board, 2.0).sample(now_s - 0.1, now_s)[0]
    assert (row.cpu_requested, row.memory_requested, row.disk_requested) == pytest.approx(
        (50.0, 1e6, 2e6)
    )
    assert (row.cpu_delivered, row.memory_delivered, row.disk_delivered, row.cpu_side) == (
        0.0,
        0,
        0.0,
        0.0,
    )
    assert row.active_events == "cpu-0+memory-1+disk-2+command-3+sockets-4"


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("cpu", "cpu_delivered"),
        ("memory", "cpu_side"),
        ("custom", "cpu_side"),
        ("harness", "harness_cpu"),
    ],
)
def test_cpu_time_of_a_process_is_its_clock(board, kind, field):
    """What a process burned between two samples is delivered, side or harness CPU, to the ns."""
    account = LoadAccount(board, 1.0)
    board.claim_process(os.getpid(), kind, base=time.process_time_ns())
    account.sample(0.0, 1.0)
    before_ns = time.process_time_ns()
    while time.process_time_ns() - before_ns < 20_000_000:
        pass
    least_ns = time.process_time_ns() - before_ns
    row = account.sample(1.0, 2.0)[0]
    most_ns = time.process_time_ns() - before_ns
    assert least_ns <= getattr(row, field) * 1e7 <= most_ns + 5_000_000
    others = {"cpu_delivered", "cpu_side", "harness_cpu"} - {field}
    assert all(getattr(row, name) == 0.0 for name in others)


def test_without_an_account_of_io_nothing_is_known_of_direct_disk_load(board, monkeypatch):
    """Where the kernel shows no /proc/<pid>/io, the delivered column is empty and not 0.

    Without disk load it stays 0.
    """
    monkeypatch.setattr(process_account, "process_io_bytes", lambda _: None)
    account = LoadAccount(board, 1.0)
    assert account.sample(0.0, 1.0)[0].disk_delivered == 0.0
    board.claim_process(os.getpid(), "disk", base=0)
    account.sample(1.0, 2.0)
    assert math.isnan(account.sample(2.0, 3.0)[0].disk_delivered)


def test_command_is_accounted_by_what_its_supervisor_published(board):
    """The figure is the tree's, also after the supervisor has ended, and is counted once."""
    account = LoadAccount(board, 1.0)
    slot = board.claim_process(os.getpid(), "command")
    account.sample(0.0, 1.0)
    board.publish_self_reported(slot, 300_000_000)
    assert account.sample(1.0, 2.0)[0].cpu_side == pytest.approx(30.0)
    board.publish_self_reported(slot, 500_000_000)
    board.end_process(slot, 1, 0)
    assert account.sample(2.0, 3.0)[0].cpu_side == pytest.approx(20.0)
    assert account.sample(3.0, 4.0)[0].cpu_side == 0.0


def test_parts_have_accounts_of_their_own(board):
    """What a load process gets counts for the part that its plan names alone.

    The harness's cost is shared equally.
    """
    now_s = time.monotonic()
    slots = [
        board.publish_plan({**planned(("cpu", level)), "partition": part, "experiment": part})
        for part, level in (("p0", 50.0), ("p1", 20.0))
    ]
    account = LoadAccount(board, 1.0, ("p0", "p1"))
    account.sample(now_s - 0.2, now_s - 0.1)
    board.claim_process(os.getpid(), "cpu", plan=slots[1])
    board.claim_process(os.getpid(), "harness")
    first, second = account.sample(now_s - 0.1, now_s)
    assert (first.cpu_requested, second.cpu_requested) == pytest.approx((50.0, 20.0))
    assert first.cpu_delivered == 0.0
    assert second.cpu_delivered > 0.0
    assert (first.experiment, second.experiment, first.active_events, second.active_events) == (
        "p0",
        "p1",
        "cpu-0",
        "cpu-0",
    )
    assert first.harness_cpu == second.harness_cpu > 0.0


def test_part_of_a_process_outlives_its_plan(board):
    """The last account of a load process counts for its part even when its plan has gone."""
    slot = board.publish_plan({**planned(("cpu", 50.0)), "partition": "p1"})
    account = LoadAccount(board, 1.0, ("p0", "p1"))
    account.sample(0.0, 1.0)
    process = board.claim_process(os.getpid(), "cpu", plan=slot)
    account.sample(1.0, 2.0)
    board.end_process(process, 10**15, 0)
    board.remove_plan(slot)
    first, second = account.sample(2.0, 3.0)
    assert (first.cpu_delivered, second.cpu_delivered > 0.0) == (0.0, True)


def test_harness_of_a_part_is_charged_to_it(board):
    """Worker, load host and guard of a part cost that part.

    Logger, probe and controller cost all of them the same.
    """
    account = LoadAccount(board, 1.0, ("p0", "p1"))
    account.sample(0.0, 1.0)
    board.claim_process(os.getpid(), "harness", plan=2)
    first, second = account.sample(1.0, 2.0)
    assert first.harness_cpu == 0.0
    assert second.harness_cpu > 0.0


def test_part_that_is_learned_later_counts_from_then_on(board):
    """A process whose plan is read late belongs to the plan's part as soon as that is known."""
    account = LoadAccount(board, 1.0, ("p0", "p1"))
    account.sample(0.0, 1.0)
    slot = board.publish_plan({**planned(("cpu", 50.0)), "partition": "p1"})
    board.claim_process(os.getpid(), "cpu", plan=slot)
    account._processes.refresh()  # before the plan
    first, second = account.sample(1.0, 2.0)
    assert (first.cpu_delivered, second.cpu_delivered > 0.0) == (0.0, True)


def test_harness_process_is_counted_while_it_starts(board):
    """Who starts a process of the harness claims for it.

    Its start is of the row in which it was spent, and never of a later one again.
    """
    account = LoadAccount(board, 1.0)
    account.sample(0.0, 0.1)
    child = subprocess.Popen(
        [sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        slot = board.claim_process(child.pid, "harness", plan=0)
        child.stdout.readline()  # it has burned 50 ms, and waits
        assert account.sample(0.1, 1.1)[0].harness_cpu >= 5.0
        assert board.claim_process(child.pid, "harness") == slot
        assert [process.slot for process in board.processes()] == [slot]
        assert account.sample(1.1, 2.1)[0].harness_cpu < 5.0
    finally:
        child.kill()
        child.communicate()


@pytest.mark.parametrize("kind", ["cpu", "memory", "harness"])
def test_slot_of_another_process_with_the_same_pid_is_not_taken_over(board, kind):
    """A pid alone names no process, and load is never taken for the harness's.

    Each claim then has a slot of its own.
    """
    first = board.claim_process(os.getpid(), kind)
    if kind == "harness":
        board.set_pid(first, 0)  # as if it had begun at another time
        board.set_pid(first, 2**22 + 1)
    assert board.claim_process(os.getpid(), "harness") != first


def test_reading_again_counts_once(board, monkeypatch):
    """What was read before a disturbance is forgotten.

    The row holds the last reading alone, and nothing of it is counted twice.
    """
    clock_ns = iter([1_000_000_000, 1_010_000_000, 1_300_000_000, 1_350_000_000])
    monkeypatch.setattr(process_account, "process_cpu_ns", lambda _pid: next(clock_ns))
    account = LoadAccount(board, 1.0)
    board.claim_process(os.getpid(), "cpu", base=0)
    account.sample(0.0, 1.0)
    account.read()
    account.read()
    assert account.sample(1.0, 2.0)[0].cpu_delivered == pytest.approx(30.0)
    assert account.sample(2.0, 3.0)[0].cpu_delivered == pytest.approx(5.0)
