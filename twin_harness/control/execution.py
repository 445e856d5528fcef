"""Execution: one experiment under way on this machine, and what really became of its events."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twin_harness.control.event_rows import EventRows
from twin_harness.control.health import GuardHealth
from twin_harness.control.idle import wait_until_idle
from twin_harness.control.launch import close, launch
from twin_harness.control.outcome import describe_outcome, describe_trip, judge_tolerance
from twin_harness.errors import ExperimentAborted, ExperimentFailed, HarnessFailure
from twin_harness.runs.recording import Recording
from twin_harness.runs.records import PlannedExperiment
from twin_harness.system.clock import monotonic_s
from twin_harness.system.deadline import Unanswered
from twin_harness.system.others import busiest, read_clocks

if TYPE_CHECKING:
    from twin_harness.control.health import DataHealth
    from twin_harness.control.host_link import HostLink
    from twin_harness.control.site import Site
    from twin_harness.schedule.model import Experiment

_LEAST_LEAD_S = 0.35
_POLL_S = 0.05
_AHEAD_S = (0.02, 0.2, 1.0)  # the shard's fsync takes milliseconds, on a busy disk more
_DEAD_PATIENCE_S = 1.5
_GUARD_PATIENCE_S = 0.3


class Execution:
    """An experiment under way: its load host and guard, its plan on the board, its events' rows.

    Make one with ``start``; ``conclude`` or ``break_off`` ends it, whatever happened.

    Args:
        site: where it runs.
        data: looks at run folder and logger.
        planned: the experiment, under the name it has in this run.
        link: to its load host and guard, which are ready.

    Attributes:
        planned: the experiment and where it stands on CLOCK_MONOTONIC.
        events: which events wait for their end, and the rows of the others.
    """

    def __init__(
        self, site: Site, data: DataHealth, planned: PlannedExperiment, link: HostLink
    ) -> None:
        self._site = site
        self._data = data
        self._link = link
        self._guard = GuardHealth(link)
        self._plan_slot: int | None = None
        self._clocks = read_clocks()
        self._own_pids: set[int] = set()
        self.planned = planned
        self.events = EventRows(site, planned.experiment.events)

    @classmethod
    def start(
        cls,
        site: Site,
        data: DataHealth,
        experiment: Experiment,
        generator: dict[str, Any] | None,
    ) -> Execution:
        """Start an experiment's processes, and its clock once they are ready.

        Args:
            site: where it runs.
            data: looks at run folder and logger.
            experiment: the plan.
            generator: what drew it, for the record.

        Raises:
            HarnessFailure: load host or guard could not be started.
        """
        settled = None
        if experiment.settle_s:
            settled = wait_until_idle(site, experiment.settle_s)
        experiment = experiment.model_copy(update={"name": site.folder.claim_name(experiment.name)})
        link = launch(site, experiment)
        planned = PlannedExperiment(
            experiment,
            0.0,
            0.0,
            0.0,
            site.worker,
            generator=generator,
            partition=site.machine.partition,
            settled=settled,
        )
        execution = cls(site, data, planned, link)
        try:
            execution._begin()
        except BaseException as reason:
            execution.break_off(reason)
            raise
        return execution

    def _begin(self) -> None:
        for ahead_s in _AHEAD_S:
            slot = self._announce(ahead_s)
            # Every row from the first on bears the experiment's name.
            if monotonic_s() < self.planned.begin_s:
                break
        self._site.recorder.begin_experiment(self.planned.experiment.name, self.planned.zero_s)
        self._link.begin(self.planned.zero_s, slot)

    def _announce(self, ahead_s: float) -> int:
        """Set the zero of the events' clock so that the experiment begins ``ahead_s`` from now.

        Shard and board are told; return the plan's slot on the board.
        """
        experiment = self.planned.experiment
        lead_s = max(experiment.lead_s, _LEAST_LEAD_S if experiment.events else 0.0)
        zero_s = monotonic_s() + ahead_s + lead_s
        end_s = zero_s + experiment.span_s + experiment.tail_s
        self.planned = replace(
            self.planned, begin_s=zero_s - experiment.lead_s, zero_s=zero_s, end_s=end_s
        )
        self._site.folder.append_plan(self.planned)
        plan = self._site.board_plan(self.planned)
        self._plan_slot = self._site.board.publish_plan(plan, self._plan_slot)
        return self._plan_slot

    # -- under way ---------------------------------------------------------------------------------

    def watch(self, until_s: float) -> None:
        """Follow events until an instant, and until all that have ended are annotated.

        Return early when load was lost.

        Raises:
            HarnessFailure: the logger writes nothing, or the guard is suspended.
            KeyboardInterrupt: the controller was interrupted.
        """
        while True:
            now_s = monotonic_s()
            for message in self._link.poll(min(_POLL_S, max(0.001, until_s - now_s))):
                self.events.hear(self.planned, message)
            heard_s = now_s  # what follows may take seconds, and the host speaks meanwhile
            self.events.write_sampled(self.planned)
            if self._site.board.is_load_stopping:
                msg = "the controller was interrupted"
                raise KeyboardInterrupt(msg)
            now_s = monotonic_s()
            is_any_due = bool(self.events.due(self.planned, now_s))
            is_mute = self.events.is_host_mute(self.planned, heard_s)
            if is_mute or self._is_load_lost():
                self.account_for_lost(is_mute=is_mute)
                return
            self._data.check_sampling(self.planned.begin_s)
            self._guard.check()
            if now_s >= until_s and not is_any_due:
                return

    def _is_load_lost(self) -> bool:
        if self._link.tripped or (self._link.is_over and self.events.waiting):
            return True
        return not self.events.statuses.isdisjoint(("failed", "aborted"))

    # -- the end -----------------------------------------------------------------------------------

    def cut_short(self) -> None:
        """End all load now, as if that had been planned from the beginning."""
        self._link.ask_to_stop("the block was left")
        self.events.hear_ends(self.planned, self._link, is_planned=True)
        events = self.events.cut_short()
        if not self.events.waiting:
            experiment = self.planned.experiment.model_copy(update={"events": events})
            end_s = self.planned.zero_s + experiment.span_s + experiment.tail_s
            self.planned = replace(self.planned, experiment=experiment, end_s=end_s)
            plan = self._site.board_plan(self.planned)
            self._site.board.publish_plan(plan, self._plan_slot)

    def _stop_load(self, why: str) -> None:
        self._link.ask_to_stop(why)
        self.events.hear_ends(self.planned, self._link)

    def account_for_lost(self, *, is_mute: bool) -> None:
        """Say of every event that had not ended why it did.

        The guard, its dead guard, a fault of another event, or a dead or mute host.
        """
        link = self._link
        if link.tripped is None and not link.is_over and not is_mute:
            self._stop_load("stopped because another event of the experiment failed")
        if link.tripped is None:
            # The guard speaks after the load is dead, and the host's end may be heard first.
            link.poll(_GUARD_PATIENCE_S)
        link.await_dead_load(_DEAD_PATIENCE_S)
        if link.tripped:
            if link.tripped.get("is_mute"):
                self._data.check_folder()  # by default scratch is in the run folder
            self.events.end_waiting(
                self.planned,
                "aborted",
                describe_trip(link.tripped),
                end_s=link.tripped["killed_s"],
                unbegun="skipped",
            )
            return
        if is_mute:
            why = "the load was stopped because its load host did not answer"
        elif link.has_guard_died:
            why = "the load was stopped because its guard died"
        else:
            why = "the load was stopped because its load host died"
        self.events.end_waiting(self.planned, "failed", why, end_s=monotonic_s())

    def break_off(self, reason: BaseException) -> None:
        """End an experiment that was interrupted or cannot go on.

        Stop the load, write what is known, leave nothing running.
        """
        if isinstance(reason, Unanswered):  # nothing can be written
            try:
                close(self._site, self._link)
            finally:
                self._leave_board()
            return
        is_fault = isinstance(reason, Exception)
        status = "failed" if is_fault else "stopped"
        why = str(reason) or "the session was interrupted"
        try:
            self._stop_load(why)
            # The host of those that wait is gone or does not answer.
            self.events.end_waiting(self.planned, "stopped", why)
            for _, row in self.events.ended:
                if row.status == "stopped":
                    row.status, row.message = status, why
            self.events.write_sampled(self.planned, is_last_chance=True)
        finally:
            self.planned = replace(self.planned, end_s=monotonic_s())
            self._close(status)

    def _leave_board(self) -> None:
        if self._plan_slot is not None:
            self._site.board.remove_plan(self._plan_slot)
        self._site.recorder.end_experiment(self.planned.experiment.name)

    def _close(self, status: str) -> None:
        self._note_own_pids()
        close(self._site, self._link)
        self._leave_board()
        self._note_own_pids()
        self._own_pids.add(self._link.host_pid)
        foreign = busiest(self._clocks, read_clocks(), self._own_pids)
        self.planned = replace(self.planned, status=status, foreign=foreign)
        self._site.folder.append_plan(self.planned)

    def _note_own_pids(self) -> None:
        self._own_pids |= {process.pid for process in self._site.board.processes()}

    def conclude(self) -> Recording:
        """Close an experiment whose time is over, and return its recording.

        Raises:
            ExperimentFailed: a stressor died or could not.
            ExperimentAborted: the guard stopped it.
            FidelityMissed, Undecided: ``tolerance`` was missed, or could not be judged.
            HarnessFailure: its samples did not come.
        """
        statuses = self.events.statuses
        status = next(
            (name for name in ("aborted", "failed", "stopped") if name in statuses), "completed"
        )
        has_bad_end = status in ("aborted", "failed")
        if has_bad_end:
            self.planned = replace(self.planned, end_s=min(self.planned.end_s, monotonic_s()))
        try:
            self._data.await_rows(self.planned.end_s)
        except HarnessFailure as error:
            if not has_bad_end:
                raise
            self._site.warn(str(error))  # the bad end and its reason matter more
        finally:
            self.events.write_sampled(self.planned, is_last_chance=True)
            self._close(status)
        recording = Recording.whole(
            self._site.folder,
            self.planned,
            self._site.recorder.rows_of(self.planned.experiment.name),
            self._site.board.dataset_state()[0],
        )
        if status == "aborted":
            raise ExperimentAborted(describe_outcome(recording, "aborted"), recording)
        if status == "failed":
            raise ExperimentFailed(describe_outcome(recording, "failed"), recording)
        judge_tolerance(recording, self._site.tolerance, self._site.warn)
        return recording
