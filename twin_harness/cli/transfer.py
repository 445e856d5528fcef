"""``twin transfer``: make a model of one machine one of another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.cli.experiments import run_all
from twin_harness.cli.observations import read_observations
from twin_harness.cli.output import OK, echo, echo_error, write_json
from twin_harness.cli.settings import LOAD, read_settings
from twin_harness.errors import InvalidInput

if TYPE_CHECKING:
    import argparse

    from twin_harness.cli.commands import Commands
    from twin_harness.predict.twin import Twin


def add_transfer(commands: Commands) -> None:
    """Add the command."""
    command = commands.add(
        "transfer",
        transfer,
        "make a model of one machine one of another, by two minutes of runs there",
        (*LOAD, "report-dir", "no-report"),
        example="example: twin transfer twin.json --probe -o here.json",
        has_work=True,
    )
    command.add_argument("model", help="what twin fit has made on another machine")
    command.add_argument("run", nargs="*", help="run folders of the new machine")
    command.add_argument(
        "--probe",
        action="store_true",
        help="record them: CPU, memory and disk load on this machine for two minutes",
    )
    command.add_argument(
        "-o",
        "--out",
        required=True,
        metavar="FILE",
        help="the new model's file; one that exists is replaced",
    )
    command.add_argument(
        "--background",
        nargs="+",
        default=[],
        metavar="RECORDING",
        help="what others use of the new machine, recorded without load, as of twin fit",
    )


def transfer(arguments: argparse.Namespace) -> int:
    """Transfer a model."""
    from twin_harness.predict.transfer import transfer as adapt
    from twin_harness.predict.twin import Twin

    twin = Twin.load(arguments.model)
    if arguments.probe == bool(arguments.run):
        msg = (
            "transfer: expected the run folders of the new machine or --probe, which records them"
            f" here, but got {'both' if arguments.run else 'neither'}"
        )
        raise InvalidInput(msg)
    folders, code = arguments.run, OK
    if arguments.probe:
        from twin_harness.control.probe_plan import probe_plan

        _require_another(twin.file_.fingerprint)

        _, folder, code, _ = run_all(
            [(one, None) for one in probe_plan()],
            read_settings(arguments),
            is_quiet=arguments.json,
        )
        if code != OK:
            echo_error(
                f"transfer: the probe did not end as planned; what it recorded is in {folder}"
            )
            return code
        folders = [str(folder)]
    observations = read_observations(folders)
    found = adapt(twin, observations, echo_error, arguments.background)
    found.save(arguments.out)
    if arguments.json:
        left_out = {"parameter_sets", "training", "background"}
        write_json(found.file_.model_dump(mode="json", exclude=left_out))
    else:
        echo(*_lines(twin, found, arguments.out))
    return code


def _require_another(fingerprint: str) -> None:
    """Refuse to load the machine that a model is of already.

    Raises:
        InvalidInput: it is this one.
    """
    from twin_harness.system.machine import inspect_machine

    if fingerprint in inspect_machine(Path()).fingerprints:
        msg = (
            f"transfer: --probe: this is {fingerprint}, the machine that the model is of already;"
            " expected another one, or use twin fit"
        )
        raise InvalidInput(msg)


def _lines(before: Twin, found: Twin, out: str) -> list[str]:
    """Return what changed from machine to machine, and what is still the other one's."""
    from twin_harness.predict.parameters import NAMES, PARAMETERS
    from twin_harness.predict.prior import SCALES

    lineage, file = found.file_.lineage, found.file_
    if lineage is None:  # a model that was transferred has one
        return []
    head = (
        f"{out}: twin of machine {file.fingerprint} from {file.training.runs} runs, after that of"
        f" {lineage.fingerprint}, fitted {lineage.created[:10]}"
    )
    lines = [head]
    for name, parameter in zip(NAMES, PARAMETERS, strict=True):
        if name in SCALES and name not in lineage.at_prior:
            old, new = before.file_.parameters[name], file.parameters[name]
            lines.append(f"  {name:<16} {old:>10.4g} → {new:.4g} {parameter.unit}")
    lines.append(
        "as on the other machine, for these runs tell less than its model:"
        f" {', '.join(lineage.at_prior) or 'nothing'}"
    )
    lines.append(
        f"bands: what these runs and the other model leave open, × {lineage.widened_by:g}; not"
        " calibrated here, which takes a campaign"
    )
    return lines
