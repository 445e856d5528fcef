"""The steps of cleaning: each does one thing to a part of the rows, and says what it changed.

Nothing is made up and nothing is dropped in silence: rows are left out where they are no rows or
stand there twice, cells are emptied where they cannot be true, and what is only doubtful (a row in
which the hypervisor took time, one after a gap) is flagged and kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from twin_harness.dataset.faults import FaultLog
from twin_harness.errors import UnreadableRun
from twin_harness.metrics import PRESSURE, by_name, columns, maximum_of
from twin_harness.runs.frames import LABELS

if TYPE_CHECKING:
    from collections.abc import Callable

GAP_INTERVALS = 3.0
# Below it, lateness and CPU figures of shared machines were found to be the machine's own.
STOLEN_PERCENT = 1.0
FLAGS = ("is_first", "is_after_gap", "is_stolen")
CLOCK_STEP_S = 1.0
WHOLE_PERCENT, TORN = 100.0, "torn reading"
SHARES_OF_TIME = ("harness_cpu_percent", *(metric.name for metric in PRESSURE))


@dataclass
class CleaningSteps:
    """The steps, and what they carry from part to part.

    Attributes:
        interval_s: between two samples, as the logger was told; NaN takes the median of the first
            part.
        faults: what was found, with what was done about it.
        machine: the content of ``machine.json``, which says what 100 percent refers to.
    """

    interval_s: float
    faults: FaultLog = field(default_factory=FaultLog)
    machine: dict[str, Any] = field(default_factory=dict)
    _host: str = ""
    _last_s: dict[str, float] = field(default_factory=dict)
    _offset_s: float = np.nan

    def note_columns(self, names: tuple[str, ...]) -> None:
        """Note columns that the registry does not know, and those of it that are not there.

        A dataset from before a column was added is whole without it.
        """
        for name in names:
            if by_name(name) is None:
                self.faults.add("unknown column", name, "the heading", name, "kept as it is")
        later = [metric.name for metric in columns(()) if metric.is_later]
        for name in self.missing(names):
            if name in later:
                continue
            self.faults.add("missing column", name, "the heading", "no such column", "left empty")

    @staticmethod
    def missing(names: tuple[str, ...]) -> list[str]:
        """Return the columns of the registry that are not among these."""
        return [metric.name for metric in columns(()) if metric.name not in names]

    # -- steps on rows as they come, before their order is final -----------------------------------

    def refuse_other_hosts(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Go on with the rows of one host only: those of two make no dataset.

        Raises:
            UnreadableRun: there is a second one.
        """
        hosts: list[str] = []
        if "host" in frame.columns:
            hosts = sorted({*frame["host"].unique(), self._host} - {""})
        if len(hosts) > 1:
            msg = (
                f"rows of {len(hosts)} hosts ({', '.join(hosts[:3])}) stand in one dataset;"
                " expected those of one, split the file by its column host"
            )
            raise UnreadableRun(msg)
        if hosts:
            self._host = hosts[0]
        else:
            self._host = ""
        return frame

    def restore_order(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Put rows into the order of CLOCK_MONOTONIC."""
        at_s = frame["monotonic_s"].to_numpy()
        late = at_s < np.maximum.accumulate(at_s)
        if not late.any():
            return frame
        first = int(np.flatnonzero(late)[0])
        self.faults.add(
            "swapped rows",
            "",
            f"line {frame.index[first]}",
            f"{at_s[first]:.3f} s after a later row",
            "put in order",
            int(late.sum()),
        )
        return frame.sort_values("monotonic_s", kind="stable")

    def drop_duplicates(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Leave out rows of a sampling time (and partition) of which there is one already."""
        key = [name for name in ("monotonic_s", "partition") if name in frame.columns]
        twice = frame.duplicated(key)
        if twice.any():
            first = frame.index[int(np.flatnonzero(twice)[0])]
            self.faults.add(
                "duplicate row",
                "",
                f"line {first}",
                f"{frame.loc[twice, 'monotonic_s'].iloc[0]:.3f} s again",
                "left out",
                int(twice.sum()),
            )
            frame = frame[~twice]
        return frame

    # -- steps on rows in order --------------------------------------------------------------------

    def add_missing_columns(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Give every column of the registry a place, empty where the file has none."""
        missing = self.missing(tuple(frame.columns))
        if not missing:
            return frame
        empty: dict[str, Any] = dict.fromkeys(missing, np.nan)
        empty |= {name: "" for name in missing if name in LABELS}
        if "time" in missing:
            empty["time"] = pd.NaT
        return pd.concat([frame, pd.DataFrame(empty, index=frame.index)], axis=1)

    def measure_intervals(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Add ``dt_s``: the measured seconds since the row before of the same part."""
        if len(frame["partition"].unique()) > 1:
            before = frame.groupby("partition")["monotonic_s"].shift()
        else:
            before = frame["monotonic_s"].shift()
        before = before.where(
            before.notna(), frame["partition"].map(self._last_s).astype("float64")
        )
        newest = frame.groupby("partition")["monotonic_s"].last()
        self._last_s.update({str(name): float(at_s) for name, at_s in newest.items()})
        frame = frame.assign(dt_s=frame["monotonic_s"] - before)
        if np.isnan(self.interval_s):
            self.interval_s = float(frame["dt_s"].median())
        return frame

    def note_clock_steps(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Note where the wall clock was set.

        The rows stay in the order of the monotonic clock, which counts.
        """
        offsets_s = frame["time"].astype("int64").to_numpy() / 1e6 - frame["monotonic_s"].to_numpy()
        offsets_s = np.where(frame["time"].isna(), np.nan, offsets_s)
        steps_s = np.diff(np.concatenate([[self._offset_s], offsets_s]))
        for at in np.flatnonzero(np.abs(steps_s) > CLOCK_STEP_S):
            row = frame.iloc[at]
            self.faults.add(
                "clock step",
                "time",
                f"{row['monotonic_s']:.3f} s",
                f"{steps_s[at]:+.3f} s",
                "kept: monotonic_s counts",
            )
        known = offsets_s[~np.isnan(offsets_s)]
        if len(known):
            self._offset_s = float(known[-1])
        return frame

    def empty_impossible_values(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Empty cells outside of their column's range.

        A rate below 0 is a counter that went back.
        """
        changed = {}
        for name in frame.columns:
            metric = by_name(name)
            if metric is None or frame[name].dtype != "float64" or name == "monotonic_s":
                continue
            values = frame[name].to_numpy()
            low, high = metric.minimum, maximum_of(metric, self.machine)
            with np.errstate(invalid="ignore"):
                wrong = np.isinf(values)
                if low is not None:
                    wrong |= values < low
                if high is not None:
                    wrong |= values > high
            if wrong.any():
                first = int(np.flatnonzero(wrong)[0])
                if values[first] < 0 and metric.unit.endswith("/s"):
                    kind = "counter reset"
                else:
                    kind = "impossible value"
                where = f"{frame['monotonic_s'].iloc[first]:.3f} s"
                self.faults.add(
                    kind,
                    name,
                    where,
                    f"{values[first]:.4g} {metric.unit}".rstrip(),
                    "emptied",
                    int(wrong.sum()),
                )
                changed[name] = np.where(wrong, np.nan, values)
        if changed:
            return frame.assign(**changed)
        return frame

    def note_torn_readings(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Note shares of time above 100 percent.

        The logger was held up between its clock and those counters.

        They are kept. The row after each holds as much less, so means over both are right, and
        emptying one would make them wrong.
        """
        for name in SHARES_OF_TIME:
            values = frame[name].to_numpy()
            with np.errstate(invalid="ignore"):
                beyond = values > WHOLE_PERCENT
            if beyond.any():
                first = int(np.flatnonzero(beyond)[0])
                where = f"{frame['monotonic_s'].iloc[first]:.3f} s"
                action = "kept: rows after it make up for it, means over 1 s or more count"
                self.faults.add(
                    TORN, name, where, f"{values[first]:.1f} %", action, int(beyond.sum())
                )
        return frame

    def flag_doubtful_rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Flag the first row of a part, rows after a gap, and rows in which time was stolen.

        The interval that the rates of a first row cover is unknown.
        """
        is_after_gap = frame["dt_s"] > GAP_INTERVALS * self.interval_s
        if is_after_gap.any():
            first = frame[is_after_gap].iloc[0]
            self.faults.add(
                "gap",
                "",
                f"{first['monotonic_s']:.3f} s",
                f"{first['dt_s']:.3f} s without a sample, {first['dt_s'] / self.interval_s:.0f}"
                " intervals",
                "flagged, no row made up",
                int(is_after_gap.sum()),
            )
        is_stolen = frame["cpu_steal_percent"] >= STOLEN_PERCENT
        return frame.assign(
            is_first=frame["dt_s"].isna(), is_after_gap=is_after_gap, is_stolen=is_stolen
        )


BEFORE: tuple[Callable[[CleaningSteps, pd.DataFrame], pd.DataFrame], ...] = (
    CleaningSteps.refuse_other_hosts,
    CleaningSteps.restore_order,
    CleaningSteps.drop_duplicates,
)
AFTER: tuple[Callable[[CleaningSteps, pd.DataFrame], pd.DataFrame], ...] = (
    CleaningSteps.add_missing_columns,
    CleaningSteps.measure_intervals,
    CleaningSteps.note_clock_steps,
    CleaningSteps.empty_impossible_values,
    CleaningSteps.note_torn_readings,
    CleaningSteps.flag_doubtful_rows,
)
