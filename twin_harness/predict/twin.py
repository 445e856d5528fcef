"""The twin: fit it to runs, predict experiments, run them in virtual time, save and load it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from twin_harness.predict.background_learning import learn_beside_load, learn_from_recordings
from twin_harness.predict.calibration import uncalibrated
from twin_harness.predict.domain import domain_of
from twin_harness.predict.drift import mean_errors
from twin_harness.predict.fit import Fit, fit
from twin_harness.predict.fitted_model import FittedModel
from twin_harness.predict.foretold import unforetold
from twin_harness.predict.gathering import (
    check_fit,
    check_machines,
    gather,
    sides_of,
    without_tests,
)
from twin_harness.predict.local_reach import FEWEST_RUNS, Surroundings, calibrate_locally
from twin_harness.predict.model_file import ModelFile, read_model
from twin_harness.predict.model_parts import from_model_file, to_model_file
from twin_harness.predict.observation import COLUMNS, Observation, observe
from twin_harness.predict.problem import Problem
from twin_harness.predict.reference_errors import reference_errors
from twin_harness.predict.rest_state import rest_states, with_median_rest
from twin_harness.predict.spread import between_sets
from twin_harness.predict.stages import missing_of, stages_of
from twin_harness.predict.starting_time import StartingTime
from twin_harness.predict.uncertainty import estimate_spread
from twin_harness.predict.virtual_recording import virtual_recording
from twin_harness.predict.what_ifs import predict_plans
from twin_harness.runs.recording import Recording
from twin_harness.system.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twin_harness.predict.background import Background
    from twin_harness.predict.conditions import Others, Start
    from twin_harness.predict.demand import Demand
    from twin_harness.predict.prediction import Prediction
    from twin_harness.predict.prior import Prior
    from twin_harness.runs.run import Run
    from twin_harness.schedule.model import Experiment

_WATCHED_FROM = 10  # runs, below which nobody knows what mean errors are usual


class Twin:
    """A model of one machine.

    ``Twin().fit([run, …])``, ``twin.predict(experiment)``, ``twin.save("twin.json")``,
    ``Twin.load("twin.json")``. Fitted state ends in an underscore.

    Args:
        starts: from how many points the fit begins; the best optimum counts.

    Attributes:
        model_: the fitted model.
        file_: the same as its file holds it, with its training runs.
        fit_: parameters with their standard errors; None when read from a file.
    """

    model_: FittedModel
    file_: ModelFile
    fit_: Fit | None = None

    def __init__(self, starts: int = 3) -> None:
        self.starts = starts

    def fit(
        self,
        runs: Sequence[Run],
        progress: Callable[[str], None] = lambda _: None,
        background: Sequence[str | Path] = (),
    ) -> Self:
        """Fit the model to every experiment of some runs of one machine.

        Runs that a campaign has set aside for calibration calibrate; without such, three in ten
        plans do, where there are thirty or more.

        Args:
            runs: run folders, as ``load`` returns them.
            progress: called with a sentence for each run left out and each start of the fit.
            background: recordings of this machine without load, of hours to weeks; without any,
                what others used beside the runs is learnt.

        Raises:
            InvalidInput: there are too few runs or plans, or they are of different machines.
        """
        observations = without_tests(gather(runs, progress), progress)
        return self.fit_observations(observations, progress, background)

    def fit_observations(
        self,
        observations: Sequence[Observation],
        progress: Callable[[str], None] = lambda _: None,
        background: Sequence[str | Path] = (),
        prior: Prior | None = None,
        *,
        calibrates: bool = True,
    ) -> Self:
        """Fit the model to runs that were read already; raises as ``fit``.

        Args:
            observations: the runs.
            progress: as of ``fit``.
            background: as of ``fit``.
            prior: what is believed of the parameters; next to nothing unless given.
            calibrates: some runs are kept apart to calibrate the bands by; all are fitted else.
        """
        check_machines(observations)
        training, kept = sides_of(observations) if calibrates else (list(observations), [])
        check_fit(training)
        capacity = training[0].capacity
        optimum = fit(training, capacity, self.starts, progress, prior)
        states = rest_states(training)
        warm, cold = (
            Problem(training, capacity, optimum.scales, is_cold=is_cold, is_told=True, prior=prior)
            for is_cold in (False, True)
        )
        self.fit_ = replace(optimum, parameters=with_median_rest(optimum.parameters, states))
        model = FittedModel(
            fingerprint=training[0].fingerprint,
            capacity=capacity,
            parameters=self.fit_.parameters,
            unidentified=self.fit_.unidentified,
            plans=len({observation.plan for observation in training}),
            spread=estimate_spread(warm, cold, optimum, states),
            calibration=uncalibrated(len(COLUMNS)),
            reference_errors=reference_errors(np.empty((0, len(COLUMNS)))),
            domain=domain_of(training),
            background=_background_of(training, progress, background),
        )
        if kept:
            model = _calibrated(model, kept)
        if len(kept) >= _WATCHED_FROM:
            usual = reference_errors(mean_errors(model, kept))
            model = replace(model, reference_errors=usual)
        return self.with_model(model, training, kept)

    def with_model(
        self,
        model: FittedModel,
        training: Sequence[Observation],
        kept: Sequence[Observation] = (),
    ) -> Self:
        """Take a model for what the fit has given, and make what its file holds.

        Args:
            model: with the parameters of the fit.
            training: the runs that it was fitted to.
            kept: those that calibrated its bands.

        Raises:
            ValueError: nothing was fitted here.
        """
        if self.fit_ is None:
            msg = "with_model: expected a twin that was fitted here"
            raise ValueError(msg)
        self.model_ = model
        self.file_ = to_model_file(model, self.fit_, training, kept)
        return self

    def predict(
        self,
        planned: Experiment | Recording,
        start: Start | None = None,
        demand: Demand | None = None,
        *,
        background: str | Path | Others | None = None,
        at: str | None = None,
    ) -> Prediction:
        """Predict one experiment, from a cold start unless one is given.

        Args:
            planned: the plan; of a recording its plan, on the seconds that were recorded.
            start: the machine as it is, arrays of one; see ``Start.of``.
            demand: the plan on the seconds of a recording, to be compared with it.
            background: what others use: ``quiet``, ``recorded`` (what the model has recorded), or a
                recording of this machine, a file of ``twin log`` or a run folder. What the model
                has recorded where it has, unless given.
            at: when the plan begins, ``02:00`` or ``Mon 14:00``, in the local time of this machine;
                needs a recorded background.

        Raises:
            InvalidInput: it lasts longer than six hours, or the background does not fit.
        """
        if isinstance(planned, Recording):
            demand = observe(planned).demand if demand is None else demand
            planned = planned.experiment
        demands = None if demand is None else [demand]
        return self.predict_many([planned], start, demands, background=background, at=at)[0]

    def predict_many(
        self,
        experiments: Sequence[Experiment],
        start: Start | None = None,
        demands: Sequence[Demand] | None = None,
        *,
        background: str | Path | Others | None = None,
        at: str | None = None,
    ) -> list[Prediction]:
        """Predict many experiments at once, each independently: as ``predict``, faster.

        Args:
            experiments: the plans.
            start: the machine as it is before each of them, arrays of one.
            demands: the plans on the seconds of recordings; from the start of each lead unless
                given.
            background: as of ``predict``.
            at: as of ``predict``.

        Raises:
            InvalidInput: one lasts longer than six hours, or the background does not fit.
        """
        time = None if at is None else StartingTime.parse(at)
        return predict_plans(self.model_, experiments, start, demands, background, time)

    def run(self, experiment: Experiment, interval_s: float = 0.1) -> Recording:
        """Run one experiment in virtual time and return what would be recorded.

        A Runner, like the real machine.

        Args:
            experiment: the plan.
            interval_s: between two samples.

        Raises:
            Undecided: the plan asks for what is not modelled.
        """
        return virtual_recording(self.model_, experiment, interval_s)

    def save(self, path: str | Path) -> None:
        """Write the model as JSON; a reader sees the old file or the new one, never half of it."""
        write_whole(Path(path), self.file_.model_dump_json(indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Twin:
        """Read a model.

        Raises:
            InvalidInput: the file is not a valid model; one sentence that names file and field.
        """
        return cls.from_file(read_model(path))

    @classmethod
    def from_file(cls, file: ModelFile) -> Twin:
        """Return the twin that a model file describes."""
        twin = cls()
        twin.file_, twin.model_ = file, from_model_file(file)
        return twin


def _background_of(
    training: Sequence[Observation],
    progress: Callable[[str], None],
    recordings: Sequence[str | Path],
) -> Background | None:
    if recordings:
        return learn_from_recordings(recordings, training[0].fingerprint, progress)
    return learn_beside_load(training)


def _calibrated(model: FittedModel, kept: Sequence[Observation]) -> FittedModel:
    """Return a model with bands that are calibrated by runs kept apart, the first of each plan."""
    # Replicates of a plan are not independent runs.
    independent = list({observation.plan: observation for observation in reversed(kept)}.values())[
        ::-1
    ]
    demands = [observation.demand for observation in independent]
    free = model.free_run(demands, None, model.recorded_others(demands))
    problem = Problem(independent, model.capacity, np.ones(len(COLUMNS)))
    around = Surroundings(
        np.empty(0), between_sets(free), stages_of(free, demands), missing_of(free)
    )
    calibration, local = calibrate_locally(
        problem.measured - free.centre, model.spread.reach(free), around
    )
    peaks = None
    if len(independent) >= FEWEST_RUNS:
        lengths = [demand.seconds for demand in demands]
        peaks = unforetold(
            [run[:, :length] for run, length in zip(problem.measured, lengths, strict=True)],
            [
                model.spread.members(free.select(number))[..., :length]
                for number, length in enumerate(lengths)
            ],
        )
    return replace(model, calibration=calibration, local=local, unforetold=peaks)
