"""A session from open to close: run folder, board, logger, runner, merge, files and report. Used by plugin and command line alike."""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.board import Board
from twin_harness.child import end_child
from twin_harness.config import TwinConfig
from twin_harness.control.annotations import AnnotationRecorder
from twin_harness.control.runner import ServerRunner
from twin_harness.control.site import Site
from twin_harness.errors import InvalidInput
from twin_harness.machine import inspect_machine
from twin_harness.procfs import process_cpu_ns
from twin_harness.recording import Recording, Run
from twin_harness.run_folder import RunFolder, make_output_folder, point_latest
from twin_harness.telemetry.start import Telemetry

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from twin_harness.schedule import Experiment

_LIBRARIES = ("pytest", "pytest-xdist", "psutil", "hypothesis", "pandas", "seaborn", "matplotlib", "numpy", "pydantic", "allure-pytest")
_SECRET = re.compile(r"(?i)((?:[\w.-]*)(?:token|secret|passw|api[-_]?key|credential)[\w.-]*[=:])\S+")
_USER_INFO = re.compile(r"(://)[^/\s:@]+:[^/\s@]+@")
_STOP_PATIENCE_S = 5.0


def cut_secrets(text: str) -> str:
    """Return a command line with what looks like a secret replaced by ``***``."""
    return _USER_INFO.sub(r"\1***@", _SECRET.sub(r"\1***", text))


def now_text() -> str:
    """Return the wall clock, ISO 8601 with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Session:
    """An open session; make one with ``Session.open`` and end it with ``close``.

    Attributes:
        folder: its run folder. board, machine, recorder, runner: of this session.
        notes: what the user should know, a sentence each; they also stand in ``run.json``.
        partial: why data was lost, a sentence each; empty for a complete run.
    """

    def __init__(self, config: TwinConfig, folder: RunFolder, report_root: Path, command: str, warn: Callable[[str], None]) -> None:
        self.config = config
        self.folder = folder
        self.notes: list[str] = []
        self.partial: list[str] = []
        self._report_root = report_root
        self._command = cut_secrets(command)
        self._warn = warn
        self._began = now_text()
        self._logger: subprocess.Popen[bytes] | None = None
        self._probe: subprocess.Popen[bytes] | None = None
        self._logger_deaths = 0
        scratch = self._make_scratch()
        self.machine = inspect_machine(scratch)
        self.board = Board.create()
        self._telemetry = Telemetry(
            dataset=folder.dataset,
            account=folder.logger_account,
            lock=folder.logger_lock,
            board=self.board.path,
            interval_s=config.interval_s,
            controller_pid=os.getpid(),
            machine=self.machine.to_json(),
        )
        self.recorder = AnnotationRecorder(folder, self.machine.host)
        self.runner = ServerRunner(self._site())
        self.board.claim_process(os.getpid(), "harness", base=process_cpu_ns(os.getpid()) or 0)
        folder.write_machine({**self.machine.to_json(), "versions": _versions(), "python": platform.python_version(), "scheduling": ""})
        self._write_state("RUNNING")

    @classmethod
    def open(cls, config: TwinConfig, root: Path, command: str = "", warn: Callable[[str], None] | None = None) -> Session:
        """Make a run folder below ``root`` and open a session on it.

        Raises:
            InvalidInput: a folder cannot be written.
            HarnessFailure: there is no place for the load board.
        """
        folder = RunFolder.create(root / config.data_dir)
        return cls(config, folder, root / config.report_dir, command or " ".join(sys.argv), warn or (lambda _: None))

    def _make_scratch(self) -> Path:
        if not self.config.scratch_dir:
            return self.folder.scratch()
        path = Path(self.config.scratch_dir)
        if not path.is_dir() or not os.access(path, os.W_OK):
            msg = f"--twin-scratch-dir: expected a folder that can be written but got {str(path)!r}; make it first"
            raise InvalidInput(msg)
        return path.resolve()

    def _site(self) -> Site:
        return Site(
            folder=self.folder,
            board=self.board,
            machine=self.machine,
            guard=self.config.guard,
            recorder=self.recorder,
            interval_s=self.config.interval_s,
            controller_pid=os.getpid(),
            ensure_logger=self.ensure_logger,
            warn=self.note,
            is_scratch_named=bool(self.config.scratch_dir),
        )

    # -- while open -----------------------------------------------------------------------------------------------------------

    def note(self, sentence: str) -> None:
        """Tell the user something, now and in ``run.json``."""
        if sentence not in self.notes:
            self.notes.append(sentence)
            self._warn(sentence)

    def ensure_logger(self) -> None:
        """Make sure that a logger samples; one that has died is replaced once, and the run is PARTIAL.

        Raises:
            HarnessFailure: it does not come up.
            InvalidInput: it died a second time.
        """
        if self._logger is not None and self._logger.poll() is None:
            return
        if self._logger is not None:
            self._logger_deaths += 1
            self.partial.append(f"the telemetry logger ended with code {self._logger.returncode} and was replaced; samples between are missing")
            if self._logger_deaths > 1:
                msg = "the telemetry logger has died twice in this run; look at its messages on stderr, and at the space in the data folder"
                raise InvalidInput(msg)
        self._logger = self._telemetry.ensure_logger()
        if self._probe is None or self._probe.poll() is not None:
            self._probe = self._telemetry.start_probe()

    @property
    def has_samples(self) -> bool:
        """Whether the logger was ever started."""
        return self._logger is not None

    def _write_state(self, status: str) -> None:
        account = self.folder.read_logger_account()
        state: dict[str, Any] = {
            "status": status,
            "command": self._command,
            "seed": self.config.seed,
            "start": self._began,
            "end": now_text() if status != "RUNNING" else None,
            "controller_pid": os.getpid(),
            "board": str(self.board.path) if status == "RUNNING" else None,
            "settings": {**asdict(self.config), "guard": str(self.config.guard)},
            "logger": account,
            "partial": self.partial,
            "notes": self.notes + account.get("notes", []),
        }
        previous = self.folder.read_state() if status != "RUNNING" else {}
        if "experiments" in previous:
            state["experiments"] = previous["experiments"]
        self.folder.write_state(state)

    # -- the end --------------------------------------------------------------------------------------------------------------

    def close(self, *, is_interrupted: bool = False) -> Path | None:
        """Stop the logger, merge the shards, write every file, and return the report's path (None without one)."""
        self.board.ask_to_stop()
        for process, name in ((self._logger, "logger"), (self._probe, "probe")):
            if process is None:
                continue
            code = process.poll()
            end_child(process, _STOP_PATIENCE_S)
            if name == "logger" and (code is not None or process.returncode != 0):
                self.partial.append(f"the telemetry logger had ended with code {process.returncode} before the session did")
        account = self.folder.read_logger_account()
        if account.get("missed_samples"):
            self.notes.append(f"{account['missed_samples']} samples were missed; the rows after them say how many")
        self.folder.merge(self.config.seed)
        if account:
            self.folder.write_machine({**self.folder.read_machine(), "scheduling": account["scheduling"]})
        status = "ABORTED" if is_interrupted else "PARTIAL" if self.partial else "COMPLETE"
        self._write_state(status)
        self.board.close(unlink=True)
        self.folder.remove_workings()
        return self._write_report() if self.config.has_report and self.has_samples else None

    def _write_report(self) -> Path:
        """Render the EDA report of this run and point ``reports/latest`` at it."""
        from twin_harness.report.html import write_report  # noqa: PLC0415 - seconds of import, paid once at the end

        make_output_folder(self._report_root)
        target = self._report_root / self.folder.run_id
        path = write_report(Run(self.folder), target)
        point_latest(target)
        return path


def _versions() -> dict[str, str]:
    found = {"twin-harness": metadata.version("twin-harness")} if _is_installed("twin-harness") else {}
    found |= {name: metadata.version(name) for name in _LIBRARIES if _is_installed(name)}
    return found


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
    session = Session.open(settings, Path(root).resolve(), "twin_harness.run()")
    is_interrupted = False
    try:
        return session.runner.run(experiment)
    except KeyboardInterrupt:
        is_interrupted = True
        raise
    finally:
        session.close(is_interrupted=is_interrupted)
