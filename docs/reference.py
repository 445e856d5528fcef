"""The reference pages, from the code: options, markers, columns, files, shapes, commands."""

import inspect
from dataclasses import MISSING, fields

from twin_harness import metrics
from twin_harness.cli.parser import build_parser
from twin_harness.dataset.package import _ABOUT, _annotation_field
from twin_harness.plugin import fixtures, markers
from twin_harness.predict.parameters import PARAMETERS
from twin_harness.runs.records import ANNOTATION_COLUMNS
from twin_harness.session.options import OPTIONS
from twin_harness.shapes import shape as shapes

_FILES = {
    "system_metrics_dataset.csv": "One row a sample, appended live, never rewritten.",
    "system_metrics_dataset.parquet": (
        "The samples cleaned and typed, with `dt_s` and the flags `is_first`, `is_after_gap`,"
        " `is_stolen`; written at the end."
    ),
    "datapackage.json": "Data Package v2: units, definitions, ranges, checksums of all tables.",
    "gate.json": (
        "What gated tests gave (`trials`) and what was judged of it (`verdicts`); beside it"
        " `gate/`: summary.md and figures for benchmark trackers."
    ),
    **_ABOUT,
}


def pages():
    """Return file name to Markdown."""
    return {
        "options.md": _options(),
        "pytest.md": _pytest(),
        "columns.md": _columns(),
        "files.md": _files(),
        "shapes.md": _shapes(),
        "command.md": _command(),
    }


def fill_markers(markdown):
    """Return a page with each marker replaced by what the code says there."""
    for name, make in {"parameters": _parameters}.items():
        markdown = markdown.replace(f"<!-- made from the code: {name} -->", make())
    return markdown


def _parameters():
    """Return the table of the grey box's parameters."""
    rows = [
        (
            f"`{parameter.name}`",
            parameter.unit,
            f"{parameter.low:g} to {parameter.high:g}{', log' if parameter.is_log else ''}",
            f"{parameter.start:g}",
            parameter.meaning,
        )
        for parameter in PARAMETERS
    ]
    return _table(("parameter", "unit", "bounds", "start", ""), rows)


def _table(headings, rows):
    lines = [f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}"]
    return "\n".join(
        [
            *lines,
            *(
                f"| {' | '.join(str(cell).replace('|', '&#124;') for cell in row)} |"
                for row in rows
            ),
        ]
    )


def _options():
    rows = []
    for option in OPTIONS:
        takes = "" if option.kind == "flag" else option.metavar or ", ".join(option.choices)
        default = (
            "off"
            if option.kind == "flag"
            else ""
            if option.default in (None, "", ())
            else f"`{option.default}`"
        )
        rows.append(
            (
                f"`{option.flag}`",
                takes,
                default,
                f"`{option.ini_key}`" if option.has_ini else "none",
                option.help,
            )
        )
    table = _table(("option", "takes", "default", "ini key", ""), rows)
    return (
        "# Options of pytest\n\nThe same table makes the options of `twin`, without"
        f" `--twin-`.\n\n{table}\n"
    )


def _pytest():
    marks = "\n".join(
        f"- `@pytest.mark.{line.partition(': ')[0]}`: {line.partition(': ')[2]}"
        for line in markers.marker_lines()
    )
    rows = []
    for name, value in vars(fixtures).items():
        if name.startswith("fixture_") and not name.startswith("fixture__"):
            text = (
                inspect.getdoc(
                    getattr(value, "__wrapped__", None)
                    or getattr(value, "_fixture_function", value)
                )
                or ""
            )
            rows.append((f"`{name.removeprefix('fixture_')}`", text.replace("\n", " ")))
    methods = []
    from twin_harness.runs.recording import Recording

    for name, member in vars(Recording).items():
        if not name.startswith("_") and (
            callable(member) or isinstance(member, property) or hasattr(member, "func")
        ):
            target = getattr(member, "fget", None) or getattr(member, "func", None) or member
            target = getattr(target, "__func__", target)
            signature = (
                str(inspect.signature(target)).replace("self, ", "").replace("(self)", "()")
                if callable(member)
                else ""
            )
            methods.append(
                (f"`{name}{signature}`", (inspect.getdoc(target) or "").partition("\n")[0])
            )
    return (
        f"# Markers, fixtures, Recording\n\n## Markers\n\n{marks}\n\n##"
        f" Fixtures\n\n{_table(('fixture', ''), rows)}\n\n## What a Recording"
        f" answers\n\n{_table(('', ''), methods)}\n"
    )


def _columns():
    rows = [
        (
            f"`{metric.name}`",
            metric.unit,
            metric.definition,
            "once a second" if metric.is_slow else "every row",
            metric.psutil,
            metric.opentelemetry,
        )
        for metric in metrics.columns((0,))
    ]
    heading = ("column", "unit", "what it is", "read", "psutil", "OpenTelemetry")
    rows = [("`cpu<N>_percent`", *row[1:]) if row[0] == "`cpu0_percent`" else row for row in rows]
    return (
        "# Columns of the samples\n\nA rate is over the time since the row before; what the"
        f" machine lacks is empty.\n\n{_table(heading, rows)}\n"
    )


def _files():
    rows = [(f"`{name}`", about) for name, about in _FILES.items()]
    columns = [(f"`{name}`", _annotation_field(name)["type"]) for name in ANNOTATION_COLUMNS]
    return (
        f"# Files of a run\n\n{_table(('file', ''), rows)}\n\n## Columns of"
        f" annotations.csv\n\n{_table(('column', 'type'), columns)}\n"
    )


def _shapes():
    text = "A shape is a level over time. In schedules it is an object with `kind`;"
    parts = [f"# Load shapes\n\n{text} in Python a function.\n"]
    for kind in ("constant", "ramp", "steps", "sine", "square", "spikes", "leak", "trace"):
        made = getattr(shapes, kind)
        shape = next(
            value
            for value in vars(shapes).values()
            if inspect.isclass(value) and getattr(value, "kind", None) == kind
        )
        taken = [
            f"`{field.name.rstrip('_')}`"
            + (
                ""
                if field.default is MISSING and field.default_factory is MISSING
                else " (optional)"
            )
            for field in fields(shape)
        ]
        about = (inspect.getdoc(shape) or "").strip()
        parts += [
            f"## {kind}\n\n`{kind}{inspect.signature(made)}`\n\n{about}\n",
            f"In a schedule: {', '.join(taken)}.\n",
        ]
    return "\n".join(parts)


def _command():
    codes = (
        "0 fine, 1 a check failed, 2 usage or bad input, 3 aborted by the guard, 130 interrupted"
    )
    text = (
        f"Exit codes: {codes}, 141 when the reader of the output went away and the command is for"
        " nothing but its output (`twin runs | head -1`). What is not shown costs no run: `twin"
        " run plan.json | head -1` runs every experiment, ends as these went, and says on stderr"
        " what was not written. Where output cannot be written (a full disk), a command that is"
        " for its output ends with 1, `--json` included."
    )
    parts = [f"# The command `twin`\n\n{text}\n"]
    for name, command in build_parser().typed_commands():
        parts.append(f"## twin {name}\n\n```text\n{command.format_help().strip()}\n```\n")
    return "\n".join(parts)
