"""The logger and the probe of a session: started once, watched, replaced once, and stopped."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

from twin_harness.errors import HarnessFailure
from twin_harness.system import reaper
from twin_harness.system.clock import monotonic_s, sleep_s
from twin_harness.system.machine_lock import RESOURCES, MachineLock
from twin_harness.telemetry.start import Telemetry

if TYPE_CHECKING:
    from twin_harness.control.runner_parallel import Admission
    from twin_harness.session.context import Context
    from twin_harness.telemetry.start import TelemetryProcess

STOP_PATIENCE_S = 5.0
_MUTE_S = 3.0
_PART_POLL_S = 0.02


class Sampling:
    """What samples in a session, as one of its processes sees it.

    Args:
        context: the session.
        admission: to the machine, of this process. Where the machine is partitioned, the logger
            holds it for all parts.
    """

    def __init__(self, context: Context, admission: Admission) -> None:
        self._context = context
        self._admission = admission
        self._board = context.board
        self._children: list[TelemetryProcess] = []
        self.machine_lock = MachineLock(on_wait=self._say_waiting)
        config, folder = context.config, context.folder
        self._telemetry = Telemetry(
            dataset=folder.dataset,
            account=folder.logger_account,
            lock=folder.logger_lock,
            board=context.board.path,
            interval_s=config.interval_s,
            controller_pid=context.seat.controller_pid,
            machine={
                **context.whole.to_json(),
                "parts_of": folder.read_machine().get("parts_of", []),
            },
            source=config.source,
            probe_disk=config.probe_disk,
            probe_service=config.probe_service,
            leaves_parent=True,
            on_start=self._register,
            before_start=self.prepare_start,
        )

    def _register(self, pid: int, role: str) -> None:
        """Note a telemetry process for the reaper, and its cost from its start on.

        The logger counts its own from its first row on.
        """
        reaper.register(self._board.path, pid, role)
        if role == "probe":
            self._board.claim_process(pid, "harness")

    def _say_waiting(self, holder: str) -> None:
        self._context.warn(
            f"waiting for the machine: another session has it{holder}; next is this one, in parts"
        )

    def prepare_start(self) -> tuple[int, ...]:
        """Note the death of the logger before, and hold the machine where it is partitioned.

        Called under the lock that the living logger holds, so by one worker alone.

        Returns:
            The descriptors that the logger is to hold.

        Raises:
            HarnessFailure: this is the second death.
        """
        context, board = self._context, self._board
        if board.logger_pid != 0:
            if any(
                sentence.startswith("the telemetry logger")
                for sentence in context.folder.read_notes("partial")
            ):
                msg = (
                    "the telemetry logger has died twice in this run; look at its messages on"
                    " stderr, and at the space in the data folder"
                )
                raise HarnessFailure(msg)
            context.lose(
                f"the telemetry logger (process {board.logger_pid}) died and was replaced;"
                " samples between are missing"
            )
            board.logger_pid = 0
        if not context.config.parts:
            return ()
        begin_s = monotonic_s()
        self.machine_lock.take(
            shared_resources=RESOURCES, is_ours_already=self._admission.has_joined
        )
        self._admission.note_wait(begin_s)
        return self.machine_lock.descriptors

    def ensure(self) -> None:
        """Make sure that a logger samples; one that has died is replaced once.

        Raises:
            HarnessFailure: it does not come up, or died a second time.
            KeyboardInterrupt: the session was interrupted meanwhile.
        """
        had_rows = self._board.logger_pid != 0
        if had_rows:
            self._end_mute_logger()
        try:
            logger = self._telemetry.ensure_logger()
        finally:
            self.machine_lock.release()  # the logger has it, or there is none
        if logger is not None:
            self._children.append(logger)
            if not had_rows and not reaper.is_role_alive(self._board.path, "probe"):
                self._start_probe()
        elif self._context.config.parts:
            self._await_machine()
        if self._context.config.parts:
            self._admission.join()

    def _start_probe(self) -> None:
        try:
            self._children.append(self._telemetry.start_probe())
        except HarnessFailure as error:
            self._context.note(f"{error}; the columns of the probe are empty")

    def _await_machine(self) -> None:
        """Wait for the logger that another worker starts.

        It holds the machine for all parts, and may have to wait for it.

        Raises:
            KeyboardInterrupt: the session was interrupted meanwhile.
        """
        begin_s = monotonic_s()
        while self._board.logger_pid == 0:
            if self._board.is_load_stopping or self._board.is_stopping:
                msg = "the controller was interrupted"
                raise KeyboardInterrupt(msg)
            if not self._telemetry.has_logger():
                self.ensure()
                return
            sleep_s(_PART_POLL_S)
        self._admission.note_wait(begin_s)

    def _end_mute_logger(self) -> None:
        """Kill a logger that lives and writes nothing (stopped, or stuck): it counts as dead."""
        patience_s = _MUTE_S + 2 * self._context.config.interval_s
        if (
            not reaper.is_role_alive(self._board.path, "logger")
            or monotonic_s() - self._board.dataset_state()[1] < patience_s
        ):
            return
        self.kill_logger()
        deadline_s = monotonic_s() + STOP_PATIENCE_S
        while self._telemetry.has_logger() and monotonic_s() < deadline_s:
            sleep_s(0.01)

    def kill_logger(self) -> None:
        """Kill the logger that samples.

        One that has not come up yet has no pid on the board, and is a child of ours. The pid of one
        that is gone may be another process by now: the registry tells.
        """
        if self._board.logger_pid > 0 and reaper.is_role_alive(self._board.path, "logger"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._board.logger_pid, signal.SIGKILL)

    def end_children(self) -> None:
        """End what this process has started, killed after a while."""
        for child in self._children:
            child.end(STOP_PATIENCE_S)

    def stop(self) -> None:
        """End logger and probe, whoever started them.

        One that does not listen is killed and the run is PARTIAL.
        """
        self._board.ask_to_stop()
        deadline_s = monotonic_s() + STOP_PATIENCE_S
        while self._telemetry.has_logger() and monotonic_s() < deadline_s:
            for child in self._children:
                child.poll()
            sleep_s(0.02)
        was_mute = self._telemetry.has_logger()
        if was_mute:
            self.kill_logger()
        self.end_children()
        if was_mute:
            self._context.lose(
                "the telemetry logger did not end when asked, and was killed; the last samples may"
                " be missing"
            )
