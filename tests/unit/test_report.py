"""The EDA report, on synthetic runs: no load, no sleep."""

from __future__ import annotations

import math
import re
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_harness import cpu, disk, load, memory, plan, ramp, sine
from twin_harness.errors import UnreadableRun
from twin_harness.metrics import RESOURCE_COLUMNS, columns
from twin_harness.quantity import quantity, signed
from twin_harness.report.drawing.bands import lanes
from twin_harness.report.drawing.canvas import thinned
from twin_harness.report.drawing.timelines import timeline_png
from twin_harness.report.html import write_report
from twin_harness.report.sections import (
    correlation,
    experiments,
    lags,
    levels,
    overview,
    quality,
    response,
    saturation,
)
from twin_harness.report.sections import fidelity as agreement
from twin_harness.runs.folder import RunFolder
from twin_harness.runs.records import AnnotationRow, PlannedExperiment

if TYPE_CHECKING:
    from pathlib import Path

    from twin_harness.runs.run import Run
    from twin_harness.schedule.event import Event
    from twin_harness.schedule.model import Experiment

GIB, MIB = 2**30, 2**20
LIMIT_BYTES = 8 * GIB
INTERVAL_S = 0.1
FACTOR = {"cpu": 1.0, "memory": LIMIT_BYTES / 100.0, "disk": 1.0}
MACHINE = {
    "fingerprint": "0123456789abcdef",
    "host": "server-1",
    "cpu_model": "Test CPU 3000",
    "virtualisation": "qemu",
    "kernel": "6.1.0-test",
    "governor": "",
    "cpus": [0, 1],
    "possible_cpus": [0, 1],
    "cpu_capacity": 2.0,
    "memory_total_bytes": LIMIT_BYTES,
    "memory_limit_bytes": LIMIT_BYTES,
    "swap_bytes": 0,
    "scratch_dir": "/data/scratch",
    "scratch_filesystem": "ext4",
    "scratch_device": "vda",
}


def some_experiments(amount: int) -> list[Experiment]:
    """Return experiments that load one resource after the other, and sometimes all of them."""
    made = []
    for number in range(amount):
        events = [
            cpu(ramp(10, 80) if number % 2 else 50.0, duration_s=6),
            memory(20, start_s=1, duration_s=5),
            disk(sine(20e6, 10e6, 3), start_s=2, duration_s=5),
        ]
        chosen = events if number % 4 == 3 else [events[number % 4 % 3]]
        made.append(plan(*chosen, name=f"load {number}", lead_s=1.5, tail_s=1.5))
    return made


class SyntheticRun:
    """A run folder as the logger and the runner would leave it."""

    def __init__(self, data_dir: Path, experiments: list[Experiment], seed: int = 1) -> None:
        self.folder = RunFolder.create(data_dir)
        self.random = np.random.default_rng(seed)
        self.planned: list[PlannedExperiment] = []
        now_s = 1_000.5
        for experiment in experiments:
            zero_s = now_s + experiment.lead_s
            self.planned.append(
                PlannedExperiment(
                    experiment,
                    now_s,
                    zero_s,
                    zero_s + experiment.span_s + experiment.tail_s,
                    status="completed",
                )
            )
            now_s = self.planned[-1].end_s + 0.5
        self.frame = self._samples(1_000.0, now_s)

    def _samples(self, begin_s: float, end_s: float) -> pd.DataFrame:
        at_s = np.arange(begin_s, end_s, INTERVAL_S) + self.random.exponential(
            2e-4, math.ceil((end_s - begin_s) / INTERVAL_S)
        )
        rows = len(at_s)
        frame = pd.DataFrame(
            {metric.name: np.full(rows, np.nan) for metric in columns((0, 1))}
        ).astype(object)
        level: dict[str, Any] = {name: np.zeros(rows) for name in FACTOR}
        names, active = np.full(rows, "", dtype=object), np.full(rows, "", dtype=object)
        for planned in self.planned:
            names[(at_s >= planned.begin_s) & (at_s <= planned.end_s)] = planned.experiment.name
            for event in planned.experiment.events:
                own_s = at_s - INTERVAL_S / 2 - planned.zero_s - event.start_s
                for index in np.flatnonzero((own_s >= 0) & (own_s < event.duration_s)):
                    level[event.stressor][index] += (
                        event.level(own_s[index]) * FACTOR[event.stressor]
                    )
                    active[index] = "+".join(filter(None, [active[index], event.id]))

        def noise(scale):
            return self.random.normal(0.0, scale, rows)

        got = {name: values * (1 + noise(0.01)) for name, values in level.items()}
        wall = pd.to_datetime(1_760_000_000.0 + at_s, unit="s", utc=True).strftime(
            "%Y-%m-%dT%H:%M:%S.%fZ"
        )
        used_bytes = 1.5 * GIB + got["memory"] + noise(4 * MIB)
        values = {
            "time": wall, "monotonic_s": at_s, "host": "server-1", "partition": "",
            "experiment": names, "active_events": active,
            **{column: level[name] for name, (column, _) in RESOURCE_COLUMNS.items()},
            **{column: got[name] for name, (_, column) in RESOURCE_COLUMNS.items()},
            "cpu_background_percent": 2 + noise(0.5),
            "harness_cpu_percent": 0.6 + np.abs(noise(0.1)),
            "cpu_percent": np.clip(3 + got["cpu"] + noise(1.0), 0, 100),
            "cpu_steal_percent": np.abs(noise(0.4)), "cpu_user_percent": got["cpu"] + 1,
            "load1": np.convolve(got["cpu"] / 50, np.full(20, 0.05))[:rows],
            "memory_percent": used_bytes / LIMIT_BYTES * 100, "memory_used_bytes": used_bytes,
            "memory_available_bytes": LIMIT_BYTES - used_bytes,
            "disk_read_bytes_per_s": np.abs(noise(1e4)),
            "disk_write_bytes_per_s": got["disk"] + np.abs(noise(2e5)),
            "pressure_cpu_percent": np.clip(got["cpu"] * 0.2 + noise(0.5), 0, None),
            "pressure_io_percent": np.clip(got["disk"] / 1e6 + noise(0.5), 0, None),
            "probe_wakeup_ms": 0.06 + np.abs(noise(0.02)) + got["cpu"] * 0.01,
            "lateness_ms": self.random.exponential(0.2, rows),
            "missed_samples": 0, "sample_cost_us": self.random.normal(420, 30, rows),
            "cpu_frequency_hz": 2.4e9,
        }  # fmt: skip
        for name, column in values.items():
            frame[name] = column
        return frame

    def row_of(self, planned: PlannedExperiment, event: Event, **changes: Any) -> AnnotationRow:
        """Return the annotation row of an event, as the runner would write it."""
        start_s, end_s = event.start_s + 0.0004, event.end_s + 0.0011
        row = AnnotationRow(
            self.folder.run_id, planned.experiment.name, event.id, event.stressor, event.shape.kind,
            event.unit, event.start_s, event.end_s, start_s, end_s,
            "2025-10-09T08:53:20Z", "2025-10-09T08:53:26Z",
            planned.zero_s + start_s, planned.zero_s + end_s, 0.4, 1.1,
            release_s=0.01, host="server-1", worker=planned.worker,
        )  # fmt: skip
        inside = self.frame["monotonic_s"].between(
            row.start_monotonic_s + INTERVAL_S * 0.9, row.end_monotonic_s
        )
        requested, delivered = (
            self.frame.loc[inside, list(RESOURCE_COLUMNS[event.stressor])].to_numpy(dtype=float).T
            / FACTOR[event.stressor]
        )
        row.requested_mean, row.delivered_mean = float(requested.mean()), float(delivered.mean())
        row.delivered_error_percent = 100 * (row.delivered_mean / row.requested_mean - 1)
        row.delivered_rmse, row.settled_s = (
            float(np.sqrt(np.mean((delivered - requested) ** 2))),
            0.2,
        )
        for name, value in changes.items():
            setattr(row, name, value)
        return row

    def write_dataset(self) -> SyntheticRun:
        self.frame.to_csv(self.folder.dataset, index=False, float_format="%.6f")
        return self

    def write_plans(self) -> SyntheticRun:
        for planned in self.planned:
            self.folder.append_plan(planned)
        return self

    def write_annotations(self) -> SyntheticRun:
        for planned in self.planned:
            for event in planned.experiment.events:
                self.folder.append_annotation(self.row_of(planned, event))
        return self

    def write_state(self, status: str = "COMPLETE", **more: Any) -> SyntheticRun:
        self.folder.write_machine(MACHINE)
        self.folder.write_state({"status": status, **more})
        return self

    def write(self) -> SyntheticRun:
        return self.write_dataset().write_plans().write_annotations().write_state()

    @property
    def run(self) -> Run:
        return load(self.folder.path)


class Page(HTMLParser):
    """A report as a reader meets it: its tags with attributes, and its text."""

    VOID = frozenset({"meta", "link", "img", "wbr", "br", "hr", "input"})

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @cached_property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def picture(self, figure: str) -> bytes:
        """The PNG that stands in a figure."""
        at = self.tags.index(("figure", {"id": figure}))
        source = next(attributes["src"] for tag, attributes in self.tags[at:] if tag == "img")
        return b64decode(source.partition(",")[2])


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    return SyntheticRun(tmp_path_factory.mktemp("data"), some_experiments(4)).write()


@pytest.fixture(scope="module")
def page(complete, tmp_path_factory):
    return Page(write_report(complete.run, tmp_path_factory.mktemp("reports") / "new" / "folder"))


PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


# Of these, only the first two hold words that are not ours.
DRAWN = {
    overview: "overview_png",
    experiments: "timeline_png",
    agreement: "fidelity_png",
    correlation: "heatmap_png",
    lags: "lag_png",
    levels: "level_png",
    quality: "distribution_png",
    response: "scatter_png",
    saturation: "knee_png",
}


@pytest.fixture
def pixels(monkeypatch):
    """Draw nothing: for tests of sentences and tables."""
    for module, name in DRAWN.items():
        monkeypatch.setattr(module, name, lambda *_: PIXEL)


@pytest.fixture
def own_words_are_pixels(monkeypatch):
    """Draw only what holds names and messages of others."""
    for module, name in DRAWN.items():
        if module not in (overview, experiments):
            monkeypatch.setattr(module, name, lambda *_: PIXEL)


def test_what_is_not_drawn_for_speed_is_every_picture():
    """A section that has a picture of its own is among those that tests of sentences leave out."""
    sections = files("twin_harness.report.sections")
    drawing = {
        entry.name.removesuffix(".py")
        for entry in sections.iterdir()
        if entry.name.endswith(".py") and "_png(" in entry.read_text(encoding="utf-8")
    }
    assert drawing - {"prediction"} == {module.__name__.rpartition(".")[2] for module in DRAWN}


SECTIONS = (
    "summary",
    "overview",
    "experiments",
    "fidelity",
    "dynamics",
    "description",
    "cleaning",
    "correlation",
    "lags",
    "scatter",
    "saturation",
    "levels",
    "neighbours",
    "quality",
)


def test_sections_stand_in_the_order_a_reader_needs(page):
    """Plain sentences come first, then the run, its experiments, the data and their quality."""
    assert tuple(attributes["id"] for attributes in page.all("h2")) == SECTIONS


def test_one_self_contained_file_below_5_mb(complete, page):
    """The report of a run is one file of less than 5 MB, and nothing else lies beside it."""
    assert len(page.source.encode()) < 5_000_000
    assert "4 experiments with 6 events" in page.text
    assert "Nothing was found to doubt" in page.text


def test_page_refers_to_nothing_outside_itself(page):
    """No script, no import, no address.

    Pictures are data URLs, and links lead to anchors that exist.
    """
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert not {"script", "iframe", "object", "embed", "base", "form"} & {
        tag for tag, _ in page.tags
    }
    assert not re.search(r"https?:|@import|url\(|src=\"(?!data:image/png;base64,)", page.source)
    for attributes in page.all("a"):
        assert attributes["href"].startswith("#")
        assert attributes["href"][1:] in ids
    assert [attributes["href"] for attributes in page.all("link")] == ["data:,"]


def test_page_can_be_read_without_seeing_it(page):
    """The page has a language, one h1, headings without a gap and scoped table headings.

    The keyboard reaches its regions.
    """
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    regions = [attributes for attributes in page.all("div") if attributes.get("class") == "scroll"]
    assert page.all("html") == [{"lang": "en"}]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert {attributes.get("scope") for attributes in page.all("th")} == {"col", "row"}
    assert len(regions) == len(page.all("table")) + len(page.all("img"))
    assert all(
        region["tabindex"] == "0" and region["role"] == "region" and region["aria-label"]
        for region in regions
    )
    assert page.all("a")[0] == {"class": "skip", "href": "#main"}
    assert not page.open


def test_every_figure_tells_its_numbers(page):
    """Each picture's alternative text holds numbers, and its caption leads to the table."""
    pictures = page.all("img")
    assert len(pictures) == len(page.all("figure")) == len(page.all("figcaption")) == 4 + 7
    for attributes in pictures:
        assert len(re.findall(r"\d", attributes["alt"])) >= 3, attributes["alt"]


def test_alt_text_of_a_timeline_is_made_from_the_numbers(page):
    """It tells the level before, the mean with spread and count, and what was asked for."""
    alt = next(
        attributes["alt"]
        for attributes in page.all("img")
        if "cpu-0 asked for" in attributes["alt"]
    )
    assert re.search(
        r"CPU went from [23]\.\d\d % in the lead to a mean of 5[23]\.\d % \(SD \d\.\d\d %, n = 59\)"
        r" while cpu-0 asked for 50\.0 %",
        alt,
    ), alt


def test_bytes_are_shown_in_binary_units(page):
    """A disk load of 20 MB/s is told in MiB/s, and a memory of 8 GiB in GiB."""
    assert "8.00 GiB of memory" in page.text
    assert re.search(r"20\.\d MiB/s", page.text)
    assert not re.search(
        r"(?<![.\d])\d{7,}", re.sub(r"\d{8}T\d{6}Z|fingerprint \d+", "", page.text)
    )


def test_every_column_is_described(page):
    """The data description names each column of the dataset, and each empty one as such."""
    for metric in columns((0, 1)):
        assert metric.name in page.text
    empty = re.search(
        r"40 columns hold no value, because this machine or session does not measure them:"
        r" ([a-z0-9_, ]+)\.",
        page.text,
    )
    assert "temperature_celsius" in empty.group(1)
    assert "cpu_percent" not in empty.group(1).split(", ")


def test_heatmap_includes_requested_and_delivered_load(complete, pixels, monkeypatch, tmp_path):
    """The correlation heatmap holds all columns that vary, requested and delivered load first."""
    drawn = []
    monkeypatch.setattr(correlation, "heatmap_png", lambda matrix: drawn.append(matrix) or PIXEL)
    write_report(complete.run, tmp_path)
    assert tuple(drawn[0].columns[:6]) == tuple(
        name for pair in RESOURCE_COLUMNS.values() for name in pair
    )
    assert list(drawn[0].columns) == list(drawn[0].index)
    assert drawn[0].loc["cpu_requested_percent", "cpu_percent"] > 0.5
    assert "missed_samples" not in drawn[0]


def test_timeline_is_a_png_below_1_mib(page):
    """The timeline of one experiment is a PNG that may be attached to a test result."""
    png = page.picture("figure-experiment-4")
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert 10_000 < len(png) < MIB


def test_timelines_may_be_drawn_in_threads(complete):
    """Threads share no figure.

    They draw the same bytes as one alone, and leave nothing in pyplot.
    """
    import matplotlib.pyplot as plt

    recordings = complete.run.recordings[:2]
    alone = [timeline_png(recording) for recording in recordings]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(timeline_png, recordings)) == alone
    assert plt.get_fignums() == []


def test_timeline_without_samples_is_drawn_too(tmp_path):
    """A recording whose dataset is gone yields a figure that says so."""
    run = SyntheticRun(tmp_path, some_experiments(1)).write_plans().write_state("RUNNING").run
    assert timeline_png(run.recordings[0]).startswith(b"\x89PNG")


def test_run_without_anything_says_so(tmp_path):
    """A run that left only its run.json yields a report that names what is missing."""
    folder = RunFolder.create(tmp_path / "data")
    folder.write_state({"status": "RUNNING"})
    page = Page(write_report(load(folder.path), tmp_path / "report"))
    assert page.all("img") == []
    assert "RUNNING." in page.text
    assert "no samples were recorded" in page.text
    assert "No experiment had begun" in page.text
    assert "There is no machine.json" in page.text


def test_dataset_with_a_heading_alone_is_no_obstacle(tmp_path):
    """A logger that ended before its first row leaves a report that says there are no samples."""
    synthetic = SyntheticRun(tmp_path, some_experiments(1)).write_plans().write_state()
    synthetic.frame.iloc[:0].to_csv(synthetic.folder.dataset, index=False)
    page = Page(write_report(synthetic.run, tmp_path / "report"))
    assert "There are no samples, so nothing that was measured can be shown." in page.text
    assert "There is nothing to compare" in page.text


def test_killed_run_is_told_as_it_is(tmp_path, pixels):
    """No run.json, no annotations and a torn last line.

    The plans are shown, events have no outcome, and the torn bytes are counted.
    """
    synthetic = SyntheticRun(tmp_path, some_experiments(2)).write_dataset()
    synthetic.planned = [
        PlannedExperiment(p.experiment, p.begin_s, p.zero_s, p.end_s) for p in synthetic.planned
    ]
    synthetic.write_plans()
    with synthetic.folder.dataset.open("ab") as file:
        file.write(b"2026-01-01T00:00:00Z,1020.1,ser")
    page = Page(write_report(synthetic.run, tmp_path / "report"))
    assert "UNKNOWN. There is no run.json" in page.text
    assert "2 experiments never closed: load 0, load 1." in page.text
    assert (
        "Torn line: once, at the end of the file: 31 bytes after the last line break; left out."
        in page.text
    )
    assert page.text.count("no outcome was recorded: the run ended before the event did") > 2
    assert len(page.all("img")) == 2 + 6


def test_status_that_is_not_complete_is_loud(tmp_path):
    """A PARTIAL run has a notice with its reasons above all, and every note is shown."""
    synthetic = SyntheticRun(tmp_path, []).write_plans()
    synthetic.write_state(
        "PARTIAL",
        partial=["worker gw1 was lost"],
        notes=["a counter went back"],
        logger={"notes": ["taken late"], "error": "disk full"},
    )
    page = Page(write_report(synthetic.run, tmp_path / "report"))
    notices = [attributes for attributes in page.all("p") if attributes.get("role") == "note"]
    assert len(notices) == 1
    for sentence in (
        "Reason: worker gw1 was lost.",
        "Note of the run: a counter went back",
        "Note of the logger: taken late",
        "Note of the logger: disk full",
    ):
        assert sentence in page.text


def test_bad_events_and_misses_are_named_among_the_doubts(tmp_path, pixels):
    """An aborted event is named with the guard's reason, a missed one with error and tolerance."""
    events = (cpu(50, duration_s=2), memory(10, duration_s=2), disk(1e6, start_s=1, duration_s=1))
    synthetic = (
        SyntheticRun(tmp_path, [plan(*events, name="bad day", tolerance="2%")])
        .write_dataset()
        .write_plans()
        .write_state()
    )
    planned = synthetic.planned[0]
    synthetic.folder.append_annotation(
        synthetic.row_of(planned, planned.experiment.events[0], delivered_error_percent=-7.25)
    )
    synthetic.folder.append_annotation(
        synthetic.row_of(
            planned, planned.experiment.events[1], status="aborted", message="guard: memory"
        )
    )
    never = AnnotationRow(
        synthetic.folder.run_id,
        "bad day",
        "disk-0",
        "disk",
        "constant",
        "bytes_per_s",
        1.0,
        2.0,
        status="skipped",
        message="no room",
    )
    synthetic.folder.append_annotation(never)
    page = Page(write_report(synthetic.run, tmp_path / "report"))
    assert "1 event missed the load that was requested: bad day: cpu-0 delivered" in page.text
    assert "an error of -7.25 % against a tolerance of 2 %" in page.text
    assert (
        "bad day / mem-0 aborted (guard: memory); bad day / disk-0 skipped (no room)" in page.text
    )
    assert any(
        "never ran (skipped: no room)" in (attributes.get("title") or "")
        for attributes in page.all("td")
    )


HOSTILE = (
    "<script>alert(1)</script>",
    "\"' onload='x'",
    "$\\frac{",
    "$x^$",
    "a_b_{c}",
    "naïve \U0001f4a5\x00 \ud800",
    "{{ 7 * 7 }}",
)


def test_hostile_names_are_inert(tmp_path, own_words_are_pixels):
    """Names, messages, hosts and commands are text on page and figures, whatever they hold."""
    synthetic = SyntheticRun(tmp_path, [plan(cpu(50, duration_s=2), name="hostile")])
    synthetic.frame["host"] = HOSTILE[0]
    synthetic.write_dataset().write_plans()
    planned = synthetic.planned[0]
    synthetic.folder.append_annotation(
        synthetic.row_of(
            planned, planned.experiment.events[0], message=HOSTILE[1], status=HOSTILE[0]
        )
    )
    state: dict[str, Any] = {"command": HOSTILE[0], "notes": list(HOSTILE), "seed": HOSTILE[1]}
    synthetic.write_state(HOSTILE[0], **state)
    synthetic.folder.write_machine(
        {
            **MACHINE,
            "host": HOSTILE[0],
            "cpu_model": HOSTILE[4],
            "memory_limit_bytes": HOSTILE[3],
            "kernel": HOSTILE[2],
        }
    )
    recording = synthetic.run.recordings[0]
    marks = [
        AnnotationRow(
            synthetic.folder.run_id,
            name,
            name,
            "mark",
            start_monotonic_s=planned.zero_s,
            message=name,
            parameters=name,
        )
        for name in HOSTILE
    ]
    for mark in marks[:5]:
        synthetic.folder.append_annotation(mark)
        synthetic.folder.append_annotation(
            AnnotationRow(
                mark.run, "hostile", mark.event, "mark", start_monotonic_s=planned.zero_s + 1.0
            )
        )
    page = Page(write_report(synthetic.run, tmp_path / "report"))
    assert timeline_png(
        type(recording)(recording.folder, recording.planned, tuple(marks), -1.0, 3.0)
    ).startswith(b"\x89PNG")
    assert "script" not in {tag for tag, _ in page.tags}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    for text in (*HOSTILE[:5], HOSTILE[6]):
        assert text in page.text


def test_experiment_without_events_and_power_are_shown(tmp_path, pixels):
    """An idle experiment has a figure and a sentence for its events.

    Where power was measured, its joules are told.
    """
    synthetic = SyntheticRun(tmp_path, [plan(name="quiet", lead_s=2, tail_s=2)])
    synthetic.frame["power_watts"] = 25.0
    page = Page(write_report(synthetic.write().run, tmp_path / "report"))
    assert "This experiment has no events: it records the idle machine." in page.text
    assert "100 J" in page.text
    assert "No load was planned; CPU had a mean of" in "".join(
        attributes["alt"] for attributes in page.all("img")
    )


def test_what_was_cleaned_is_counted_and_named(tmp_path, pixels):
    """Unreadable lines and cells, gaps and missed samples are reported, never dropped silently."""
    synthetic = SyntheticRun(tmp_path, some_experiments(1))
    synthetic.frame = synthetic.frame.drop(index=range(40, 50)).reset_index(drop=True)
    synthetic.frame.loc[40, "missed_samples"] = 10
    synthetic.write()
    lines = synthetic.folder.dataset.read_text().splitlines()
    cells = lines[60].split(",")
    cells[
        columns((0, 1)).index(next(metric for metric in columns((0, 1)) if metric.name == "load1"))
    ] = "1.2.3"
    lines[60] = ",".join(cells)
    lines.insert(30, lines[30] + ",1,2,3")
    synthetic.folder.dataset.write_text("\n".join(lines) + "\n")
    text = Page(write_report(synthetic.run, tmp_path / "report")).text
    assert "Every one of 90 rows was kept." in text
    assert re.search(r"Damaged line: once, at line 31: \d+ cells for \d+ columns; left out\.", text)
    assert re.search(r"Unreadable value in load1: once, at line 62: '1.2.3'; emptied\.", text)
    assert "1 gap of more than 3 intervals" in text
    assert "The logger skipped 10 of 100 samples (10 %)" in text


def test_many_experiments_are_drawn_with_trouble_first(tmp_path, monkeypatch, pixels):
    """Beyond the most timelines of a report, an experiment keeps its table.

    One with trouble keeps its figure.
    """
    monkeypatch.setattr(experiments, "MOST_TIMELINES", 1)
    synthetic = (
        SyntheticRun(tmp_path, some_experiments(3)).write_dataset().write_plans().write_state()
    )
    for planned in synthetic.planned:
        status = "failed" if planned.experiment.name == "load 1" else "completed"
        synthetic.folder.append_annotation(
            synthetic.row_of(planned, planned.experiment.events[0], status=status)
        )
    page = Page(write_report(synthetic.run, tmp_path / "report"))
    figures = [attributes["id"] for attributes in page.all("figure")]
    assert [name for name in figures if name.startswith("figure-experiment")] == [
        "figure-experiment-2"
    ]
    assert "1 of 3 experiments are drawn: those with trouble first" in page.text
    assert "Not drawn: 1. load 0, 3. load 2." in page.text


def test_files_that_were_edited_by_hand_are_named_not_fatal(tmp_path, pixels):
    """An invalid schedule takes the experiments away, says so, and leaves the rest."""
    synthetic = SyntheticRun(tmp_path, some_experiments(1)).write()
    synthetic.folder.schedule.write_text("{")
    page = Page(write_report(synthetic.run, tmp_path / "report"))
    assert "The experiments cannot be read from the plans and annotations" in page.text
    assert "figure-overview" in {attributes["id"] for attributes in page.all("figure")}


def test_newer_run_is_refused_by_name(tmp_path):
    """A run.json of a later version is refused rather than read wrongly."""
    folder = RunFolder.create(tmp_path / "data")
    (folder.path / "run.json").write_text('{"format": "twin-run/99"}')
    with pytest.raises(UnreadableRun, match="twin-run/99"):
        write_report(load(folder.path), tmp_path / "report")


def test_template_lies_inside_the_package():
    """Template and style sheet are resources of the package, so a wheel brings them along."""
    templates = files("twin_harness.report") / "templates"
    assert sorted(entry.name for entry in templates.iterdir() if entry.is_file()) == [
        "report.css",
        "report.html",
    ]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "percent", "–"), (float("nan"), "s", "–"), (49.84, "percent", "49.8 %"),
        (0.0031, "percent", "0.00 %"), (9.999, "percent", "10.0 %"),
        (0.1, "s", "0.100 s"), (0.000031, "ms", "0.000031 ms"), (1536.0, "bytes", "1.50 KiB"),
        (20e6, "bytes/s", "19.1 MiB/s"), (12.0, "bytes", "12 B"),
        (2.4e9, "Hz", "2.40 GHz"), (12345.6, "1/s", "12,346 /s"), (576.9, "us", "576.9 µs"),
        (0.0, "1", "0"), (45.0, "Cel", "45.0 °C"),
    ],
)  # fmt: skip
def test_numbers_are_told_with_their_unit(value, unit, text):
    """Three digits, binary bytes, never an exponent, and a dash for what is not there."""
    assert quantity(value, unit) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "+0.50 %"), (-0.5, "−0.50 %"), (-0.0001, "0.00 %"), (None, "–")]
)
def test_differences_are_told_with_their_sign(value, text):
    """A difference has a sign unless it reads as zero."""
    assert signed(value, "percent") == text


@given(
    st.lists(
        st.tuples(st.floats(0, 100), st.floats(0, 20)).map(
            lambda pair: (pair[0], pair[0] + pair[1])
        ),
        max_size=40,
    )
)
def test_bars_of_one_lane_never_overlap(spans):
    """Bars that share a lane follow one another."""
    numbers = lanes(spans)
    for lane in set(numbers):
        own = sorted(span for span, number in zip(spans, numbers, strict=True) if number == lane)
        assert all(before[1] <= after[0] for before, after in pairwise(own))


@given(st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=1, max_size=300))
def test_thinning_keeps_the_extremes(values):
    """A series put together to few points keeps its lowest and highest value as its range."""
    y = np.array(values)
    line = thinned(np.arange(len(y), dtype=float), y, most=7)
    assert len(line.mean) <= 7 or len(y) <= 7
    if line.low is not None and np.isfinite(y).any():
        assert np.nanmin(line.low) == np.nanmin(y)
        assert np.nanmax(line.high) == np.nanmax(y)
