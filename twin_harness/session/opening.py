"""Opening a session: made by whoever needs it first, joined by all others."""

from __future__ import annotations

import functools
import json
import os
import platform
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.control.headroom import available_memory_bytes
from twin_harness.control.runner_parallel import claim_part
from twin_harness.errors import HarnessFailure, InvalidInput, Undecided
from twin_harness.runs.folder import RunFolder
from twin_harness.runs.paths import make_output_folder
from twin_harness.session.context import Context
from twin_harness.session.seat import cut_secrets
from twin_harness.system import deadline, newest, reaper
from twin_harness.system.board import Board
from twin_harness.system.child import run_on
from twin_harness.system.clock import is_standing, now_text
from twin_harness.system.folder_lock import locked
from twin_harness.system.machine import Machine, inspect_machine, look_at_folder
from twin_harness.system.machine_parts import cut_machine
from twin_harness.system.mounts import may_fall_silent
from twin_harness.system.procfs import start_ticks
from twin_harness.system.provenance import PREDICTED_BY
from twin_harness.system.support import lack_of_support

if TYPE_CHECKING:
    from collections.abc import Callable

    from twin_harness.session.config import TwinConfig
    from twin_harness.session.seat import Seat
    from twin_harness.system.file_lock import FileLock

_LIBRARIES = (
    "twin-harness",
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
_NO_TIME = (
    "the clock of this process stands still (CLOCK_MONOTONIC, as libfaketime freezes it), so"
    " nothing could be waited for; run without it, or let its time go on and set"
    " FAKETIME_DONT_FAKE_MONOTONIC=1"
)
_NO_CONTROLLER = "the controller of this session has ended; a worker begins nothing without it"


def make_or_join(config: TwinConfig, seat: Seat, warn: Callable[[str], None]) -> Context:
    """Make the session of a seat if it is not there yet, join it if it is.

    Args:
        config: the settings.
        seat: who this process is, and where the session is.
        warn: takes a sentence for the user.

    Raises:
        InvalidInput: a folder cannot be written.
        HarnessFailure: the system refuses a descriptor or a place for the load board, or the
            session has ended.
        Unanswered: the filesystem of the data folder or of the reports does not answer.
        Undecided: this system is one that cannot be loaded and recorded.
    """
    if reason := lack_of_support("an experiment"):
        raise Undecided(reason)
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
    with locked(seat.data_dir):  # of several workers one makes it, the others join it
        if not (seat.run_dir / "run.json").exists():
            return _make(config, seat, warn)
    return _join(config, seat, warn)


def _join(config: TwinConfig, seat: Seat, warn: Callable[[str], None]) -> Context:
    folder = RunFolder(seat.run_dir)
    state = folder.read_state()
    if not state.get("board"):
        msg = f"session {seat.run_id} has ended; start a new one"
        raise HarnessFailure(msg)
    board = Board.open(state["board"])
    machine = Machine.from_json(folder.read_machine())
    return Context(config, seat, folder, board, machine, machine, warn)


def _make(config: TwinConfig, seat: Seat, warn: Callable[[str], None]) -> Context:
    for sentence in reaper.reap():
        warn(sentence)
    named_scratch = _named_scratch(config)
    if start_ticks(seat.controller_pid) is None:
        raise HarnessFailure(_NO_CONTROLLER)
    folder = RunFolder.create(Path(seat.data_dir), seat.run_id)
    machine = inspect_machine(named_scratch or folder.scratch())
    twin_facts: dict[str, str] = {}
    if config.on == "twin":
        machine, twin_facts = _as_fitted(machine, config.model, warn)
    board = Board.create(seat.board)
    if not reaper.register(board.path, seat.controller_pid, "controller", machine.scratch_dir):
        # Without an entry of its controller nobody would ever remove it.
        board.close(unlink=True)
        raise HarnessFailure(_NO_CONTROLLER)
    folder.write_machine({**_machine_facts(config, machine), **twin_facts})
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
    context = Context(config, seat, folder, board, machine, machine, warn)
    _note_missing_links(context)
    return context


def _machine_facts(config: TwinConfig, machine: Machine) -> dict[str, Any]:
    """Return the content of ``machine.json``."""
    facts = {
        **machine.to_json(),
        "versions": _versions(),
        "python": platform.python_version(),
        "scheduling": "",
    }
    if config.parts:
        available_bytes = available_memory_bytes(machine)
        facts["memory_available_bytes"] = available_bytes
        facts["parts_of"] = [
            {
                "name": part.partition,
                "cpus": part.cpus,
                "cpu_capacity": part.cpu_capacity,
                "memory_limit_bytes": part.memory_limit_bytes,
            }
            for part in cut_machine(machine, config.parts, available_bytes)
        ]
    return facts


def _note_missing_links(context: Context) -> None:
    """Note that a filesystem without symbolic links has a file in place of ``latest``."""
    data_dir = context.folder.path.parent
    if not (data_dir / newest.NAME).is_symlink():
        context.note(
            f"{data_dir} is on a filesystem without symbolic links: the file {newest.TEXT_NAME}"
            " there names the newest run, and twin, pytest and load() understand"
            f" {data_dir.name}/{newest.NAME} all the same"
        )


def take_part(context: Context) -> tuple[Context, FileLock | None]:
    """Take a part of the machine, where it is partitioned and this process is a worker.

    The part is this process's machine from then on, for all that it starts: it is confined to the
    CPUs of the part.

    Returns:
        The context with that part as its machine, and the part's lock; None without one.

    Raises:
        HarnessFailure: the process cannot be confined.
    """
    config, seat, folder = context.config, context.seat, context.folder
    number = seat.worker.removeprefix("gw")
    if not config.parts or not number.isdecimal():
        return context, None
    available_bytes = int(folder.read_machine()["memory_available_bytes"])
    parts = cut_machine(context.whole, config.parts, available_bytes)
    locks = [folder.part_lock(part.partition) for part in parts]
    index, lock = claim_part(locks, int(number) % len(parts))
    part = parts[index]
    run_on(part.cpus)
    if hasattr(os, "sched_getaffinity") and os.sched_getaffinity(0) != set(part.cpus):
        msg = (
            f"part {part.partition}: this process cannot be confined to CPUs {list(part.cpus)};"
            " run without --twin-partition"
        )
        raise HarnessFailure(msg)
    return replace(context, machine=part), lock


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


def _as_fitted(
    machine: Machine, model: str, warn: Callable[[str], None]
) -> tuple[Machine, dict[str, str]]:
    """Return the machine that a twin is of, and what ``machine.json`` says besides.

    Of this machine it is what the model does not say.
    """
    from twin_harness.predict.model_file import read_model

    file = read_model(model)
    fitted = replace(
        machine, cpu_capacity=file.capacity.cpus, memory_limit_bytes=int(file.capacity.memory_bytes)
    )
    if file.fingerprint not in machine.fingerprints:
        warn(
            f"the twin is of machine {file.fingerprint}, this one is"
            f" {machine.fingerprint}: what follows is predicted for the other"
        )
    return fitted, {"fingerprint": file.fingerprint, PREDICTED_BY: model}


@functools.cache
def _versions() -> dict[str, str]:
    """Return the versions of the libraries that are installed."""
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
