"""A program as load that leaves its parents, its group and its session.

Whatever dies, nothing of it is left.
"""

import os
import signal
import time

import pytest

from tests.support.processes import command_words
from twin_harness.system.load_tree import marked_processes

# Its parent ends at once; it leads a session of its own, ignores SIGTERM, and clears its
# environment: the tree alone still tells.
PROGRAM = """
import os, signal, sys
if len(sys.argv) == 1:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            environment = {{}} if {is_cleared} else os.environ
            os.execve(sys.executable, [sys.executable, __file__, "on"], environment)
        os._exit(0)
    os.wait()
else:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        pass
"""
TESTS = """
import sys

import pytest
from twin_harness import command

@pytest.mark.experiment(
    command([sys.executable, {program!r}], duration_s=8), lead_s=0.3, tail_s=0.3
)
def test_load(recording):
    pass
"""


def running(program):
    """Return the processes that run a program of that path, after it has left its parents."""
    wanted = {str(program).encode(), b"on"}
    return [pid for pid, words in command_words().items() if wanted <= set(words)]


def gone_within(program, seconds_s):
    deadline_s = time.monotonic() + seconds_s
    while (left := running(program)) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return left


@pytest.mark.parametrize("is_cleared", [False, True], ids=["marked", "unmarked"])
@pytest.mark.parametrize("role", ["controller", "guard", "command", "host"])
def test_daemon_dies_with_what_watches_it(make_victim, tmp_path, role, is_cleared):
    """SIGKILL of controller, guard or load host ends a daemon, mark or no mark.

    Of its supervisor one that has kept its mark.
    """
    program = tmp_path / "leaves.py"
    program.write_text(PROGRAM.format(is_cleared=is_cleared))
    victim = make_victim("--twin-allow-commands", tests=TESTS.format(program=str(program))).start()
    deadline_s = time.monotonic() + 60
    while not running(program) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    time.sleep(0.3)
    try:
        assert running(program), victim.text()
        os.kill(victim.by_role()[role][0].pid, signal.SIGKILL)
        left = gone_within(program, 1.5)
        if is_cleared and role == "command":
            pytest.skip(
                "whoever knew the tree is dead, and the program has cleared its environment:"
                " documented as what can get away"
            )
        assert not left
        victim.wait()
        stem = victim.board().path.stem if victim.board() is not None else "twin-harness-none"
        assert marked_processes(stem) == []
    finally:
        for pid in running(program):
            os.kill(pid, signal.SIGKILL)


def test_planned_end_stops_a_daemon_without_a_mark(make_victim, tmp_path):
    """At the event's end the supervisor stops everything below it.

    Also what cleared its environment and ignores SIGTERM.
    """
    program = tmp_path / "leaves.py"
    program.write_text(PROGRAM.format(is_cleared=True))
    victim = make_victim(
        "--twin-allow-commands",
        tests=TESTS.format(program=str(program)).replace("duration_s=8", "duration_s=2"),
    ).start()
    assert victim.wait() == 0, victim.text()[-3000:]
    assert running(program) == []
