"""What the guard says is read to its end, also when it has ended in the meantime."""

import json
import subprocess

import pytest

from twin_harness.control.host_link import HostLink


@pytest.fixture
def link_to():
    """A link whose guard has said all that and is gone."""
    started = []

    def make(*says):
        guard = subprocess.Popen(
            ["printf", "%s", "".join(json.dumps(entry) + "\n" for entry in says)],
            stdout=subprocess.PIPE,
        )
        guard.wait()
        started.append(guard)
        return HostLink(guard, guard)

    yield make
    for guard in started:
        guard.stdout.close()


TRIPPED, DEAD = (
    {"state": "tripped", "reason": "x", "killed_s": 1.0, "clean_s": 0.9},
    {
        "state": "dead",
        "dead_s": 1.1,
    },
)


def test_last_word_of_a_guard_that_has_ended_is_read(link_to):
    """It tells that it tripped, then that all load is dead, and ends.

    Both are known however late they are read.
    """
    link = link_to(DEAD)
    link.tripped = dict(TRIPPED)
    link.await_dead_load(5.0)
    assert link.tripped["dead_s"] == 1.1


def test_trip_during_the_preparation_is_heard_to_its_end(link_to):
    """A limit crossed before anything began: both words of the guard may come in one piece."""
    link = link_to(TRIPPED, DEAD)
    link.await_ready()
    assert link.tripped["dead_s"] == 1.1


def test_silence_of_a_guard_that_has_ended_is_not_waited_for(link_to):
    """A guard that was killed before it could say so leaves the moment unknown, at once."""
    link = link_to()
    link.tripped = dict(TRIPPED)
    link.await_dead_load(60.0)
    assert "dead_s" not in link.tripped


def test_host_that_is_ready_after_the_guard_has_tripped_says_nothing_of_events(link_to):
    """The guard may trip while the host prepares, and the host's line be read only then."""
    started = {"state": "started", "event": "a", "start_s": 1.0}
    assert link_to({"state": "ready"}, started).poll(5.0) == [started]
