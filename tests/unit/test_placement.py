"""Where turns begin: both of a slice pair on one CPU, free after that, and as before at the end."""

import os
import subprocess
import sys
import time

import pytest

from twin_harness.gate import placement as placement_module
from twin_harness.gate.placement import Placement

CPUS = os.sched_getaffinity(0)
# Two threads, of which one says when it is there.
SERVICE = """
import sys, threading
threading.Thread(target=sys.stdin.read, daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
"""


@pytest.fixture
def service():
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", SERVICE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdout.readline()
    yield process.pid
    process.kill()
    process.communicate()


def allowed(pid):
    """Where each thread of a process may run."""
    return [os.sched_getaffinity(int(name)) for name in os.listdir(f"/proc/{pid}/task")]


needs_two = pytest.mark.skipif(len(CPUS) < 2, reason="needs two CPUs")


@needs_two
def test_both_turns_of_a_slice_pair_begin_on_one_cpu(service, monkeypatch):
    """All threads; the next slice pair begins on the next one, and all CPUs have their turn."""
    monkeypatch.setattr(placement_module, "_LONGEST_S", 60.0)  # a busy machine looks later
    monkeypatch.setattr(placement_module, "_SHARE", 6.0)
    placement, seen = Placement(7, "test_a", 3), []
    for slice_pair in range(2 * len(CPUS)):
        begun = []
        for _ in range(2):
            with placement.begin(slice_pair, [service], 10.0):
                begun.append(allowed(service))
            assert allowed(service) == [CPUS] * 2
        assert begun[0] == begun[1] == [begun[0][0]] * 2
        seen.append(begun[0][0])
    assert [len(one) for one in seen] == [1] * len(seen)
    assert set.union(*seen[: len(CPUS)]) == CPUS
    assert seen[: len(CPUS)] == seen[len(CPUS) :]


@needs_two
def test_a_variant_is_free_while_its_turn_goes_on(service):
    """The scheduler may move it as ever: work for several CPUs is not put on one."""
    with Placement(7, "test_a", 3).begin(0, [service], 10.0):
        deadline_s = time.monotonic() + 10.0
        while allowed(service) != [CPUS] * 2 and time.monotonic() < deadline_s:
            time.sleep(0.005)
        assert allowed(service) == [CPUS] * 2


@needs_two
def test_what_is_pinned_stays_where_it_is(service):
    """A service that has chosen its CPU, and threads that are gone."""
    mine = {max(CPUS)}
    for name in os.listdir(f"/proc/{service}/task"):
        os.sched_setaffinity(int(name), mine)
    for slice_pair in range(len(CPUS)):
        with Placement(7, "test_a", 3).begin(slice_pair, [service, 2**22 + 1], 10.0):
            assert allowed(service) == [mine] * 2
    assert allowed(service) == [mine] * 2


@needs_two
def test_a_turn_that_is_interrupted_leaves_it_free(service):
    """Ctrl-C, or a test that fails."""
    with (
        pytest.raises(KeyboardInterrupt),
        Placement(7, "test_a", 3).begin(0, [service], 10.0),
    ):
        raise KeyboardInterrupt
    assert allowed(service) == [CPUS] * 2
