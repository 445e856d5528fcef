"""The command ``twin``: the session's parts without pytest."""

from __future__ import annotations

import argparse
import re
import signal
import sys
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from twin_harness.cli import loads, output, upkeep
from twin_harness.cli.gating import add_gate
from twin_harness.cli.output import FAILED, INTERRUPTED, OK, USAGE, complain
from twin_harness.cli.predicting import add_predicting
from twin_harness.cli.schedules import add_schedule
from twin_harness.cli.settings import LOAD, SENSOR, add_settings
from twin_harness.errors import (
    HarnessFailure,
    InvalidInput,
    TwinError,
    UnreadableRun,
    advise,
    in_a_line,
)
from twin_harness.system.support import lack_of_support

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from _typeshed import SupportsWrite

_STRESS_EXAMPLES = """examples:
  twin stress cpu --level 50 --duration 10
  twin stress cpu --level 60 --options '{"target": "system"}'
  twin stress memory --level 20 --options '{"pattern": "stir"}'
  twin stress disk --shape '{"kind": "ramp", "from": 0, "to": 80e6}' --options '{"operation": "mixed"}'
  twin stress command --allow-commands --duration 10 -- stress-ng --cpu 1"""


class _Parser(argparse.ArgumentParser):
    """A parser whose help and errors go where all else goes."""

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        if file is not None and file is sys.stderr:
            output.complain_as_is(message)
        else:
            output.stdout().write(message)


_CLEAN_EXAMPLES = """Without options: what killed sessions left. With --keep or --older: old runs, each with
its report, and nothing else; with both, a run goes that is beyond the N newest and older than AGE.

Never removed: the newest run, one whose session still runs, a folder that is no run, anything
behind a link. Baselines and models hold their figures themselves and need no run; what fit, compare
or replay shall read again must stay.

examples:
  twin clean
  twin clean --older 30d --dry-run
  twin clean --keep 20"""


def _parser() -> argparse.ArgumentParser:
    about = "A digital twin of this server: stress it, record it, label it."
    parser = _Parser(prog="twin", description=about)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(
        name: str,
        run: Callable[[argparse.Namespace], int],
        text: str,
        settings: Sequence[str] = (),
        *,
        example: str = "",
        has_json: bool = True,
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=example,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run_command=run)
        if has_json:
            command.add_argument("--json", action="store_true", help="machine output on stdout")
        add_settings(command, settings)
        return command

    add(
        "doctor",
        upkeep.doctor,
        "what this machine permits, and what will be poorer for it",
        ("scratch-dir",),
    )
    stress = add(
        "stress", loads.stress, "put one load on one resource", LOAD, example=_STRESS_EXAMPLES
    )
    stress.set_defaults(has_work=True)
    stress.add_argument(
        "resource",
        help=(
            "cpu, memory, disk, command (then -- and the program), or a stressor that an installed"
            " project brings"
        ),
    )
    stress.add_argument(
        "--level", type=float, help="percent for cpu and memory, bytes per second for disk"
    )
    stress.add_argument(
        "--shape",
        metavar="JSON",
        help='a load shape, e.g. \'{"kind": "ramp", "from": 0, "to": 80}\'',
    )
    stress.add_argument(
        "--duration", type=float, default=10.0, metavar="SECONDS", help="how long (default: 10)"
    )
    stress.add_argument(
        "--unit",
        metavar="UNIT",
        help="unit of the level: percent, bytes, bytes_per_s, operations_per_s",
    )
    stress.add_argument(
        "--options", metavar="JSON", help='options of the event, e.g. \'{"operation": "read"}\''
    )
    example = "example: twin log --interval 0.1 --duration 60 --out metrics.csv"
    log = add(
        "log",
        upkeep.log,
        "sample this machine: a table, or CSV",
        SENSOR,
        example=example,
        has_json=False,
    )
    log.add_argument(
        "--duration",
        type=float,
        default=None,
        metavar="SECONDS",
        help="how long (default: until Ctrl-C)",
    )
    log.add_argument(
        "--out",
        metavar="FILE",
        help="a CSV file to make (default: a table on a terminal, CSV on stdout elsewhere)",
    )
    overhead = add(
        "overhead",
        upkeep.overhead,
        "measure what logger and probes cost this machine",
        SENSOR,
        example="example: twin overhead --rounds 10",
    )
    overhead.add_argument(
        "--rounds",
        type=int,
        default=10,
        help=(
            "rounds of three blocks, two without the harness and one with it, 6 or more"
            " (default: 10)"
        ),
    )
    overhead.add_argument(
        "--block", type=float, default=2.0, metavar="SECONDS", help="length of a block (default: 2)"
    )
    add_schedule(add)
    add_gate(add)
    add_predicting(add)
    run = add(
        "run",
        loads.run,
        "run every experiment of a schedule",
        (*LOAD, "report-dir", "no-report"),
        example="example: twin run data/latest/schedule.json",
    )
    run.set_defaults(has_work=True)
    run.add_argument("schedule", help="a schedule.json")
    run.add_argument(
        "--parallel",
        type=int,
        default=1,
        metavar="N",
        help="up to N at once of those that share the machine (default: 1)",
    )
    _add_clean(add)
    runs = add(
        "runs",
        upkeep.runs,
        "list runs: when, how they went, what they hold",
        example="example: twin runs",
    )
    runs.add_argument(
        "--data-dir", default="data", metavar="DIR", help="where run folders are (default: data)"
    )
    check = add(
        "validate",
        upkeep.validate,
        "every fault of a run's dataset, in one table",
        example="example: twin validate data/latest",
    )
    check.set_defaults(has_work=True)  # its verdict
    check.add_argument("run", help="a run folder")
    merge = add(
        "merge",
        upkeep.merge,
        "many runs as one partitioned Parquet dataset",
        example="example: twin merge data/2026* --out merged",
    )
    merge.add_argument("run", nargs="+", help="run folders")
    merge.add_argument(
        "--out", required=True, metavar="DIR", help="the dataset's folder, which must not exist"
    )
    report = add(
        "report",
        upkeep.report,
        "render the EDA report of a run",
        example="example: twin report data/latest",
        has_json=False,
    )
    report.set_defaults(has_work=True)
    report.add_argument("run", help="a run folder")
    report.add_argument("--out", metavar="DIR", help="where it goes (default: reports/<run-id>)")
    allure = add(
        "allure",
        upkeep.allure,
        "render and open the Allure report of the last session",
        example="example: twin allure --no-open",
        has_json=False,
    )
    allure.add_argument(
        "--results",
        default="reports/allure-results",
        metavar="DIR",
        help="what pytest wrote (default: reports/allure-results)",
    )
    allure.add_argument(
        "--out",
        default="reports/allure",
        metavar="DIR",
        help="where the report goes (default: reports/allure)",
    )
    allure.add_argument("--no-open", action="store_true", help="render it, and open nothing")
    return parser


def _add_clean(add: Callable[..., argparse.ArgumentParser]) -> None:
    text = "remove what killed sessions left: processes, boards, scratch files; or old runs"
    clean = add("clean", upkeep.clean, text, example=_CLEAN_EXAMPLES)
    clean.add_argument("--keep", metavar="N", help="remove all runs but the N newest")
    text = "remove runs that began longer ago than AGE: 12h, 30d, 2w"
    clean.add_argument("--older", metavar="AGE", help=text)
    text = "say what would be removed, and remove nothing"
    clean.add_argument("--dry-run", action="store_true", help=text)
    for name, default, what in (("report", "reports", "reports"), ("data", "data", "run folders")):
        text = f"where {what} are (default: {default})"
        clean.add_argument(f"--{name}-dir", default=default, metavar="DIR", help=text)
    clean.set_defaults(has_work=True)


def _run(parsed: argparse.Namespace) -> int:
    """Run a command where the system and the installation have what it needs.

    Raises:
        HarnessFailure: they lack a module, or a name of ``os`` or ``signal``, as Windows and macOS
            do.
    """
    try:
        return int(parsed.run_command(parsed))
    except (ImportError, AttributeError) as error:
        reason = lack_of_support(f"twin {parsed.command}")
        if not reason and isinstance(error, AttributeError):
            raise
        msg = (
            reason
            or f"twin {parsed.command}: {in_a_line(error)}; look at what is installed (pip check)"
        )
        raise HarnessFailure(msg) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    0 fine, 1 failed, 2 usage or bad input, 3 aborted by the guard, 130 interrupted, 141 when the
    reader of its output went away and output was all that the command is for.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    output.begin()
    if "--" in words and words[0] == "stress":
        end = words.index("--")
    else:
        end = len(words)
    try:
        parsed = _parser().parse_args(words[:end])
    except SystemExit as request:  # --help, or wrong use
        raise SystemExit(output.finish(int(request.code or OK), has_work=False)) from None
    parsed.argv, parsed.command = words[end + 1 :], words[0]
    has_work = getattr(parsed, "has_work", False) or getattr(parsed, "out", None) not in (None, "-")
    try:
        with _ended_in_order():
            code = _run_command(parsed)
        is_for_machines = getattr(parsed, "json", False)
        return output.finish(code, has_work=has_work, is_for_machines=is_for_machines)
    except KeyboardInterrupt:  # while the reader of stdout was waited for
        return INTERRUPTED


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Have SIGTERM and SIGHUP end a command as Ctrl-C does.

    What it has made is removed, what it has recorded is written. One that is ignored stays so:
    that is what nohup is for.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        names = ("SIGTERM", "SIGHUP")  # Windows has not both
        for number in (getattr(signal, name) for name in names if hasattr(signal, name)):
            if signal.getsignal(number) == signal.SIG_DFL:
                before[number] = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run_command(parsed: argparse.Namespace) -> int:
    """Run a command, and make of what is raised a sentence and an exit code, and of a warning a sentence."""
    show = warnings.showwarning
    warnings.showwarning = lambda message, category, *rest, **more: (
        complain(str(message))
        if category is UserWarning
        else show(message, category, *rest, **more)
    )
    try:
        return _run(parsed)
    except TwinError as error:
        # The same options have longer names under pytest; what is to be typed there stays as it is.
        complain(re.sub(r"(pytest [^;,]*)|--twin-", lambda found: found[1] or "--", str(error)))
        if isinstance(error, (InvalidInput, UnreadableRun)):
            return USAGE
        return FAILED
    except OSError as error:
        complain(f"{error.filename or 'a file'}: {error.strerror or error}; {advise(error)}")
        if error.filename:
            return USAGE
        return FAILED
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    finally:
        warnings.showwarning = show
