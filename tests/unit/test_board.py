"""The load board: what one process writes, another reads through a mapping of its own."""

import json
import math
import os
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twin_harness.errors import HarnessFailure
from twin_harness.system import board_plans, board_processes
from twin_harness.system.board import Board
from twin_harness.system.board_layout import (
    CONSUMED,
    DISK_PROBE,
    ENDED,
    HEAD,
    KINDS,
    LIVE,
    MAGIC,
    PLAN,
    PLAN_BYTES,
    PLAN_SLOTS,
    PLANS_AT,
    PROCESS,
    PROCESS_BYTES,
    PROCESS_SLOTS,
    PROCESSES_AT,
    SIZE,
    WAKEUP_PROBE,
    plan_at,
    process_at,
)


@pytest.fixture
def board():
    made = Board.create()
    yield made
    made.close(unlink=True)
    for left in made.path.parent.glob(f"{made.path.stem}.*"):
        left.unlink()


@pytest.fixture
def other(board):
    """The same board as another process maps it."""
    opened = Board.open(board.path)
    yield opened
    opened.close()


def counter_offset(slot):
    return plan_at(slot)


def tear(board, slot):
    """Leave a plan slot as a writer does who dies while writing: its counter odd."""
    (sequence,) = struct.unpack_from("<I", board._map, counter_offset(slot))
    struct.pack_into("<I", board._map, counter_offset(slot), sequence + 1)


WRITER = """
import os, sys
from twin_harness.system.board import Board
board, slot = Board.open(sys.argv[1]), int(sys.argv[2])
number = 1
print("begun", flush=True)
while os.getppid() == int(sys.argv[3]):
    number += 1
    board.publish_row(number, float(number), number, (1.0, 2.0, 3.0))
    board.publish_self_reported(slot, number)
    board.ask_to_stop()
    board.publish_probe(0, float(number), 7)
"""


def test_a_reader_never_sees_a_number_that_nobody_wrote(board):
    """Beside a process that writes all the time.

    Counters only grow, flags stay set, and nothing is ever nought in between.
    """
    slot = board.claim_process(os.getpid(), "disk_buffered")
    words = [sys.executable, "-c", WRITER, str(board.path), str(slot), str(os.getpid())]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as writer:
        try:
            writer.stdout.readline()
            while board.self_reported(slot) == 0 or not board.is_stopping:
                pass
            before = (1, 1.0, 1, 1)
            for _ in range(20_000):
                length, instant_s, rows, _ = board.dataset_state()
                now = (length, instant_s, rows, board.self_reported(slot))
                assert all(new >= old for new, old in zip(now, before, strict=True))
                assert board.is_stopping
                assert board.has_probed(0)
                before = now
        finally:
            writer.kill()


# -- the file --------------------------------------------------------------------------------------


def test_a_board_is_private(board):
    """The file is readable by its user alone, and its name cannot be guessed."""
    assert board.path.stat().st_mode & 0o777 == 0o600
    assert len(board.path.stem.removeprefix("twin-harness-")) == 16


def test_closing_unlinks_only_on_request(board):
    """A process that merely opened a board leaves the file to the session that made it."""
    Board.open(board.path).close()
    assert board.path.exists()


def test_opening_a_board_that_is_gone_fails(tmp_path):
    """The message names the path and says that the session has ended."""
    with pytest.raises(HarnessFailure) as caught:
        Board.open(tmp_path / "no.board")
    assert (
        str(caught.value)
        == f"load board '{tmp_path}/no.board' cannot be opened (No such file or directory); the"
        " session that owned it has ended"
    )


def test_opening_a_link_to_a_board_fails(board, tmp_path):
    """A link is not followed: somebody else may have laid it."""
    (tmp_path / "link.board").symlink_to(board.path)
    with pytest.raises(HarnessFailure, match="cannot be opened"):
        Board.open(tmp_path / "link.board")


def test_opening_another_file_fails(tmp_path):
    """A file of the right size without the mark is not a board."""
    path = tmp_path / "a.board"
    path.write_bytes(b"\0" * SIZE)
    with pytest.raises(HarnessFailure) as caught:
        Board.open(path)
    assert (
        str(caught.value)
        == f"load board {str(path)!r} is not a board of this version; end the session that uses it"
    )


@pytest.mark.parametrize(
    "content", [b"", b"TWINBRD1", b"x" * 4096], ids=["empty", "mark alone", "short"]
)
def test_opening_a_short_file_fails_like_any_other(tmp_path, content):
    """A file that is too short is not a board either, and leaves no descriptor open."""
    path = tmp_path / "a.board"
    path.write_bytes(content)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(HarnessFailure, match="is not a board"):
        Board.open(path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_refusing_a_file_leaves_nothing_open(tmp_path):
    """A refused file is closed again."""
    path = tmp_path / "a.board"
    path.write_bytes(b"\0" * SIZE)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(HarnessFailure) as caught:
        Board.open(path)
    del caught
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_machine_without_a_place_for_the_board_is_named(monkeypatch):
    """When no folder can be written, the message lists those that were tried."""

    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(HarnessFailure) as caught:
        Board.create()
    monkeypatch.undo()
    assert (
        str(caught.value)
        == "no folder for the load board: expected one of /dev/shm, /run/user/7, /tmp to be"
        " writable; mount a tmpfs there"
    )


def test_unlinking_a_board_leaves_nothing_behind():
    """The files of long plans go with the board."""
    board = Board.create()
    slot = board.publish_plan({"text": "x" * PLAN_BYTES})
    side = board._side_file(slot)
    board.close(unlink=True)
    left = side.exists()
    side.unlink(missing_ok=True)
    assert not left


# -- the logger's figures --------------------------------------------------------------------------


def test_a_new_board_says_that_nothing_was_recorded(other):
    """Before the first row everything is zero and nobody is asked to stop."""
    assert other.dataset_state() == (0, 0.0, 0, (0.0, 0.0, 0.0))
    assert (other.logger_pid, other.is_stopping, other.generation, other.processes()) == (
        0,
        False,
        0,
        [],
    )


def test_a_row_is_seen_by_another_process(board, other):
    """Length, instant, rows and figures arrive as they were published."""
    board.publish_row(2**40 + 1, 12345.678901, 42, (99.5, 12.25, 1e9))
    assert other.dataset_state() == (2**40 + 1, 12345.678901, 42, (99.5, 12.25, 1e9))


def test_stop_and_logger_are_seen_by_another_process(board, other):
    """Both directions share one file."""
    board.logger_pid = 2**22
    other.ask_to_stop()
    assert other.logger_pid == 2**22
    assert board.is_stopping


# -- the probe -------------------------------------------------------------------------------------


def publish(board, figures_ms, seen):
    for index, figure_ms in enumerate(figures_ms):
        board.publish_probe(index, figure_ms, seen)


def test_probe_figures_are_taken_once(board, other):
    """A reading takes what the probe published since the one before, or nothing."""
    publish(board, (1.5, 2.5, 3.5), board.probe_acknowledged())
    taken = other.take_probe()
    assert taken[:3] == (1.5, 2.5, 3.5)
    assert math.isnan(taken[3])
    assert all(map(math.isnan, other.take_probe()))
    publish(board, (4.0, 5.0, 6.0, 7.0), board.probe_acknowledged())
    assert other.take_probe() == (4.0, 5.0, 6.0, 7.0)


def test_each_figure_has_its_own_pace(board):
    """A slow probe that has not seen the last reading holds back its own figure alone."""
    seen = board.probe_acknowledged()
    board.take_probe()
    board.publish_probe(DISK_PROBE, 900.0, seen)
    board.publish_probe(WAKEUP_PROBE, 1.0, board.probe_acknowledged())
    taken = board.take_probe()
    assert taken[WAKEUP_PROBE] == 1.0
    assert math.isnan(taken[DISK_PROBE])


def test_figures_from_before_a_reading_are_not_taken(board):
    """A probe that has not seen the last reading would repeat old figures: they are left out."""
    seen = board.probe_acknowledged()
    publish(board, (1.0, 1.0, 1.0, 1.0), seen)
    board.take_probe()
    publish(board, (2.0, 2.0, 2.0, 2.0), seen)
    assert all(map(math.isnan, board.take_probe()))


def test_before_the_probe_s_first_figures_there_are_none(board):
    """A reading before the probe ever published gives nothing, not zeros."""
    assert all(map(math.isnan, board.take_probe()))


# -- plans -----------------------------------------------------------------------------------------


@given(
    st.dictionaries(
        st.text(max_size=20),
        st.recursive(
            st.one_of(st.integers(), st.text(max_size=40), st.none()), st.lists, max_leaves=10
        ),
        max_size=6,
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_plan_is_read_as_it_was_published(board, other, plan):
    """Any plain data goes through the board, unless it looks like a pointer to a side file."""
    if set(plan) == {"file"}:
        return
    slot = board.publish_plan(plan)
    assert other.read_plan(slot) == plan
    board.remove_plan(slot)
    assert other.read_plan(slot) is None


@pytest.mark.parametrize("extra", [-1, 0, 1, 100_000])
def test_a_plan_of_any_length_is_read(board, other, extra):
    """A plan longer than the slot stands in a private file beside the board, which goes with it.

    A plan that fills the slot to the last byte still stands in it.
    """
    plan = {"text": ""}
    plan["text"] = "x" * (PLAN_BYTES - 8 - len(json.dumps(plan)) + extra)
    slot = board.publish_plan(plan)
    side = board._side_file(slot)
    assert other.read_plan(slot) == plan
    assert side.exists() == (extra > 0)
    assert extra <= 0 or side.stat().st_mode & 0o777 == 0o600
    other.remove_plan(slot)
    assert board.read_plan(slot) is None
    assert not side.exists()


def test_a_short_plan_after_a_long_one_is_read(board, other):
    """A slot that is published again holds the newer plan, whatever the lengths."""
    slot = board.publish_plan({"text": "x" * 2 * PLAN_BYTES})
    board.publish_plan({"text": "y"}, slot)
    assert other.read_plan(slot) == {"text": "y"}
    board.publish_plan({"text": "z" * 2 * PLAN_BYTES}, slot)
    assert other.read_plan(slot) == {"text": "z" * 2 * PLAN_BYTES}


def test_a_long_plan_whose_file_is_gone_reads_as_none(board, other):
    """A reader that comes too late gets nothing, no error."""
    slot = board.publish_plan({"text": "x" * 2 * PLAN_BYTES})
    board._side_file(slot).unlink()
    assert other.read_plan(slot) is None


def test_a_plan_s_counter_moves_only_in_its_own_slot(board, other):
    """Publishing and removing change one counter, which is even when nobody writes."""
    first = board.publish_plan({"a": 1})
    before = other.plan_sequences()
    second = board.publish_plan({"b": 1})
    published = other.plan_sequences()
    board.remove_plan(second)
    removed = other.plan_sequences()
    assert [slot for slot in range(PLAN_SLOTS) if before[slot] != published[slot]] == [second]
    assert [slot for slot in range(PLAN_SLOTS) if published[slot] != removed[slot]] == [second]
    assert all(count % 2 == 0 for count in (*before, *published, *removed))
    assert first != second


def test_a_torn_plan_reads_as_none(board, other):
    """A slot whose writer died while writing is not read, however often one tries."""
    slot = board.publish_plan({"a": 1})
    tear(board, slot)
    assert other.read_plan(slot) is None


def test_a_torn_slot_is_whole_again_when_it_is_reused(board, other):
    """Removing or publishing over a torn plan makes the slot readable again."""
    slot = board.publish_plan({"a": 1})
    tear(board, slot)
    board.remove_plan(slot)
    assert board.publish_plan({"a": 2}) == slot
    assert other.read_plan(slot) == {"a": 2}


def test_a_reader_waits_for_a_writer(board, other, monkeypatch):
    """A plan that is being written is read when the writer is done, within the same call."""
    slot = board.publish_plan({"a": 1})
    tear(board, slot)

    def finish(_):
        (sequence,) = struct.unpack_from("<I", board._map, counter_offset(slot))
        if sequence % 2:
            struct.pack_into("<I", board._map, counter_offset(slot), sequence + 1)

    monkeypatch.setattr(board_plans, "sleep_s", finish)
    assert other.read_plan(slot) == {"a": 1}


def test_plan_slots_are_claimed_once(board, other):
    """64 plans of two mappings stand in 64 slots, and the 65th is refused.

    A freed slot is given again.
    """
    slots = [(board, other)[count % 2].publish_plan({"n": count}) for count in range(PLAN_SLOTS)]
    assert sorted(slots) == list(range(PLAN_SLOTS))
    assert [other.read_plan(slot) for slot in slots] == [
        {"n": count} for count in range(PLAN_SLOTS)
    ]
    with pytest.raises(HarnessFailure) as caught:
        board.publish_plan({"n": 64})
    assert (
        str(caught.value)
        == "the load board holds 64 running experiments, the most it can; run fewer at once"
    )
    other.remove_plan(17)
    assert board.publish_plan({"n": 65}) == 17


# -- processes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_is_seen_as_it_was_claimed(board, other, kind):
    """Every field of a claim arrives, with nothing counted yet."""
    slot = board.claim_process(4_000_000, kind, plan=63, event=999, base=2**63)
    (found,) = other.processes()
    assert (
        found.slot,
        found.pid,
        found.state,
        found.kind,
        found.plan,
        found.event,
        found.base,
    ) == (slot, 4_000_000, LIVE, kind, 63, 999, 2**63)
    assert (found.self_reported, found.final) == (0, (0, 0))


def test_an_ended_process_keeps_its_last_account(board, other):
    """The kernel's last figures stay until they are read, and then the slot is free."""
    slot = board.claim_process(7, "disk_buffered")
    other.publish_self_reported(slot, 2**40)
    other.set_base(slot, 5)
    board.end_process(slot, 2**50, 2**51)
    (found,) = other.processes()
    assert (found.state, found.base, found.self_reported, found.final) == (
        ENDED,
        5,
        2**40,
        (2**50, 2**51),
    )
    assert other.self_reported(slot) == 2**40
    other.consume_process(slot)
    assert board.processes() == []
    assert board.claim_process(8, "cpu") == slot


def test_a_slot_is_claimed_before_its_process_exists(board, other):
    """A slot claimed with pid 0 is the fork's as soon as the host names it.

    A reader is told to look again.
    """
    slot = board.claim_process(0, "cpu", plan=2, event=3)
    before = other.generation
    board.set_pid(slot, 77)
    (found,) = other.processes()
    assert (found.slot, found.pid, found.plan, found.event) == (slot, 77, 2, 3)
    assert other.generation != before


def test_a_reused_slot_has_forgotten_its_last_process(board, other):
    """Nothing of an earlier process shows in the next one's account."""
    slot = board.claim_process(7, "disk", plan=3, event=4, base=9)
    board.publish_self_reported(slot, 77)
    board.end_process(slot, 1, 2)
    other.consume_process(slot)
    assert board.claim_process(8, "cpu") == slot
    (found,) = other.processes()
    assert (
        found.pid,
        found.state,
        found.plan,
        found.event,
        found.base,
        found.self_reported,
        found.final,
    ) == (8, LIVE, 0, 0, 0, 0, (0, 0))


def test_the_generation_changes_with_every_claim_and_end(board, other):
    """A reader that sees the same number need not look at the slots again."""
    seen = [other.generation]
    slot = board.claim_process(7, "cpu")
    seen.append(other.generation)
    board.set_base(slot, 1)
    seen.append(other.generation)
    board.end_process(slot, 1, 1)
    seen.append(other.generation)
    board.free_process(slot)
    seen.append(other.generation)
    assert len(set(seen)) == 5


def test_process_slots_are_claimed_once(board):
    """Claims from several mappings at the same time never get one slot."""

    def claim_many(_):
        mine = Board.open(board.path)
        try:
            return [mine.claim_process(pid, "cpu") for pid in range(1, 26)]
        finally:
            mine.close()

    with ThreadPoolExecutor(4) as pool:
        slots = [slot for claimed in pool.map(claim_many, range(4)) for slot in claimed]
    assert sorted(slots) == list(range(100))
    assert len(board.processes()) == 100


def test_a_full_board_refuses_another_process(board, monkeypatch):
    """The message says what to do."""
    monkeypatch.setattr(board_processes, "PROCESS_SLOTS", 3)
    for pid in (1, 2, 3):
        board.claim_process(pid, "cpu")
    with pytest.raises(HarnessFailure) as caught:
        board.claim_process(4, "cpu")
    assert (
        str(caught.value)
        == "the load board holds 3 processes, the most it can; plan fewer events at once"
    )


def test_abandoned_slots_are_taken_when_none_is_free(board, monkeypatch):
    """On a full board, slots that nobody needs any more are taken; others stay.

    An account that nobody read for 60 s, and the slot of a process killed with its host.
    """
    monkeypatch.setattr(board_processes, "PROCESS_SLOTS", 4)
    now_ns = 10**12
    monkeypatch.setattr(board_processes, "monotonic_s", lambda: now_ns / 1e9)
    ended, live, unborn, gone = (
        board.claim_process(pid, "cpu") for pid in (os.getpid(), os.getpid(), 0, os.getpid())
    )
    board.end_process(ended, 1, 1)
    # Its pid is another's by now.
    PROCESS["start_ticks"].write(board._map, 1, start=process_at(gone))
    assert board.claim_process(3, "cpu") == gone
    with pytest.raises(HarnessFailure, match="the most it can"):
        board.claim_process(4, "cpu")
    now_ns += 60 * 10**9 + 1
    assert board.claim_process(5, "cpu") == ended
    assert [found.slot for found in board.processes()] == sorted((ended, live, unborn, gone))


def test_a_consumed_slot_is_not_seen(board):
    """Only live and ended processes are listed."""
    slot = board.claim_process(1, "cpu")
    board._map[process_at(slot) + PROCESS["state"].offset] = CONSUMED
    assert board.processes() == []


def test_the_layout_does_not_overlap():
    """Head, plans and processes stand apart, and a slot holds its struct."""
    assert HEAD.size <= PLANS_AT
    assert PLAN.size < PLAN_BYTES
    assert PROCESS.size <= PROCESS_BYTES
    assert Path("/dev/shm").is_dir() or Path("/tmp").is_dir()
    assert plan_at(PLAN_SLOTS) == PROCESSES_AT
    assert process_at(PROCESS_SLOTS) == SIZE


@pytest.mark.parametrize(
    ("record", "start"), [(HEAD, 0), (PLAN, plan_at(1)), (PROCESS, process_at(1))]
)
def test_every_number_is_aligned(record, start):
    """A number at a multiple of its size is read and written in one piece."""
    for name in record.names:
        field = record[name]
        assert (start + field.offset) % field.size == 0, name


def test_the_layout_is_the_one_of_this_version():
    """Processes of one version share a board: an offset that moves wants another magic."""
    assert MAGIC == b"TWINBRD1"
    assert {name: HEAD[name].offset for name in HEAD.names} == {
        "magic": 0,
        "logger_pid": 8,
        "stop": 12,
        "generation": 16,
        "length": 24,
        "row_s": 32,
        "rows": 40,
        "cpu_percent": 48,
        "memory_percent": 56,
        "disk_bytes_per_s": 64,
        "plans_generation": 96,
        "wakeup_ms": 128,
        "cpu_ms": 136,
        "disk_ms": 144,
        "service_ms": 152,
        "acknowledged": 160,
        "wakeup_seen": 168,
        "cpu_seen": 176,
        "disk_seen": 184,
        "service_seen": 192,
    }
    assert {name: PROCESS[name].offset for name in PROCESS.names} == {
        "pid": 0,
        "state": 4,
        "kind": 5,
        "plan": 6,
        "event": 8,
        "base": 16,
        "self_reported": 24,
        "final_cpu_ns": 32,
        "final_io_bytes": 40,
        "start_ticks": 48,
        "born_ns": 64,
    }
