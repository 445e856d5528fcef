"""The twin: fitted from runs, asked what would happen, written to a file and read from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from twin_harness.errors import InvalidInput, Undecided
from twin_harness.predict import domain, drift
from twin_harness.predict.calibration import Calibration, calibrate, ratios_of
from twin_harness.predict.demand import LONGEST_S, Capacity, demand_of, stacked
from twin_harness.predict.fit import LOG_COLUMNS, Fit, Problem, at_rest, fit, rest_of
from twin_harness.predict.gathering import (
    check_fit,
    check_machines,
    gather,
    sides_of,
    without_tests,
)
from twin_harness.predict.model_file import DomainPart, ModelFile, read_model
from twin_harness.predict.model_parts import (
    calibration_of_file,
    described,
    spread_of_file,
    usual_of_file,
)
from twin_harness.predict.observation import COLUMNS, Observation
from twin_harness.predict.overload import Overload, OverloadCall
from twin_harness.predict.parameters import NAMES
from twin_harness.predict.simulate import Start, simulate
from twin_harness.predict.uncertainty import FreeRun, Spread, held, on_scale, regimes, spread_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twin_harness.predict.demand import Demand
    from twin_harness.runs.recording import Recording
    from twin_harness.runs.run import Run
    from twin_harness.schedule.model import Experiment

_WATCHED_FROM = 10
_RESOURCE_OF = {
    "cpu_percent": "cpu",
    "memory_percent": "memory",
    "disk_write_bytes_per_s": "disk",
    "disk_read_bytes_per_s": "disk",
    "pressure_io_percent": "disk",
}
_CHUNK_VALUES = 130_000  # simulated values a column at once: what a CPU's cache holds


@dataclass(frozen=True)
class Prediction:
    """What the twin foretells of one experiment.

    Attributes:
        experiment: the plan. ends_s: (seconds,) the end of each second on the events' clock.
        centre, low, high: (columns, seconds) in the columns' units, in the order of ``COLUMNS``;
            the band holds 90 percent of all seconds. NaN for columns that the machine does not
            measure.
        joint_low, joint_high: the band that holds all seconds of 90 percent of runs. Bands are NaN
            where the model was not calibrated.
        extrapolating: why the plan lies beyond what the model was fitted to, a phrase each; empty
            within.
        columns: every simulated column by name, (seconds,), those of the contract as well.
    """

    experiment: Experiment
    ends_s: np.ndarray
    centre: np.ndarray
    low: np.ndarray
    high: np.ndarray
    joint_low: np.ndarray
    joint_high: np.ndarray
    extrapolating: tuple[str, ...]
    columns: dict[str, np.ndarray]
    _twin: Twin
    _free: FreeRun
    _used: dict[str, np.ndarray]

    def column(self, name: str) -> np.ndarray:
        """Return the centre of one column, (seconds,)."""
        row: np.ndarray = self.centre[COLUMNS.index(name)]
        return row

    @cached_property
    def members(self) -> np.ndarray:
        """Ways in which it may go, (members, columns, seconds), in the columns' units."""
        return in_units(self._twin.spread_.members(self._free))

    def overload(self, condition: str) -> OverloadCall:
        """Tell how likely a condition comes true, when, and which resource binds.

        Raises:
            InvalidInput: the condition is none.
            Undecided: its column is one that the twin does not foretell, or that its machine does
                not measure.
        """
        parsed = Overload.parse(condition)
        index = parsed.index()
        if parsed.column not in self._twin.domain_.measured:
            msg = (
                f"overload: {parsed.column} was empty in the runs that the twin was fitted to, so"
                " it foretells nothing of it"
            )
            raise Undecided(msg)
        times_s = parsed.first(self.members[:, index]) + self.ends_s[0] - 1.0
        came = times_s[~np.isnan(times_s)]
        binding = ""
        if len(came):
            second = int(
                np.clip(np.searchsorted(self.ends_s, np.median(came)), 0, len(self.ends_s) - 1)
            )
            busiest = max(
                self._used,
                key=lambda name: float(
                    self._used[name][max(0, second - parsed.seconds + 1) : second + 1].mean()
                ),
            )
            binding = _RESOURCE_OF.get(parsed.column, busiest)
        if len(came):
            low_s, middle_s, high_s = np.quantile(came, (0.05, 0.5, 0.95))
        else:
            low_s, middle_s, high_s = (None, None, None)
        return OverloadCall(
            str(parsed),
            len(came) / len(times_s),
            len(times_s),
            None if middle_s is None else float(middle_s),
            None if low_s is None else float(low_s),
            None if high_s is None else float(high_s),
            binding,
            bool(self.extrapolating),
        )


class Twin:
    """A model of one machine.

    ``Twin().fit([run, …])``, ``twin.predict(experiment)``, ``twin.save("twin.json")``,
    ``Twin.load("twin.json")``.

    Args:
        starts: from how many points the fit begins; the best end counts.

    Fitted state ends in an underscore: ``fit_`` (parameters and how well they are known; None when
    read from a file), ``parameters_``, ``spread_``, ``calibration_``, ``usual_`` (centre and
    deviation of runs' mean errors), ``domain_``, ``capacity_``, ``file_`` (what stands in the
    file).
    """

    file_: ModelFile
    capacity_: Capacity
    parameters_: np.ndarray
    spread_: Spread
    calibration_: Calibration
    usual_: tuple[np.ndarray, np.ndarray]
    domain_: DomainPart
    fit_: Fit | None = None

    def __init__(self, starts: int = 3) -> None:
        self.starts = starts

    def fit(self, runs: Sequence[Run], say: Callable[[str], None] = lambda _: None) -> Self:
        """Fit the model to every experiment of some runs of one machine.

        Runs that a campaign has set aside for calibration calibrate; without such, three in ten
        plans do, where there are thirty or more.

        Args:
            runs: run folders, as ``load`` gives them.
            say: told what was left out and how far it is, a sentence each.

        Raises:
            InvalidInput: there are too few runs or plans, or they are of different machines.
        """
        return self.fit_observations(without_tests(gather(runs, say), say), say)

    def fit_observations(
        self, observations: Sequence[Observation], say: Callable[[str], None] = lambda _: None
    ) -> Self:
        """Fit the model to runs that were read already; raises as ``fit``."""
        check_machines(observations)
        training, kept = sides_of(observations)
        check_fit(training)
        self.capacity_ = training[0].capacity
        found = fit(training, self.capacity_, self.starts, say)
        rest = rest_of(training)
        problem, cold = (
            Problem(training, self.capacity_, found.scales, is_cold=is_cold)
            for is_cold in (False, True)
        )
        self.parameters_ = at_rest(found.parameters, rest)
        self.fit_ = replace(found, parameters=self.parameters_)
        self.spread_ = spread_of(problem, cold, found, rest, self.capacity_)
        self.calibration_ = self._calibrated(kept)
        self.usual_ = drift.usual(
            drift.mean_errors(self, kept if len(kept) >= _WATCHED_FROM else [])
        )
        self.domain_ = domain.of(training)
        self.file_ = described(self, training, kept)
        return self

    def _calibrated(self, kept: Sequence[Observation]) -> Calibration:
        unknown = np.full(len(COLUMNS), np.nan)
        if not kept:
            return Calibration(unknown, unknown, 0)
        kept = list({one.plan: one for one in reversed(kept)}.values())[
            ::-1
        ]  # replicates of a plan are no independent runs
        free = self.simulated([one.demand for one in kept])
        problem = Problem(kept, self.capacity_, np.ones(len(COLUMNS)))
        return calibrate(ratios_of(problem.measured, free.centre, self.spread_.reach(free)))

    def simulated(self, demands: Sequence[Demand], start: Start | None = None) -> FreeRun:
        """Return the prediction, and the same under each plausible parameter set.

        Beyond the end of a plan its last value stands.
        """
        lengths = np.array([demand.seconds for demand in demands])
        columns = simulate(
            np.vstack([self.parameters_, self.spread_.parameters]),
            stacked(demands),
            self.capacity_,
            start,
        )
        free = held(on_scale(columns), lengths)
        return FreeRun(free[:, 0], free[:, 1:], regimes(columns))

    def predict(
        self, experiment: Experiment, start: Start | None = None, demand: Demand | None = None
    ) -> Prediction:
        """Foretell one experiment, from rest or from a given start.

        Args:
            experiment: the plan.
            start: the machine as it is, arrays of one; see ``Start.of``.
            demand: the plan on the seconds of a recording, to be compared with it.

        Raises:
            InvalidInput: it lasts longer than six hours.
        """
        return self.predict_many([experiment], start, None if demand is None else [demand])[0]

    def predict_many(
        self,
        experiments: Sequence[Experiment],
        start: Start | None = None,
        demands: Sequence[Demand] | None = None,
    ) -> list[Prediction]:
        """Foretell many experiments at once, each by itself: as ``predict``, faster.

        Args:
            experiments: the plans.
            start: the machine as it is before each of them, arrays of one.
            demands: the plans on the seconds of recordings; from the start of each lead unless
                given.

        Raises:
            InvalidInput: one lasts longer than six hours.
        """
        for experiment in experiments:
            if experiment.duration_s > LONGEST_S:
                msg = (
                    f"experiment {experiment.name!r}: {experiment.duration_s:.0f} s; the twin"
                    f" foretells up to {LONGEST_S} s, expected a shorter plan"
                )
                raise InvalidInput(msg)
        if demands is None:
            demands = [demand_of(experiment, self.capacity_) for experiment in experiments]
        parameters = np.vstack([self.parameters_, self.spread_.parameters])
        longest = max((demand.seconds for demand in demands), default=1)
        size = max(1, _CHUNK_VALUES // (len(parameters) * longest))
        found: list[Prediction] = []
        for first in range(0, len(demands), size):
            part = demands[first : first + size]
            columns = simulate(parameters, stacked(part), self.capacity_, start)
            scaled = held(on_scale(columns), np.array([demand.seconds for demand in part]))
            free = FreeRun(scaled[:, 0], scaled[:, 1:], regimes(columns))
            reach = self.spread_.reach(free)
            for number, demand in enumerate(part):
                shape = scaled.shape[:2] + scaled.shape[3:]
                told = {name: values for name, values in columns.items() if name != "load_share"}
                own = {
                    name: np.broadcast_to(values, shape)[number, 0, : demand.seconds]
                    for name, values in told.items()
                }
                alone = free.of(number, demand.seconds)
                found.append(
                    self._prediction(
                        experiments[first + number],
                        demand,
                        alone,
                        reach[:, number, :, : demand.seconds],
                        own,
                    )
                )
        return found

    def _prediction(
        self,
        experiment: Experiment,
        demand: Demand,
        free: FreeRun,
        reach: np.ndarray,
        own: dict[str, np.ndarray],
    ) -> Prediction:
        """Return one prediction from its free run and how far its bands reach, (2, columns, seconds)."""
        centre = free.centre[0]
        point, joint = (
            multipliers[:, np.newaxis] * reach
            for multipliers in (self.calibration_.pointwise, self.calibration_.simultaneous)
        )
        middle, low, high, joint_low, joint_high = in_units(
            np.stack(
                [centre, centre - point[0], centre + point[1], centre - joint[0], centre + joint[1]]
            )
        )
        unknown = [index for index, name in enumerate(COLUMNS) if name not in self.domain_.measured]
        for values in (middle, low, high, joint_low, joint_high):
            values[unknown] = np.nan
        used = {
            "cpu": own["cpu_percent"],
            "memory": own["memory_percent"],
            "disk": own["disk_busy_percent"],
        }
        beyond = domain.beyond(demand, self.domain_)
        return Prediction(
            experiment,
            demand.ends_s,
            middle,
            low,
            high,
            joint_low,
            joint_high,
            beyond,
            own,
            self,
            free,
            used,
        )

    def run(self, experiment: Experiment, interval_s: float = 0.1) -> Recording:
        """Run one experiment in virtual time and return what would be recorded.

        A Runner, like the real machine.

        Args:
            experiment: the plan.
            interval_s: between two samples.

        Raises:
            Undecided: the plan asks for what the model knows nothing of.
        """
        from twin_harness.predict.virtual_recording import virtual_recording

        return virtual_recording(self, experiment, interval_s)

    def save(self, path: str | Path) -> None:
        """Write the model as JSON."""
        Path(path).write_text(self.file_.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Twin:
        """Read a model.

        Raises:
            InvalidInput: the file is none; one sentence that names file and field.
        """
        return cls.of(read_model(path))

    @classmethod
    def of(cls, file: ModelFile) -> Twin:
        """Make a twin of what stands in a file."""
        twin = cls()
        twin.file_, twin.domain_ = file, file.domain
        twin.capacity_ = Capacity(file.capacity.cpus, file.capacity.memory_bytes)
        twin.parameters_ = np.array([file.parameters[name] for name in NAMES])
        twin.spread_ = spread_of_file(file)
        twin.calibration_, twin.usual_ = calibration_of_file(file), usual_of_file(file)
        return twin


def ways_of(twin: Twin, free: FreeRun, plan: int) -> np.ndarray:
    """Return ways in which one of the plans may go, (members, columns, seconds), in the columns' units."""
    return in_units(twin.spread_.members(free.of(plan)))


def in_units(values: np.ndarray) -> np.ndarray:
    """Return values (…, columns, seconds) of the scale of ``scored`` in the columns' units, within what is physical."""
    found = values.copy()
    for index, name in enumerate(COLUMNS):
        if name in LOG_COLUMNS:
            found[..., index, :] = np.exp(np.minimum(found[..., index, :], 20.0))
        else:
            found[..., index, :] = np.clip(
                found[..., index, :], 0.0, 100.0 if name.endswith("_percent") else None
            )
    return found
