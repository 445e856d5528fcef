"""Closing a session: what runs is stopped, losses are accounted for, every file is written."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from twin_harness.errors import TwinError
from twin_harness.runs.run import Run
from twin_harness.session import losses
from twin_harness.session.interrupts import interrupts_put_off
from twin_harness.session.sampling import STOP_PATIENCE_S
from twin_harness.session.seat import cut_secrets
from twin_harness.system import deadline, reaper
from twin_harness.system.board_layout import SERVICE_PROBE
from twin_harness.system.clock import now_text
from twin_harness.system.mounts import may_fall_silent

if TYPE_CHECKING:
    from twin_harness.session.context import Context
    from twin_harness.session.sampling import Sampling

_MOST_FAULTS = 10


def stop_and_write(
    context: Context, sampling: Sampling, *, is_mute: bool, is_interrupted: bool
) -> bool:
    """Stop what still runs and write every file of the run, and return whether it was interrupted.

    An interrupt meanwhile waits until the files are written.

    Args:
        context: the session.
        sampling: its logger and probe.
        is_mute: whether the run folder was seen not to answer; it is not asked again.
        is_interrupted: whether the session was, before it came to its end.

    Raises:
        OSError: a file could not be written; nothing runs any more.
        Unanswered: the run folder does not answer; as above.
    """
    has_logger, has_probe = _ask_to_stop(context, sampling, is_mute=is_mute)
    try:
        if context.folder.dataset.exists() and not context.is_virtual:
            _note_early_ends(context, has_logger=has_logger, has_probe=has_probe)
    finally:
        try:
            losses.end_leftover_load(context.board, STOP_PATIENCE_S)
        finally:
            sampling.stop()
    with interrupts_put_off() as interrupts:
        _write_all(context, is_interrupted=is_interrupted)
    return bool(interrupts)


def remove_board(context: Context) -> None:
    """Remove the session's load board and its registry of processes."""
    context.board.close(unlink=True)
    reaper.registry_path(context.board.path).unlink(missing_ok=True)


def _ask_to_stop(context: Context, sampling: Sampling, *, is_mute: bool) -> tuple[bool, bool]:
    """Ask logger and probe to end, and return whether each lived until then.

    Who lived is asked of the registry, which is not in the run folder. That is asked about only
    where it may fall silent: the question takes a process.

    Raises:
        Unanswered: the run folder does not answer; all that ran has been ended.
        KeyboardInterrupt: nobody knows whether it does; as above.
    """
    board, folder = context.board, str(context.folder.path)
    try:
        try:
            is_alive = partial(reaper.is_role_alive, board.path)
            lived = is_alive("logger"), is_alive("probe")
        finally:
            board.ask_to_stop()  # first of all: a second Ctrl-C may come at any moment
        may_be_mute = not context.is_virtual and (is_mute or may_fall_silent(folder))
        is_mute = may_be_mute and deadline.is_mute(folder)
    except BaseException:
        _abandon(context, sampling)
        raise
    if is_mute:
        _abandon(context, sampling)
        raise deadline.Unanswered(folder, option="data-dir")
    return lived


def _abandon(context: Context, sampling: Sampling) -> None:
    """End all that runs without a look at the run folder, which does not answer."""
    try:
        losses.end_leftover_load(context.board, STOP_PATIENCE_S)
    finally:
        sampling.kill_logger()
    sampling.end_children()


def _note_early_ends(context: Context, *, has_logger: bool, has_probe: bool) -> None:
    """Say what had ended before the session did, and which service never answered."""
    service = context.config.probe_service
    if not has_logger:
        context.lose(
            "the telemetry logger had ended before the session did; the last samples are missing"
        )
    if not has_probe:
        context.note(
            "the probe had ended before the session did; its columns are empty from then on"
        )
    elif service and not context.board.has_probed(SERVICE_PROBE):
        context.note(
            f"the service {cut_secrets(service)!r} never answered the probe; probe_service_ms is"
            " empty: is it up?"
        )


def _write_all(context: Context, *, is_interrupted: bool) -> None:
    """Account for what was lost, merge the shards, and write ``run.json`` and ``machine.json``."""
    folder = context.folder
    for sentence in losses.annotate_lost(folder, context.machine.host):
        context.lose(sentence)
    account = folder.read_logger_account()
    notes = folder.read_notes("note") + account.get("notes", [])
    if account.get("missed_samples"):
        notes.append(
            f"{account['missed_samples']} samples were missed; the rows after them say how many"
        )
    folder.merge(context.config.seed)
    # These load pandas and pyarrow: what was recorded is in its place by now.
    from twin_harness.dataset.package import write_package

    notes += _write_parquet(context)
    if account:
        folder.write_machine({**folder.read_machine(), "scheduling": account["scheduling"]})
    partial_reasons = folder.read_notes("partial")
    if is_interrupted:
        status = "ABORTED"
    elif partial_reasons:
        status = "PARTIAL"
    else:
        status = "COMPLETE"
    state = {**folder.read_state(), "status": status, "end": now_text(), "board": None}
    folder.write_state({**state, "logger": account, "partial": partial_reasons, "notes": notes})
    if folder.dataset.exists():
        write_package(Run(folder))


def _write_parquet(context: Context) -> list[str]:
    """Write the samples cleaned and typed, and return what cleaning found, a sentence each.

    The CSV is the record, so a failure is a note.
    """
    if not context.folder.dataset.exists():
        return []
    from pyarrow import ArrowException

    from twin_harness.dataset.tables import write_parquet

    parquet = context.folder.parquet
    try:
        faults = write_parquet(Run(context.folder), parquet)
    except (OSError, TwinError, ArrowException) as error:  # also where no more threads are allowed
        return [f"{parquet.name} was not written: {error}; the CSV is whole"]
    return [fault.sentence for fault in faults][:_MOST_FAULTS]
