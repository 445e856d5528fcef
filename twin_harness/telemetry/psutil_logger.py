"""The telemetry logger.

One process a run, which samples on an absolute grid and appends whole rows to the dataset, live.

It starts nothing but the small process that asks the scratch filesystem for its space, allocates
little, and is told to stop by the board, by SIGTERM or by the end of the controller. Where
permitted it runs as SCHED_FIFO 1, never on a machine of one CPU, and goes back to the normal class
when it has burned half a second without a pause (RLIMIT_RTTIME) or has been 3 s late.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import json
import math
import os
import select
import signal
import sys
import time
from bisect import bisect_left
from math import nan
from typing import TYPE_CHECKING, Any, Protocol

from twin_harness.errors import advise
from twin_harness.metrics import IDENTITY, columns
from twin_harness.system.board import Board
from twin_harness.system.child import leave_parent, run_as_ordinary, run_in_real_time, run_on
from twin_harness.system.clock import Clock, SystemClock
from twin_harness.system.process_watch import ProcessWatch
from twin_harness.telemetry.load_account import LoadAccount

if TYPE_CHECKING:
    from twin_harness.telemetry.load_account import Account
    from twin_harness.telemetry.procfs_source import Sample

_CPU_CELLS = 6  # of the machine or a part, before those of each CPU
_NOT_OF_SOURCE = ("identity", "contract", "probe", "self")
_WHOLE_UNITS = ("bytes", "bytes/s", "Hz")
LATENESS_EDGES_MS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_SLICE_S = 0.5
_ACCOUNT_EVERY_S = 5.0
_LATE_S = 3.0
_RUNAWAY_US = 500_000
_MOST_NOTES = 20
_MCL_CURRENT = 1
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


class MetricSource(Protocol):
    """Where samples come from: /proc, psutil, or a fake one."""

    @property
    def resets(self) -> list[str]:
        """Notes on what could not be measured, and on counters that went back."""
        ...

    def start(self, now_s: float) -> None:
        """Take the first reading, so that the first row has rates."""
        ...

    def read(self, now_s: float) -> None:
        """Read where the counters of the next row stand.

        Called again, what was read before is forgotten.
        """
        ...

    def sample(self, now_s: float) -> Sample:
        """Return the figures of one row, in the order of the registry, as ``read`` found them at ``now_s``."""
        ...


class Logger:
    """Samples, labels and writes rows.

    Args:
        settings: what the session handed over; see ``telemetry/start.py``.
        board: the load board.
        source: where samples come from.
        descriptor: the dataset, open for appending.
        clock: the time.
    """

    def __init__(
        self,
        settings: dict[str, Any],
        board: Board,
        source: MetricSource,
        descriptor: int,
        clock: Clock,
    ) -> None:
        self._board = board
        self._source = source
        self._descriptor = descriptor
        self._clock = clock
        self._interval_s: float = settings["interval_s"]
        parts = settings["machine"].get("parts_of", ())
        self._parts = tuple(part["name"] for part in parts) or ("",)
        self._account = LoadAccount(
            board,
            parts[0]["cpu_capacity"] if parts else settings["machine"]["cpu_capacity"],
            self._parts,
        )
        metrics = columns(tuple(settings["machine"]["possible_cpus"]))
        self._heading = ",".join(metric.name for metric in metrics) + "\n"
        # One format for all numbers: bytes, bytes/s and Hz whole, everything else to three
        # decimals.
        self._format = "".join(
            "%.0f," if metric.unit in _WHOLE_UNITS else "%.3f,"
            for metric in metrics[len(IDENTITY) :]
        )
        self._second, self._second_text = -1, ""
        self._possible_cpus = len(settings["machine"]["possible_cpus"])
        self._own_parts = len(parts)
        self._cells = sum(metric.group not in _NOT_OF_SOURCE for metric in metrics)
        self._host = _quoted(settings["machine"]["host"])
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
            self._write(self._heading.encode())
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
        stamp = f"{self._utc_text(utc_s)},{now_s:.6f},{self._host}"
        cells = figures.parts or (figures.cells,)
        self._write(
            "".join(
                self._line(stamp, *part, figures.cells, tail)
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
            from twin_harness.telemetry.procfs_source import Sample

            reason = f"{type(error).__name__}: {error!s:.120}"
            sentence = f"a sample failed ({reason}): its row has no figures of the machine"
            if sentence not in self._source.resets:
                self._source.resets.append(sentence)
            own = (nan,) * (_CPU_CELLS + self._possible_cpus)
            return Sample(nan, nan, nan, nan, (nan,) * self._cells, (own,) * self._own_parts)

    def _line(
        self,
        stamp: str,
        partition: str,
        account: Account,
        own: tuple[float, ...],
        cells: tuple[float, ...],
        tail: tuple[float, ...],
    ) -> str:
        """Return a row: of the machine, or of a part, whose own CPUs stand in place of the machine's."""
        busy_percent, steal_percent = own[0], own[4]
        background = (
            busy_percent
            - steal_percent
            - account.cpu_delivered
            - account.cpu_side
            - account.harness_cpu
        )
        numbers = (
            account.cpu_requested,
            account.cpu_delivered,
            account.memory_requested,
            account.memory_delivered,
            account.disk_requested,
            account.disk_delivered,
            account.cpu_side,
            background,
            account.harness_cpu,
            *own,
            *cells[len(own) :],
            *tail,
        )
        # NaN is an empty cell, and a whole number has no decimals.
        text = (
            f",{self._format % numbers}".replace(".000,", ",")
            .replace("nan", "")
            .replace(",-0,", ",0,")
        )
        return f"{stamp},{partition},{_quoted(account.experiment)},{_quoted(account.active_events)}{text[:-1]}\n"

    def _utc_text(self, utc_s: float) -> str:
        """Return ISO 8601 with microseconds, in UTC; the second is put into words once."""
        whole = int(utc_s // 1)
        if whole != self._second:
            self._second, self._second_text = (
                whole,
                time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)),
            )
        return f"{self._second_text}.{min(999_999, int((utc_s - whole) * 1e6)):06d}Z"

    def _slots_asleep(self) -> int:
        """Return how many slots passed while the machine was suspended since the row before, and note it: no clock of the rows shows it."""
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


def _quoted(text: str) -> str:
    """Return a label as a CSV cell."""
    if any(sign in text for sign in ',"\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


class _Watch:
    """Waits for the next sample, and notices what ends the logger."""

    def __init__(self, board: Board, controller_pid: int) -> None:
        self._board = board
        self._controller = ProcessWatch([controller_pid])
        self._wake_up, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        os.set_blocking(write_end, False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: None)  # the wake-up pipe ends the wait
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        self._watched = [self._wake_up, *self._controller.descriptors]

    def wait_until(self, instant_s: float) -> bool:
        """Sleep until an instant; return False when the logger is to end before it.

        One call waits for all of it.
        """
        while not self._board.is_stopping:
            remaining_s = instant_s - time.monotonic()
            readable = select.select(self._watched, [], [], min(max(remaining_s, 0.0), _SLICE_S))[0]
            # SIGXCPU, which ends the real-time class alone, comes by the same pipe.
            # Where the kernel has no descriptor that would say that the controller has ended,
            # looking costs 20 µs.
            if self._controller.has_ended(readable) or (
                readable and signal.SIGTERM in os.read(self._wake_up, 512)
            ):
                return False
            if readable:
                continue
            if remaining_s <= _SLICE_S:
                return True
        return False


def _be_punctual(cpus: int) -> str:
    """Enter the best scheduling class that is permitted, and return its name."""
    import resource

    if cpus > 1 and hasattr(resource, "RLIMIT_RTTIME") and run_in_real_time():
        signal.signal(signal.SIGXCPU, lambda *_: run_as_ordinary())
        resource.setrlimit(resource.RLIMIT_RTTIME, (_RUNAWAY_US, resource.RLIM_INFINITY))
        return "SCHED_FIFO"
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    except OSError:
        return "SCHED_OTHER"
    return "SCHED_OTHER nice -10"


def _lock_memory() -> None:
    """Have what is in memory stay there, where that is permitted.

    A page that must be read back makes a sample late (mlockall(2)).
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).mlockall(_MCL_CURRENT)


def _bounded(notes: list[str]) -> list[str]:
    """Return the first notes, and how many more there are."""
    more = len(notes) - _MOST_NOTES
    if more <= 0:
        return notes
    return [*notes[:_MOST_NOTES], f"and {more} more notes of the logger"]


def replace_json(path: str, data: dict[str, Any]) -> None:
    """Write a file so that readers see the old content or the new one.

    By json.dumps: json.dump writes piece by piece through functions that refer to each other, and
    nobody collects cycles here.
    """
    draft = f"{path}.draft"
    with open(draft, "w", encoding="utf-8") as file:
        file.write(json.dumps(data))
    os.replace(draft, path)


def make_source(name: str, machine: dict[str, Any]) -> MetricSource:
    """Return the source of that name.

    Procfs, psutil, or auto, which is /proc where there is one.
    """
    if name == "psutil" or (name == "auto" and sys.platform != "linux"):
        from twin_harness.telemetry.psutil_source import PsutilSource

        return PsutilSource(machine)
    from twin_harness.telemetry.procfs_source import ProcfsSource

    return ProcfsSource(machine)


def main() -> int:
    """Read the settings from stdin and log until told to stop."""
    settings = json.loads(sys.stdin.buffer.readline())
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
    watch = _Watch(board, settings["controller_pid"])
    source = make_source(settings["source"], settings["machine"])
    logger = Logger(settings, board, source, descriptor, SystemClock())
    run_on(settings["machine"]["cpus"])  # whoever started it may be confined to a part
    scheduling = _be_punctual(len(settings["machine"]["cpus"]))
    began_s, began_cpu_s, told_s, error = time.monotonic(), time.process_time(), 0.0, ""

    def write_account() -> None:
        account = {
            "scheduling": scheduling,
            "rows": logger.rows,
            "missed_samples": logger.missed,
            "cpu_seconds": round(time.process_time() - began_cpu_s, 6),
            "wall_seconds": round(time.monotonic() - began_s, 6),
            "mean_sample_cost_us": (
                round(logger.cpu_s / logger.rows * 1e6, 1) if logger.rows else None
            ),
            "worst_lateness_ms": round(logger.latest_s * 1e3, 3),
            "lateness_histogram": {"edges_ms": list(LATENESS_EDGES_MS), "counts": logger.histogram},
            "notes": _bounded(source.resets),
            "error": error,
        }
        replace_json(settings["account"], account)

    _lock_memory()
    gc.collect()
    gc.freeze()
    gc.disable()  # nothing here makes cycles
    try:
        logger.open()
        board.logger_pid = os.getpid()
        os.write(
            1,
            json.dumps({"state": "ready", "pid": os.getpid(), "scheduling": scheduling}).encode()
            + b"\n",
        )
        while watch.wait_until(logger.next_s):
            logger.sample()
            now_s = time.monotonic()
            if scheduling == "SCHED_FIFO" and logger.last_late_s > _LATE_S:
                run_as_ordinary()
                scheduling = "SCHED_OTHER after 3 s of lateness"
            if now_s - told_s > _ACCOUNT_EVERY_S and logger.next_s - now_s > 0.01:
                told_s = now_s
                write_account()
    except DatasetUnwritable as failure:
        error = f"the dataset cannot be written: {failure.strerror}"
        os.write(
            2, f"twin-harness logger: {error}; {advise(failure)}; rows so far are intact\n".encode()
        )
    except OSError as failure:  # of the load board or of a clock: nothing that space would mend
        error = f"sampling ended: {failure}"
        os.write(2, f"twin-harness logger: {error}; rows so far are intact\n".encode())
    try:
        write_account()
    except OSError:
        error = error or "the account cannot be written"
    board.free_process(slot)
    board.close()
    if error:
        return 1
    return 0
