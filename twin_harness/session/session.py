"""A session from open to close: run folder, board, logger, runner, merge, files and report.

Used by plugin and command line alike.

One process is the controller. Workers of pytest-xdist join the session that the controller has
named; whoever needs it first makes it. Only the controller closes it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import signal
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.control.annotations import AnnotationRecorder
from twin_harness.control.headroom import available_memory_bytes
from twin_harness.control.runner import ServerRunner
from twin_harness.control.runner_parallel import Admission, claim_part
from twin_harness.control.site import Site
from twin_harness.dataset.package import write_package
from twin_harness.dataset.tables import write_parquet
from twin_harness.errors import (
    HarnessFailure,
    InvalidInput,
    TwinError,
    Undecided,
    as_harness_failure,
    in_a_line,
)
from twin_harness.runs.folder import RunFolder, make_output_folder
from twin_harness.runs.recording import Recording, Run
from twin_harness.session import losses
from twin_harness.session.config import TwinConfig
from twin_harness.session.seat import Seat, cut_secrets
from twin_harness.system import deadline, newest, reaper
from twin_harness.system.board import Board
from twin_harness.system.board_layout import SERVICE_PROBE
from twin_harness.system.child import run_on
from twin_harness.system.clock import is_standing, monotonic_s, now_text, sleep_s
from twin_harness.system.file_lock import FileLock
from twin_harness.system.machine import Machine, inspect_machine, look_at_folder
from twin_harness.system.machine_lock import RESOURCES, MachineLock
from twin_harness.system.machine_parts import cut_machine
from twin_harness.system.mounts import may_fall_silent
from twin_harness.system.procfs import process_cpu_ns, start_ticks
from twin_harness.system.provenance import PREDICTED_BY
from twin_harness.system.support import lack_of_support
from twin_harness.telemetry.start import Telemetry, TelemetryProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from twin_harness.schedule.model import Experiment
    from twin_harness.session.twin_runner import TwinRunner

_LIBRARIES = (
    "pytest",
    "pytest-xdist",
    "psutil",
    "hypothesis",
    "pandas",
    "seaborn",
    "matplotlib",
    "numpy",
    "pydantic",
    "allure-pytest",
)
_STOP_PATIENCE_S = 5.0
_MUTE_S = 3.0
_MOST_FAULTS = 10
_PART_POLL_S = 0.02
_NO_TIME = (
    "the clock of this process stands still (CLOCK_MONOTONIC, as libfaketime freezes it), so"
    " nothing could be waited for; run without it, or let its time go on and set"
    " FAKETIME_DONT_FAKE_MONOTONIC=1"
)
_log = logging.getLogger("twin_harness")
INTERRUPTED = "interrupted"
_NO_CONTROLLER = "the controller of this session has ended; a worker begins nothing without it"


class Session:
    """An open session; make or join one with ``Session.open``, end it with ``close`` on the controller and ``leave`` elsewhere.

    Attributes:
        config, seat, folder, board, machine, recorder, runner, admission: of this session and
            process.
        report_fault: why a report that was due was not drawn; empty before, and when all went well.
    """

    def __init__(
        self,
        config: TwinConfig,
        seat: Seat,
        folder: RunFolder,
        board: Board,
        machine: Machine,
        warn: Callable[[str], None],
    ) -> None:
        self.config = config
        self.seat = seat
        self.folder = folder
        self.board = board
        self.machine = machine
        self._whole = machine
        self._warn = warn
        self.report_fault = ""
        part = self._take_part()
        self._children: list[TelemetryProcess] = []
        self._machine_lock = MachineLock(on_wait=self._tell_waiting)
        self._telemetry = Telemetry(
            dataset=folder.dataset,
            account=folder.logger_account,
            lock=folder.logger_lock,
            board=board.path,
            interval_s=config.interval_s,
            controller_pid=seat.controller_pid,
            machine={**machine.to_json(), "parts_of": folder.read_machine().get("parts_of", [])},
            source=config.source,
            probe_disk=config.probe_disk,
            probe_service=config.probe_service,
            leaves_parent=True,
            on_start=self._register,
            before_start=self._before_logger,
        )
        self.admission = Admission(self._warn, part=part)
        self.recorder = AnnotationRecorder(
            folder, machine.host, seat.worker, self.machine.partition
        )
        self.runner = self._make_runner()
        board.claim_process(
            os.getpid(),
            "harness",
            plan=self.machine.part_number,
            base=process_cpu_ns(os.getpid()) or 0,
        )

    def _register(self, pid: int, role: str) -> None:
        """Note a telemetry process for the reaper, and its cost from its start on.

        The logger counts its own from its first row on.
        """
        reaper.register(self.board.path, pid, role)
        if role == "probe":
            self.board.claim_process(pid, "harness")

    def _tell_waiting(self, holder: str) -> None:
        self._warn(
            f"waiting for the machine: another session has it{holder}; next is this one, in parts"
        )

    @property
    def is_virtual(self) -> bool:
        """Whether experiments run on the twin alone: nothing is loaded and nothing sampled."""
        return self.config.on == "twin"

    @property
    def is_mute(self) -> bool:
        """Whether the run folder was seen not to answer; it is not asked again."""
        return isinstance(self.runner, ServerRunner) and self.runner.was_mute

    def _make_runner(self) -> ServerRunner | TwinRunner:
        if not self.is_virtual:
            return ServerRunner(self._site())
        from twin_harness.predict.twin import Twin
        from twin_harness.session.twin_runner import TwinRunner as _TwinRunner

        return _TwinRunner(
            Twin.load(self.config.model),
            self.folder,
            self.recorder,
            self.machine,
            self.config,
            self.seat.worker,
            self.note,
        )

    def _take_part(self) -> FileLock | None:
        """Take a part of the machine, where it is cut and we are a worker.

        Our machine is that part from now on, for all that we start.
        """
        number = self.seat.worker.removeprefix("gw")
        if not self.config.parts or not number.isdecimal():
            return None
        whole = self.machine
        parts = cut_machine(
            whole, self.config.parts, int(self.folder.read_machine()["memory_available_bytes"])
        )
        index, lock = claim_part(
            [self.folder.part_lock(part.partition) for part in parts], int(number) % len(parts)
        )
        self.machine = parts[index]
        run_on(self.machine.cpus)
        if hasattr(os, "sched_getaffinity") and os.sched_getaffinity(0) != set(self.machine.cpus):
            msg = (
                f"part {self.machine.partition}: this process cannot be confined to CPUs"
                f" {list(self.machine.cpus)}; run without --twin-partition"
            )
            raise HarnessFailure(msg)
        return lock

    def _before_logger(self) -> tuple[int, ...]:
        """Note that the logger before this one died, if there was one, and hold the machine for all its parts, where it is cut.

        Called under the lock that the living logger holds, so by one worker alone.

        Returns:
            The descriptors that the logger is to hold.

        Raises:
            HarnessFailure: this is the second death.
        """
        if self.board.logger_pid != 0:
            if any(
                sentence.startswith("the telemetry logger")
                for sentence in self.folder.read_notes("partial")
            ):
                msg = (
                    "the telemetry logger has died twice in this run; look at its messages on"
                    " stderr, and at the space in the data folder"
                )
                raise HarnessFailure(msg)
            self.lose(
                f"the telemetry logger (process {self.board.logger_pid}) died and was replaced;"
                " samples between are missing"
            )
            self.board.logger_pid = 0
        if not self.config.parts:
            return ()
        begin_s = monotonic_s()
        self._machine_lock.take(
            shared_resources=RESOURCES, is_ours_already=self.admission.has_joined
        )
        self.admission.note_wait(begin_s)
        return self._machine_lock.descriptors

    @classmethod
    @as_harness_failure()
    def open(
        cls, config: TwinConfig, seat: Seat, warn: Callable[[str], None] | None = None
    ) -> Session:
        """Open the session of a seat: make it if it is not there yet, join it if it is.

        Raises:
            InvalidInput: a folder cannot be written.
            HarnessFailure: the system refuses a descriptor or a place for the load board, or the
                session has ended.
            Unanswered: the filesystem of the data folder or of the reports does not answer.
            Undecided: this system is one that cannot be loaded and recorded.
        """
        if reason := lack_of_support("an experiment"):
            raise Undecided(reason)
        warn = warn or (lambda _: None)
        if is_standing():
            raise HarnessFailure(_NO_TIME)
        for path, option in ((seat.data_dir, "data-dir"), (seat.report_dir, "report-dir")):
            if may_fall_silent(path) and deadline.is_mute(path):
                raise deadline.Unanswered(path, option=option)
        try:
            make_output_folder(Path(seat.data_dir))
        except OSError as error:
            msg = (
                f"data folder {seat.data_dir!r} cannot be made ({error.strerror}); name another one"
                " with --twin-data-dir"
            )
            raise InvalidInput(msg) from None
        with _alone_in(Path(seat.data_dir)):
            if not (seat.run_dir / "run.json").exists():
                return cls._make(config, seat, warn)
        folder = RunFolder(seat.run_dir)
        state = folder.read_state()
        if not state.get("board"):
            msg = f"session {seat.run_id} has ended; start a new one"
            raise HarnessFailure(msg)
        return cls(
            config,
            seat,
            folder,
            Board.open(state["board"]),
            Machine.from_json(folder.read_machine()),
            warn,
        )

    @classmethod
    def _make(cls, config: TwinConfig, seat: Seat, warn: Callable[[str], None]) -> Session:
        for sentence in reaper.reap():
            warn(sentence)
        named_scratch = _named_scratch(config)
        if start_ticks(seat.controller_pid) is None:
            raise HarnessFailure(_NO_CONTROLLER)
        folder = RunFolder.create(Path(seat.data_dir), seat.run_id)
        machine = inspect_machine(named_scratch or folder.scratch())
        twin_facts: dict[str, str] = {}
        if config.on == "twin":
            here = machine
            machine, twin_facts = _as_fitted(machine, config.model)
            if twin_facts["fingerprint"] not in here.fingerprints:
                warn(
                    f"the twin is of machine {twin_facts['fingerprint']}, this one is"
                    f" {here.fingerprint}: what follows is predicted for the other"
                )
        board = Board.create(seat.board)
        if not reaper.register(board.path, seat.controller_pid, "controller", machine.scratch_dir):
            board.close(
                unlink=True
            )  # without an entry of its controller nobody would ever remove it
            raise HarnessFailure(_NO_CONTROLLER)
        facts = {
            **machine.to_json(),
            **twin_facts,
            "versions": _versions(),
            "python": platform.python_version(),
            "scheduling": "",
        }
        if config.parts:
            facts["memory_available_bytes"] = available = available_memory_bytes(machine)
            facts["parts_of"] = [
                {
                    "name": part.partition,
                    "cpus": part.cpus,
                    "cpu_capacity": part.cpu_capacity,
                    "memory_limit_bytes": part.memory_limit_bytes,
                }
                for part in cut_machine(machine, config.parts, available)
            ]
        folder.write_machine(facts)
        folder.write_state(
            {
                "status": "RUNNING",
                "command": seat.command,
                "seed": config.seed,
                "start": now_text(),
                "end": None,
                "controller_pid": seat.controller_pid,
                "controller_start_ticks": start_ticks(seat.controller_pid),
                "board": str(board.path),
                "settings": json.loads(cut_secrets(json.dumps(config.to_record()))),
            }
        )
        # The report of this run is not drawn yet: until then no report is the latest, rather than
        # that of another run.
        newest.remove_latest(Path(seat.report_dir))
        session = cls(config, seat, folder, board, machine, warn)
        if not (folder.path.parent / newest.NAME).is_symlink():
            data_dir = folder.path.parent
            session.note(
                f"{data_dir} is on a filesystem without symbolic links: the file {newest.TEXT_NAME}"
                " there names the newest run, and twin, pytest and load() understand"
                f" {data_dir.name}/{newest.NAME} all the same"
            )
        return session

    def _site(self) -> Site:
        return Site(
            folder=self.folder,
            board=self.board,
            machine=self.machine,
            guard=self.config.guard,
            recorder=self.recorder,
            interval_s=self.config.interval_s,
            controller_pid=self.seat.controller_pid,
            ensure_logger=self.ensure_logger,
            warn=self.note,
            admission=self.admission,
            tolerance=self.config.tolerance,
            worker=self.seat.worker,
            is_scratch_named=bool(self.config.scratch_dir),
            may_run_commands=self.config.may_run_commands,
            all_cpus=self._whole.cpus,
        )

    # -- while open --------------------------------------------------------------------------------

    def note(self, sentence: str) -> None:
        """Tell the user something, now and in ``run.json``."""
        if sentence not in self.folder.read_notes("note"):
            self.folder.append_note(self.seat.worker, "note", sentence)
            self._warn(sentence)

    def lose(self, sentence: str) -> None:
        """Say that data was lost: the run is PARTIAL."""
        self.folder.append_note(self.seat.worker, "partial", sentence)

    def ensure_logger(self) -> None:
        """Make sure that a logger samples.

        One that has died is replaced once, and the run is PARTIAL.

        Raises:
            HarnessFailure: it does not come up, or died a second time.
        """
        if isinstance(self.runner, ServerRunner):
            self._ensure_sampling()
        else:
            self.runner.begin()

    def _ensure_sampling(self) -> None:
        had_rows = self.board.logger_pid != 0
        if had_rows:
            self._end_mute_logger()
        try:
            logger = self._telemetry.ensure_logger()
        finally:
            self._machine_lock.release()  # the logger has it, or there is none
        if logger is not None:
            self._children.append(logger)
            if not had_rows and not reaper.is_role_alive(self.board.path, "probe"):
                self._start_probe()
        elif self.config.parts:
            self._await_machine()
        if self.config.parts:
            self.admission.join()

    def _start_probe(self) -> None:
        try:
            self._children.append(self._telemetry.start_probe())
        except HarnessFailure as error:
            self.note(f"{error}; the columns of the probe are empty")

    def _await_machine(self) -> None:
        """Wait for the logger that another worker starts.

        It holds the machine for all parts, and may have to wait for it.

        Raises:
            KeyboardInterrupt: the session was interrupted meanwhile.
        """
        begin_s = monotonic_s()
        while self.board.logger_pid == 0:
            if self.board.is_load_stopping or self.board.is_stopping:
                msg = "the controller was interrupted"
                raise KeyboardInterrupt(msg)
            if not self._telemetry.has_logger():
                self.ensure_logger()
                return
            sleep_s(_PART_POLL_S)
        self.admission.note_wait(begin_s)

    def _end_mute_logger(self) -> None:
        """Kill a logger that lives and writes nothing (stopped, or stuck): it counts as dead."""
        patience_s = _MUTE_S + 2 * self.config.interval_s
        if (
            not reaper.is_role_alive(self.board.path, "logger")
            or monotonic_s() - self.board.dataset_state()[1] < patience_s
        ):
            return
        self._kill_logger()
        deadline_s = monotonic_s() + _STOP_PATIENCE_S
        while self._telemetry.has_logger() and monotonic_s() < deadline_s:
            sleep_s(0.01)

    def _kill_logger(self) -> None:
        """Kill the logger that samples.

        One that has not come up yet has no pid on the board, and is a child of ours.

        The pid of one that is gone may be another process by now: the registry tells.
        """
        if self.board.logger_pid > 0 and reaper.is_role_alive(self.board.path, "logger"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.board.logger_pid, signal.SIGKILL)

    def leave(self) -> None:
        """Leave the session without ending it: what a worker does."""
        self.admission.release()
        self.board.close()

    # -- the end -----------------------------------------------------------------------------------

    def close(self, *, is_interrupted: bool = False) -> Path | None:
        """Stop what still runs, merge the shards, write every file, and return the report's path (None without one).

        An interrupt (Ctrl-C, or what the controller treats alike) waits until the files are
        written; then the report is left out.

        Raises:
            OSError: a file could not be written; nothing runs any more, and board and registry are
                gone, all the same.
            Unanswered: the run folder does not answer; as above, and what was recorded stays there
                as it is.
        """
        self.admission.release()
        try:
            has_logger, has_probe = self._ask_to_stop()
            has_samples = self.folder.dataset.exists()
            is_sampled = has_samples and not self.is_virtual
            try:
                if is_sampled and not has_logger:
                    self.lose(
                        "the telemetry logger had ended before the session did; the last samples"
                        " are missing"
                    )
                if is_sampled and not has_probe:
                    self.note(
                        "the probe had ended before the session did; its columns are empty from"
                        " then on"
                    )
                elif (
                    is_sampled
                    and self.config.probe_service
                    and not self.board.has_probed(SERVICE_PROBE)
                ):
                    self.note(
                        f"the service {cut_secrets(self.config.probe_service)!r} never answered the"
                        " probe; probe_service_ms is empty: is it up?"
                    )
            finally:
                try:
                    losses.end_leftover_load(self.board, _STOP_PATIENCE_S)
                finally:
                    self._stop_telemetry()
            with _interrupts_put_off() as interrupts:
                self._write_all(is_interrupted=is_interrupted)
        finally:
            self.board.close(unlink=True)
            reaper.registry_path(self.board.path).unlink(missing_ok=True)
        self.folder.remove_workings()
        if not self.config.has_report or not has_samples:
            return None
        if interrupts:
            self._note_no_report(INTERRUPTED)
            return None
        if is_interrupted:
            self._warn(
                f"drawing the report; Ctrl-C leaves it out, and `{self._report_command}` draws it"
                " later"
            )
        return self._try_report()

    @property
    def _report_command(self) -> str:
        return f"twin report {seen_from_here(self.folder.path)}"

    def _try_report(self) -> Path | None:
        """Render the report; what goes wrong there, or a Ctrl-C, costs the report alone."""
        try:
            return self._write_report()
        except KeyboardInterrupt:
            self._note_no_report(INTERRUPTED)
        except Exception as error:  # noqa: BLE001 - of many libraries; it is named, the run stands
            self._note_no_report(in_a_line(error))
        return None

    def _note_no_report(self, why: str) -> None:
        """Say, now and in ``run.json``, that this run has no report, and how to get one."""
        self.report_fault = why
        with _interrupts_put_off():
            sentence = f"no report of this run ({why}): `{self._report_command}` draws it"
            state = self.folder.read_state()
            self.folder.write_state({**state, "notes": [*state.get("notes", []), sentence]})
            self._warn(sentence)

    def _ask_to_stop(self) -> tuple[bool, bool]:
        """Ask logger and probe to end, and return whether each lived until then.

        Who lived is asked of the registry, which is not in the run folder. That is asked about only
        where it may fall silent: the question takes a process.

        Raises:
            Unanswered: the run folder does not answer; all that ran has been ended.
            KeyboardInterrupt: nobody knows whether it does; as above.
        """
        folder = str(self.folder.path)
        try:
            try:
                alive = partial(reaper.is_role_alive, self.board.path)
                lived = alive("logger"), alive("probe")
            finally:
                self.board.ask_to_stop()  # first of all: a second Ctrl-C may come at any moment
            may_be_mute = not self.is_virtual and (self.is_mute or may_fall_silent(folder))
            is_mute = may_be_mute and deadline.is_mute(folder)
        except BaseException:
            self._abandon()
            raise
        if is_mute:
            self._abandon()
            raise deadline.Unanswered(folder, option="data-dir")
        return lived

    def _abandon(self) -> None:
        """End all that runs without a look at the run folder, which does not answer."""
        try:
            losses.end_leftover_load(self.board, _STOP_PATIENCE_S)
        finally:
            self._kill_logger()
        for child in self._children:
            child.end(_STOP_PATIENCE_S)

    def _write_all(self, *, is_interrupted: bool) -> None:
        """Account for what was lost, merge the shards, and write ``run.json`` and ``machine.json``."""
        for sentence in losses.annotate_lost(self.folder, self.machine.host):
            self.lose(sentence)
        account = self.folder.read_logger_account()
        notes = self.folder.read_notes("note") + account.get("notes", [])
        if account.get("missed_samples"):
            notes.append(
                f"{account['missed_samples']} samples were missed; the rows after them say how many"
            )
        self.folder.merge(self.config.seed)
        notes += self._write_parquet()
        if account:
            self.folder.write_machine(
                {**self.folder.read_machine(), "scheduling": account["scheduling"]}
            )
        partial = self.folder.read_notes("partial")
        if is_interrupted:
            status = "ABORTED"
        elif partial:
            status = "PARTIAL"
        else:
            status = "COMPLETE"
        state = {**self.folder.read_state(), "status": status, "end": now_text(), "board": None}
        self.folder.write_state({**state, "logger": account, "partial": partial, "notes": notes})
        if self.folder.dataset.exists():
            write_package(Run(self.folder))

    def _write_parquet(self) -> list[str]:
        """Write the samples cleaned and typed, and return what cleaning found, a sentence each.

        The CSV is the record, so a failure is a note.
        """
        if not self.folder.dataset.exists():
            return []
        from pyarrow import ArrowException

        try:
            faults = write_parquet(Run(self.folder), self.folder.parquet)
        except (
            OSError,
            TwinError,
            ArrowException,
        ) as error:  # also where no further thread is permitted
            return [f"{self.folder.parquet.name} was not written: {error}; the CSV is whole"]
        return [fault.sentence for fault in faults][:_MOST_FAULTS]

    def _stop_telemetry(self) -> None:
        """End logger and probe, whoever started them.

        One that does not listen is killed and the run is PARTIAL.
        """
        self.board.ask_to_stop()
        deadline_s = monotonic_s() + _STOP_PATIENCE_S
        while self._telemetry.has_logger() and monotonic_s() < deadline_s:
            for child in self._children:
                child.poll()
            sleep_s(0.02)
        was_mute = self._telemetry.has_logger()
        if was_mute:
            self._kill_logger()
        for child in self._children:
            child.end(_STOP_PATIENCE_S)
        if was_mute:
            self.lose(
                "the telemetry logger did not end when asked, and was killed; the last samples may"
                " be missing"
            )

    def _write_report(self) -> Path:
        """Render the EDA report of this run and point ``reports/latest`` at it."""
        root = Path(self.seat.report_dir)
        from twin_harness.report.html import write_report

        make_output_folder(root)
        path = write_report(Run(self.folder), root / self.folder.run_id)
        # Else a newer run has begun meanwhile, and its report will be the latest.
        if newest.latest_name(self.folder.path.parent) == self.folder.run_id:
            newest.set_latest(path.parent)
        return path


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder itself.

    Of several workers one makes the session, the others join it.
    """
    lock = FileLock(
        os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), f"folder {str(folder)!r}"
    )
    try:
        lock.take()
        yield
    finally:
        lock.release()


@contextmanager
def _interrupts_put_off() -> Iterator[list[int]]:
    """Let SIGINT and SIGTERM wait, where they raise KeyboardInterrupt, and list those that came."""
    came: list[int] = []
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is signal.default_int_handler:
                before[number] = signal.signal(number, lambda number, _frame: came.append(number))
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def seen_from_here(path: Path) -> Path:
    """Return a path as it is typed in the present folder."""
    try:
        return path.relative_to(Path.cwd())
    except (ValueError, OSError):
        return path


def _named_scratch(config: TwinConfig) -> Path | None:
    if not config.scratch_dir:
        return None
    path = str(Path(config.scratch_dir))
    try:
        folder = look_at_folder(path)
    except InvalidInput:
        folder = {}
    if not (folder.get("is_folder") and folder["is_writable"]):
        msg = (
            f"--twin-scratch-dir: expected a folder that can be written but got {path!r}; make it"
            " first"
        )
        raise InvalidInput(msg)
    return Path(folder["path"])


def _as_fitted(machine: Machine, model: str) -> tuple[Machine, dict[str, str]]:
    """Return the machine that a twin is of, as far as the model tells it, and what ``machine.json`` says besides."""
    from twin_harness.predict.model_file import read_model

    file = read_model(model)
    fitted = replace(
        machine, cpu_capacity=file.capacity.cpus, memory_limit_bytes=int(file.capacity.memory_bytes)
    )
    return fitted, {"fingerprint": file.fingerprint, PREDICTED_BY: model}


def _versions() -> dict[str, str]:
    return {
        name: metadata.version(name)
        for name in ("twin-harness", *_LIBRARIES)
        if _is_installed(name)
    }


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def run(
    experiment: Experiment, *, config: TwinConfig | None = None, root: str | Path = "."
) -> Recording:
    """Run one experiment on this machine, in a session of its own without a report, and return its recording.

    What is to be known meanwhile, such as a wait for the machine, goes to the logger
    ``twin_harness``, which Python shows on stderr.

    Raises:
        InvalidInput, ExperimentFailed, ExperimentAborted, FidelityMissed, Undecided: as
            ``ServerRunner.run``.
    """
    settings = config or TwinConfig(has_report=False)
    session = Session.open(
        settings, Seat.draw(settings, Path(root).resolve(), " ".join(sys.argv)), _log.warning
    )
    is_interrupted = False
    try:
        return session.runner.run(experiment)
    except KeyboardInterrupt:
        is_interrupted = True
        raise
    finally:
        session.close(is_interrupted=is_interrupted)
