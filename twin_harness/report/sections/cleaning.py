"""What a dataset is not: torn, unreadable, late, missing or empty.

Counted and named, so that nothing is dropped in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.dataset.steps import FLAGS, GAP_INTERVALS
from twin_harness.quantity import count, duration, quantity
from twin_harness.report.document import Bullets, Paragraph, Section, Table, number
from twin_harness.runs.frames import LABELS

if TYPE_CHECKING:
    import pandas as pd

    from twin_harness.dataset.cleaning import Cleaning
    from twin_harness.report.document import Block
    from twin_harness.report.evidence import Evidence

_MOST_GAPS = 20


def _sentences_of_file(evidence: Evidence, cleaning: Cleaning) -> list[str]:
    """Return what each step found, in words; what nothing was found of, in one sentence."""
    read, kept = cleaning.rows_read, cleaning.rows_kept
    if evidence.window_s:
        thinned = (
            f" They are shown as {quantity(evidence.window_s, 's')} means, made from each row's"
            " measured time."
        )
    else:
        thinned = ""
    if read != kept:
        first = f"{read:,} rows were read and {kept:,} kept.{thinned}"
    else:
        first = f"Every one of {read:,} rows was kept.{thinned}"
    return [
        first,
        *(f"{fault.sentence[0].upper()}{fault.sentence[1:]}." for fault in cleaning.faults),
    ]


def column_kinds(samples: pd.DataFrame) -> dict[str, list[str]]:
    """Return the names of numeric columns by kind: ``empty``, ``constant`` and ``varying``."""
    kinds: dict[str, list[str]] = {"empty": [], "constant": [], "varying": []}
    for name in samples.columns:
        if name in LABELS or name in ("monotonic_s", "dt_s", "run_s", *FLAGS):
            continue
        distinct = samples[name].nunique(dropna=True)
        kind = {0: "empty", 1: "constant"}.get(distinct, "varying")
        kinds[kind].append(name)
    return kinds


def _sentences_of_rows(evidence: Evidence) -> list[str]:
    kinds = column_kinds(evidence.samples)
    no_value = "No column is empty."
    if kinds["empty"]:
        no_value = (
            f"{count(len(kinds['empty']), 'column')} hold no value, because this machine or session"
            f" does not measure them: {', '.join(kinds['empty'])}."
        )
    constant = "Every column that holds values varies."
    if kinds["constant"]:
        constant = (
            f"{count(len(kinds['constant']), 'column')} never changed:"
            f" {', '.join(kinds['constant'])}."
        )
    return [_gaps_text(evidence), _missed_text(evidence), no_value, constant]


def _gaps_text(evidence: Evidence) -> str:
    gaps, interval_s = evidence.gap_rows, evidence.interval_s
    if gaps.empty:
        return f"No gap of more than {GAP_INTERVALS:g} intervals lies between two rows."
    return (
        f"{count(len(gaps), 'gap')} of more than {GAP_INTERVALS:g} intervals"
        f" ({quantity(GAP_INTERVALS * interval_s, 's')}) lie between rows; together they span"
        f" {duration(float(gaps['dt_s'].clip(lower=0).sum()))}. No row was made up to fill them."
    )


def _missed_text(evidence: Evidence) -> str:
    missed = float(evidence.samples["missed_samples"].sum())
    slots = missed + evidence.moments
    if not missed:
        return f"The logger skipped none of {slots:,.0f} samples."
    return (
        f"The logger skipped {missed:,.0f} of {slots:,.0f} samples ({100 * missed / slots:.2g} %),"
        " because it came too late for their moment."
    )


def section(evidence: Evidence) -> Section:
    """Return the section on what was cleaned."""
    blocks: list[Block] = []
    cleaning = evidence.cleaning
    if cleaning is None:
        blocks.append(Paragraph("There is no dataset, so there was nothing to clean."))
    else:
        blocks.append(
            Paragraph(
                "The dataset itself is never rewritten. For the figures and tables of this report:"
            )
        )
        blocks.append(
            Bullets(
                tuple(
                    _sentences_of_file(evidence, cleaning)
                    + (_sentences_of_rows(evidence) if len(evidence.samples) else [])
                )
            )
        )
    found = evidence.gap_rows
    if len(found):
        rows = tuple(
            (
                number(quantity(end_s - length_s, "s")),
                number(quantity(length_s, "s")),
                number(quantity(length_s / evidence.interval_s, "1")),
            )
            for end_s, length_s in (
                found.nlargest(_MOST_GAPS, "dt_s")[["run_s", "dt_s"]].to_numpy(dtype=float).tolist()
            )
        )
        if len(found) > _MOST_GAPS:
            more = f"; the {_MOST_GAPS} longest of {len(found):,}"
        else:
            more = ""
        blocks.append(
            Table(
                "table-gaps",
                f"Gaps between rows{more}",
                ("begins, since the first sample", "length", "intervals"),
                rows,
            )
        )
    return Section("cleaning", "What was cleaned", tuple(blocks))
