"""Reading unchecked files of a schedule: JSON with unique keys, and traces as CSV."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any, NoReturn

from twin_harness.errors import InvalidInput
from twin_harness.schedule.csv_rows import decode, has_trailing_commas, rows_of

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_TRACE_BYTES = 10 * 1024**2
LARGEST_SCHEDULE_BYTES = 64 * 1024**2


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    for key, value in pairs:
        if key in keys:
            msg = f"key {key!r} is given twice in one object; give it once"
            raise InvalidInput(msg)
        keys[key] = value
    return keys


def _no_constant(name: str) -> NoReturn:
    msg = f"{name} is not a finite number; JSON numbers are finite"
    raise InvalidInput(msg)


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        _no_constant(text)
    return number


def read_json(path: Path, expected: str = "a schedule.json") -> object:
    """Read a JSON file whose keys are unique and whose numbers are finite.

    Raises:
        InvalidInput: it is missing, too large, or no such JSON; one sentence.
    """
    try:
        if path.stat().st_size <= LARGEST_SCHEDULE_BYTES:
            return json.loads(
                path.read_text(encoding="utf-8"),
                object_pairs_hook=_unique,
                parse_constant=_no_constant,
                parse_float=_finite,
            )
        fault = (
            f"{path.stat().st_size} bytes is above the limit of {LARGEST_SCHEDULE_BYTES}; expected"
            f" {expected}, split in several"
        )
    except InvalidInput as error:
        fault = str(error)
    except OSError as error:
        fault = f"cannot be read ({error.strerror}); expected {expected}"
    except RecursionError:
        fault = f"is nested too deeply; expected {expected}"
    except ValueError as error:
        fault = f"is not valid JSON ({error}); expected {expected}"
    msg = f"{path}: {fault}"
    raise InvalidInput(msg)


def inline_traces(data: object, folder: Path, source: str) -> None:
    """Replace the ``file`` of every trace by its points.

    Args:
        data: an unchecked schedule.
        folder: the file must be a regular one within it, after resolving links.
        source: what messages begin with.

    Raises:
        InvalidInput: a file lies elsewhere, or is not a trace.
    """
    for i, experiment in enumerate(_list_in(data, "experiments")):
        for k, event in enumerate(_list_in(experiment, "events")):
            shape = event.get("shape") if isinstance(event, dict) else None
            if not isinstance(shape, dict) or shape.get("kind") != "trace":
                continue
            if isinstance(shape.get("file"), str):
                where = f"{source}: experiments[{i}].events[{k}].shape.file"
                path = _resolve(folder, shape["file"], where)
                if not path.is_relative_to(folder):
                    msg = (
                        f"{where}: {shape['file']!r} lies outside the schedule's own folder; copy"
                        " it there"
                    )
                    raise InvalidInput(msg)
                shape["points"] = read_trace(path, where)
                _check_begins_within(shape, event, where)
                del shape["file"]


def _list_in(data: object, key: str) -> list[Any]:
    """Return the list under a key of unchecked data; an empty one where there is none."""
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, list) else []


def _check_begins_within(shape: dict[str, Any], event: dict[str, Any], where: str) -> None:
    """Refuse times of which the event sees the first level only.

    Those since 1970, or in another unit.
    """
    scale, duration_s = shape.get("time_scale", 1.0), event.get("duration_s")
    points = shape["points"]
    if (
        len(points) > 1
        and isinstance(scale, int | float)
        and isinstance(duration_s, int | float)
        and points[0][0] * scale >= duration_s
    ):
        msg = (
            f"{where}: the times of {shape['file']!r} begin at {points[0][0]:.12g}, after the end "
            "of the event, so its first level would hold throughout; "
            f"expected seconds from the start of the event, of {duration_s:g} s; subtract the "
            "first time from all"
        )
        raise InvalidInput(msg)


def read_trace(path: Path, where: str) -> list[list[float]]:
    """Read a trace: CSV lines of time in s and level.

    A heading line is allowed, which may name further columns.

    Raises:
        InvalidInput: it is not a regular file, too large, or a line is not two numbers, or does not
            have the heading's cells.
    """
    try:
        if not path.is_file():
            msg = (
                f"{where}: {path.name!r} is not a regular file; expected CSV lines of seconds,level"
            )
            raise InvalidInput(msg)
        if path.stat().st_size > LARGEST_TRACE_BYTES:
            msg = (
                f"{where}: {path.name!r} has {path.stat().st_size} bytes; expected at most"
                f" {LARGEST_TRACE_BYTES}"
            )
            raise InvalidInput(msg)
        text = decode(path.read_bytes())
    except OSError as error:
        msg = (
            f"{where}: {path.name!r} cannot be read ({error.strerror}); expected CSV lines of"
            " seconds,level"
        )
        raise InvalidInput(msg) from None
    return _points(text, path.name, where)


def _points(text: str, name: str, where: str) -> list[list[float]]:
    """Return the points of a trace.

    Two cells a row, or as many as a heading names, of which the first two count.
    """
    try:
        rows = list(rows_of(text))
    except csv.Error as error:
        msg = f"{where}: {name!r} is not valid CSV ({error}); expected CSV lines of seconds,level"
        raise InvalidInput(msg) from None
    has_heading = bool(rows) and _point(rows[0].cells) is None
    width = 2
    if has_heading:
        width = max(2, len(rows[0].cells))
        rows = rows[1:]
    ends = width + 1 if has_trailing_commas(rows, width) else width
    points = []
    for row in rows:
        point = _point(row.cells)
        if point is None:
            msg = (
                f"{where}: line {row.line} of {name!r} is {','.join(row.cells)[:40]!r}; expected"
                " seconds,level"
            )
            raise InvalidInput(msg)
        if len(row.cells) != ends:
            expected = f"{width} as in its heading" if has_heading else "2, seconds,level"
            msg = (
                f"{where}: line {row.line} of {name!r} has {len(row.cells)} cells; expected"
                f" {expected}, and a point in decimals"
            )
            raise InvalidInput(msg)
        points.append(point)
    return points


def _point(cells: list[str]) -> list[float] | None:
    try:
        return [float(cells[0]), float(cells[1])]
    except (ValueError, IndexError):
        return None


def _resolve(folder: Path, name: str, where: str) -> Path:
    try:
        return (folder / name).resolve()
    except (ValueError, OSError, RuntimeError):
        msg = f"{where}: {name!r} is not a valid file name; expected CSV lines of seconds,level"
        raise InvalidInput(msg) from None
