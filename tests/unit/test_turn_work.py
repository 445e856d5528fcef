"""Who works in whose turns: one service asked twice, work that is put off, one that ends."""

import os
import subprocess
import sys

import pytest

from twin_harness.gate.turn_work import TurnWork
from twin_harness.gate.variant import Variant

BOTH = (Variant("base"), Variant("candidate"))
SERVICE = """
import sys, time
for line in sys.stdin:
    end = time.process_time() + float(line)
    while time.process_time() < end: pass
    print("done", flush=True)
"""


@pytest.fixture
def services():
    """A process of each variant that works for as long as it is told."""
    found = [
        subprocess.Popen(
            [sys.executable, "-S", "-c", SERVICE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **variant.environ},
        )
        for variant in BOTH
    ]
    yield found
    for process in found:
        process.communicate()


def burn(process, seconds):
    process.stdin.write(f"{seconds}\n".encode())
    process.stdin.flush()
    process.stdout.readline()


def turn(work, index, *loads):
    """A turn in which these processes work so long."""
    work.begin()
    for process, seconds in loads:
        burn(process, seconds)
    work.end(index)


def test_each_in_its_own_turns_is_as_it_should_be(services):
    """No fault, and hardly any time in the other's."""
    for process in services:
        burn(process, 0)
    work = TurnWork(BOTH)
    for index in (0, 1):
        turn(work, index, (services[index], 0.05))
    assert work.fault() == ""
    assert max(work.idle_shares()) < 0.1


def test_one_service_that_is_asked_twice_is_found(services):
    """In the candidate's turns it is the base that works."""
    for process in services:
        burn(process, 0)
    work = TurnWork(BOTH)
    for index in (0, 1):
        turn(work, index, (services[0], 0.05))
    assert "in the turns of candidate it was base that worked" in work.fault()


@pytest.mark.parametrize("dead", [0, 1])
def test_a_service_that_answers_for_one_that_is_gone_is_found(services, dead):
    """It ended before the turns began (its port was taken), and the other is asked in all turns."""
    alive = services[1 - dead]
    burn(alive, 0)
    services[dead].communicate()
    work = TurnWork(BOTH)
    for index in (0, 1):
        turn(work, index, (alive, 0.05))
    assert f"{BOTH[1 - dead].name} did 50 % of its work in the turns" in work.fault()


def test_two_that_share_a_port_are_found(services):
    """The kernel deals connections out to both (SO_REUSEPORT): each works in either's turns."""
    for process in services:
        burn(process, 0)
    work = TurnWork(BOTH)
    for index in (0, 1):
        turn(work, index, (services[0], 0.04), (services[1], 0.04))
    assert "do both listen on one port?" in work.fault()


def test_work_that_is_put_off_shows(services):
    """As a share of what the variant takes in all."""
    for process in services:
        burn(process, 0)
    work = TurnWork(BOTH)
    turn(work, 0, (services[0], 0.05), (services[1], 0.05))
    turn(work, 1, (services[1], 0.05))
    assert work.idle_shares()[1] == pytest.approx(0.5, abs=0.1)


def test_one_that_ends_is_named(services):
    """Whatever answered in its turns from then on."""
    work = TurnWork(BOTH)
    services[1].kill()
    services[1].wait()
    turn(work, 1, (services[0], 0.01))
    assert work.fault() == "candidate ended during the turns"


def test_without_processes_nothing_is_said():
    """A command lives within a turn, and a function in this process has none."""
    work = TurnWork(BOTH)
    turn(work, 0)
    assert (work.fault(), work.idle_shares()) == ("", (0.0, 0.0))
