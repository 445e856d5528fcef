"""Rounds of chaos: how many, from which seed, and the table at the end."""

import json
import random

import pytest

from tests.chaos.faults import slot_of
from tests.chaos.table import ROW, table_lines
from tests.chaos.victim import LOADED, Victim

SEED = pytest.StashKey[int]()


def pytest_addoption(parser):
    group = parser.getgroup("chaos", "chaos: processes killed and stopped at random times")
    group.addoption(
        "--chaos-rounds",
        type=int,
        default=10,
        metavar="N",
        help="rounds in all, over the faults in turn (default: 10)",
    )
    group.addoption(
        "--chaos-kills",
        type=int,
        default=20,
        metavar="N",
        help="kills of the logger at random moments (default: 20)",
    )
    group.addoption(
        "--chaos-seed",
        type=int,
        default=None,
        metavar="N",
        help="seed of the moments; drawn and printed unless given",
    )


def _seed(config):
    if SEED not in config.stash:
        given = config.getoption("--chaos-seed", default=None)
        config.stash[SEED] = random.SystemRandom().randrange(2**31) if given is None else given
    return config.stash[SEED]


def pytest_report_header(config):
    return (
        f"chaos: seed {_seed(config)}, {config.getoption('--chaos-rounds', default=10)} rounds;"
        f" repeat with --chaos-seed={_seed(config)}"
    )


def pytest_generate_tests(metafunc):
    if "chaos_round" in metafunc.fixturenames:
        count = metafunc.config.getoption("--chaos-rounds", default=10)
        metafunc.parametrize(
            "chaos_round",
            range(count),
            ids=[f"{number:03d}-{slot_of(number).slug}" for number in range(count)],
        )


@pytest.fixture
def chance(request):
    """Chance of this test alone: the same for the same seed, whatever ran before."""
    return random.Random(f"{_seed(request.config)} {request.node.name}")


@pytest.fixture
def make_victim(tmp_path):
    """Make sessions to be harmed.

    Whatever becomes of them, nothing of theirs is left afterwards.
    """
    made = []

    def make(*arguments, tests=LOADED, limit="", name=""):
        victim = Victim(tmp_path / (name or f"project-{len(made)}"), arguments, tests, limit)
        made.append(victim)
        return victim

    yield make
    for victim in made:
        victim.clean_up()


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter):
    reports = [
        report
        for kind in ("passed", "failed")
        for report in terminalreporter.stats.get(kind, [])
        if getattr(report, "when", "") == "call"
    ]
    kills = [
        value for report in reports for name, value in report.user_properties if name == "kills"
    ]
    for line in kills:
        terminalreporter.write_line(f"logger: {line}")
    rows = [
        json.loads(value)
        for report in reports
        for name, value in report.user_properties
        if name == ROW
    ]
    if rows:
        terminalreporter.section("chaos")
        for line in table_lines(sorted(rows, key=lambda row: row["number"])):
            terminalreporter.write_line(line)
        terminalreporter.write_line(f"seed {_seed(terminalreporter.config)}")
