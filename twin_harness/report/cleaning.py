"""What a dataset is not: torn, unreadable, late, missing or empty. Counted and named, so that nothing is dropped in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twin_harness.frames import LABELS
from twin_harness.metrics import columns
from twin_harness.report.document import Bullets, Paragraph, Section, Table, number
from twin_harness.report.quantity import count, duration, listed, quantity

if TYPE_CHECKING:
    import pandas as pd

    from twin_harness.report.document import Block
    from twin_harness.report.evidence import Evidence
    from twin_harness.report.faults import FileFaults

_GAP_INTERVALS = 3.0
_MOST_GAPS = 20


def _sentences_of_file(faults: FileFaults) -> list[str]:
    names = listed([f"{name} ({amount:,})" for name, amount in faults.unreadable_cells.items()])
    return [
        f"The last line was torn: {faults.torn_bytes:,} bytes after the last line break were left out."
        if faults.torn_bytes
        else "The last line is whole; nothing was cut off.",
        f"{count(faults.unparsed_lines, 'line')} of {faults.lines:,} did not parse as a row and were left out."
        if faults.unparsed_lines
        else f"Every one of {faults.lines:,} lines parsed as a row.",
        f"Cells that are no number were read as missing: {names}." if names else "Every filled cell holds a number.",
        *([f"{count(faults.undated_rows, 'row')} without a readable monotonic_s were left out: nobody knows when."] if faults.undated_rows else []),
    ]


def gaps(samples: pd.DataFrame, interval_s: float) -> pd.DataFrame:
    """Return the rows that came more than three intervals after the row before, or before it."""
    if not np.isfinite(interval_s):
        return samples.iloc[:0]
    return samples[(samples["dt_s"] > _GAP_INTERVALS * interval_s) | (samples["dt_s"] < 0)]


def column_kinds(samples: pd.DataFrame) -> dict[str, list[str]]:
    """Return the names of numeric columns by kind: ``empty``, ``constant`` and ``varying``."""
    kinds: dict[str, list[str]] = {"empty": [], "constant": [], "varying": []}
    for name in samples.columns:
        if name in LABELS or name in ("monotonic_s", "dt_s", "run_s"):
            continue
        distinct = samples[name].nunique(dropna=True)
        kinds["empty" if distinct == 0 else "constant" if distinct == 1 else "varying"].append(name)
    return kinds


def _sentences_of_rows(evidence: Evidence) -> list[str]:
    samples, interval_s = evidence.samples, evidence.interval_s
    found, missed = gaps(samples, interval_s), float(samples["missed_samples"].sum())
    kinds = column_kinds(samples)
    metrics = {metric.name for metric in columns(())}
    unknown = [name for name in kinds["empty"] + kinds["constant"] + kinds["varying"] if name not in metrics and not name.startswith("cpu")]
    slots = missed + len(samples)
    sentences = [
        f"{count(len(found), 'gap')} of more than {_GAP_INTERVALS:g} intervals ({quantity(_GAP_INTERVALS * interval_s, 's')}) lie between rows; "
        f"together they span {duration(float(found['dt_s'].clip(lower=0).sum()))}. No row was made up to fill them."
        if len(found)
        else f"No gap of more than {_GAP_INTERVALS:g} intervals lies between two rows.",
        f"The logger skipped {missed:,.0f} of {slots:,.0f} samples ({100 * missed / slots:.2g} %), because it came too late for their moment."
        if missed
        else f"The logger skipped none of {slots:,.0f} samples.",
        f"{count(len(kinds['empty']), 'column')} hold no value, because this machine or session does not measure them: {', '.join(kinds['empty'])}."
        if kinds["empty"]
        else "No column is empty.",
        f"{count(len(kinds['constant']), 'column')} never changed: {', '.join(kinds['constant'])}."
        if kinds["constant"]
        else "Every column that holds values varies.",
    ]
    if unknown:
        sentences.append(f"Columns that the registry does not know were kept as they are: {listed(unknown)}.")
    return sentences


def section(evidence: Evidence) -> Section:
    """Return the section on what was cleaned."""
    blocks: list[Block] = []
    faults = evidence.faults
    if faults is None:
        blocks.append(Paragraph("There is no dataset, so there was nothing to clean."))
    else:
        blocks.append(Paragraph("The dataset itself is never rewritten. For the figures and tables of this report:"))
        blocks.append(Bullets(tuple(_sentences_of_file(faults) + (_sentences_of_rows(evidence) if len(evidence.samples) else []))))
    found = gaps(evidence.samples, evidence.interval_s)
    if len(found):
        rows = tuple(
            (number(quantity(end_s - length_s, "s")), number(quantity(length_s, "s")), number(quantity(length_s / evidence.interval_s, "1")))
            for end_s, length_s in found.nlargest(_MOST_GAPS, "dt_s")[["run_s", "dt_s"]].to_numpy(dtype=float).tolist()
        )
        more = f"; the {_MOST_GAPS} longest of {len(found):,}" if len(found) > _MOST_GAPS else ""
        blocks.append(Table("table-gaps", f"Gaps between rows{more}", ("begins, since the first sample", "length", "intervals"), rows))
    return Section("cleaning", "What was cleaned", tuple(blocks))
