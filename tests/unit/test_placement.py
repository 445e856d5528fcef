"""Where turns begin: both of a slice pair on one CPU, free after that, and as before at the end."""

import os
import signal
import subprocess
import sys
import time

import pytest

from twin_harness.gate import placement as placement_module
from twin_harness.gate.placement import Placement
from twin_harness.system.load_tree import descendants

CPUS = os.sched_getaffinity(0)
# Two threads; told to, it starts a third and a child, and says who that is.
SERVICE = """
import os, subprocess, sys, threading
wait = threading.Event().wait
threading.Thread(target=wait, daemon=True).start()
print("ready", flush=True)
for _ in sys.stdin:
    threading.Thread(target=wait, daemon=True).start()
    print(subprocess.Popen(["sleep", "60"]).pid, flush=True)
"""


@pytest.fixture
def service():
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", SERVICE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdout.readline()
    yield process
    for pid in descendants(process.pid):
        os.kill(pid, signal.SIGKILL)
    process.kill()
    process.communicate()


def allowed(pid):
    """Where each thread of a process may run."""
    return [os.sched_getaffinity(int(name)) for name in os.listdir(f"/proc/{pid}/task")]


needs_two = pytest.mark.skipif(len(CPUS) < 2, reason="needs two CPUs")


@pytest.fixture
def long_hold(monkeypatch):
    """Held until the end of the turn: a busy machine looks later than a tenth of a slice."""
    monkeypatch.setattr(placement_module, "_LONGEST_S", 60.0)
    monkeypatch.setattr(placement_module, "_SHARE", 6.0)


@needs_two
@pytest.mark.usefixtures("long_hold")
def test_both_turns_of_a_slice_pair_begin_on_one_cpu(service):
    """All threads; the next slice pair begins on the next one, and all CPUs have their turn."""
    placement, seen = Placement(7, "test_a", 3), []
    for slice_pair in range(1, 2 * len(CPUS) + 1):
        begun = []
        for _ in range(2):
            with placement.begin(slice_pair, [service.pid], 10.0):
                begun.append(allowed(service.pid))
            assert allowed(service.pid) == [CPUS] * 2
        assert begun[0] == begun[1] == [begun[0][0]] * 2
        seen.append(begun[0][0])
    assert [len(one) for one in seen] == [1] * len(seen)
    assert set.union(*seen[: len(CPUS)]) == CPUS
    assert seen[: len(CPUS)] == seen[len(CPUS) :]


@pytest.mark.usefixtures("long_hold")
def test_the_first_turns_are_left_alone(service):
    """A service may make its pools at the first request, by the CPUs that it may use."""
    with Placement(7, "test_a", 3).begin(0, [service.pid], 10.0):
        assert allowed(service.pid) == [CPUS] * 2


@needs_two
def test_a_variant_is_free_while_its_turn_goes_on(service):
    """The scheduler may move it as ever: work for several CPUs is not put on one."""
    with Placement(7, "test_a", 3).begin(1, [service.pid], 10.0):
        deadline_s = time.monotonic() + 10.0
        while allowed(service.pid) != [CPUS] * 2 and time.monotonic() < deadline_s:
            time.sleep(0.005)
        assert allowed(service.pid) == [CPUS] * 2


@needs_two
@pytest.mark.usefixtures("long_hold")
def test_what_is_started_meanwhile_is_as_free(service):
    """A thread for each connection, and a child, inherit the hold; a pin of their own stays."""
    with Placement(7, "test_a", 3).begin(1, [service.pid], 10.0):
        service.stdin.write(b"start\n")
        service.stdin.flush()
        child = int(service.stdout.readline())
        assert len(allowed(service.pid)) == 3
        assert set(map(len, allowed(service.pid))) == {1}
    assert allowed(service.pid) == [CPUS] * 3
    assert allowed(child) == [CPUS]


@needs_two
@pytest.mark.usefixtures("long_hold")
def test_what_is_pinned_stays_where_it_is(service):
    """A service that has chosen its CPU, before or in its turn, and processes that are gone."""
    for cpu in CPUS:
        for name in os.listdir(f"/proc/{service.pid}/task"):
            os.sched_setaffinity(int(name), {cpu})
        for slice_pair in (1, 2):
            with Placement(7, "test_a", 3).begin(slice_pair, [service.pid, 2**22 + 1], 10.0):
                assert allowed(service.pid) == [{cpu}] * 2
        assert allowed(service.pid) == [{cpu}] * 2


@needs_two
@pytest.mark.usefixtures("long_hold")
def test_a_pin_that_is_chosen_in_a_turn_stays(service):
    """Of a service that pins itself at its first request."""
    os.sched_setaffinity(service.pid, CPUS)
    with Placement(7, "test_a", 3).begin(1, [service.pid], 10.0):
        (held,) = allowed(service.pid)[0]
        other = min(CPUS - {held})
        os.sched_setaffinity(service.pid, {other})
    assert sorted(map(len, allowed(service.pid))) == [1, len(CPUS)]
    assert os.sched_getaffinity(service.pid) == {other}


@needs_two
@pytest.mark.usefixtures("long_hold")
def test_a_turn_that_is_interrupted_leaves_it_free(service):
    """Ctrl-C, or a test that fails."""
    with (
        pytest.raises(KeyboardInterrupt),
        Placement(7, "test_a", 3).begin(1, [service.pid], 10.0),
    ):
        raise KeyboardInterrupt
    assert allowed(service.pid) == [CPUS] * 2
