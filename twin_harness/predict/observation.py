"""Observations: recorded runs on the seconds of their demand, to fit a model to and judge it by."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from twin_harness.dataset.preparation import window_means
from twin_harness.errors import InvalidInput
from twin_harness.predict.conditions import Start
from twin_harness.predict.demand import Capacity, Demand, demand_of
from twin_harness.system.machine import known_fingerprints

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin_harness.runs.recording import Recording
    from twin_harness.schedule.event import Event

COLUMNS = (
    "cpu_percent",
    "memory_percent",
    "load1",
    "disk_write_bytes_per_s",
    "disk_read_bytes_per_s",
    "pressure_cpu_percent",
    "pressure_io_percent",
    "probe_wakeup_ms",
    "probe_cpu_ms",
)
ROLES = ("train", "calibrate", "test")  # the first word of the names that control/campaign.py gives
_OTHERS = "cpu_background_percent"
_HELD, _REMEMBERED_S = "memory_delivered_bytes", 90
_LEAST_COVERAGE = 0.5
FEWEST_SECONDS = 3
FINGERPRINT = re.compile(r"[0-9a-f]{16}")
_ROUNDING_S = 1e-6


@dataclass(frozen=True)
class Observation:
    """One run of one experiment.

    Attributes:
        name: of the experiment.
        run: id of the run folder that it stands in.
        began: when, UTC, ISO 8601.
        plan: the experiment's hash: replicates share it.
        fingerprint: of the machine.
        capacity: of the machine.
        demand: what was asked for, on the seconds that were recorded.
        values: (columns, seconds) means over each second from the counters, of probes the worst;
            NaN where nothing is known. In the order of ``COLUMNS``.
        before: (columns,) the last values known before the first second: the state of the machine
            as it was found. NaN where unknown.
        held_bytes: (seconds,) memory that stressors held in the seconds before the first, as the
            experiment before recorded it; the latest last.
        stressors: that the plan uses, by kind.
        shapes: that the plan uses, by kind; a recorded series counts as ``holds`` where it jumps,
            as ``trace`` where it is a line.
        ended_early: the run was stopped or aborted; what came after is not in ``values`` (a
            censored observation).
        known_as: other fingerprints of the same machine.
        others_cpu_percent: (seconds,) what others used of the CPUs, as it was measured; NaN where
            it was not. None where it is not known of any second.
    """

    name: str
    run: str
    began: str
    plan: str
    fingerprint: str
    capacity: Capacity
    demand: Demand
    values: np.ndarray
    before: np.ndarray
    held_bytes: np.ndarray = field(default_factory=lambda: np.zeros(0))
    stressors: frozenset[str] = frozenset()
    shapes: frozenset[str] = frozenset()
    ended_early: bool = False
    known_as: tuple[str, ...] = ()
    others_cpu_percent: np.ndarray | None = None

    def is_of(self, fingerprint: str) -> bool:
        """Tell whether it was recorded on the machine of that fingerprint."""
        return fingerprint in (self.fingerprint, *self.known_as)

    @property
    def role(self) -> str:
        """Which part of a campaign it belongs to: ``train``, ``calibrate`` or ``test``.

        ``train`` for all other runs.
        """
        first = self.name.split(" ", 1)[0]
        if first in ROLES:
            return first
        return "train"

    def column(self, name: str) -> np.ndarray:
        """Return one column, (seconds,)."""
        row: np.ndarray = self.values[COLUMNS.index(name)]
        return row


def observe(recording: Recording, earlier: Recording | None = None) -> Observation:
    """Return a recording on a grid of seconds.

    Args:
        recording: a run of an experiment.
        earlier: the experiment before it in the same session, which shows what was held a moment
            ago.

    Raises:
        InvalidInput: it holds fewer than three seconds of samples, or does not describe its
            machine.
    """
    where = (
        f"recording {recording.name!r} of {recording.folder.path if recording.folder else 'a twin'}"
    )
    machine = recording.machine
    capacity = _capacity_of(machine, where)
    samples = recording.samples
    if np.isinf(samples[samples.columns[samples.dtypes == "float64"]].to_numpy()).any():
        samples = samples.replace([np.inf, -np.inf], np.nan)
    means = window_means(samples)
    _require_seconds(len(means), where)
    begin_s = float(means.index[0]) - 1.0 - recording.planned.zero_s
    is_known = means["coverage"].to_numpy() >= _LEAST_COVERAGE
    end_s, ended_early = _end_of(recording)
    # Of a run that was broken off the second in which it was is no second of the plan any more.
    is_known &= (
        means.index.to_numpy() - recording.planned.zero_s
        <= end_s + (0.0 if ended_early else 1.0) + _ROUNDING_S
    )
    if is_known.any():
        seconds = int(np.flatnonzero(is_known)[-1]) + 1
    else:
        seconds = 0
    _require_seconds(seconds, where)
    values = np.full((len(COLUMNS), seconds), np.nan)
    for row, name in zip(values, COLUMNS, strict=True):
        if name in means.columns:
            row[:] = np.where(is_known, means[name].to_numpy(), np.nan)[:seconds]
    others = None
    if _OTHERS in means.columns:
        others = np.where(is_known, means[_OTHERS].to_numpy(), np.nan)[:seconds]
    first, names = samples.iloc[0], known_fingerprints(machine)
    before = np.array(
        [float(first[name]) if name in samples.columns else np.nan for name in COLUMNS]
    )
    began = ""
    if "time" in samples.columns:
        began = str(samples["time"].iloc[0]).replace(" ", "T")
    return Observation(
        name=recording.name,
        run=recording.run_id,
        began=began,
        plan=recording.experiment.hash(),
        fingerprint=names[0],
        capacity=capacity,
        demand=demand_of(recording.experiment, capacity, begin_s, seconds),
        values=values,
        before=before,
        held_bytes=_held_before(earlier, float(means.index[0]) - 1.0),
        stressors=frozenset(event.stressor for event in recording.experiment.events),
        shapes=frozenset(_kind(event) for event in recording.experiment.events),
        ended_early=ended_early,
        known_as=names[1:],
        others_cpu_percent=others,
    )


def _held_before(earlier: Recording | None, begin_s: float) -> np.ndarray:
    """Return the memory that stressors held in each second before a time; none if long ago.

    Args:
        earlier: the experiment before.
        begin_s: the time on the recordings' clock.
    """
    if earlier is None or _HELD not in earlier.samples.columns:
        return np.zeros(0)
    samples = earlier.samples[["monotonic_s", _HELD]].dropna()
    ago = np.ceil(begin_s - samples["monotonic_s"].to_numpy())
    held = np.zeros(_REMEMBERED_S)
    is_near = (ago >= 1) & (ago <= _REMEMBERED_S)
    np.maximum.at(
        held, _REMEMBERED_S - ago[is_near].astype(int), samples[_HELD].to_numpy()[is_near]
    )
    if is_near.any():
        return held
    return np.zeros(0)


def _capacity_of(machine: dict[str, Any], where: str) -> Capacity:
    """Return what 100 percent of the machine is.

    Raises:
        InvalidInput: ``machine.json`` does not say.
    """
    try:
        capacity = Capacity(float(machine["cpu_capacity"]), float(machine["memory_limit_bytes"]))
        is_valid = (
            capacity.cpus > 0
            and capacity.memory_bytes > 0
            and bool(FINGERPRINT.fullmatch(str(machine["fingerprint"])))
        )
    except (KeyError, TypeError, ValueError):
        is_valid = False
    if not is_valid:
        msg = f"{where}: machine.json does not hold fingerprint, CPUs and memory; record it anew"
        raise InvalidInput(msg)
    return capacity


def _require_seconds(seconds: int, where: str) -> None:
    if seconds < FEWEST_SECONDS:
        msg = f"{where}: {seconds} s of samples; expected {FEWEST_SECONDS} or more"
        raise InvalidInput(msg)


def _kind(event: Event) -> str:
    """Return the kind of an event's shape."""
    if getattr(event.shape, "interpolation", "") == "previous":
        return "holds"
    return event.shape.kind


def _end_of(recording: Recording) -> tuple[float, bool]:
    """Return until when a run went as planned, on the events' clock, and if it ended early."""
    broken = [
        row.actual_end_s
        for row in recording.rows
        if row.status in ("aborted", "stopped", "failed") and row.actual_end_s is not None
    ]
    has_broken = any(row.status in ("aborted", "stopped", "failed") for row in recording.rows)
    if has_broken:
        return (min(broken, default=0.0), True)
    return (recording.end_s, False)


def padded(observations: Sequence[Observation]) -> np.ndarray:
    """Return the values of several runs as one array, (runs, columns, seconds of the longest).

    NaN beyond the end of a run.
    """
    longest = max(observation.demand.seconds for observation in observations)
    values = np.full((len(observations), len(COLUMNS), longest), np.nan)
    for row, observation in zip(values, observations, strict=True):
        row[:, : observation.demand.seconds] = observation.values
    return values


def start_of(observations: Sequence[Observation]) -> Start:
    """Return the state in which each run found the machine."""
    load1, memory = (
        np.array([one.before[COLUMNS.index(name)] for one in observations])
        for name in ("load1", "memory_percent")
    )
    held = np.zeros((len(observations), max(len(one.held_bytes) for one in observations)))
    for row, one in zip(held, observations, strict=True):
        row[len(row) - len(one.held_bytes) :] = one.held_bytes
    return Start(load1, memory, held)
