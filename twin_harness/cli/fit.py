"""``twin fit``: fit a model of a machine to its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twin_harness.cli.observations import read_observations
from twin_harness.cli.output import OK, echo, echo_error, write_json

if TYPE_CHECKING:
    import argparse

    from twin_harness.cli.commands import Commands
    from twin_harness.predict.others import Busyness
    from twin_harness.predict.twin import Twin


def add_fit(commands: Commands) -> None:
    """Add the command."""
    text = "fit a twin of a machine from its runs"
    example = "example: twin fit data/2026* -o twin.json"
    command = commands.add("fit", fit, text, example=example)
    command.add_argument("run", nargs="+", help="run folders")
    command.add_argument(
        "-o",
        "--out",
        required=True,
        metavar="FILE",
        help="the model's file; one that exists is replaced",
    )
    command.add_argument(
        "--background",
        nargs="+",
        default=[],
        metavar="RECORDING",
        help="what others use of this machine, recorded without load for hours to weeks: files of"
        " twin log, folders of them, run folders (default: what was measured beside the runs)",
    )


def fit(arguments: argparse.Namespace) -> int:
    """Fit a model."""
    from twin_harness.predict.gathering import without_tests
    from twin_harness.predict.others import busyness_of
    from twin_harness.predict.twin import Twin

    observations = without_tests(read_observations(arguments.run), echo_error)
    twin = Twin().fit_observations(observations, echo_error, arguments.background)
    twin.save(arguments.out)
    if arguments.json:
        write_json(_data(twin))
    else:
        echo(*_lines(twin, arguments.out, busyness_of(observations)))
    return OK


def _data(twin: Twin) -> dict[str, Any]:
    file = twin.file_
    data = file.model_dump(mode="json", exclude={"parameter_sets", "training"})
    return data | {"runs": file.training.runs, "plans": len(file.training.plans)}


def _lines(twin: Twin, out: str, others: Busyness | None) -> list[str]:
    """Return what was fitted, each parameter with its error, and what is to be doubted."""
    from twin_harness.predict.parameters import NAMES

    file, estimate = twin.file_, twin.fit_
    fitted = f"fitted to {file.training.runs} runs of {len(file.training.plans)} plans"
    lines = [f"{out}: twin of machine {file.fingerprint}, {fitted}, {_calibration_text(twin)}"]
    if estimate is not None:
        lines += [
            f"  {name:<16} {estimate.describe(name)}"
            for name in NAMES
            if name not in estimate.unidentified
        ]
    lines += _busy_lines(others)
    if background := twin.model_.background:
        lines.append(
            f"background {background.source}: {background.seconds / 60:.0f} min in"
            f" {len(background.blocks)} blocks, others used {background.mean_percent:.1f} % of the"
            " CPUs on average; predictions take it for what may come, unless --background says"
            " otherwise"
        )
    if file.unidentified:
        lines.append(f"not identifiable from these runs: {', '.join(file.unidentified)}")
    if file.at_bound:
        lines.append(f"at a bound of its range: {', '.join(file.at_bound)}")
    return lines


def _busy_lines(others: Busyness | None) -> list[str]:
    """Return how busy others were while the runs were recorded, and what that does to the fit."""
    if others is None:
        text = (
            "what others used of the CPUs was not measured while these runs were recorded:"
            " background_cpu is fitted, and what they used beyond it is in errors and bands"
        )
        return [text]
    return [f"while these runs were recorded {others}; the fit was given each second of it"]


def _calibration_text(twin: Twin) -> str:
    """Return whether the bands are calibrated, by how many runs, or why not."""
    from twin_harness.predict.gathering import CALIBRATED_FROM

    calibration = twin.file_.calibration
    if any(value is not None for value in calibration.pointwise.values()):
        return f"calibrated by {calibration.runs}"
    if calibration.runs:
        return (
            f"not calibrated: {calibration.runs} calibration runs are too few, expected 9 or more"
        )
    return f"not calibrated: bands need runs of {CALIBRATED_FROM} or more different plans"
