"""Every number of the report, recomputed from the files by a few lines that share nothing with it.

The sample run, and made-up ones.
"""

import csv
import json
import re
import statistics
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

import twin_harness
from tests.support.runs import annotate, csv_row, make_folder, planned, write_dataset
from twin_harness import Twin, cpu, disk, load, memory, plan
from twin_harness.gate.declaration import declare
from twin_harness.gate.judging import Evidence as GateEvidence
from twin_harness.gate.judging import judge_pairs
from twin_harness.gate.verdict import Judgement
from twin_harness.predict.conditions import Others
from twin_harness.predict.gathering import gather
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.others import cpu_by_others
from twin_harness.report import dataset_rows, evidence
from twin_harness.report.drawing import charts, load_charts, timelines
from twin_harness.report.drawing import prediction as prediction_figure
from twin_harness.report.drawing.canvas import from_zero, new_figure
from twin_harness.report.sections import (
    cleaning,
    correlation,
    description,
    doubts,
    dynamics,
    experiments,
    fidelity,
    lags,
    levels,
    neighbours,
    overview,
    quality,
    response,
    saturation,
    summary,
    verdicts,
)
from twin_harness.report.sections import prediction as prediction_section

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "data" / "sample" / "20261124T232459Z-44f5cd"
MODEL = ROOT / "data" / "sample" / "campaign" / "twin.json"
PIXEL = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00"
    b"\x1f\x15\xc4\x89"
)
SIZES = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "k": 1e3, "M": 1e6, "G": 1e9}
needs_sample = pytest.mark.skipif(
    not SAMPLE.exists(), reason="the sample stands in the repository, not in the package"
)


@pytest.fixture(autouse=True)
def pixels(monkeypatch):
    """Draw nothing: what is judged here are numbers."""
    for module in (
        charts,
        load_charts,
        timelines,
        prediction_figure,
        fidelity,
        correlation,
        experiments,
        lags,
        levels,
        overview,
        quality,
        response,
        saturation,
    ):
        for name in [name for name in vars(module) if name.endswith("_png")]:
            monkeypatch.setattr(module, name, lambda *_: PIXEL)


def read(text):
    """Return a number as it stands on the page, and the half of its last digit."""
    found = re.match(r"[+−-]?([\d,]+)(\.\d+)? ?(KiB|MiB|GiB|k|M|G)?", text.strip())
    assert found, text
    size = SIZES.get(found[3], 1.0)
    value = float((found[1] + (found[2] or "")).replace(",", "")) * size
    return (-value if text[0] in "−-" else value), 0.5 * size * 10.0 ** -len((found[2] or ".")[1:])


def shows(text, value):
    """Whether a cell shows a value, rounded as it is shown; a dash shows none."""
    if pd.isna(value):
        return text == "–"
    shown, half = read(text)
    return abs(shown - value) <= half * 1.0001 + 1e-9 * abs(value)


def assert_shows(text, value):
    assert shows(text, value), f"{text!r} for {value!r}"


def rows_of(section, table_id):
    """Return a table of a section as lists of texts, the first of each row its key."""
    blocks = [*section.blocks, *(block for part in section.parts for block in part.blocks)]
    (table,) = [block for block in blocks if block.kind == "table" and block.id == table_id]
    return [[cell.text for cell in row] for row in table.rows]


def words_of(section):
    blocks = [*section.blocks, *(block for part in section.parts for block in part.blocks)]
    return " ".join(
        [getattr(block, "text", "") + " ".join(getattr(block, "items", ())) for block in blocks]
    )


@pytest.fixture(scope="module")
def sample():
    return evidence.gather_evidence(load(SAMPLE))


@pytest.fixture(scope="module")
def rows():
    frame = pd.read_csv(
        SAMPLE / "system_metrics_dataset.csv",
        keep_default_na=False,
        na_values=[""],
        dtype={"active_events": str},
    )
    return frame.assign(
        active_events=frame["active_events"].fillna(""), length_s=frame["monotonic_s"].diff()
    )


@pytest.fixture(scope="module")
def annotations():
    with (SAMPLE / "annotations.csv").open(encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["stressor"] != "mark"]


def one_second_means(rows, name):
    """Return means over 1 s from the first interval on, adding each row's share of a second."""
    known = rows[rows["length_s"].notna()]
    begin_s = float(known["monotonic_s"].iloc[0] - known["length_s"].iloc[0])
    sums, weights = Counter(), Counter()
    for end_s, length_s, value in known[["monotonic_s", "length_s", name]].to_numpy(dtype=float) - [
        begin_s,
        0.0,
        0.0,
    ]:
        if np.isnan(value):
            continue
        for second in range(int(max(0.0, end_s - length_s)), int(end_s) + 1):
            overlap_s = min(end_s, second + 1) - max(end_s - length_s, second)
            if overlap_s > 0:
                sums[second] += value * overlap_s
                weights[second] += overlap_s
    return np.array(
        [
            sums[second] / weights[second] if weights[second] >= 0.5 else np.nan
            for second in range(max(weights) + 1)
        ]
    )


def inside(rows, recording):
    """Return the rows that lie within an experiment as a whole."""
    at_s = rows["monotonic_s"] - recording.planned.zero_s
    return rows[(at_s <= recording.end_s) & (at_s - rows["length_s"] >= recording.begin_s - 1e-6)]


def weighed(rows, name):
    return float(np.average(rows[name], weights=rows["length_s"]))


# -- the sample, section by section ----------------------------------------------------------------


@needs_sample
def test_first_screen_counts_and_medians(sample, rows, annotations):
    """Samples, events within 1 %, the median absolute error, and the felt, idle and loaded."""
    text = words_of(summary.section(sample))
    sizes = [
        abs(float(row["delivered_error_percent"]))
        for row in annotations
        if row["delivered_error_percent"]
    ]
    assert f"with {len(annotations)} events ran" in text
    assert f"holds {len(rows):,} samples, one every 0.100 s." in text
    found = re.search(
        r"(\d+) of (\d+) events delivered within 1 %.*?median size of the error is ([\d.]+) %, the"
        r" largest ([\d.]+) %",
        text,
    )
    assert (int(found[1]), int(found[2])) == (sum(size <= 1 for size in sizes), len(sizes))
    assert_shows(found[3], statistics.median(sizes))
    assert_shows(found[4], max(sizes))
    nothing = (
        rows[["cpu_requested_percent", "memory_requested_bytes", "disk_requested_bytes_per_s"]] == 0
    ).all(axis=1)
    is_idle = (
        nothing
        & (rows["cpu_percent"] <= 5)
        & (rows["active_events"] == "")
        & ~(rows["disk_busy_percent"] >= 95)
    )
    late = re.search(
        r"late by ([\d.]+) ms under load \(95 % of ([\d,]+) rows.*?against ([\d.]+) ms when idle"
        r" \(([\d,]+) rows",
        text,
    )
    for at, chosen in (
        (1, rows["active_events"] != ""),
        (3, is_idle & ~(rows["pressure_memory_percent"] >= 5)),
    ):
        values = rows.loc[chosen, "probe_wakeup_ms"].dropna()
        assert int(late[at + 1].replace(",", "")) == len(values)
        assert_shows(late[at], np.percentile(values, 95))


@needs_sample
def test_superlatives_are_the_largest(sample, rows):
    """The experiment with the highest mean CPU, with its mean, spread, count and highest row.

    The highest memory.
    """
    text = words_of(summary.section(sample))
    of = {recording.name: inside(rows, recording) for recording in sample.run.recordings}
    best = max(of, key=lambda name: weighed(of[name], "cpu_percent"))
    found = re.search(
        rf"CPU had its highest mean in {re.escape(best)}: ([\d.]+) % \(SD ([\d.]+) %, n ="
        r" ([\d,]+)\).*?single row there was ([\d.]+) %",
        text,
    )
    own = of[best]["cpu_percent"]
    for shown, value in zip(
        found.groups(),
        (weighed(of[best], "cpu_percent"), own.std(), len(own), own.max()),
        strict=True,
    ):
        assert_shows(shown, value)
    fullest = max(of, key=lambda name: of[name]["memory_percent"].max())
    found = re.search(
        rf"Memory rose highest in {re.escape(fullest)}: to ([\d.]+) %, from ([\d.]+) %", text
    )
    assert_shows(found[1], of[fullest]["memory_percent"].max())
    assert_shows(found[2], of[fullest]["memory_percent"].min())


@needs_sample
def test_experiments_are_told_by_their_own_rows(sample, rows):
    """Duration, samples, mean and SD of CPU, highest memory, mean disk traffic.

    Background, steal and harness beside.
    """
    recordings = sample.run.recordings
    table, others = (
        rows_of(overview.section(sample), "table-experiments"),
        rows_of(neighbours.section(sample), "table-neighbours"),
    )
    assert len(table) == len(others) == len(recordings)
    for recording, row, other in zip(recordings, table, others, strict=True):
        own = inside(rows, recording)
        assert_shows(row[1], recording.planned.end_s - recording.planned.begin_s)
        assert int(row[4].replace(",", "")) == len(own)
        mean, sd = row[5].split(" ± ")
        assert_shows(mean, weighed(own, "cpu_percent"))
        assert_shows(sd, own["cpu_percent"].std())
        assert_shows(row[6], own["memory_percent"].max())
        assert_shows(
            row[7].split(" ± ")[0],
            weighed(own, "disk_read_bytes_per_s") + weighed(own, "disk_write_bytes_per_s"),
        )
        for cell, name in zip(
            other[1:5],
            (
                "cpu_background_percent",
                "cpu_steal_percent",
                "cpu_side_percent",
                "harness_cpu_percent",
            ),
            strict=True,
        ):
            assert_shows(cell, weighed(own, name))


@needs_sample
def test_events_are_told_as_annotated(sample, annotations):
    """Requested, delivered, error, RMSE and settling of every event are annotations.csv's."""
    section = experiments.sections(sample)
    by_key = {(row["experiment"], row["event"]): row for row in annotations}
    told = 0
    for facts in sample.experiments:
        part = next(part for part in section.parts if part.id == facts.anchor)
        for row in rows_of(part, f"table-{facts.anchor}"):
            known = by_key[facts.recording.name, row[0]]
            for cell, name in (
                (5, "requested_mean"),
                (6, "delivered_mean"),
                (7, "delivered_error_percent"),
                (8, "delivered_rmse"),
                (10, "settled_s"),
            ):
                assert_shows(row[cell], float(known[name]) if known[name] else np.nan)
                told += 1
    assert told == 5 * len(annotations)


@needs_sample
def test_errors_by_resource_are_those_of_the_rows(sample, rows):
    """Mean, SD, least, median and largest error of a resource's events, from whole rows."""
    errors, by_event = {}, {}
    for facts in sample.experiments:
        for item in facts.events:
            asked, got = {
                "cpu": rows.columns[6:8],
                "memory": rows.columns[8:10],
                "disk": rows.columns[10:12],
            }[item.event.stressor]
            begin_s, end_s = (
                facts.recording.planned.zero_s + at_s
                for at_s in (item.row.actual_start_s, item.row.actual_end_s)
            )
            alone = [other for other in facts.events if other.event.stressor == item.event.stressor]
            if (
                len(alone) > 1
            ):  # of several at once the report takes off the others' plans: not recomputed here
                errors.setdefault(item.event.stressor, []).append(None)
                continue
            chosen = (rows["monotonic_s"] - rows["length_s"] >= begin_s - 1e-6) & (
                rows["monotonic_s"] <= end_s + 1e-6
            )
            delivered = rows[got]
            if (
                item.event.stressor == "memory"
            ):  # a level, not a rate: a row stands for what was between it and the row before
                delivered = (rows[got] + rows[got].shift()) / 2
            requested = float(
                np.average(rows.loc[chosen, asked], weights=rows.loc[chosen, "length_s"])
            )
            error = 100 * (
                float(np.average(delivered[chosen], weights=rows.loc[chosen, "length_s"]))
                / requested
                - 1
            )
            errors.setdefault(item.event.stressor, []).append(error)
            by_event[f"{facts.name} / {item.event.id}"] = error
    compared = 0
    for row in rows_of(fidelity.section(sample), "table-fidelity"):
        values = errors[row[0]]
        assert int(row[1]) == len(values)
        if None in values:
            continue
        compared += 1
        for cell, value in zip(
            row[2:],
            (np.mean(values), np.std(values, ddof=1), min(values), np.median(values), max(values)),
            strict=True,
        ):
            assert abs(read(cell)[0] - value) <= 0.06, (row, cell, value)
    assert compared >= 1
    told = [
        (row[3], by_event[row[0]])
        for row in rows_of(fidelity.section(sample), "table-fidelity-events")
        if row[0] in by_event
    ]
    assert len(told) >= 10
    assert all(abs(read(cell)[0] - error) <= 0.06 for cell, error in told)


@needs_sample
def test_description_of_every_column(sample, rows):
    """Count, missing share, mean, SD, least, median and largest of every column.

    Of the background, those of its 1 s means.
    """
    table = {row[0]: row for row in rows_of(description.section(sample), "table-columns")}
    assert set(rows.columns) - {"length_s"} <= set(table)
    for name in rows.columns:
        if rows[name].dtype.kind != "f" or name == "length_s":
            continue
        values = rows[name]
        if name == "cpu_background_percent":
            values = pd.Series(one_second_means(rows, name))
            assert "of its 1 s means" in table[name][2]
        assert_shows(table[name][3], values.count())
        assert_shows(table[name][4], 100 * values.isna().mean())
        for cell, value in zip(
            table[name][5:],
            (values.mean(), values.std(), values.min(), values.median(), values.max()),
            strict=True,
        ):
            assert_shows(cell, value)
    assert read(table["cpu_background_percent"][7])[0] > -5  # where single rows go down to −39


@needs_sample
def test_quality_is_of_the_rows(sample, rows):
    """Mean, SD, median, 95 %, 99 % and largest of what the harness costs and how late it was."""
    rows = rows.assign(dt_ms=1e3 * rows["length_s"])
    for row in rows_of(quality.section(sample), "table-quality"):
        values = rows[re.search(r"\((\w+)\)$", row[0])[1]].dropna()
        figures_ = (
            len(values),
            values.mean(),
            values.std(),
            *np.percentile(values, (50, 95, 99)),
            values.max(),
        )
        for cell, value in zip(row[1:], figures_, strict=True):
            assert_shows(cell, value)


@needs_sample
def test_rank_correlations(sample, rows):
    """Spearman's coefficient of each column with asked and delivered load, in each regime.

    By ranks of each pair.
    """
    nothing = (
        rows[["cpu_requested_percent", "memory_requested_bytes", "disk_requested_bytes_per_s"]] == 0
    ).all(axis=1)
    saturated = (rows[["cpu_percent", "disk_busy_percent"]].max(axis=1) >= 95) | (
        rows["pressure_memory_percent"] >= 5
    )
    idle = nothing & (rows["cpu_percent"] <= 5) & (rows["active_events"] == "") & ~saturated
    of = {"saturated": rows[saturated], "idle": rows[idle], "loaded": rows[~saturated & ~idle]}
    section = correlation.section(sample)
    (table,) = [block for block in section.blocks if block.kind == "table"]
    compared = 0
    for row in table.rows:
        for heading, cell in zip(table.headings[1:-1], row[1:-1], strict=True):
            load_, regime = heading.split(", ")
            pair = of[regime][[load_, row[0].text]].dropna() if load_ != row[0].text else None
            if pair is None or cell.text == "–":
                continue
            r = np.corrcoef(rankdata(pair.to_numpy(), axis=0), rowvar=False)[0, 1]
            assert abs(read(cell.text)[0] - r) <= 0.0151
            compared += 1
    assert compared > 100
    for name, own in of.items():
        assert f"{name}: {len(own):,} rows" in words_of(section)


@needs_sample
def test_lags_are_correlations_of_seconds(sample, rows):
    """The largest correlation over lags of 0 to 30 s, its lag, and its pairs of seconds."""
    for cause, effect, lag, r, r0, pairs in rows_of(lags.section(sample), "table-lags"):
        first, second = (one_second_means(rows, name) for name in (cause, effect))
        if effect.startswith("probe"):  # of the probes, the worst of a second
            at = ((rows["monotonic_s"] - rows["monotonic_s"].iloc[0]) // 1).astype(int)
            second = (
                rows.iloc[1:]
                .groupby(
                    ((rows["monotonic_s"].iloc[1:] - rows["monotonic_s"].iloc[0]) - 1e-9) // 1
                )[effect]
                .max()
                .to_numpy()
            )
            assert at.max() <= len(second)
        found = []
        for shift in range(31):
            pair = np.stack([first[: len(first) - shift], second[shift : len(first)]])
            pair = pair[:, ~np.isnan(pair).any(axis=0)]
            found.append((np.corrcoef(pair)[0, 1], pair.shape[1]))
        largest = max(range(31), key=lambda shift: abs(found[shift][0]))
        assert lag == f"{largest} s"
        assert abs(read(r)[0] - found[largest][0]) <= 0.006
        assert abs(read(r0)[0] - found[0][0]) <= 0.006
        assert int(pairs.replace(",", "")) == found[largest][1]


@needs_sample
def test_levels_are_those_that_were_asked(sample, rows):
    """Each cluster's label is true of its members, within what can be asked.

    Quartiles are the members'.
    """
    alone = {
        "cpu": ("cpu_requested_percent", 1, "cpu_percent", 100.0),
        "memory": ("memory_requested_bytes", 2**30, "memory_percent", None),
        "disk": ("disk_requested_bytes_per_s", 2**20, "disk_busy_percent", None),
    }
    asked = {name: rows[column] > 0 for name, (column, *_) in alone.items()}
    table, told = rows_of(levels.section(sample), "table-levels"), 0
    for stressor, (column, size, answer, most) in alone.items():
        own = rows[asked[stressor] & (sum(asked.values()) == 1)]
        value = (own[column] / size).round(3 if stressor == "cpu" else 6)
        held = value[value.map(value.value_counts()) >= 10].unique()
        is_held = value.isin(held if len(held) <= 8 else [])
        for row in (row for row in table if row[0].startswith(stressor)):
            ends = re.fullmatch(rf"{stressor} ([\d.]+)(?: to (below )?([\d.]+))? \S+", row[0])
            low = float(ends[1])
            if ends[3] is None:
                chosen = is_held & (abs(value - low) <= 5e-4 * max(low, 1))
            else:
                high = float(ends[3])
                assert most is None or high <= most
                chosen = (
                    ~is_held & (value >= low) & ((value < high) if ends[2] else (value <= high))
                )
            answers = own.loc[chosen, answer].dropna()
            assert int(row[1]) == len(answers) >= 10, row[0]
            for cell, share in zip(row[2:5], (25, 50, 75), strict=True):
                assert_shows(cell, np.percentile(answers, share))
            assert_shows(row[5], own.loc[chosen, "probe_wakeup_ms"].median())
            told += 1
    assert told == len(table)
    assert {"cpu 20 %", "cpu 60 %", "cpu 80 %"} <= {row[0] for row in table}


@needs_sample
def test_steps_of_saturation(sample, rows):
    """Median and 95 % of lateness and pressure in each step of CPU use.

    Over rows with CPU load alone or none.
    """
    asked_nothing = (rows["active_events"] != "") & (rows["cpu_requested_percent"] == 0)
    plain = rows[
        ~asked_nothing
        & (rows["memory_requested_bytes"] == 0)
        & (rows["disk_requested_bytes_per_s"] == 0)
        & ~(rows["cpu_side_percent"] >= 1)
    ]
    section = saturation.section(sample)
    for row in rows_of(section, "table-saturation"):
        low, high = (
            float(text) for text in re.fullmatch(r"(\d+) to (?:below )?(\d+) %", row[0]).groups()
        )
        own = plain[
            (plain["cpu_percent"] >= low) & (plain["cpu_percent"] < (high if high < 100 else 100.1))
        ]
        for at, name in ((1, "probe_wakeup_ms"), (4, "pressure_cpu_percent")):
            values = own[name].dropna()
            assert_shows(row[at], values.median())
            assert_shows(row[at + 1], np.percentile(values, 95))
            assert_shows(row[at + 2], len(values))
    assert f"{len(rows) - len(plain):,} rows of {len(rows):,} were left out" in words_of(section)


@needs_sample
def test_dynamics_are_of_the_rows(sample, rows):
    """Rise between 10 and 90 % of the median of the second half, and the highest row above it."""
    names = {
        "cpu": "cpu_delivered_percent",
        "memory": "memory_delivered_bytes",
        "disk": "disk_delivered_bytes_per_s",
    }
    items = {
        f"{facts.name} / {item.event.id}": (facts, item)
        for facts in sample.experiments
        for item in facts.events
    }
    for row in rows_of(dynamics.section(sample), "table-dynamics"):
        facts, item = items[row[0]]
        at_s = rows["monotonic_s"] - facts.recording.planned.zero_s - item.row.actual_start_s
        own = rows[(at_s > 0) & (at_s <= item.row.actual_end_s - item.row.actual_start_s)]
        values, own_s = own[names[item.event.stressor]].to_numpy(), at_s[own.index].to_numpy()
        plateau = np.median(values[len(values) // 2 :])
        at_90, at_10 = (own_s[values >= share * plateau][0] for share in (0.9, 0.1))
        assert_shows(row[1], at_90 - at_10)
        assert_shows(row[2], np.nan if item.row.settled_s is None else item.row.settled_s)
        assert abs(read(row[3])[0] - 100 * (values.max() / plateau - 1)) <= 0.06


@needs_sample
def test_means_by_regime(sample, rows):
    """Count, mean and SD of the responses in rows of each combination of loads."""
    asked = {
        name: rows[column] > 0
        for name, column in zip(("cpu", "memory", "disk"), rows.columns[[6, 8, 10]], strict=True)
    }
    section = response.section(sample)
    (table,) = [block for block in section.blocks if block.kind == "table"]
    for row in table.rows:
        wanted = set() if row[0].text in ("idle", "other") else set(row[0].text.split(" + "))
        is_active = rows["active_events"] != ""
        own = rows if wanted else rows[is_active if row[0].text == "other" else ~is_active]
        own = own[
            np.logical_and.reduce([asked[name][own.index] == (name in wanted) for name in asked])
        ]
        assert int(row[1].text.replace(",", "")) == len(own)
        for cell, name in zip(row[2:], table.headings[2:], strict=True):
            mean, sd = cell.text.split(" ± ")
            assert_shows(mean, own[name].mean())
            assert_shows(sd, own[name].std())


@needs_sample
def test_prediction_is_scored_second_by_second():
    """RMSE and the share within the band, from the prediction's arrays and the measured means.

    A column without a band says so nowhere.
    """
    run = load(SAMPLE)
    run.__dict__["state"] = {
        **run.state,
        "settings": {**run.state["settings"], "model": str(MODEL)},
    }
    (section,) = prediction_section.sections(SimpleNamespace(run=run))
    (table,) = [block for block in section.blocks if block.kind == "table"]
    twin, plans = (
        Twin.load(MODEL),
        {recording.name: recording.experiment for recording in run.recordings},
    )
    observations = {one.name: one for one in gather([run])}
    assert [row[0].text for row in table.rows] == list(observations)
    for row in table.rows[:4]:
        one = observations[row[0].text]
        others = Others.of_cpu(cpu_by_others([one]))
        prediction = twin.predict(plans[one.name], demand=one.demand, background=others)
        for heading, cell in zip(table.headings[1:], row[1:], strict=True):
            name, _, what = heading.partition(" ")
            at, measured = COLUMNS.index(name), one.column(name)
            known = ~np.isnan(measured) & ~np.isnan(prediction.centre[at])
            error = float(np.sqrt(np.mean((prediction.centre[at] - measured)[known] ** 2))) * (
                1e-6 if "bytes" in name else 1.0
            )
            assert float(cell.text.split()[0].rstrip(",")) == pytest.approx(error, rel=6e-3)
            within = (measured >= prediction.low[at]) & (measured <= prediction.high[at])
            assert what == "(RMSE, in band)"
            assert cell.text.endswith(f"{100 * within[known].mean():.0f} %")


def test_columns_without_a_band_promise_none(monkeypatch):
    """Of a twin that was not calibrated, no heading and no caption speak of a band."""
    empty = np.full((20, 3), np.nan)
    prediction = SimpleNamespace(low=empty, high=empty, centre=np.ones((20, 3)))
    one = SimpleNamespace(name="x", column=lambda _: np.full(3, 3.0))
    assert prediction_section._heading([(one, prediction)], "cpu_percent") == "cpu_percent (RMSE)"
    assert "no band" in prediction_section._table_caption([(one, prediction)])
    assert prediction_section._cell(one, prediction, "cpu_percent").text == "2 points"
    assert prediction_section._cell(one, prediction, "probe_wakeup_ms").text == "2 ms"


# -- made-up runs ----------------------------------------------------------------------------------


def facts_with(*errors):
    """Evidence as far as the first screen needs it, with events of these errors."""
    samples = pd.DataFrame(
        {
            name: [0.0]
            for name in (
                "cpu_requested_percent",
                "memory_requested_bytes",
                "disk_requested_bytes_per_s",
            )
        }
    )
    samples = samples.assign(
        cpu_percent=0.0,
        disk_busy_percent=0.0,
        pressure_memory_percent=0.0,
        active_events="",
        probe_wakeup_ms=np.nan,
    )
    events = [SimpleNamespace(error_percent=error) for error in errors]
    return SimpleNamespace(
        run=SimpleNamespace(machine={"parts_of": [1]}),
        events=events,
        samples=samples,
        experiments=(),
    )


@pytest.mark.parametrize("errors", [(0.03, -15.93), (1.0, 2.0, 3.0, 4.0), (5.0,), (-3.0, 1.0, 2.0)])
def test_median_of_an_even_number_lies_between(errors):
    """Of two errors, 0.03 and 15.93 %, the median is 7.98 %, not the larger one."""
    (sentence,) = summary.stood_out(facts_with(*errors))
    shown = re.search(r"median size of the error is ([\d.]+) %, the largest ([\d.]+) %", sentence)
    assert_shows(shown[1], statistics.median(abs(error) for error in errors))
    assert_shows(shown[2], max(abs(error) for error in errors))


def test_no_median_is_taken_by_hand():
    """Half a sorted list is the upper median: the standard library and pandas have the true one."""
    for path in Path(twin_harness.__file__).parent.rglob("*.py"):
        found = re.search(
            r"sorted\([^\n]*\)\[[^\]\n]*//|\w+\[len\(\w+\) // 2\]", path.read_text(encoding="utf-8")
        )
        assert not found, f"{path}: {found[0]}"


@pytest.mark.parametrize("changes", [(1.2, 0.9), (1.5, 1.4, 1.3)])
def test_gate_shows_medians_units_and_the_mean_of_the_pairs(tmp_path, changes):
    """Base and candidate are medians of the runs with their unit.

    The change is the mean over pairs, which the text says.
    """
    random = np.random.default_rng(3)
    base = tuple(4.0 * np.exp(random.normal(0, 0.2, 12)))
    candidates = [
        tuple(value * change * np.exp(random.normal(0, 0.2)) for value in base)
        for change in changes
    ]
    judged = judge_pairs(
        [
            GateEvidence(declare(f"test_{at}", "p50", unit="ms", better="lower"), base, candidate)
            for at, candidate in enumerate(candidates)
        ]
    )
    folder = make_folder(tmp_path / "data")
    folder.write_gate(Judgement(judged, "paired").to_json())
    (section,) = verdicts.sections(SimpleNamespace(run=SimpleNamespace(folder=folder)))
    for row in rows_of(section, "table-gate"):
        candidate = candidates[int(re.search(r"test_(\d)", row[0])[1])]
        assert (row[2], row[3]) == (
            f"{statistics.median(base):.4g} ms",
            f"{statistics.median(candidate):.4g} ms",
        )
        ratio = np.exp(np.mean(np.log(np.array(candidate) / np.array(base))))
        assert float(row[4].split()[0]) == pytest.approx(100 * (ratio - 1), rel=5e-3)
    assert "need not be the quotient of the two medians" in words_of(section)


@pytest.mark.parametrize("effects", [(0.5,), (3.0, -2.0), (67.0, 0.2)])
def test_gate_picture_reaches_every_bound_or_says_that_it_goes_on(effects):
    """The picture is as wide as its bars, up to twelve thresholds.

    What lies beyond is no bar that ends at the edge.
    """
    measure = declare("test_x", "p50", unit="ms", better="lower")
    rows_ = [
        (
            {
                "effect": e * measure.least_effect,
                "lower": (e - 0.5) * measure.least_effect,
                "upper": None,
                "word": "PASSED",
            },
            measure,
        )
        for e in effects
    ]
    furthest = max(abs(bound) for effect in effects for bound in (effect, effect - 0.5))
    assert verdicts._reach(rows_) == pytest.approx(min(12.0, max(2.0, 1.1 * furthest)))


def drawn(**wanted):
    """An axis that begins at 0, with lines of these values on it."""
    axes = new_figure(3, 2).add_subplot()
    for values in wanted.values():
        axes.plot(range(len(values)), values)
    from_zero(axes)
    return axes.get_ylim()


@pytest.mark.parametrize(
    "values",
    [[0.90, 0.94], [5.0, 5.0], [0.0, 1e-6], [1e9, 2e9], [0.0, 0.0], [np.nan, 3.0], [np.nan]],
)
def test_no_line_lies_on_the_upper_edge(values):
    """An axis from 0 ends well above the highest value, however narrow the values' own range is."""
    low, high = drawn(line=values)
    top = np.nanmax([0.0, *values])
    assert low == 0.0
    assert high >= 1.05 * top
    assert high > 0


def rows_at(asked, answer=50.0):
    """Rows of CPU load that ask for these percents."""
    frame = pd.DataFrame(
        {"cpu_requested_percent": asked, "cpu_percent": answer, "probe_wakeup_ms": 0.1}
    )
    active = ["cpu-0" if level > 0 else "" for level in asked]
    return frame.assign(
        active_events=active,
        memory_requested_bytes=0.0,
        disk_requested_bytes_per_s=0.0,
        memory_percent=1.0,
        disk_busy_percent=0.0,
    )


def test_levels_of_a_staircase_are_named():
    """steps([20, 60, 100]) has three levels and no more, each by its name."""
    found = levels.level_rows(rows_at([20.0] * 40 + [60.0] * 40 + [100.0] * 40 + [41.3, 73.9]))
    assert list(dict.fromkeys(found["level"])) == ["20 %", "60 %", "100 %"]


@pytest.mark.parametrize("top", [100.0, 99.0, 40.0])
def test_steps_of_a_ramp_hold_what_they_say(top):
    """Every row of a ramp lies in a step whose label is true of it.

    The last is closed at 100 %, which none passes.
    """
    asked = np.linspace(0.1, top, 2_000)
    found = levels.level_rows(rows_at(asked).assign(answer=asked).assign(cpu_percent=asked))
    assert len(asked) - len(found) < 10  # a step of fewer rows is left out
    for level, own in found.groupby("level"):
        low, is_open, high = re.fullmatch(r"(\d+) to (below )?(\d+) %", level).groups()
        assert float(high) <= 100
        assert own["answer"].min() >= float(low)
        assert own["answer"].max() < float(high) if is_open else own["answer"].max() <= float(high)


@pytest.mark.parametrize(
    ("highest", "unit"),
    [(0.7, "GiB"), (3.0, "GiB"), (19.07, "MiB/s"), (512.0, "GiB"), (0.0004, "MiB/s"), (100.0, "%")],
)
def test_a_few_round_steps_reach_the_highest_level(highest, unit):
    """Between one and five steps, and the last one holds the highest level."""
    step, last = levels._step_of(highest, unit)
    assert 0 <= last <= 4
    assert last * step < highest <= (last + 1) * step * (1 + 1e-9)


def steps(values):
    """Steps of 5 points of CPU use, with these values as both lines."""
    return pd.DataFrame(
        {"cpu": 2.5 + 5.0 * np.arange(len(values)), "median": values, "high": values, "n": 50}
    )


NOISE = np.random.default_rng(7).normal(0, 0.02, 20)


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        (np.where(np.arange(20) < 11, 0.46, 3.3) + NOISE, 50, 57),  # a jump at 55 %: that is a knee
        (np.where(np.arange(20) < 14, 1.0, 1.0 + 2.0 * (np.arange(20) - 13)) + NOISE, 65, 73),
        (
            [0.3, 0.35, 0.3, 0.4, 0.46, 0.3, 0.4, 0.4, 0.4, 0.45, 0.46, 3.3, 2.9, 3.5, 2.2, 3.8],
            50,
            57,
        ),
    ],
)
def test_a_known_knee_is_found_where_it_is(values, low, high):
    """A line that jumps, or turns up, has its knee there, noise or not."""
    for line in ("median", "high"):
        knee = saturation.knee_of(steps(np.asarray(values, dtype=float)), line)
        assert low <= knee.cpu_percent <= high
        assert knee.reason == ""


@pytest.mark.parametrize(
    "values", [np.arange(1.0, 21.0), np.full(20, 3.0), 1.0 + np.abs(NOISE), np.zeros(20)]
)
def test_what_has_no_knee_has_none(values):
    """A straight line, a flat one, and noise within a factor of two."""
    knee = saturation.knee_of(steps(values))
    assert (knee.cpu_percent, knee.flat_percent, knee.reason) == (None, None, "")


def test_what_rises_at_once_and_stays_is_said_so():
    """Lateness that any load raises has no knee, and is not called flat."""
    knee = saturation.knee_of(steps([0.36, *[2.1, 2.0, 2.2] * 4]))
    assert (knee.cpu_percent, knee.flat_percent) == (None, 7.5)


@pytest.mark.parametrize(
    "values",
    [
        [5, 12, 87, 10, 12, 15, 20, 25, 30, 45, 60, 80, 95],
        np.random.default_rng(1).uniform(0.1, 1, 14),
        np.arange(20.0, 1.0, -1),
    ],
)
def test_what_something_else_moves_is_not_decided(values):
    """A pressure of 87 % at 12 % of CPU is not CPU use's doing.

    Neither a knee nor none is claimed.
    """
    knee = saturation.knee_of(steps(np.asarray(values, dtype=float)))
    assert knee.cpu_percent is None
    assert "so something else moves it" in knee.reason


def test_a_line_that_never_falls_lies_nearest():
    """The rising fit keeps the sum, never falls, and is no worse than any of many rising lines."""
    random = np.random.default_rng(2)
    values = random.normal(np.arange(12), 3)
    fitted = saturation.rising_fit(values)
    assert (np.diff(fitted) >= 0).all()
    assert fitted.sum() == pytest.approx(values.sum())
    least = ((values - fitted) ** 2).sum()
    for _ in range(200):
        assert ((values - np.sort(fitted + random.normal(0, 1, 12))) ** 2).sum() >= least


def test_a_program_is_not_idle():
    """No section counts a row idle in which an event without a level was active."""
    frame = rows_at([0.0] * 4 + [30.0]).assign(active_events=["", "cmd-0", "cmd-0", "", "cpu-0"])
    assert response.active_loads(frame).tolist() == ["idle", "other", "other", "idle", "cpu"]


def test_rows_with_other_loads_are_not_judged():
    """Memory, disk and programs raise pressure at any CPU use: their rows are in no step."""
    frame = rows_at([0.0] * 6).assign(cpu_side_percent=[0.0, 0.0, 0.0, 3.0, np.nan, 0.0])
    frame.loc[1, "memory_requested_bytes"] = 1e9
    frame.loc[2, "disk_requested_bytes_per_s"] = 1e6
    frame.loc[5, "cpu_requested_percent"] = 20.0
    assert saturation.of_cpu_alone(frame).tolist() == [True, False, False, False, True, True]


def made_run(tmp_path, lengths_s, **values):
    """A run with rows so far apart."""
    folder = make_folder(tmp_path / "data")
    folder.write_state({"status": "COMPLETE", "settings": {"interval_s": 0.1}})
    given = {
        "cpu_percent": 20.0,
        "cpu_steal_percent": 0.0,
        "memory_percent": 3.0,
        "missed_samples": 0,
        "harness_cpu_percent": 1.0,
    }
    given |= {
        "cpu_background_percent": 0.0,
        "pressure_cpu_percent": 1.0,
        "lateness_ms": 0.2,
        "sample_cost_us": 400.0,
    } | values
    ends_s = 1000.0 + np.cumsum(lengths_s)
    missed = [max(0, round(length_s / 0.1) - 1) for length_s in lengths_s]
    lines = []
    for at, end_s in enumerate(ends_s):
        own = {
            name: value[at] if isinstance(value, list) else value for name, value in given.items()
        }
        lines.append(csv_row(float(end_s), **{**own, "missed_samples": missed[at]}))
    write_dataset(folder, lines)
    experiment = plan(
        cpu(20, duration_s=5), memory(1, duration_s=2), disk(1e6, duration_s=2), name="one"
    )
    folder.append_plan(planned(experiment, 1002.0))
    folder.append_annotation(annotate(experiment, "cpu-0", 1002.0))
    return load(folder.path)


@pytest.mark.parametrize("most_rows", [10_000, 50])
def test_long_runs_tell_the_same_counts(tmp_path, monkeypatch, most_rows):
    """Rows that are shown as 1 s means are counted, missed and apart as they were taken.

    3 gaps are not one in every second.
    """
    monkeypatch.setattr(dataset_rows, "MOST_ROWS", most_rows)
    lengths_s = [0.1] * 60 + [0.9] + [0.1] * 50 + [1.3, 0.5] + [0.1] * 60
    found = evidence.gather_evidence(made_run(tmp_path, lengths_s))
    assert bool(found.window_s) == (most_rows == 50)
    text = (
        words_of(cleaning.section(found))
        + words_of(summary.section(found))
        + " ".join(doubts.doubts(found))
    )
    assert f"holds {len(lengths_s)} samples, one every 0.100 s." in text
    assert "3 gaps of more than 3 intervals (0.300 s)" in text
    assert f"The logger skipped 24 of {len(lengths_s) + 24} samples" in text
    assert "3 gaps in the samples, the longest 1.30 s." in text
    assert [row[1] for row in rows_of(cleaning.section(found), "table-gaps")] == [
        "1.30 s",
        "0.900 s",
        "0.500 s",
    ]
    assert f"The dataset has {len(lengths_s)} rows" in words_of(description.section(found))
    if found.window_s:
        assert "dt_ms" not in [
            re.search(r"\((\w+)\)$", row[0])[1]
            for row in rows_of(quality.section(found), "table-quality")
        ]


@pytest.mark.parametrize(
    "column", ["harness_cpu_percent", "pressure_cpu_percent", "pressure_io_percent"]
)
def test_shares_above_all_of_the_time_are_kept_and_said(tmp_path, column):
    """Of older runs, in which a row holds more than 100 % and the next as much less.

    Both stay, so their mean is right, and it is told.
    """
    values = [10.0] * 100
    values[40:42] = [246.0, 4.0]
    found = evidence.gather_evidence(made_run(tmp_path, [0.1] * 100, **{column: values}))
    assert found.samples[column].max() == 246.0
    assert "torn reading" in words_of(cleaning.section(found)).lower()
    told = " ".join(doubts.doubts(found))
    assert f"Rows say more than 100 % of the time ({column} 1 time)" in told
    assert "The dataset was damaged" not in told


def test_variants_are_named(tmp_path):
    """Of a gate's pairs, each experiment says which of the two was under test."""
    run = made_run(tmp_path, [0.1] * 100)
    trials = [
        {"variant": "base", "begin_s": 900.0, "end_s": 1001.9},
        {"variant": "slow=1", "begin_s": 1001.95, "end_s": 1003.0},
        {"variant": ""},
        3,
    ]
    run.folder.write_gate({"status": "PASSED", "trials": trials})
    assert [facts.name for facts in evidence.gather_evidence(run).experiments] == ["one (slow=1)"]
    run.folder.write_gate({"trials": "none"})
    assert [facts.name for facts in evidence.gather_evidence(run).experiments] == ["one"]


def experiment_of(number, *events, has_trouble=False):
    made = plan(*events, name=f"e{number}")
    items = tuple(SimpleNamespace(event=event) for event in made.events)
    return SimpleNamespace(
        number=number,
        name=made.name,
        recording=SimpleNamespace(experiment=made),
        events=items,
        has_trouble=has_trouble,
    )


def test_the_various_are_drawn_before_the_alike(monkeypatch):
    """Thirty runs of one plan do not take the figures of the others.

    Of plans, those with most kinds of load come first.
    """
    alike = [experiment_of(number, cpu(50, duration_s=2)) for number in range(1, 31)]
    mixed = [
        experiment_of(
            30 + number, cpu(number, duration_s=2), memory(2, duration_s=2), disk(1e6, duration_s=1)
        )
        for number in range(1, 11)
    ]
    single = [experiment_of(40 + number, memory(number, duration_s=2)) for number in range(1, 10)]
    trouble = experiment_of(60, cpu(50, duration_s=2), has_trouble=True)
    found = experiments.chosen((*alike, *mixed, *single, trouble))
    assert len(found) == 16
    assert {60, *range(31, 41)} <= found
    assert len(found & set(range(1, 31))) == 1
    assert experiments.chosen((*alike, trouble)) == {1, 2, 3, 4, 60}
    assert experiments.chosen(tuple(alike[:16])) == set(range(1, 17))


def test_statistic_is_of_the_rows_of_its_mean(tmp_path):
    """Mean, spread, extremes and count are of the same rows.

    Whole ones, not the one that straddles the start.
    """
    values = [90.0] * 11 + [20.0, 22.0] * 45
    (facts,) = evidence.gather_evidence(
        made_run(tmp_path, [0.1] * 101, cpu_percent=values)
    ).experiments
    figure, _ = facts.cpu
    own = [
        value
        for value, end_s in zip(values, 1000.0 + 0.1 * np.arange(1, 102), strict=True)
        if end_s - 0.1 >= 1001.0 - 1e-6 and end_s <= 1008.0 + 1e-6
    ]
    assert figure.count == len(own)
    assert figure.mean == pytest.approx(np.mean(own), rel=1e-3)
    assert (figure.low, figure.high) == (min(own), max(own))
    assert figure.sd == pytest.approx(np.std(own, ddof=1), rel=1e-6)


def test_sample_holds_no_share_above_all_of_the_time():
    """The registry's ranges hold in the sample, and shares of time stay at 100 or below."""
    if not SAMPLE.exists():
        pytest.skip("the sample stands in the repository, not in the package")
    frame = pd.read_csv(SAMPLE / "system_metrics_dataset.csv")
    shares = [
        name
        for name in frame.columns
        if name.endswith("_percent") and name != "cpu_background_percent"
    ]
    assert (frame[shares].max().dropna() <= 100).all()
    assert json.loads((SAMPLE / "run.json").read_text())["format"] == "twin-run/1"
