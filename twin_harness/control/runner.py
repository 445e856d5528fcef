"""The runner on this machine: experiments, nested or not, each let in, checked and executed."""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from twin_harness.control import preflight
from twin_harness.control.execution import Execution
from twin_harness.control.health import DataHealth
from twin_harness.errors import InvalidInput, as_harness_failure
from twin_harness.system.clock import monotonic_s

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twin_harness.control.site import Site
    from twin_harness.runs.recording import Recording
    from twin_harness.schedule.model import Experiment


def refuse_inside_given(experiment: Experiment) -> None:
    """Go on only outside of hypothesis' @given.

    Raises:
        InvalidInput: a failing example would be run again and again, and shrinking would load the
            machine for minutes.
    """
    hypothesis = sys.modules.get("hypothesis")
    if hypothesis is not None and hypothesis.currently_in_test_context():
        msg = (
            f"experiment {experiment.name!r}: expected a model inside @given but got this machine,"
            " where failing examples are run again and differ by noise; draw experiments with"
            " @pytest.mark.random_schedules instead"
        )
        raise InvalidInput(msg)


class ServerRunner:
    """The runner on the real machine.

    Args:
        site: the session's folder, board, machine and so on.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._data = DataHealth(site)
        self._under_way = 0
        # A test may begin loads in threads: one of them at a time takes the machine, or starts the
        # logger.
        self._entering = threading.Lock()

    @property
    def was_mute(self) -> bool:
        """Whether the run folder did not answer when it was last asked."""
        return self._data.was_mute

    def run(self, experiment: Experiment, generator: dict[str, Any] | None = None) -> Recording:
        """Run one experiment and return its recording.

        Raises:
            InvalidInput: machine or guard do not permit it; nothing was started.
            ExperimentFailed: a stressor died or could not.
            ExperimentAborted: the guard stopped it.
            FidelityMissed, Undecided: ``tolerance`` was missed, or could not be judged.
        """
        with as_harness_failure(), self._counted(experiment):
            execution = Execution.start(self._site, self._data, experiment, generator)
            try:
                execution.watch(execution.planned.end_s)
            except BaseException as reason:
                execution.break_off(reason)
                raise
            return execution.conclude()

    @contextmanager
    def background(self, experiment: Experiment, recordings: list[Recording]) -> Iterator[None]:
        """Run an experiment while a block runs; leaving the block ends it, completed.

        Its recording is appended to ``recordings``.

        Raises:
            as ``run``, when the block is left.
        """
        with ExitStack() as under_way:
            with as_harness_failure():
                under_way.enter_context(self._counted(experiment))
                execution = Execution.start(self._site, self._data, experiment, None)
            try:
                execution.watch(execution.planned.zero_s)
                yield
                execution.cut_short()
                execution.watch(monotonic_s() + experiment.tail_s)
            except BaseException as reason:
                execution.break_off(reason)
                raise
        with as_harness_failure():
            recordings.append(execution.conclude())

    @contextmanager
    def _counted(self, experiment: Experiment) -> Iterator[None]:
        """Take the machine for an experiment, and count it as under way until the block is left.

        Raises:
            as ``run``, before anything is started.
        """
        site = self._site
        refuse_inside_given(experiment)
        if self.was_mute:
            self._data.check_folder()
        for warning in preflight.check(
            experiment,
            site.machine,
            site.guard,
            is_scratch_named=site.is_scratch_named,
            may_run_commands=site.may_run_commands,
        ):
            site.warn(warning)
        with self._entering:
            site.admission.take(experiment, is_nested=self._under_way > 0)
            # What reads the samples takes about a second of CPU time to load, once a process: here
            # it is beside no load, neither this experiment's nor another's.
            import_module("pandas")
            site.ensure_logger()
            self._under_way += 1
        try:
            yield
        finally:
            with self._entering:
                self._under_way -= 1
