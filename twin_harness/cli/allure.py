"""``twin allure``: render Allure's results with Allure 3, and open the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.cli.output import FAILED, OK, echo, echo_error
from twin_harness.errors import InvalidInput

if TYPE_CHECKING:
    import argparse

    from twin_harness.cli.commands import Commands

_HELP = (
    "Allure 3 is needed and is not there: install Node and then it with `npm install --global"
    " allure`, or render elsewhere with `npx allure generate --config allurerc.json {results}`"
)


def add_allure(commands: Commands) -> None:
    """Add the command."""
    command = commands.add(
        "allure",
        allure,
        "render and open the Allure report of the last session",
        example="example: twin allure --no-open",
        has_json=False,
    )
    command.add_argument(
        "--results",
        default="reports/allure-results",
        metavar="DIR",
        help="what pytest wrote (default: reports/allure-results)",
    )
    command.add_argument(
        "--out",
        default="reports/allure",
        metavar="DIR",
        help="where the report goes (default: reports/allure)",
    )
    command.add_argument("--no-open", action="store_true", help="render it, and open nothing")


def allure(arguments: argparse.Namespace) -> int:
    """Render Allure's results, with the history of former sessions, and open the report."""
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
    version = _version_of(program)
    if program is None or not version.lstrip("v").startswith("3"):
        note = f" (found version {version})" if version else ""
        echo_error(_HELP.format(results=arguments.results) + note)
        return FAILED
    _make_room(arguments.out)
    settings = ["--config", "allurerc.json"] if Path("allurerc.json").exists() else []
    code = subprocess.run(
        [program, "generate", *settings, "--output", arguments.out, str(results)], check=False
    ).returncode
    if code != 0:
        echo_error(f"allure generate ended with exit code {code}; its own message stands above")
        return FAILED
    echo(f"{arguments.out}/index.html")
    if arguments.no_open:
        return OK
    return subprocess.run([program, "open", arguments.out], check=False).returncode


def _version_of(program: str | None) -> str:
    """Return the version that Allure reports; empty where it is not installed."""
    import subprocess

    if program is None:
        return ""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _make_room(place: str) -> None:
    """Remove the Allure report that is there: Allure would leave it as it is, and say nothing.

    Raises:
        InvalidInput: the folder holds something else.
    """
    import shutil

    out = Path(place)
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not (out / "index.html").is_file() or not (out / "widgets").is_dir() or out.is_symlink():
        msg = (
            "allure: --out: expected a new folder, or one that holds an Allure report, but got"
            f" {place!r}; name another"
        )
        raise InvalidInput(msg)
    shutil.rmtree(out)
