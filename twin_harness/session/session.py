"""A session from open to close: run folder, board, logger, runner, merge, files and report.

Used by plugin and command line alike.

One process is the controller. Workers of pytest-xdist join the session that the controller has
named; whoever needs it first makes it. Only the controller closes it.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.control.annotations import AnnotationRecorder
from twin_harness.control.runner import ServerRunner, refuse_inside_given
from twin_harness.control.runner_parallel import Admission
from twin_harness.control.site import Site
from twin_harness.errors import as_harness_failure
from twin_harness.session import closing, opening, reporting
from twin_harness.session.config import TwinConfig
from twin_harness.session.sampling import Sampling
from twin_harness.session.seat import Seat
from twin_harness.system.procfs import process_cpu_ns

if TYPE_CHECKING:
    from collections.abc import Callable

    from twin_harness.runs.recording import Recording
    from twin_harness.schedule.model import Experiment
    from twin_harness.session.context import Context
    from twin_harness.session.twin_runner import TwinRunner

_log = logging.getLogger("twin_harness")


class Session:
    """An open session.

    Make or join one with ``Session.open``; end it with ``close`` on the controller and ``leave``
    elsewhere.

    Attributes:
        config: its settings.
        seat: who this process is in it.
        folder: its run folder.
        board: its load board.
        machine: what of the machine is this process's.
        admission: to the machine, of this process.
        recorder: writes the annotations of this process.
        sampling: its logger and probe.
        runner: runs experiments, on the server or on the twin.
        report_fault: why a report that was due was not drawn; empty before, and when all went well.
    """

    def __init__(
        self,
        context: Context,
        admission: Admission,
        recorder: AnnotationRecorder,
        sampling: Sampling,
        runner: ServerRunner | TwinRunner,
    ) -> None:
        self._context = context
        self.config = context.config
        self.seat = context.seat
        self.folder = context.folder
        self.board = context.board
        self.machine = context.machine
        self.admission = admission
        self.recorder = recorder
        self.sampling = sampling
        self.runner = runner
        self.report_fault = ""

    @classmethod
    @as_harness_failure()
    def open(
        cls, config: TwinConfig, seat: Seat, warn: Callable[[str], None] | None = None
    ) -> Session:
        """Open the session of a seat: make it if it is not there yet, join it if it is.

        Where the machine is partitioned, a worker takes a part of it, and is confined to its CPUs.

        Args:
            config: the settings.
            seat: who this process is in it.
            warn: shows the user a sentence.

        Raises:
            InvalidInput: a folder cannot be written.
            HarnessFailure: the system refuses a descriptor or a place for the load board, or the
                session has ended.
            Unanswered: the filesystem of the data folder or of the reports does not answer.
            Undecided: this system is one that cannot be loaded and recorded.
        """
        context = opening.make_or_join(config, seat, warn or (lambda _: None))
        context, part = opening.take_part(context)
        admission = Admission(context.warn, part=part)
        recorder = AnnotationRecorder(
            context.folder, context.machine.host, seat.worker, context.machine.partition
        )
        sampling = Sampling(context, admission)
        runner = _make_runner(context, admission, recorder, sampling)
        pid = os.getpid()
        context.board.claim_process(
            pid, "harness", plan=context.machine.part_number, base=process_cpu_ns(pid) or 0
        )
        return cls(context, admission, recorder, sampling, runner)

    @property
    def is_virtual(self) -> bool:
        """Whether experiments run on the twin alone: nothing is loaded and nothing sampled."""
        return self._context.is_virtual

    @property
    def is_mute(self) -> bool:
        """Whether the run folder was seen not to answer; it is not asked again."""
        return isinstance(self.runner, ServerRunner) and self.runner.was_mute

    def note(self, sentence: str) -> None:
        """Tell the user something, now and in ``run.json``."""
        self._context.note(sentence)

    def lose(self, sentence: str) -> None:
        """Say that data was lost: the run is PARTIAL."""
        self._context.lose(sentence)

    def ensure_logger(self) -> None:
        """Make sure that a logger samples.

        One that has died is replaced once, and the run is PARTIAL.

        Raises:
            HarnessFailure: it does not come up, or died a second time.
        """
        if isinstance(self.runner, ServerRunner):
            self.sampling.ensure()
        else:
            self.runner.begin()

    def leave(self) -> None:
        """Leave the session without ending it: what a worker does."""
        self.admission.release()
        self.board.close()

    def close(self, *, is_interrupted: bool = False) -> Path | None:
        """Stop what still runs, write every file, and return the report's path.

        The shards are merged. Without a report the path is None. An interrupt (Ctrl-C, or what the
        controller treats alike) waits until the files are written; then the report is left out.

        Raises:
            OSError: a file could not be written; nothing runs any more, and board and registry are
                gone, all the same.
            Unanswered: the run folder does not answer; as above, and what was recorded stays there
                as it is.
        """
        context = self._context
        self.admission.release()
        try:
            was_interrupted = closing.stop_and_write(
                context, self.sampling, is_mute=self.is_mute, is_interrupted=is_interrupted
            )
        finally:
            closing.remove_board(context)
        self.folder.remove_workings()
        if not self.config.has_report or not self.folder.dataset.exists():
            return None
        if was_interrupted:
            self.report_fault = reporting.note_no_report(context, reporting.INTERRUPTED)
            return None
        path, self.report_fault = reporting.draw_report(context, is_interrupted=is_interrupted)
        return path


def _make_runner(
    context: Context, admission: Admission, recorder: AnnotationRecorder, sampling: Sampling
) -> ServerRunner | TwinRunner:
    """Return the runner on this machine, or on the twin."""
    config, seat = context.config, context.seat
    if context.is_virtual:
        from twin_harness.predict.twin import Twin
        from twin_harness.session.twin_runner import TwinRunner as _TwinRunner

        return _TwinRunner(
            Twin.load(config.model),
            context.folder,
            recorder,
            context.machine,
            config,
            seat.worker,
            context.note,
        )
    site = Site(
        folder=context.folder,
        board=context.board,
        machine=context.machine,
        guard=config.guard,
        recorder=recorder,
        interval_s=config.interval_s,
        controller_pid=seat.controller_pid,
        ensure_logger=sampling.ensure,
        warn=context.note,
        admission=admission,
        tolerance=config.tolerance,
        worker=seat.worker,
        is_scratch_named=bool(config.scratch_dir),
        may_run_commands=config.may_run_commands,
        all_cpus=context.whole.cpus,
    )
    return ServerRunner(site)


def run(
    experiment: Experiment, *, config: TwinConfig | None = None, root: str | Path = "."
) -> Recording:
    """Run one experiment on this machine, and return its recording.

    It runs in a session of its own without a report. What is to be known meanwhile, such as a wait
    for the machine, goes to the logger ``twin_harness``, which Python shows on stderr.

    Args:
        experiment: the plan.
        config: the settings; None takes the defaults.
        root: where the data folder goes, unless the settings name an absolute one.

    Raises:
        InvalidInput, ExperimentFailed, ExperimentAborted, FidelityMissed, Undecided: as
            ``ServerRunner.run``.
    """
    refuse_inside_given(experiment)
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
