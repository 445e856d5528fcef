"""What a row must be, as a pandera schema made from the registry of columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twin_harness.dataset.steps import CLOCK_STEP_S, GAP_INTERVALS
from twin_harness.metrics import by_name, maximum_of

if TYPE_CHECKING:
    import pandas as pd
    import pandera.pandas as pa

    from twin_harness.dataset.faults import FaultLog
    from twin_harness.metrics import Metric

_ROUNDING = 0.01  # columns have three decimals, and background is made of five of them


def make_schema(
    names: tuple[str, ...], interval_s: float, machine: dict[str, Any]
) -> pa.DataFrameSchema:
    """Return the schema of rows with such columns.

    Types and ranges of the registry, a clock that rises, no gaps, consistent background.

    Args:
        names: the columns that the file has.
        interval_s: between two samples.
        machine: the content of ``machine.json``, which says what 100 percent refers to.
    """
    import pandera.pandas as pa

    known = [metric for name in names if (metric := by_name(name)) is not None]
    return pa.DataFrameSchema(
        {metric.name: _column(metric, maximum_of(metric, machine)) for metric in known},
        checks=[
            pa.Check(
                lambda frame: _since_before(frame) >= 0, name="swapped rows", error="swapped rows"
            ),
            pa.Check(
                lambda frame: _since_before(frame) != 0, name="duplicate row", error="duplicate row"
            ),
            pa.Check(
                lambda frame: _since_before(frame) <= GAP_INTERVALS * interval_s,
                name="gap",
                error="gap",
            ),
            pa.Check(_clock_is_steady, name="clock step", error="clock step"),
            pa.Check(_background_adds_up, name="background", error="background"),
        ],
        strict=False,
    )


_PARTS_OF_CPU = (
    "cpu_steal_percent",
    "cpu_delivered_percent",
    "cpu_side_percent",
    "harness_cpu_percent",
    "cpu_background_percent",
)


def _column(metric: Metric, maximum: float | None) -> pa.Column:
    import pandera.pandas as pa

    if metric.name == "time":
        return pa.Column("datetime64[us, UTC]", nullable=False)
    if not metric.unit and metric.group == "identity":
        return pa.Column(str, nullable=False)
    checks = []
    if metric.minimum is not None:
        if metric.unit.endswith("/s"):
            kind = "counter reset"
        else:
            kind = "impossible value"
        checks.append(pa.Check.ge(metric.minimum, name=kind, error=kind))
    if maximum is not None:
        checks.append(pa.Check.le(maximum, name="impossible value", error="impossible value"))
    return pa.Column(float, checks, nullable=metric.name != "monotonic_s")


def _since_before(frame: pd.DataFrame) -> pd.Series[float]:
    """Return the seconds since the row before of the same part.

    The first row's count as an instant.
    """
    since: pd.Series[float]
    if "partition" in frame.columns:
        since = frame.groupby("partition")["monotonic_s"].diff()
    else:
        since = frame["monotonic_s"].diff()
    return since.fillna(1e-9)


def _clock_is_steady(frame: pd.DataFrame) -> pd.Series[bool]:
    offsets_s = frame["time"].astype("int64") / 1e6 - frame["monotonic_s"]
    steady: pd.Series[bool] = offsets_s.diff().abs().fillna(0.0) <= CLOCK_STEP_S
    return steady


def _background_adds_up(frame: pd.DataFrame) -> pd.Series[bool]:
    """Return where background adds up: total less steal, delivered, side and the harness's own.

    A column that is not there is a fault of its own, and adds up with anything.
    """
    cells = frame.reindex(columns=["cpu_percent", *_PARTS_OF_CPU])
    off = (cells["cpu_percent"] - cells[[*_PARTS_OF_CPU]].sum(axis=1, skipna=False)).abs()
    adds_up: pd.Series[bool] = off.fillna(0.0) <= _ROUNDING
    return adds_up


_OF_ROWS = ("swapped rows", "duplicate row", "gap", "clock step", "background")


def note_failures(
    schema: pa.DataFrameSchema, frame: pd.DataFrame, faults: FaultLog, known_line: int | None = None
) -> None:
    """Validate rows, and note every failure.

    One record a column and kind, with the first place and the count.

    Args:
        schema: what rows must be.
        frame: rows, by the numbers of their lines.
        faults: where failures are noted.
        known_line: a row that was validated before, and is here for the row after it.
    """
    import pandas as pd
    import pandera.pandas as pa

    try:
        schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        cases = cases[cases["index"].isna() | (cases["index"] != known_line)]
        for (check, column), group in cases.groupby(
            ["check", cases["column"].fillna("")], sort=False
        ):
            first = group.iloc[0]
            line = first["index"]
            if pd.isna(line):
                where = "the heading"
            else:
                where = f"line {int(line)}"
            if check in _OF_ROWS:  # each failing row stands there once a column
                if (
                    faults.count(str(check)) == 0
                    or column == cases.loc[cases["check"] == check, "column"].iloc[0]
                ):
                    at_s = frame.loc[line, "monotonic_s"]
                    if hasattr(at_s, "iloc"):
                        at_s = float(at_s.iloc[0])
                    else:
                        at_s = float(at_s)
                    faults.add(
                        str(check),
                        "",
                        where,
                        f"{at_s:.3f} s",
                        "see cleaning",
                        int(group["index"].nunique()),
                    )
                continue
            faults.add(
                str(check), str(column), where, first["failure_case"], "see cleaning", len(group)
            )
