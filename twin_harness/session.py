"""A session from open to close: run folder, board, logger, runner, merge, files and report. Used by plugin and command line alike.

One process is the controller. Workers of pytest-xdist join the session that the controller has named; whoever needs it first makes it.
Only the controller closes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import signal
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.board import SERVICE_PROBE, Board
from twin_harness.child import end_child, run_on
from twin_harness.config import TwinConfig
from twin_harness.control import losses, reaper
from twin_harness.control.annotations import AnnotationRecorder
from twin_harness.control.machine_lock import RESOURCES, MachineLock
from twin_harness.control.preflight import available_memory_bytes
from twin_harness.control.runner import ServerRunner
from twin_harness.control.runner_parallel import Admission, claim_part
from twin_harness.control.site import Site
from twin_harness.dataset.package import write_package
from twin_harness.dataset.tables import write_parquet
from twin_harness.errors import HarnessFailure, InvalidInput, TwinError, Undecided, in_a_line
from twin_harness.machine import Machine, cut, inspect_machine
from twin_harness.procfs import process_cpu_ns, start_ticks
from twin_harness.recording import Recording, Run
from twin_harness.run_folder import RunFolder, make_output_folder, point_latest
from twin_harness.seat import Seat, cut_secrets
from twin_harness.system_support import lack_of_support
from twin_harness.telemetry.start import Telemetry

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from twin_harness.schedule import Experiment
    from twin_harness.twin_runner import TwinRunner

_LIBRARIES = ("pytest", "pytest-xdist", "psutil", "hypothesis", "pandas", "seaborn", "matplotlib", "numpy", "pydantic", "allure-pytest")
_STOP_PATIENCE_S = 5.0
_MUTE_S = 3.0
_MOST_FAULTS = 10
_PART_POLL_S = 0.02
_NO_CONTROLLER = "the controller of this session has ended; a worker begins nothing without it"


def now_text() -> str:
    """Return the wall clock, ISO 8601 with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Session:
    """An open session; make or join one with ``Session.open``, end it with ``close`` on the controller and ``leave`` elsewhere.

    Attributes:
        config, seat, folder, board, machine, recorder, runner, admission: of this session and process.
    """

    def __init__(self, config: TwinConfig, seat: Seat, folder: RunFolder, board: Board, machine: Machine, warn: Callable[[str], None]) -> None:
        self.config = config
        self.seat = seat
        self.folder = folder
        self.board = board
        self.machine = machine
        self._whole = machine
        self._warn = warn
        part = self._take_part()
        self._children: list[subprocess.Popen[bytes]] = []
        self._machine_lock = MachineLock(on_wait=lambda: self._warn("waiting for the machine: another session has it; next is this one, in parts"))
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
            on_start=lambda pid, role: reaper.register(board.path, pid, role),
            before_start=self._before_logger,
        )
        self.admission = Admission(self._warn, part=part)
        self.recorder = AnnotationRecorder(folder, machine.host, seat.worker, self.machine.partition)
        self.runner = self._make_runner()
        board.claim_process(os.getpid(), "harness", plan=self.machine.part_number, base=process_cpu_ns(os.getpid()) or 0)

    @property
    def is_virtual(self) -> bool:
        """Whether experiments run on the twin alone: nothing is loaded and nothing sampled."""
        return self.config.on == "twin"

    def _make_runner(self) -> ServerRunner | TwinRunner:
        if not self.is_virtual:
            return ServerRunner(self._site())
        from twin_harness.predict.twin import Twin  # noqa: PLC0415 - scipy loads with it
        from twin_harness.twin_runner import TwinRunner as _TwinRunner  # noqa: PLC0415 - as above

        return _TwinRunner(Twin.load(self.config.model), self.folder, self.recorder, self.machine, self.config.interval_s, self.seat.worker)

    def _take_part(self) -> int | None:
        """Take a part of the machine, where it is cut and we are a worker: our machine is that part from now on, for all that we start."""
        number = self.seat.worker.removeprefix("gw")
        if not self.config.parts or not number.isdecimal():
            return None
        whole = self.machine
        parts = cut(whole, self.config.parts, int(self.folder.read_machine()["memory_available_bytes"]))
        index, descriptor = claim_part([self.folder.part_lock(part.partition) for part in parts], int(number) % len(parts))
        self.machine = parts[index]
        run_on(self.machine.cpus)
        if hasattr(os, "sched_getaffinity") and os.sched_getaffinity(0) != set(self.machine.cpus):
            msg = f"part {self.machine.partition}: this process cannot be confined to CPUs {list(self.machine.cpus)}; run without --twin-partition"
            raise HarnessFailure(msg)
        return descriptor

    def _before_logger(self) -> tuple[int, ...]:
        """Note that the logger before this one died, if there was one, and hold the machine for all its parts, where it is cut.

        Called under the lock that the living logger holds, so by one worker alone.

        Returns:
            The descriptors that the logger is to hold.

        Raises:
            HarnessFailure: this is the second death.
        """
        if self.board.logger_pid != 0:
            if any(sentence.startswith("the telemetry logger") for sentence in self.folder.read_notes("partial")):
                msg = "the telemetry logger has died twice in this run; look at its messages on stderr, and at the space in the data folder"
                raise HarnessFailure(msg)
            self.lose(f"the telemetry logger (process {self.board.logger_pid}) died and was replaced; samples between are missing")
            self.board.logger_pid = 0
        if not self.config.parts:
            return ()
        begin_s = time.monotonic()
        self._machine_lock.take(shared_resources=RESOURCES, is_ours_already=self.admission.has_joined)
        self.admission.note_wait(begin_s)
        return self._machine_lock.descriptors

    @classmethod
    def open(cls, config: TwinConfig, seat: Seat, warn: Callable[[str], None] | None = None) -> Session:
        """Open the session of a seat: make it if it is not there yet, join it if it is.

        Raises:
            InvalidInput: a folder cannot be written.
            HarnessFailure: there is no place for the load board, or the session has ended.
            Undecided: this system is one that cannot be loaded and recorded.
        """
        if reason := lack_of_support("an experiment"):
            raise Undecided(reason)
        warn = warn or (lambda _: None)
        try:
            make_output_folder(Path(seat.data_dir))
        except OSError as error:
            msg = f"data folder {seat.data_dir!r} cannot be made ({error.strerror}); name another one with --twin-data-dir"
            raise InvalidInput(msg) from None
        with _alone_in(Path(seat.data_dir)):
            if not (seat.run_dir / "run.json").exists():
                return cls._make(config, seat, warn)
        folder = RunFolder(seat.run_dir)
        state = folder.read_state()
        if not state.get("board"):
            msg = f"session {seat.run_id} has ended; start a new one"
            raise HarnessFailure(msg)
        return cls(config, seat, folder, Board.open(state["board"]), Machine.from_json(folder.read_machine()), warn)

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
            here = machine.fingerprint
            machine, twin_facts = _as_fitted(machine, config.model)
            if twin_facts["fingerprint"] != here:
                warn(f"the twin is of machine {twin_facts['fingerprint']}, this one is {here}: what follows is foretold for the other")
        board = Board.create(seat.board)
        if not reaper.register(board.path, seat.controller_pid, "controller", machine.scratch_dir):
            board.close(unlink=True)  # without an entry of its controller nobody would ever remove it
            raise HarnessFailure(_NO_CONTROLLER)
        facts = {**machine.to_json(), **twin_facts, "versions": _versions(), "python": platform.python_version(), "scheduling": ""}
        if config.parts:
            facts["memory_available_bytes"] = available = available_memory_bytes(machine)
            facts["parts_of"] = [
                {"name": part.partition, "cpus": part.cpus, "cpu_capacity": part.cpu_capacity, "memory_limit_bytes": part.memory_limit_bytes}
                for part in cut(machine, config.parts, available)
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
        return cls(config, seat, folder, board, machine, warn)

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
            worker=self.seat.worker,
            is_scratch_named=bool(self.config.scratch_dir),
            may_run_commands=self.config.may_run_commands,
            all_cpus=self._whole.cpus,
        )

    # -- while open -----------------------------------------------------------------------------------------------------------

    def note(self, sentence: str) -> None:
        """Tell the user something, now and in ``run.json``."""
        if sentence not in self.folder.read_notes("note"):
            self.folder.append_note(self.seat.worker, "note", sentence)
            self._warn(sentence)

    def lose(self, sentence: str) -> None:
        """Say that data was lost: the run is PARTIAL."""
        self.folder.append_note(self.seat.worker, "partial", sentence)

    def ensure_logger(self) -> None:
        """Make sure that a logger samples; one that has died is replaced once, and the run is PARTIAL.

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
                self._children.append(self._telemetry.start_probe())
        elif self.config.parts:
            self._await_machine()
        if self.config.parts:
            self.admission.join()

    def _await_machine(self) -> None:
        """Wait for the logger that another worker starts: it holds the machine for all parts, and may have to wait for it.

        Raises:
            KeyboardInterrupt: the session was interrupted meanwhile.
        """
        begin_s = time.monotonic()
        while self.board.logger_pid == 0:
            if self.board.is_load_stopping or self.board.is_stopping:
                msg = "the controller was interrupted"
                raise KeyboardInterrupt(msg)
            if not self._telemetry.has_logger():
                self.ensure_logger()
                return
            time.sleep(_PART_POLL_S)
        self.admission.note_wait(begin_s)

    def _end_mute_logger(self) -> None:
        """Kill a logger that lives and writes nothing (stopped, or stuck): it counts as dead."""
        patience_s = _MUTE_S + 2 * self.config.interval_s
        if not reaper.is_role_alive(self.board.path, "logger") or time.monotonic() - self.board.dataset_state()[1] < patience_s:
            return
        self._kill_logger()
        deadline_s = time.monotonic() + _STOP_PATIENCE_S
        while self._telemetry.has_logger() and time.monotonic() < deadline_s:
            time.sleep(0.01)

    def _kill_logger(self) -> None:
        """Kill the logger that samples; one that has not come up yet has no pid on the board, and is a child of ours."""
        if self.board.logger_pid > 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.board.logger_pid, signal.SIGKILL)

    def leave(self) -> None:
        """Leave the session without ending it: what a worker does."""
        self.admission.release()
        self.board.close()

    # -- the end --------------------------------------------------------------------------------------------------------------

    def close(self, *, is_interrupted: bool = False) -> Path | None:
        """Stop what still runs, merge the shards, write every file, and return the report's path (None without one).

        Raises:
            OSError: a file could not be written; nothing runs any more, and board and registry are gone, all the same.
        """
        self.admission.release()
        has_samples = self.folder.dataset.exists()
        is_sampled = has_samples and not self.is_virtual
        try:
            try:
                if is_sampled and not self._telemetry.has_logger():
                    self.lose("the telemetry logger had ended before the session did; the last samples are missing")
                if is_sampled and not reaper.is_role_alive(self.board.path, "probe"):
                    self.note("the probe had ended before the session did; its columns are empty from then on")
                elif is_sampled and self.config.probe_service and not self.board.has_probed(SERVICE_PROBE):
                    self.note(f"the service {cut_secrets(self.config.probe_service)!r} never answered the probe; probe_service_ms is empty: is it up?")
            finally:
                self.board.ask_to_stop()  # first of all: a second Ctrl-C may come at any moment
                try:
                    losses.end_leftover_load(self.board, _STOP_PATIENCE_S)
                finally:
                    self._stop_telemetry()
            self._write_all(is_interrupted=is_interrupted)
        finally:
            self.board.close(unlink=True)
            reaper.registry_path(self.board.path).unlink(missing_ok=True)
        self.folder.remove_workings()
        return self._write_report() if self.config.has_report and has_samples else None

    def _write_all(self, *, is_interrupted: bool) -> None:
        """Account for what was lost, merge the shards, and write ``run.json`` and ``machine.json``."""
        for sentence in losses.annotate_lost(self.folder, self.machine.host):
            self.lose(sentence)
        account = self.folder.read_logger_account()
        notes = self.folder.read_notes("note") + account.get("notes", [])
        if account.get("missed_samples"):
            notes.append(f"{account['missed_samples']} samples were missed; the rows after them say how many")
        self.folder.merge(self.config.seed)
        notes += self._write_parquet()
        if account:
            self.folder.write_machine({**self.folder.read_machine(), "scheduling": account["scheduling"]})
        partial = self.folder.read_notes("partial")
        status = "ABORTED" if is_interrupted else "PARTIAL" if partial else "COMPLETE"
        state = {**self.folder.read_state(), "status": status, "end": now_text(), "board": None}
        self.folder.write_state({**state, "logger": account, "partial": partial, "notes": notes})
        if self.folder.dataset.exists():
            write_package(Run(self.folder))

    def _write_parquet(self) -> list[str]:
        """Write the samples cleaned and typed, and return what cleaning found, a sentence each; the CSV is the record, so a failure is a note."""
        if not self.folder.dataset.exists():
            return []
        try:
            faults = write_parquet(Run(self.folder), self.folder.parquet)
        except (OSError, TwinError) as error:
            return [f"{self.folder.parquet.name} was not written: {error}; the CSV is whole"]
        return [fault.sentence for fault in faults][:_MOST_FAULTS]

    def _stop_telemetry(self) -> None:
        """End logger and probe, whoever started them; one that does not listen is killed and the run is PARTIAL."""
        self.board.ask_to_stop()
        deadline_s = time.monotonic() + _STOP_PATIENCE_S
        while self._telemetry.has_logger() and time.monotonic() < deadline_s:
            for child in self._children:
                child.poll()
            time.sleep(0.02)
        was_mute = self._telemetry.has_logger()
        if was_mute:
            self._kill_logger()
        for child in self._children:
            end_child(child, _STOP_PATIENCE_S)
        if was_mute:
            self.lose("the telemetry logger did not end when asked, and was killed; the last samples may be missing")

    def _write_report(self) -> Path | None:
        """Render the EDA report of this run and point ``reports/latest`` at it; without one the data stands, and ``run.json`` says why."""
        root = Path(self.seat.report_dir)
        try:
            from twin_harness.report.html import write_report  # noqa: PLC0415 - seconds of import, paid once at the end

            make_output_folder(root)
            path = write_report(Run(self.folder), root / self.folder.run_id)
            point_latest(root / self.folder.run_id)
        except Exception as error:  # noqa: BLE001 - whatever a drawing library raises in this environment
            sentence = f"the report was not written ({in_a_line(error)}); the data is whole: mend that, then write it with: twin report {self.folder.path}"
            state = self.folder.read_state()
            self.folder.write_state({**state, "notes": [*(state.get("notes") or []), sentence]})
            self._warn(sentence)
            return None
        return path


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder itself: of several workers one makes the session, the others join it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _named_scratch(config: TwinConfig) -> Path | None:
    if not config.scratch_dir:
        return None
    path = Path(config.scratch_dir)
    if not path.is_dir() or not os.access(path, os.W_OK):
        msg = f"--twin-scratch-dir: expected a folder that can be written but got {str(path)!r}; make it first"
        raise InvalidInput(msg)
    return path.resolve()


def _as_fitted(machine: Machine, model: str) -> tuple[Machine, dict[str, str]]:
    """Return the machine that a twin is of, as far as the model tells it, and what ``machine.json`` says besides."""
    from twin_harness.predict.model_file import read_model  # noqa: PLC0415 - numpy loads with it

    file = read_model(model)
    fitted = replace(machine, cpu_capacity=file.capacity.cpus, memory_limit_bytes=int(file.capacity.memory_bytes))
    return fitted, {"fingerprint": file.fingerprint, "foretold_by": model}


def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in ("twin-harness", *_LIBRARIES) if _is_installed(name)}


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def run(experiment: Experiment, *, config: TwinConfig | None = None, root: str | Path = ".") -> Recording:
    """Run one experiment on this machine, in a session of its own without a report, and return its recording.

    Raises:
        InvalidInput, ExperimentFailed, ExperimentAborted, FidelityMissed, Undecided: as ``ServerRunner.run``.
    """
    settings = config or TwinConfig(has_report=False)
    session = Session.open(settings, Seat.draw(settings, Path(root).resolve(), " ".join(sys.argv)))
    is_interrupted = False
    try:
        return session.runner.run(experiment)
    except KeyboardInterrupt:
        is_interrupted = True
        raise
    finally:
        session.close(is_interrupted=is_interrupted)
