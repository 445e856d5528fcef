"""Commands outside an experiment.

A plain log, its overhead, and what is done with runs that are there.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.cli.output import FAILED, OK, complain, give, say, stdout
from twin_harness.cli.settings import read_settings
from twin_harness.errors import HarnessFailure, InvalidInput, UnreadableRun
from twin_harness.system import newest
from twin_harness.system.support import lack_of_support

if TYPE_CHECKING:
    import argparse

    from twin_harness.runs.run import Run


def log(arguments: argparse.Namespace) -> int:
    """Sample this machine into a CSV file, without load."""
    from twin_harness.session.passive import record

    settings = read_settings(arguments)
    if arguments.out:
        out = Path(arguments.out)
    else:
        out = None
    return record(out, settings, arguments.duration, complain, stdout())


def overhead(arguments: argparse.Namespace) -> int:
    """Measure what logger and probes cost this machine."""
    from twin_harness.session.overhead import FEWEST_ROUNDS, SHORTEST_BLOCK_S, measure

    if arguments.rounds < FEWEST_ROUNDS or not SHORTEST_BLOCK_S <= arguments.block < float("inf"):
        msg = (
            f"overhead: expected --rounds of {FEWEST_ROUNDS} or more (fewer have no 95 % interval)"
            f" and --block of {SHORTEST_BLOCK_S:g} s or more but got --rounds {arguments.rounds}"
            f" --block {arguments.block:g}"
        )
        raise InvalidInput(msg)
    found = measure(read_settings(arguments), arguments.rounds, arguments.block, complain)
    if arguments.json:
        give(found.to_json())
    else:
        say(*found.lines())
    return OK


def report(arguments: argparse.Namespace) -> int:
    """Render the EDA report of a run, at any stage of it."""
    from twin_harness.report.html import write_report
    from twin_harness.runs.run import load

    run = load(arguments.run)
    path = write_report(
        run, Path(arguments.out) if arguments.out else Path("reports") / run.folder.run_id
    )
    if not arguments.out and newest.latest_name(run.path.parent) == run.folder.run_id:
        newest.set_latest(path.parent)  # both name the same run again
    say(str(path))
    return OK


def clean(arguments: argparse.Namespace) -> int:
    """Remove what sessions left that are gone.

    Processes, boards, scratch files, workings of run folders; or runs that are old.
    """
    if arguments.keep is not None or arguments.older is not None:
        return _clean_old(arguments)
    if arguments.dry_run:
        msg = (
            "clean: --dry-run: expected --keep N or --older AGE with it but got neither; write e.g."
            " twin clean --older 30d --dry-run"
        )
        raise InvalidInput(msg)
    from twin_harness.runs.folder import RunFolder
    from twin_harness.runs.run import Run
    from twin_harness.system.reaper import reap
    from twin_harness.system.run_id import RUN_ID

    done = reap()
    data_dir = Path(arguments.data_dir)
    for path in sorted(data_dir.iterdir()) if data_dir.is_dir() else []:
        if RUN_ID.fullmatch(path.name) and not path.is_symlink() and Run(RunFolder(path)).is_killed:
            RunFolder(path).remove_workings(keep_notes=True)
            done.append(f"removed the workings of {path}, whose session was killed; its data stays")
    if arguments.json:
        give(done)
    else:
        say(*done, f"{len(done)} things removed" if done else "nothing was left behind")
    return OK


def _clean_old(arguments: argparse.Namespace) -> int:
    """Remove the runs beyond a number or an age, or say which these are."""
    from twin_harness.cli import old_runs

    keep, older_s = old_runs.parse_keep(arguments.keep), old_runs.parse_age(arguments.older)
    data_dir, report_dir = Path(arguments.data_dir), Path(arguments.report_dir)
    selection = old_runs.select(data_dir, report_dir, keep, older_s)
    done, code = [], OK
    for removal in selection.removals:
        try:
            if not arguments.dry_run:
                removal.carry_out()
        except OSError as error:
            complain(
                f"{error.filename or removal.folders[0]}: cannot be removed ({error.strerror});"
                " look at its rights, and clean again"
            )
            code = FAILED
            continue
        done.append(removal)
        if not arguments.json:
            say(removal.line)
    if not arguments.dry_run and newest.latest_name(report_dir) in {
        removal.run for removal in done
    }:
        newest.remove_latest(report_dir)
    total_bytes = sum(removal.size_bytes for removal in done)
    if arguments.json:
        kept = [{"path": path, "reason": reason} for path, reason in selection.kept.items()]
        removed = [removal.to_json() for removal in done]
        give({"dry_run": arguments.dry_run, "removed": removed, "kept": kept, "bytes": total_bytes})
        return code
    say(*(f"kept {path}: {reason}" for path, reason in selection.kept.items()))
    amount = f"{len(done)} run{'' if len(done) == 1 else 's'}, {total_bytes / 2**20:.1f} MiB"
    if arguments.dry_run:
        say(f"{amount} would be removed; with --dry-run nothing is")
    else:
        say(f"{amount} removed")
    return code


def doctor(arguments: argparse.Namespace) -> int:
    """Say what this machine permits, and what is poorer for it."""
    if reason := lack_of_support("a machine to look at"):
        raise HarnessFailure(reason)
    from twin_harness.control.doctor import examine

    findings = examine(Path(arguments.scratch_dir or ".").absolute())
    if arguments.json:
        give([finding.to_json() for finding in findings])
    else:
        say(*(line for finding in findings for line in finding.lines()))
    return OK


def runs(arguments: argparse.Namespace) -> int:
    """List the runs of a data folder, the newest last."""
    from twin_harness.runs.folder import RunFolder
    from twin_harness.runs.run import Run
    from twin_harness.system.run_id import RUN_ID

    data_dir = Path(arguments.data_dir)
    if data_dir.is_dir():
        found = [
            path
            for path in sorted(data_dir.iterdir())
            if RUN_ID.fullmatch(path.name) and not path.is_symlink()
        ]
    else:
        found = []
    rows = []
    for path in found:
        try:
            rows.append(_facts_of(Run(RunFolder(path))))
        except UnreadableRun as error:
            complain(str(error))
    if arguments.json:
        give(rows)
    elif not rows:
        say(
            f"no runs in {data_dir}/; name another folder with --data-dir, or make one with pytest"
            " or twin run"
        )
    else:
        say(
            f"{'run':<24} {'status':<9} {'experiments':>11} {'events':>6} {'seconds':>8}"
            f" {'samples':>8} {'MiB':>6}  machine"
        )
        say(*(_run_line(row) for row in rows))
    return OK


def _facts_of(run: Run) -> dict[str, Any]:
    size = sum(path.stat().st_size for path in run.path.iterdir() if path.is_file())
    experiments = run.recordings
    logger = run.state.get("logger") or {}
    seconds = sum(recording.end_s - recording.begin_s for recording in experiments)
    return {
        "run": run.folder.run_id,
        "status": run.status,
        "start": run.state.get("start"),
        "experiments": len(experiments),
        "events": sum(len(recording.experiment.events) for recording in experiments),
        "seconds": round(seconds, 1),
        "samples": logger.get("rows"),
        "bytes": size,
        "host": run.machine.get("host"),
        "fingerprint": run.machine.get("fingerprint"),
        "foretold": bool(run.machine.get("foretold_by")),
        "path": str(run.path),
    }


def _run_line(row: dict[str, Any]) -> str:
    if row["samples"] is None:
        samples = "-"
    else:
        samples = f"{row['samples']:,}"
    machine = (
        f"{row['host'] or '?'}"
        f" {row['fingerprint'] or '?'}{', foretold by its twin' if row['foretold'] else ''}"
    )
    counts = (
        f"{row['experiments']:>11} {row['events']:>6} {row['seconds']:>8.0f} {samples:>8}"
        f" {row['bytes'] / 2**20:>6.1f}"
    )
    return f"{row['run']:<24} {row['status']:<9} {counts}  {machine}"


def validate(arguments: argparse.Namespace) -> int:
    """Say every fault of a run's dataset; exit code 1 when there is one."""
    from twin_harness.dataset.validation import validate as find_faults
    from twin_harness.runs.run import load

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what they would say is what the table says
        table = find_faults(load(arguments.run))
    if arguments.json:
        give(table.to_dict("records"))
    elif table.empty:
        say(f"{arguments.run}: no fault found")
    else:
        for row in table.to_dict("records"):
            if row["column"]:
                of = f" in {row['column']}"
            else:
                of = ""
            say(
                f"{row['kind']}{of}  ×{row['count']}, first at {row['where']}: {row['found']};"
                f" {row['action']}"
            )
    if len(table):
        return FAILED
    return OK


def merge(arguments: argparse.Namespace) -> int:
    """Write the clean rows of runs as one partitioned Parquet dataset."""
    from twin_harness.dataset.merge import merge as merge_runs

    counts = merge_runs(arguments.run, Path(arguments.out), complain)
    if arguments.json:
        give({"out": arguments.out, "rows": counts})
    else:
        say(
            f"{arguments.out}: {sum(counts.values()):,} rows of {len(counts)} runs; read it with"
            " pandas.read_parquet, or as one table with pyarrow.dataset"
        )
    return OK


_ALLURE_HELP = (
    "Allure 3 is needed and is not there: install Node and then it with `npm install --global"
    " allure`, or render elsewhere with `npx allure generate --config allurerc.json {results}`"
)


def allure(arguments: argparse.Namespace) -> int:
    """Render Allure's results with Allure 3, with the history of former sessions, and open the report."""
    import shutil
    import subprocess

    results = Path(arguments.results)
    if not any(results.glob("*-result.json")):
        msg = (
            f"allure: --results: expected a folder of Allure results but got {arguments.results!r};"
            f" run pytest with --alluredir={arguments.results} first"
        )
        raise InvalidInput(msg)
    program = shutil.which("allure")
    if program:
        version = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=False
        ).stdout
    else:
        version = ""
    if program is None or not version.strip().lstrip("v").startswith("3"):
        complain(
            _ALLURE_HELP.format(results=arguments.results)
            + (f" (found version {version.strip()})" if version else "")
        )
        return FAILED
    if Path("allurerc.json").exists():
        settings = ["--config", "allurerc.json"]
    else:
        settings = []
    out = Path(arguments.out)
    if out.is_dir() and any(
        out.iterdir()
    ):  # Allure leaves a report that is there as it is, and says nothing
        if not (out / "index.html").is_file() or not (out / "widgets").is_dir() or out.is_symlink():
            msg = (
                "allure: --out: expected a new folder, or one that holds an Allure report, but got"
                f" {arguments.out!r}; name another"
            )
            raise InvalidInput(msg)
        shutil.rmtree(out)
    done = subprocess.run(
        [program, "generate", *settings, "--output", arguments.out, str(results)], check=False
    ).returncode
    if done != 0:
        complain(f"allure generate ended with exit code {done}; its own message stands above")
        return FAILED
    say(f"{arguments.out}/index.html")
    if arguments.no_open:
        return OK
    return subprocess.run([program, "open", arguments.out], check=False).returncode
