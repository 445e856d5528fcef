"""Predictions of experiments: trajectories with bands, and how likely an overload is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.errors import Undecided
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.overload import Overload, OverloadCall

if TYPE_CHECKING:
    import pandas as pd

    from twin_harness.predict.fitted_model import FittedModel
    from twin_harness.predict.free_run import FreeRun
    from twin_harness.schedule.model import Experiment

_RESOURCE_OF = {
    "cpu_percent": "cpu",
    "memory_percent": "memory",
    "disk_write_bytes_per_s": "disk",
    "disk_read_bytes_per_s": "disk",
    "pressure_io_percent": "disk",
}
_USED = {"cpu": "cpu_percent", "memory": "memory_percent", "disk": "disk_busy_percent"}


@dataclass(frozen=True)
class Prediction:
    """What the twin predicts of one experiment.

    Attributes:
        experiment: the plan.
        ends_s: (seconds,) the end of each second on the events' clock.
        centre: (columns, seconds) in the columns' units, in the order of ``COLUMNS``; NaN for
            columns that the machine does not measure.
        low: the lower end of the band that holds 90 percent of all seconds, like ``centre``; NaN
            where the model was not calibrated.
        high: its upper end.
        joint_low: the lower end of the band that holds all seconds of 90 percent of runs.
        joint_high: its upper end.
        extrapolating: why the plan lies beyond what the model was fitted to, a phrase each; empty
            within.
        background: what others were taken to use, in words.
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
    background: str
    columns: dict[str, np.ndarray]
    _model: FittedModel
    _free: FreeRun

    def column(self, name: str) -> np.ndarray:
        """Return the centre of one column, (seconds,)."""
        row: np.ndarray = self.centre[COLUMNS.index(name)]
        return row

    def to_frame(self) -> pd.DataFrame:
        """Return the bands as a table: columns ``(name, low|mid|high)``, index seconds.

        NaN for what the machine does not measure, and for the ends of a band that is not
        calibrated.
        """
        import pandas as pd

        table = {
            (name, end): values[number]
            for number, name in enumerate(COLUMNS)
            for end, values in (("low", self.low), ("mid", self.centre), ("high", self.high))
        }
        return pd.DataFrame(table, index=pd.Index(self.ends_s, name="end_s"))

    @cached_property
    def members(self) -> np.ndarray:
        """Simulated trajectories, (members, columns, seconds), in the columns' units."""
        return self._model.members(self._free)

    def overload(self, condition: str) -> OverloadCall:
        """Return how likely a condition occurs, when, and which resource binds.

        Raises:
            InvalidInput: the text is not a valid condition, or the dataset has no such column.
            Undecided: the twin does not predict its column, its machine does not measure it, how
                high it gets is not foretold, or it takes longer than the plan.
        """
        parsed = Overload.parse(condition)
        index = parsed.index()
        if parsed.seconds > len(self.ends_s):
            msg = (
                f"overload: {parsed} looks at {parsed.seconds} s on end, but the plan has"
                f" {len(self.ends_s)} s; expected a window within it"
            )
            raise Undecided(msg)
        if doubt := self._model.doubt(parsed.column):
            msg = f"overload: {doubt}"
            raise Undecided(msg)
        times_s = parsed.first(self.members[:, index]) + self.ends_s[0] - 1.0
        crossed_s = times_s[~np.isnan(times_s)]
        low_s = middle_s = high_s = None
        binding = ""
        if len(crossed_s):
            low_s, middle_s, high_s = map(float, np.quantile(crossed_s, (0.05, 0.5, 0.95)))
            binding = self._binding(parsed, float(np.median(crossed_s)))
        return OverloadCall(
            condition=str(parsed),
            probability=len(crossed_s) / len(times_s),
            members=len(times_s),
            time_s=middle_s,
            low_s=low_s,
            high_s=high_s,
            binding=binding,
            is_extrapolating=bool(self.extrapolating),
        )

    def _binding(self, condition: Overload, at_s: float) -> str:
        """Return the resource that is used most over the condition's window before a time."""
        if condition.column in _RESOURCE_OF:
            return _RESOURCE_OF[condition.column]
        second = int(np.clip(np.searchsorted(self.ends_s, at_s), 0, len(self.ends_s) - 1))
        window = slice(max(0, second - condition.seconds + 1), second + 1)
        return max(_USED, key=lambda name: float(self.columns[_USED[name]][window].mean()))
