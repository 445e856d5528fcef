"""The probe: what an ordinary process feels while the machine is under load.

Processes of their own, of the normal class.

Every 20 ms the probe measures how late the kernel woke it, every 200 ms how long a fixed piece of
work takes. What may take long has a process of its own, forked from it, so that it delays neither
these nor any sample: where asked for, a write of 4 KiB with its fsync, and a request to the service
under test. The worst figures since the logger's last reading stand on the board.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from itertools import repeat
from math import isnan, nan
from typing import IO, TYPE_CHECKING, NoReturn

from twin_harness.system.board import Board
from twin_harness.system.board_layout import CPU_PROBE, DISK_PROBE, SERVICE_PROBE, WAKEUP_PROBE
from twin_harness.system.child import die_with_parent, leave_parent, readable_of, run_on
from twin_harness.system.process_watch import ProcessWatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from twin_harness.system.telemetry_messages import ProbeSettings, TelemetryReady

PERIOD_S = 0.020
WORK_EVERY = 10
WORK_TURNS = 20_000  # about 0.2 ms on a machine of 2024
WRITE_PERIOD_S, REQUEST_PERIOD_S = 0.2, 0.1
SERVICE_PATIENCE_S = 5.0
_REAP_S = 0.2
_WRITE_BYTES, _FILE_BYTES = 4096, 1024**2


class _Worst:
    """The worst of one figure since the logger's last reading, on the board.

    Args:
        board: the load board.
        index: which of its figures.
    """

    def __init__(self, board: Board, index: int) -> None:
        self._board = board
        self._index = index
        self._seen = board.probe_acknowledged()
        self._worst_ms = nan

    def take(self, value_ms: float) -> None:
        """Take up one more value."""
        acknowledged = self._board.probe_acknowledged()
        if acknowledged != self._seen:
            self._seen, self._worst_ms = acknowledged, nan
        if isnan(self._worst_ms):
            self._worst_ms = value_ms
        else:
            self._worst_ms = max(self._worst_ms, value_ms)
        self._board.publish_probe(self._index, self._worst_ms, self._seen)


def main() -> int:
    """Read the settings from stdin and probe until asked to stop, or the controller is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings: ProbeSettings = json.loads(sys.stdin.buffer.readline())
    if settings["leaves_parent"]:
        leave_parent()
    board = Board.open(settings["board"])
    run_on(settings["machine"]["cpus"])
    controller = ProcessWatch([settings["controller_pid"]])
    if not settings["outlives_starter"]:
        die_with_parent()
    helpers = [_fork(board, run, argument) for run, argument in _further_probes(settings)]
    slot = board.claim_process(os.getpid(), "harness")
    wakeup, work = _Worst(board, WAKEUP_PROBE), _Worst(board, CPU_PROBE)
    ready: TelemetryReady = {"state": "ready", "pid": os.getpid()}
    os.write(1, json.dumps(ready).encode() + b"\n")
    turn, next_s = 0, time.monotonic()
    while not board.is_stopping and not _is_gone(controller, turn):
        next_s = max(next_s + PERIOD_S, time.monotonic())
        time.sleep(max(0.0, next_s - time.monotonic()))
        wakeup.take((time.monotonic() - next_s) * 1e3)
        if turn % WORK_EVERY == 0:
            work.take(_work_ms())
            _pass_on(helpers)
        turn += 1
    for pid, _ in helpers:
        _end(pid)
    board.free_process(slot)
    board.close()
    return 0


def _further_probes(settings: ProbeSettings) -> list[tuple[Callable[[Board, str], None], str]]:
    """Return what else is to be probed, and where."""
    probes: list[tuple[Callable[[Board, str], None], str]] = []
    if settings["probe_disk"]:
        probes.append((_probe_disk, settings["machine"]["scratch_dir"]))
    if settings["probe_service"]:
        probes.append((_probe_service, settings["probe_service"]))
    return probes


def _fork(board: Board, run: Callable[[Board, str], None], argument: str) -> tuple[int, int]:
    """Run a probe in a process of its own, which dies with this one.

    Return its pid and where its complaints are read.
    """
    # A fork would share the lock that claims are made under.
    parent, slot = os.getpid(), board.claim_process(0, "harness")
    complaints, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        # A filesystem may hold it for ever: whoever reads our output to its end must not wait for
        # it.
        nothing = os.open(os.devnull, os.O_RDWR)
        for number, descriptor in enumerate((nothing, nothing, write_end)):
            os.dup2(descriptor, number)
        _be_helper(board, run, argument, parent)
    os.close(write_end)
    os.set_blocking(complaints, False)
    board.set_pid(slot, pid)
    return pid, complaints


def _pass_on(helpers: list[tuple[int, int]]) -> None:
    """Say on our stderr what the helpers have to complain of."""
    for _, complaints in helpers:
        try:
            data = os.read(complaints, 4096)
        except BlockingIOError:
            continue
        if data:
            os.write(2, data)


def _end(pid: int) -> None:
    """Kill a helper and reap it; one that a filesystem holds is left to the kernel."""
    os.kill(pid, signal.SIGKILL)
    deadline_s = time.monotonic() + _REAP_S
    while os.waitpid(pid, os.WNOHANG)[0] == 0 and time.monotonic() < deadline_s:
        time.sleep(0.001)


def _be_helper(
    board: Board, run: Callable[[Board, str], None], argument: str, parent: int
) -> NoReturn:
    try:
        die_with_parent()
        if os.getppid() == parent:
            run(board, argument)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is said
        os.write(
            2,
            f"twin-harness probe: {argument}: {type(error).__name__}: {error}; its column stays"
            " empty\n".encode("utf-8", "replace"),
        )
    finally:
        os._exit(0)


def _work_ms() -> float:
    """Return how long a fixed piece of work took, in ms of wall time."""
    begin_s = time.monotonic()
    for _ in repeat(None, WORK_TURNS):
        pass
    return (time.monotonic() - begin_s) * 1e3


def _probe_disk(board: Board, folder: str) -> None:
    """Write 4 KiB and wait for the fsync, five times a second, into a nameless file.

    Raises:
        OSError: the file cannot be made or written.
    """
    descriptor = _open_nameless(folder)
    worst, data, at_byte = _Worst(board, DISK_PROBE), os.urandom(_WRITE_BYTES), 0
    while True:
        begin_s = time.monotonic()
        os.pwrite(descriptor, data, at_byte)
        os.fsync(descriptor)
        worst.take((time.monotonic() - begin_s) * 1e3)
        at_byte = (at_byte + _WRITE_BYTES) % _FILE_BYTES
        time.sleep(max(0.0, begin_s + WRITE_PERIOD_S - time.monotonic()))


def _open_nameless(folder: str) -> int:
    if hasattr(os, "O_TMPFILE"):
        try:
            return os.open(folder, os.O_RDWR | os.O_CLOEXEC | os.O_TMPFILE, 0o600)
        except OSError:
            pass  # a filesystem without them
    path = f"{folder}/.twin-harness-{os.getpid()}-{os.urandom(8).hex()}"
    descriptor = os.open(
        path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
    )
    os.unlink(path)
    return descriptor


def _probe_service(board: Board, url: str) -> None:
    """Ask the service for a page ten times a second.

    Never a second time before the first answer or 5 s of waiting. An answer of any status counts; a
    service that refuses or breaks the connection has no latency, so the figure stays empty.
    """
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener

    class NoRedirect(HTTPRedirectHandler):
        """Answers with what the service said, wherever it would send us.

        Only the service itself is asked.
        """

        def redirect_request(self, *_: object) -> None:
            return None

    opener = build_opener(NoRedirect(), ProxyHandler({}))
    worst = _Worst(board, SERVICE_PROBE)
    while True:
        begin_s = time.monotonic()
        try:
            try:
                with opener.open(url, timeout=SERVICE_PATIENCE_S) as answer:
                    _read(answer, begin_s + SERVICE_PATIENCE_S)
            except HTTPError as error:
                _read(error, begin_s + SERVICE_PATIENCE_S)
            worst.take((time.monotonic() - begin_s) * 1e3)
        except TimeoutError:
            worst.take((time.monotonic() - begin_s) * 1e3)
        except (OSError, HTTPException) as error:
            if isinstance(getattr(error, "reason", None), TimeoutError):
                worst.take((time.monotonic() - begin_s) * 1e3)
        time.sleep(max(0.0, begin_s + REQUEST_PERIOD_S - time.monotonic()))


def _read(answer: IO[bytes], until_s: float) -> None:
    """Read an answer to its end, or until it is too late or too long.

    The time-out of a socket is per piece.
    """
    for _ in range(64):
        if not answer.read(1 << 14) or time.monotonic() >= until_s:
            return


def _is_gone(controller: ProcessWatch, turn: int) -> bool:
    """Return whether the controller has ended; asked five times a second."""
    return turn % WORK_EVERY == 0 and controller.has_ended(readable_of(controller.descriptors, 0.0))
