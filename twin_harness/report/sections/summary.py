"""The report in sentences: what ran where and when, what stood out, and what to doubt."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from twin_harness.dataset.preparation import load_state
from twin_harness.quantity import count, duration, percent_digits, quantity
from twin_harness.report.document import Bullets, Notice, Paragraph, Section
from twin_harness.report.sections.doubts import NO_DOUBTS, doubts
from twin_harness.report.sections.overview import spread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twin_harness.report.document import Block
    from twin_harness.report.evidence import Evidence
    from twin_harness.report.facts import ExperimentFacts, Statistic

_STATUS_TEXT = {
    "RUNNING": (
        "run.json says RUNNING: either the session still runs and this report shows what there was"
        " by now, or it was killed before it could close the run. Experiments without an outcome"
        " are marked."
    ),
    "PARTIAL": (
        "Part of this run is missing: a worker, a logger or an experiment was lost. What is shown"
        " is true, but it is not all that was planned."
    ),
    "ABORTED": "The run was stopped before its end. What is shown is what was recorded until then.",
    "UNKNOWN": (
        "There is no run.json, so it is not known whether the run ended. What is shown is what"
        " could be read."
    ),
}


def section(evidence: Evidence) -> Section:
    """Return the first section: plain sentences, loud where the run is not whole."""
    blocks: list[Block] = []
    status = evidence.run.status
    if status != "COMPLETE":
        reasons = evidence.run.losses
        text = _STATUS_TEXT.get(status, "This status is not one that this version knows.")
        blocks.append(
            Notice(f"{status}.", " ".join([text, *(f"Reason: {reason}." for reason in reasons)]))
        )
    blocks.append(Paragraph(f"{_what_ran(evidence)} {_machine(evidence.run.machine)}"))
    if parts_of := evidence.run.machine.get("parts_of"):
        blocks.append(
            Paragraph(
                f"The machine was cut into {len(parts_of)} parts, and experiments ran at once, each"
                " in its own: their CPU percents are of the part. Over the whole run the parts are"
                " put together again: means of their percents, sums of their loads. Do not compare"
                " these figures with those of a whole machine."
            )
        )
    parts = [
        Section(
            "standing-out",
            "What stood out",
            (_bullets(stood_out(evidence), "Nothing was recorded, so nothing stands out."),),
        ),
        Section("doubts", "What to doubt", (_bullets(doubts(evidence), NO_DOUBTS),)),
    ]
    return Section("summary", "In short", tuple(blocks), tuple(parts))


def _bullets(items: Iterator[str], otherwise: str) -> Block:
    sentences = tuple(items)
    return Bullets(sentences) if sentences else Paragraph(otherwise)


def _text(data: dict[str, Any], *names: str) -> str:
    """Return the first of several entries that is a string or a number."""
    return next(
        (
            str(data[name])
            for name in names
            if isinstance(data.get(name), (str, int, float)) and data[name] != ""
        ),
        "",
    )


def _what_ran(evidence: Evidence) -> str:
    samples, state = evidence.samples, evidence.run.state
    seconds = when = left_out = how = ""
    rows = "The dataset holds no samples."
    start = _text(state, "start", "start_time")
    if len(samples):
        seconds = f" over {duration(evidence.span_s)}"
        rows = f"The dataset holds {count(evidence.moments, 'sample')}{_interval(evidence)}."
        start = start or str(samples["time"].iloc[0])
    if start:
        when = f", begun {start[:19].replace('T', ' ')} UTC"
    if command := _text(state, "command_line", "command"):
        how = f" It was started as: {command}."
    if seed := _text(state, "seed"):
        how += f" Seed {seed}."
    if evidence.left_out:
        left_out = f" ({evidence.left_out:,} more went well and are not described here)"
    return (
        f"{count(len(evidence.experiments), 'experiment')}{left_out} with"
        f" {count(len(evidence.events), 'event')} ran{seconds}{when}. {rows}{how}"
    )


def _interval(evidence: Evidence) -> str:
    if len(evidence.samples) > 1:
        return f", one every {quantity(evidence.interval_s, 's')}"
    return ""


def _machine(machine: dict[str, Any]) -> str:
    if not machine:
        return "There is no machine.json, so the machine is not known."
    parts = []
    if isinstance(cpus := machine.get("cpu_capacity"), (int, float)):
        parts.append(f"{cpus:g} CPUs")
    parts.append(_text(machine, "cpu_model"))
    if isinstance(limit_bytes := machine.get("memory_limit_bytes"), (int, float)):
        parts.append(f"{quantity(float(limit_bytes), 'bytes')} of memory")
    if kernel := _text(machine, "kernel"):
        parts.append(f"kernel {kernel}")
    if virtualisation := _text(machine, "virtualisation"):
        parts.append(f"virtualised ({virtualisation})".replace(" (virtual)", ""))
    if filesystem := _text(machine, "scratch_filesystem"):
        parts.append(f"scratch on {filesystem} {_text(machine, 'scratch_device')}".rstrip())
    if fingerprint := _text(machine, "fingerprint"):
        parts.append(f"fingerprint {fingerprint}")
    return (
        f"The machine is {_text(machine, 'host') or 'one without a name'}:"
        f" {', '.join(filter(None, parts)) or 'nothing more is known'}."
    )


def stood_out(evidence: Evidence) -> Iterator[str]:
    """Yield sentences on the highest load, on how well it was delivered, and on what it did."""
    has_parts = bool(evidence.run.machine.get("parts_of"))
    if not has_parts:  # else memory and disk are those of all experiments at once
        yield from _superlatives(evidence)
    errors = [abs(item.error_percent) for item in evidence.events if item.error_percent is not None]
    if errors:
        close = sum(error <= 1 for error in errors)
        middle = statistics.median(errors)
        yield (
            f"{close} of {count(len(errors), 'event')} delivered within 1 % of what was requested;"
            f" the median size of the error is {percent_digits(middle)} %, the largest"
            f" {percent_digits(max(errors))} %."
        )
    yield from _felt(evidence)
    joules = [
        facts.energy_joules for facts in evidence.experiments if facts.energy_joules is not None
    ]
    if joules and not has_parts:  # power is the whole machine's, and they ran at once
        yield (
            f"The experiments took {quantity(sum(joules), 'J')} in all (CPU packages,"
            f" {count(len(joules), 'experiment')})."
        )


def _superlatives(evidence: Evidence) -> Iterator[str]:
    for attribute, what, unit in (("cpu", "CPU", "percent"), ("disk", "Disk traffic", "bytes/s")):
        best, figure = _largest(evidence.experiments, attribute, "mean")
        if best and figure:
            yield (
                f"{what} had its highest mean in {best.name}: {spread(figure, unit)}; its highest"
                f" single row there was {quantity(figure.high, unit)}."
            )
    best, figure = _largest(evidence.experiments, "memory", "high")
    if best and figure:
        yield (
            f"Memory rose highest in {best.name}: to {quantity(figure.high, 'percent')}, from"
            f" {quantity(figure.low, 'percent')} (n = {figure.count:,})."
        )


def _largest(
    experiments: tuple[ExperimentFacts, ...], attribute: str, field: str
) -> tuple[ExperimentFacts | None, Statistic | None]:
    found: list[tuple[ExperimentFacts, Statistic]] = [
        (facts, figure)
        for facts in experiments
        if (figure := getattr(facts, attribute)[0]) is not None
    ]
    if found:
        return max(found, key=lambda pair: float(getattr(pair[1], field)))
    return (None, None)


def _felt(evidence: Evidence) -> Iterator[str]:
    """Compare wake-up lateness, idle and under load."""
    regime = load_state(evidence.samples)
    asked = evidence.samples["active_events"] != ""
    idle, loaded = (
        evidence.samples.loc[mask, "probe_wakeup_ms"].dropna() for mask in (regime == "idle", asked)
    )
    if len(idle) and len(loaded):
        yield (
            f"An ordinary process woke up late by {quantity(float(loaded.quantile(0.95)), 'ms')}"
            f" under load (95 % of {len(loaded):,} rows stay below), against"
            f" {quantity(float(idle.quantile(0.95)), 'ms')} when idle ({len(idle):,} rows)."
        )
