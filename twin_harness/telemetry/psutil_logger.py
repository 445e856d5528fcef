"""The telemetry logger.

One process a run, which samples on an absolute grid and appends whole rows to the dataset, live.

It starts nothing but the small process that asks the scratch filesystem for its space, allocates
little, and ends when the board, SIGTERM or the end of the controller says so. Where permitted it
runs as SCHED_FIFO 1, never on a machine of one CPU, and goes back to the normal class when it has
burned half a second without a pause (RLIMIT_RTTIME) or has been 3 s late.
"""

from __future__ import annotations

import errno
import gc
import json
import math
import os
import sys
import time
from bisect import bisect_left
from math import nan
from typing import TYPE_CHECKING

from twin_harness.errors import advise
from twin_harness.system.board import Board
from twin_harness.system.child import leave_parent, run_as_ordinary, run_on
from twin_harness.system.clock import Clock, SystemClock
from twin_harness.telemetry.load_account import LoadAccount
from twin_harness.telemetry.logger_account import LATENESS_EDGES_MS, AccountFile
from twin_harness.telemetry.metric_source import make_source
from twin_harness.telemetry.row_format import RowFormat
from twin_harness.telemetry.sample import Sample
from twin_harness.telemetry.wake_up import WakeUp, be_punctual, lock_memory

if TYPE_CHECKING:
    from twin_harness.system.telemetry_messages import LoggerSettings, TelemetryReady
    from twin_harness.telemetry.metric_source import MetricSource

_CPU_CELLS = 6  # of the machine or a part, before those of each CPU
_ACCOUNT_EVERY_S = 5.0
_LATE_S = 3.0
_SHORTEST_SUSPEND_S = 0.05
# A reading is torn that took this much longer than twice the shortest: its clock is not its
# counters'.
_TORN_S, _MOST_READINGS = 0.001, 3
# What a source may raise that has met something nobody thought of: it costs a row, and not the
# logger.
_ROW_LOST = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    AttributeError,
)


class DatasetUnwritable(OSError):
    """The dataset cannot be appended to."""


class Logger:
    """Samples, labels and writes rows.

    Args:
        settings: as ``telemetry.start`` hands them over.
        board: the load board.
        source: where samples come from.
        descriptor: the dataset, open for appending.
        clock: the time.

    Attributes:
        rows: samples taken.
        missed: moments of the grid without one.
        cpu_s: CPU time of all samples.
        latest_s: lateness of the latest one.
        last_late_s: lateness of the last one.
        histogram: how many were how late, by ``LATENESS_EDGES_MS``.
    """

    def __init__(
        self,
        settings: LoggerSettings,
        board: Board,
        source: MetricSource,
        descriptor: int,
        clock: Clock,
    ) -> None:
        self._board = board
        self._source = source
        self._descriptor = descriptor
        self._clock = clock
        self._interval_s = settings["interval_s"]
        machine = settings["machine"]
        parts, capacity = machine.get("parts_of", ()), machine["cpu_capacity"]
        if parts:
            capacity = parts[0]["cpu_capacity"]
        self._parts = tuple(part["name"] for part in parts) or ("",)
        self._account = LoadAccount(board, capacity, self._parts)
        self._format = RowFormat(machine)
        self._possible_cpus = len(machine["possible_cpus"])
        self._own_parts = len(parts)
        self._length_bytes = os.fstat(descriptor).st_size
        self._cost_us = nan
        self._asleep_s = clock.suspended_s()
        self._shortest_reading_s = math.inf
        self.rows = 0
        self.missed = 0
        self.cpu_s = 0.0
        self.latest_s = self.last_late_s = 0.0
        self.histogram = [0] * (len(LATENESS_EDGES_MS) + 1)

    def open(self) -> None:
        """Write the heading into an empty dataset, and take the first reading.

        The grid begins now.
        """
        if self._length_bytes == 0:
            self._write(self._format.heading.encode())
        self._begin_s = self._before_s = self._clock.monotonic_s()
        self._source.start(self._begin_s)
        self._account.sample(self._begin_s - self._interval_s, self._begin_s)
        self._slot = 0
        self._board.publish_row(self._length_bytes, self._begin_s, 0, (nan, nan, nan))

    @property
    def next_s(self) -> float:
        """When the next sample is due: t₀ + k · interval, without accumulation."""
        return self._begin_s + (self._slot + 1) * self._interval_s

    def sample(self) -> None:
        """Take the sample that is due and append its row.

        Raises:
            DatasetUnwritable: the row cannot be appended.
        """
        began_cpu_s = time.process_time()
        due_s = self.next_s
        now_s, utc_s = self._read()
        accounts = self._account.sample(self._before_s, now_s)
        figures = self._figures(now_s)
        late_s = max(0.0, now_s - due_s)
        # How many slots of the grid have passed without a sample.
        passed = int((now_s - self._begin_s) / self._interval_s + 1e-9)
        missed = max(0, passed - self._slot - 1) + self._slots_asleep()
        self._slot = max(passed, self._slot + 1)
        tail = (*self._board.take_probe(), late_s * 1e3, missed, self._cost_us)
        stamp, line = self._format.stamp(now_s, utc_s), self._format.line
        cells = figures.parts or (figures.cells,)
        self._write(
            "".join(
                line(stamp, *part, figures.cells, tail)
                for part in zip(self._parts, accounts, cells, strict=True)
            ).encode()
        )
        self.rows += 1
        self.missed += missed
        self._board.publish_row(
            self._length_bytes,
            now_s,
            self.rows,
            (figures.cpu_percent, figures.memory_percent, figures.disk_bytes_per_s),
        )
        self._before_s = now_s
        self.last_late_s = late_s
        self.latest_s = max(self.latest_s, late_s)
        self.histogram[bisect_left(LATENESS_EDGES_MS, late_s * 1e3)] += 1
        cost_s = time.process_time() - began_cpu_s
        self._cost_us = cost_s * 1e6
        self.cpu_s += cost_s

    def _read(self) -> tuple[float, float]:
        """Read the clocks, then every counter, and return what the clocks said.

        Where the logger was held up in between (a hypervisor took the CPU, memory had to be
        reclaimed), the counters cover a longer time than the clock says, and every rate of the row
        would be too high. It is then read again, later: the row's lateness tells.
        """
        clock = self._clock
        for _ in range(_MOST_READINGS):
            now_s, utc_s = clock.monotonic_s(), clock.utc_s()
            self._account.read()
            try:  # noqa: SIM105 - suppress costs a microsecond in each sample
                self._source.read(now_s)
            except _ROW_LOST:
                pass  # whoever makes the row tries again, and says what is wrong
            took_s = clock.monotonic_s() - now_s
            self._shortest_reading_s = min(self._shortest_reading_s, took_s)
            if took_s <= 2.0 * self._shortest_reading_s + _TORN_S:
                break
        return now_s, utc_s

    def _figures(self, now_s: float) -> Sample:
        """Return what the source measures; nothing, and a note, where it fails as a whole."""
        try:
            return self._source.sample(now_s)
        except _ROW_LOST as error:
            reason = f"{type(error).__name__}: {error!s:.120}"
            sentence = f"a sample failed ({reason}): its row has no figures of the machine"
            if sentence not in self._source.resets:
                self._source.resets.append(sentence)
            cells = (nan,) * self._format.cells_of_source
            cells_of_part = (nan,) * (_CPU_CELLS + self._possible_cpus)
            return Sample(nan, nan, nan, nan, cells, (cells_of_part,) * self._own_parts)

    def _slots_asleep(self) -> int:
        """Return how many slots passed while the machine was suspended since the row before.

        They are noted, for no clock of the rows shows them.
        """
        asleep_s = self._clock.suspended_s()
        gap_s, self._asleep_s = asleep_s - self._asleep_s, asleep_s
        if gap_s < max(self._interval_s, _SHORTEST_SUSPEND_S):
            return 0
        self._source.resets.append(
            f"the machine was suspended for {gap_s:.1f} s before the row at"
            f" {self._clock.monotonic_s():.1f} s: a gap"
        )
        return int(gap_s / self._interval_s)

    def _write(self, data: bytes) -> None:
        """Append whole lines in one write; half a line is taken back: no later row follows it.

        Raises:
            DatasetUnwritable: they cannot be appended.
        """
        try:
            written = os.write(self._descriptor, data)
            if written != len(data):
                os.ftruncate(self._descriptor, self._length_bytes)
        except OSError as error:
            raise DatasetUnwritable(error.errno, error.strerror) from error
        if written != len(data):
            raise DatasetUnwritable(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._length_bytes += written


def main() -> int:
    """Read the settings from stdin and log until asked to stop."""
    settings: LoggerSettings = json.loads(sys.stdin.buffer.readline())
    if settings["leaves_parent"]:
        leave_parent()
    board = Board.open(settings["board"])
    slot = board.claim_process(os.getpid(), "harness")
    descriptor = os.open(
        settings["dataset"],
        os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW,
        0o600,
    )
    # First of all that stays open: select(2) wakes to the microsecond, but knows no descriptor
    # above 1,023, and a source keeps many.
    wake_up = WakeUp(board, settings["controller_pid"])
    source = make_source(settings["source"], settings["machine"])
    logger = Logger(settings, board, source, descriptor, SystemClock())
    run_on(settings["machine"]["cpus"])  # whoever started it may be confined to a part
    scheduling = be_punctual(len(settings["machine"]["cpus"]))
    account, written_s, error = AccountFile(settings["account"]), 0.0, ""
    lock_memory()
    gc.collect()
    gc.freeze()
    gc.disable()  # nothing here makes cycles
    try:
        logger.open()
        board.logger_pid = os.getpid()
        _say_ready(scheduling)
        while wake_up.wait_until(logger.next_s):
            logger.sample()
            now_s = time.monotonic()
            if scheduling == "SCHED_FIFO" and logger.last_late_s > _LATE_S:
                run_as_ordinary()
                scheduling = "SCHED_OTHER after 3 s of lateness"
            if now_s - written_s > _ACCOUNT_EVERY_S and logger.next_s - now_s > 0.01:
                written_s = now_s
                account.write(logger, scheduling, source.resets, error)
    except DatasetUnwritable as failure:
        error = f"the dataset cannot be written: {failure.strerror}"
        _complain(f"{error}; {advise(failure)}")
    except OSError as failure:  # of the load board or of a clock: nothing that space would mend
        error = f"sampling ended: {failure}"
        _complain(error)
    try:
        account.write(logger, scheduling, source.resets, error)
    except OSError:
        error = error or "the account cannot be written"
    board.free_process(slot)
    board.close()
    return 1 if error else 0


def _say_ready(scheduling: str) -> None:
    ready: TelemetryReady = {"state": "ready", "pid": os.getpid(), "scheduling": scheduling}
    os.write(1, json.dumps(ready).encode() + b"\n")


def _complain(sentence: str) -> None:
    os.write(2, f"twin-harness logger: {sentence}; rows so far are intact\n".encode())
