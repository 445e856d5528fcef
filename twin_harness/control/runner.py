"""Runs one experiment on this machine.

All its events, overlapping or not, and what really became of each.
"""

from __future__ import annotations

import json
import sys
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from math import isnan, nan
from typing import TYPE_CHECKING, Any

from twin_harness.control import preflight
from twin_harness.control.host_link import HostLink
from twin_harness.control.outcome import describe_outcome, judge_tolerance
from twin_harness.errors import (
    ExperimentAborted,
    ExperimentFailed,
    HarnessFailure,
    InvalidInput,
    as_harness_failure,
)
from twin_harness.metrics import RESOURCE_COLUMNS
from twin_harness.runs.delivery import compare
from twin_harness.runs.frames import read_frame
from twin_harness.runs.recording import Recording
from twin_harness.runs.records import AnnotationRow, PlannedExperiment
from twin_harness.shapes import shape as shapes
from twin_harness.system import deadline
from twin_harness.system.clock import monotonic_s, sleep_s
from twin_harness.system.deadline import Unanswered
from twin_harness.system.others import Clocks, busiest, read_clocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twin_harness.control.site import Site
    from twin_harness.schedule.model import Event, Experiment

LEAST_LEAD_S = 0.35
_POLL_S = 0.05
_AHEAD_S = (0.02, 0.2, 1.0)  # the shard's fsync takes milliseconds, on a busy disk more
_ROW_PATIENCE_S = 3.0
_COMMAND_PATIENCE_S = 4.0
_IDLE_CPU_PERCENT, _IDLE_DISK_BYTES_PER_S, _IDLE_FOR_S = 5.0, 1e6, 1.0
_SETTLE_POLL_S = 0.2
_DEAD_PATIENCE_S = 1.5
_GUARD_EVERY_S = 0.5


@dataclass
class _Running:
    """An experiment under way."""

    planned: PlannedExperiment
    link: HostLink
    plan_slot: int
    waiting: dict[str, Event]
    starts_s: dict[str, float] = field(default_factory=dict)
    ended: list[tuple[Event, AnnotationRow]] = field(default_factory=list)
    rows: list[AnnotationRow] = field(default_factory=list)
    clocks: Clocks = field(default_factory=dict)
    own_pids: set[int] = field(default_factory=set)
    is_cut: bool = False
    guard_due_s: float = 0.0
    is_guard_stopped: bool = False


def _refuse_inside_given(experiment: Experiment) -> None:
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


def _tripped_text(tripped: dict[str, Any]) -> str:
    """Say why the guard stopped a load, and how long after the crossing (some time since it last found the limit kept) none was left."""
    if tripped.get("dead_s") is None:
        return (
            f"guard: {tripped['reason']}; killed at once, but not all load was gone a second later"
        )
    return (
        f"guard: {tripped['reason']}; no load {(tripped['dead_s'] - tripped['clean_s']) * 1e3:.0f}"
        " ms after it at most"
    )


def _rounded(value: float) -> float | None:
    if isnan(value):
        return None
    return round(value, 2)


class ServerRunner:
    """The runner on the real machine.

    Args:
        site: the session's folder, board, machine and so on.

    Attributes:
        was_mute: the run folder did not answer when it was last asked.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._under_way = 0
        # a test may begin loads in threads: one of them at a time takes the machine, or starts the
        # logger
        self._entering = threading.Lock()
        self.was_mute = False

    def run(self, experiment: Experiment, generator: dict[str, Any] | None = None) -> Recording:
        """Run one experiment and return its recording.

        Raises:
            InvalidInput: machine or guard do not permit it; nothing was started.
            ExperimentFailed: a stressor died or could not.
            ExperimentAborted: the guard stopped it.
            FidelityMissed, Undecided: ``tolerance`` was missed, or could not be judged.
        """
        with as_harness_failure(), self._counted(experiment):
            running = self._start(experiment, generator)
            try:
                self._watch(running, running.planned.end_s)
            except BaseException as reason:
                self._break_off(running, reason)
                raise
            return self._conclude(running)

    @contextmanager
    def _counted(self, experiment: Experiment) -> Iterator[None]:
        """Take the machine for an experiment, and count it as under way until the block is left.

        Raises:
            as ``run``, before anything is started.
        """
        site = self._site
        _refuse_inside_given(experiment)
        if self.was_mute:
            self._look_at_data()
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
            site.ensure_logger()
            self._under_way += 1
        try:
            yield
        finally:
            with self._entering:
                self._under_way -= 1

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
                running = self._start(experiment, None)
            try:
                self._watch(running, running.planned.zero_s)
                yield
                self._cut(running)
                self._watch(running, monotonic_s() + experiment.tail_s)
            except BaseException as reason:
                self._break_off(running, reason)
                raise
        with as_harness_failure():
            recordings.append(self._conclude(running))

    # -- start -------------------------------------------------------------------------------------

    def _start(self, experiment: Experiment, generator: dict[str, Any] | None) -> _Running:
        site = self._site
        if experiment.settle_s:
            settled = self._settle(experiment.settle_s)
        else:
            settled = None
        experiment = experiment.model_copy(update={"name": site.folder.claim_name(experiment.name)})
        link = self._link(experiment)
        try:
            for pid in link.pids:
                site.board.claim_process(pid, "harness", plan=site.machine.part_number)
            link.await_ready()
        except BaseException:
            self._close_link(link)
            raise
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
        running = _Running(
            planned,
            link,
            -1,
            {event.id: event for event in experiment.events},
            clocks=read_clocks(),
        )
        try:
            for ahead_s in _AHEAD_S:
                self._announce(running, ahead_s)
                if (
                    monotonic_s() < running.planned.begin_s
                ):  # every row from the first on bears the experiment's name
                    break
            site.recorder.begin_experiment(experiment.name, running.planned.zero_s)
            link.begin(running.planned.zero_s, running.plan_slot)
        except BaseException as reason:
            self._break_off(running, reason)
            raise
        return running

    def _link(self, experiment: Experiment) -> HostLink:
        """Start the load host of an experiment, and its guard."""
        site = self._site
        site.admission.note_load()
        try:
            if experiment.events:
                limits = site.guard_limits(experiment)
            else:
                limits = None
            return HostLink(site.host_plan(experiment), limits, site.admission.descriptors)
        except BaseException:
            site.admission.note_load_gone(is_clean=False)
            raise

    def _close_link(self, link: HostLink) -> None:
        try:
            link.close()
        finally:
            self._site.admission.note_load_gone(is_clean=link.is_clean)

    def _announce(self, running: _Running, ahead_s: float) -> None:
        """Give the events' clock its zero, so that the experiment begins ``ahead_s`` from now, and say so in the shard and on the board."""
        experiment = running.planned.experiment
        zero_s = (
            monotonic_s()
            + ahead_s
            + max(experiment.lead_s, LEAST_LEAD_S if experiment.events else 0.0)
        )
        end_s = zero_s + experiment.span_s + experiment.tail_s
        running.planned = replace(
            running.planned, begin_s=zero_s - experiment.lead_s, zero_s=zero_s, end_s=end_s
        )
        self._site.folder.append_plan(running.planned)
        if running.plan_slot >= 0:
            slot = running.plan_slot
        else:
            slot = None
        running.plan_slot = self._site.board.publish_plan(
            self._site.board_plan(running.planned), slot
        )

    def _settle(self, longest_s: float) -> dict[str, Any]:
        """Wait until CPU and disk have been idle for a second on end, at most ``longest_s``, and return how that went."""
        site, begin_s = self._site, monotonic_s()
        while True:
            waited_s = monotonic_s() - begin_s
            valid_bytes, newest_s, _, _ = site.board.dataset_state()
            busy_percent = moved = nan
            is_unmeasured = False
            if newest_s >= begin_s + _IDLE_FOR_S:
                with site.folder.open_dataset(valid_bytes) as dataset:
                    rows = read_frame(
                        dataset, newest_s - _IDLE_FOR_S, newest_s, site.machine.partition
                    )
                busy_percent = float((rows["cpu_percent"] - rows["harness_cpu_percent"]).mean())
                moved = float(
                    (rows["disk_read_bytes_per_s"] + rows["disk_write_bytes_per_s"]).mean()
                )
                # Then the CPU alone tells, and the record says that no disk did.
                is_unmeasured = isnan(moved)
            # The disk of a part is the neighbours', too.
            is_shared = bool(site.machine.partition) and not isnan(moved)
            is_quiet = is_unmeasured or is_shared or moved <= _IDLE_DISK_BYTES_PER_S
            is_idle = busy_percent <= _IDLE_CPU_PERCENT and is_quiet
            if is_idle or waited_s >= longest_s:
                return {
                    "is_idle": is_idle,
                    "waited_s": round(waited_s, 3),
                    "cpu_percent": _rounded(busy_percent),
                    "disk_bytes_per_s": _rounded(moved),
                }
            if site.board.is_load_stopping:
                msg = "the controller was interrupted"
                raise KeyboardInterrupt(msg)
            sleep_s(min(_SETTLE_POLL_S, longest_s - waited_s))

    # -- under way ---------------------------------------------------------------------------------

    def _watch(self, running: _Running, until_s: float) -> None:
        """Follow events until an instant, and until all that have ended are annotated.

        Return early when load was lost.
        """
        while True:
            now_s = monotonic_s()
            for message in running.link.poll(min(_POLL_S, max(0.001, until_s - now_s))):
                self._hear(running, message)
            self._annotate_known(running)
            if self._site.board.is_load_stopping:
                msg = "the controller was interrupted"
                raise KeyboardInterrupt(msg)
            now_s = monotonic_s()
            due = [
                event
                for event in running.waiting.values()
                if running.planned.zero_s + event.end_s <= now_s
            ]
            is_mute = any(
                now_s > running.planned.zero_s + event.end_s + self._patience_s(event)
                for event in due
            )
            if (
                running.link.tripped
                or (running.link.is_over and running.waiting)
                or self._has_bad_end(running)
                or is_mute
            ):
                self._account_for_lost(running, is_mute=is_mute)
                return
            self._check_sampling(running)
            self._check_guard(running)
            if now_s >= until_s and not due:
                return

    def _patience_s(self, event: Event) -> float:
        """Return how long after an event's end its load host may still be at it.

        A stressor is killed after 0.5 s, memory takes time to free.
        """
        if event.stressor == "memory":
            held_bytes = event.shape.extremes(event.duration_s)[1] * event.scale(
                1.0, self._site.machine.memory_limit_bytes
            )
        else:
            held_bytes = 0.0
        return (
            _ROW_PATIENCE_S
            + held_bytes / 2**30
            + (_COMMAND_PATIENCE_S if event.stressor == "command" else 0.0)
        )

    def _check_sampling(self, running: _Running) -> None:
        """Go on only while samples come.

        Raises:
            HarnessFailure: the logger has written nothing for seconds.
        """
        patience_s = _ROW_PATIENCE_S + 2 * self._site.interval_s
        silent_s = monotonic_s() - max(self._site.board.dataset_state()[1], running.planned.begin_s)
        if silent_s > patience_s:
            self._look_at_data()
            msg = (
                f"the telemetry logger has written nothing for {silent_s:.1f} s; the experiment was"
                " ended, look at the logger's message on stderr"
            )
            raise HarnessFailure(msg)

    def _check_guard(self, running: _Running) -> None:
        """Go on only while the guard sees.

        Raises:
            HarnessFailure: it has been stopped for a second, by a signal or a debugger: nobody
                watches memory and disk then.
        """
        now_s = monotonic_s()
        if now_s < running.guard_due_s:
            return
        running.guard_due_s = now_s + _GUARD_EVERY_S
        was_stopped, running.is_guard_stopped = (
            running.is_guard_stopped,
            running.link.is_guard_stopped,
        )
        if was_stopped and running.is_guard_stopped:
            msg = (
                f"the guard (process {running.link.guard_pid}) is stopped, by a signal or a"
                " debugger, so nothing watches memory and disk; the load was ended, continue the"
                " process or begin again"
            )
            raise HarnessFailure(msg)

    def _look_at_data(self) -> None:
        """Go on only while the run folder answers.

        What writes there would wait as long as it does not.

        Raises:
            Unanswered: it does not.
        """
        folder = str(self._site.folder.path)
        if deadline.is_mute(folder):
            self.was_mute = True
            raise Unanswered(folder, option="data-dir")

    def _hear(self, running: _Running, message: dict[str, Any]) -> None:
        event = running.waiting[message["event"]]
        if message["state"] == "started":
            running.starts_s[event.id] = message["start_s"]
        else:
            del running.waiting[event.id]
            running.ended.append((event, self._row_of(running, event, message)))

    def _row_of(self, running: _Running, event: Event, message: dict[str, Any]) -> AnnotationRow:
        planned = running.planned
        row = self._site.recorder.new_row(planned.experiment.name, event.id, event.stressor)
        row.shape, row.unit = "" if event.stressor == "command" else event.shape.kind, event.unit
        row.planned_start_s, row.planned_end_s = event.start_s, event.end_s
        starved_s = round(message.get("starved_s", 0.0), 6)
        has_shape, account = event.stressor != "command", message.get("account") or {}
        if has_shape:
            parameters = {"shape": shapes.to_json(event.shape)}
        else:
            parameters = {}
        row.parameters = json.dumps(
            {
                **parameters,
                "options": event.options,
                "starved_s": starved_s,
                **({"account": account} if account else {}),
            }
        )
        row.status, row.message, row.release_s = (
            message["status"],
            message["message"],
            message.get("release_s"),
        )
        if message["start_s"] is not None:
            row.start_monotonic_s, row.actual_start_s = (
                message["start_s"],
                message["start_s"] - planned.zero_s,
            )
            row.start_error_ms = (row.actual_start_s - event.start_s) * 1e3
        if message["end_s"] is not None and message["start_s"] is not None:
            row.end_monotonic_s, row.actual_end_s = (
                message["end_s"],
                message["end_s"] - planned.zero_s,
            )
            row.end_error_ms = (row.actual_end_s - event.end_s) * 1e3
        row.overlapped = any(
            other.id != event.id and other.start_s < event.end_s and other.end_s > event.start_s
            for other in planned.experiment.events
        )
        if planned.experiment.share and row.start_monotonic_s is not None:
            row.overlapped |= self._is_beside_others(planned, row)
        return row

    def _is_beside_others(self, planned: PlannedExperiment, row: AnnotationRow) -> bool:
        """Tell whether an event ran at the same time as an event of another experiment of this run.

        Experiments that share may.
        """
        begin_s, end_s = row.start_monotonic_s or 0.0, row.end_monotonic_s or monotonic_s()
        return any(
            other.zero_s + event.start_s < end_s
            and min(other.zero_s + event.end_s, other.end_s) > begin_s
            for other in self._site.folder.read_plans()
            if other.experiment.name != planned.experiment.name
            and other.partition == planned.partition
            for event in other.experiment.events
        )

    def _annotate_known(self, running: _Running, *, is_last_chance: bool = False) -> None:
        """Write the rows of events that have ended and whose samples have all arrived."""
        if not running.ended:
            return
        sampled_s = self._site.board.dataset_state()[1]
        for entry in list(running.ended):
            event, row = entry
            is_sampled = row.end_monotonic_s is None or sampled_s >= row.end_monotonic_s
            if is_sampled or is_last_chance:
                running.ended.remove(entry)
                self._measure(running.planned, event, row)
                self._site.recorder.record(row)
                running.rows.append(row)

    def _measure(self, planned: PlannedExperiment, event: Event, row: AnnotationRow) -> None:
        """Fill in what was delivered, in the event's own unit."""
        if row.start_monotonic_s is None or row.end_monotonic_s is None:
            return
        window = Recording(
            self._site.folder,
            planned,
            (row,),
            row.actual_start_s or 0.0,
            row.actual_end_s or 0.0,
            self._site.board.dataset_state()[0],
        )
        scale = event.scale(self._site.machine.cpu_capacity, self._site.machine.memory_limit_bytes)
        if event.stressor not in RESOURCE_COLUMNS:
            if event.stressor != "command":
                row.requested_mean = event.mean()
            else:
                row.requested_mean = None
            return
        result = compare(event, scale, window.samples, row)
        if result is not None:
            row.requested_mean, row.delivered_mean = (
                result.requested_mean / scale,
                result.delivered_mean / scale,
            )
            row.delivered_error_percent, row.delivered_rmse = (
                result.error_percent,
                result.rmse / scale,
            )
            row.settled_s = result.settled_s

    @staticmethod
    def _has_bad_end(running: _Running) -> bool:
        rows = [*running.rows, *(row for _, row in running.ended)]
        return not running.is_cut and any(row.status in ("failed", "aborted") for row in rows)

    # -- the end -----------------------------------------------------------------------------------

    def _cut(self, running: _Running) -> None:
        """End all load now, as planned so from the beginning."""
        running.is_cut = True
        running.link.ask_to_stop("the block was left")
        deadline_s = monotonic_s() + _ROW_PATIENCE_S
        while running.waiting and not running.link.is_over and monotonic_s() < deadline_s:
            for message in running.link.poll(_POLL_S):
                if message["state"] == "ended" and message["status"] == "stopped":
                    message.update(status="completed", message="")
                self._hear(running, message)
        running.is_cut = False
        cut_events = []
        for index, (event, row) in enumerate(running.ended):
            if (
                row.actual_end_s is None
                or row.actual_end_s >= event.end_s
                or row.status != "completed"
            ):
                cut_events.append(event)
                continue
            length_s = max(row.actual_end_s - event.start_s, 1e-3)
            shorter = event.model_copy(
                update={
                    "duration_s": length_s,
                    "shape": shapes.cut(event.shape, event.duration_s, length_s),
                }
            )
            row.planned_end_s, row.end_error_ms = shorter.end_s, 0.0
            running.ended[index] = (shorter, row)
            cut_events.append(shorter)
        if not running.waiting:
            experiment = running.planned.experiment.model_copy(update={"events": tuple(cut_events)})
            end_s = running.planned.zero_s + experiment.span_s + experiment.tail_s
            running.planned = replace(running.planned, experiment=experiment, end_s=end_s)
            self._site.board.publish_plan(self._site.board_plan(running.planned), running.plan_slot)

    def _account_for_lost(self, running: _Running, *, is_mute: bool) -> None:
        """Say of every event that had not ended why it did.

        The guard, its dead guard, a fault of another event, or a dead or mute host.
        """
        link = running.link
        if link.tripped is None and not link.is_over and not is_mute:
            self._stop_rest(running, "stopped because another event of the experiment failed")
        if link.tripped is None:
            link.poll(
                0.3
            )  # the guard speaks after the load is dead, and the host's end may be heard first
        link.await_dead_load(_DEAD_PATIENCE_S)
        if link.tripped and link.tripped.get("is_mute"):
            self._look_at_data()  # by default scratch is in the run folder
        if link.tripped:
            status, why, end_s = "aborted", _tripped_text(link.tripped), link.tripped["killed_s"]
        else:
            if is_mute:
                reason = "its load host did not answer"
            elif link.has_guard_died:
                reason = "its guard died"
            else:
                reason = "its load host died"
            status, why, end_s = "failed", f"the load was stopped because {reason}", monotonic_s()
        for event in list(running.waiting.values()):
            start_s = running.starts_s.get(event.id)
            was_to_run = start_s is not None or not running.starts_s
            message = {
                "event": event.id,
                "state": "ended",
                "start_s": start_s,
                "end_s": end_s,
                "status": status if was_to_run or status == "failed" else "skipped",
                "message": why,
            }
            self._hear(running, message)

    def _stop_rest(self, running: _Running, why: str) -> None:
        running.link.ask_to_stop(why)
        deadline_s = monotonic_s() + _ROW_PATIENCE_S
        while running.waiting and not running.link.is_over and monotonic_s() < deadline_s:
            for message in running.link.poll(_POLL_S):
                self._hear(running, message)

    def _break_off(self, running: _Running, reason: BaseException) -> None:
        """Interrupted, or unable to go on.

        Stop the load, write what is known, leave nothing running.
        """
        if isinstance(reason, Unanswered):  # nothing can be written
            try:
                self._close_link(running.link)
            finally:
                if running.plan_slot >= 0:
                    self._site.board.remove_plan(running.plan_slot)
                self._site.recorder.end_experiment(running.planned.experiment.name)
            return
        is_fault = isinstance(reason, Exception)
        why = str(reason) or "the session was interrupted"
        try:
            self._stop_rest(running, why)
            for event in list(running.waiting.values()):  # its host is gone or does not answer
                start_s = running.starts_s.get(event.id)
                lost = {
                    "event": event.id,
                    "state": "ended",
                    "start_s": start_s,
                    "end_s": monotonic_s(),
                    "status": "stopped",
                    "message": why,
                }
                self._hear(running, lost)
            for _, row in running.ended:
                if row.status == "stopped":
                    row.status, row.message = ("failed" if is_fault else "stopped"), why
            self._annotate_known(running, is_last_chance=True)
        finally:
            running.planned = replace(running.planned, end_s=monotonic_s())
            self._close(running, "failed" if is_fault else "stopped")

    def _close(self, running: _Running, status: str) -> None:
        running.own_pids |= {process.pid for process in self._site.board.processes()}
        self._close_link(running.link)
        if running.plan_slot >= 0:
            self._site.board.remove_plan(running.plan_slot)
        self._site.recorder.end_experiment(running.planned.experiment.name)
        running.own_pids |= {process.pid for process in self._site.board.processes()} | {
            running.link.host_pid
        }
        running.planned = replace(
            running.planned,
            status=status,
            foreign=busiest(running.clocks, read_clocks(), running.own_pids),
        )
        self._site.folder.append_plan(running.planned)

    def _await_rows(self, until_s: float) -> None:
        """Wait until the dataset reaches an instant.

        A logger that has died meanwhile is not waited for.

        Raises:
            HarnessFailure: no sample came.
        """
        patience_s = _ROW_PATIENCE_S + 2 * self._site.interval_s
        deadline_s = max(monotonic_s(), until_s) + patience_s
        while self._site.board.dataset_state()[1] < until_s:
            if monotonic_s() > deadline_s:
                msg = (
                    f"the telemetry logger has written nothing for {patience_s:.1f} s; the run is"
                    " PARTIAL, look at its stderr above"
                )
                raise HarnessFailure(msg)
            sleep_s(min(_POLL_S, self._site.interval_s / 2))

    def _conclude(self, running: _Running) -> Recording:
        statuses = {row.status for row in (*running.rows, *(row for _, row in running.ended))}
        status = next(
            (name for name in ("aborted", "failed", "stopped") if name in statuses), "completed"
        )
        if status in ("aborted", "failed"):
            running.planned = replace(
                running.planned, end_s=min(running.planned.end_s, monotonic_s())
            )
        try:
            self._await_rows(running.planned.end_s)
        except HarnessFailure as error:
            if status not in ("aborted", "failed"):
                raise
            self._site.warn(str(error))  # the bad end and its reason matter more
        finally:
            self._annotate_known(running, is_last_chance=True)
            self._close(running, status)
        recording = Recording.whole(
            self._site.folder,
            running.planned,
            self._site.recorder.rows_of(running.planned.experiment.name),
            self._site.board.dataset_state()[0],
        )
        if status == "aborted":
            raise ExperimentAborted(describe_outcome(recording, "aborted"), recording)
        if status == "failed":
            raise ExperimentFailed(describe_outcome(recording, "failed"), recording)
        judge_tolerance(recording, self._site.tolerance, self._site.warn)
        return recording
