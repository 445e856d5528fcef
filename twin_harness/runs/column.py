"""One column of a window: its values, and the seconds that each of them stands for."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin_harness.errors import InvalidInput
from twin_harness.runs.frames import LABELS

if TYPE_CHECKING:
    import pandas as pd

_EDGE_S = 1e-6


@dataclass(frozen=True)
class Column:
    """The values of a column, rows without one left out.

    Attributes:
        data: the values, indexed by seconds on the events' clock.
        seconds_s: the time that each value stands for; same index.
    """

    data: pd.Series[float]
    seconds_s: pd.Series[float]

    def mean(self) -> float:
        """Return the mean weighted by time, or the plain one where no row stands for any."""
        total_s = float(self.seconds_s.sum())
        if total_s > 0:
            return float((self.data * self.seconds_s).sum() / total_s)
        return float(self.data.mean())


def column_of(samples: pd.DataFrame, name: str, begin_s: float) -> Column | None:
    """Return a column of a window's samples; None when all of it is empty.

    Args:
        samples: indexed by seconds on the events' clock, with ``dt_s``.
        name: of the column.
        begin_s: start of the window. Rows that straddle it stand for time before it as well, and
            are left out where there are others.

    Raises:
        InvalidInput: the dataset has no such column of numbers.
    """
    if name not in samples.columns or name in LABELS:
        close = difflib.get_close_matches(name, samples.columns, n=3)
        msg = (
            f"column {name!r} is not in the dataset; expected e.g."
            f" {', '.join(close) or 'cpu_percent'}"
        )
        raise InvalidInput(msg)
    values = samples[name].to_numpy(dtype=float)
    has_value = ~np.isnan(values)
    if not has_value.any():
        return None
    import pandas as pd

    t_s = samples.index.to_numpy(dtype=float)
    lengths_s = np.nan_to_num(samples["dt_s"].to_numpy(dtype=float))
    chosen = has_value & (t_s - lengths_s >= begin_s - _EDGE_S)
    if not chosen.any():
        chosen = has_value
    return Column(
        pd.Series(values[chosen], index=t_s[chosen]),
        pd.Series(lengths_s[chosen], index=t_s[chosen]),
    )
