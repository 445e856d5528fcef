"""A time-series foundation model from a local folder as one more baseline (``FoundationModel``).

Chronos-2 (Ansari et al., 2025, "Chronos-2: from univariate to universal forecasting") takes what
is known of the future, so it can be asked a what-if. It is not trained: the runs that the twin
was fitted to, one after the other, are its context. Weights are read from ``*.safetensors`` alone,
which hold no code, and nothing is downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from twin_harness.predict.demand import CHANNELS, stacked
from twin_harness.predict.features import longest_s
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.scale import clip_to_physical

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from twin_harness.predict.demand import Capacity, Demand
    from twin_harness.predict.observation import Observation

_MIDDLE = 0.5


@dataclass
class FoundationModel:
    """A pretrained model that is shown the training runs, and each plan as known covariates.

    Attributes:
        folder: with ``config.json`` and ``*.safetensors``.
        name: what its scores stand under.
    """

    folder: Path
    name: str = "foundation model"
    _loaded: Any = field(default=None, repr=False)

    def lack(self) -> str:
        """Return why it cannot be asked, in a sentence; empty where it can."""
        if find_spec("chronos") is None:
            return (
                f"{self.name}: left out, chronos-forecasting is not installed; pip install"
                " chronos-forecasting"
            )
        if not (self.folder / "config.json").is_file() or not any(
            self.folder.glob("*.safetensors")
        ):
            return (
                f"{self.name}: left out, there are no weights in {self.folder}; expected a folder"
                " with config.json and *.safetensors of a Chronos-2 model"
            )
        try:
            self._pipeline()
        except Exception as error:  # noqa: BLE001 - of another library, whatever is in the folder
            first = (str(error).splitlines() or [type(error).__name__])[0][:200]
            return (
                f"{self.name}: left out, {self.folder} cannot be read as a Chronos-2 model"
                f" ({first}); expected one that Chronos2Pipeline.from_pretrained takes"
            )
        return ""

    def fit(self, observations: Sequence[Observation], capacity: Capacity) -> Self:
        """Take the runs, one after the other, for its context."""
        del capacity
        self.values_ = np.concatenate([one.values for one in observations], axis=1)
        levels = np.concatenate([one.demand.levels for one in observations], axis=1)
        # what never changes tells nothing, and has no scale
        self.channels_ = [
            index for index, row in enumerate(levels) if row.size and np.ptp(row) > 0.0
        ]
        self.scales_ = np.maximum(levels.max(axis=1, initial=0.0), 1e-9)
        self.levels_ = levels
        return self

    def predict(self, demands: Sequence[Demand], before: np.ndarray) -> np.ndarray:
        """Return the median forecast of each plan, as if it followed the training runs."""
        del before
        pipeline = self._pipeline()
        seconds = longest_s(demands)
        measured = ~np.isnan(self.values_).all(axis=1)
        known = self._covariates(self.levels_)
        inputs = [
            {
                "target": self.values_[measured],
                "past_covariates": known,
                "future_covariates": self._covariates(levels),
            }
            for levels in stacked(demands)
        ]
        middle = [round(float(level), 6) for level in pipeline.quantiles].index(_MIDDLE)
        predicted = np.full((len(demands), len(COLUMNS), seconds), np.nan)
        forecasts = pipeline.predict(inputs, prediction_length=seconds)
        for row, forecast in zip(predicted, forecasts, strict=True):
            row[measured] = np.asarray(forecast)[:, middle, :seconds]
        return clip_to_physical(predicted)

    def _covariates(self, levels: np.ndarray) -> dict[str, np.ndarray]:
        """Return the channels that say something, as shares of the highest level of the runs."""
        return {CHANNELS[index]: levels[index] / self.scales_[index] for index in self.channels_}

    def _pipeline(self) -> Any:
        """Return the model, loaded once."""
        if self._loaded is None:
            from chronos import Chronos2Pipeline

            self._loaded = Chronos2Pipeline.from_pretrained(
                str(self.folder), local_files_only=True, use_safetensors=True, device_map="cpu"
            )
        return self._loaded
