"""The most memory that what a test has started held."""

import os
import subprocess
import sys

import pytest

from twin_harness.errors import Undecided
from twin_harness.system.load_tree import descendants
from twin_harness.system.memory_peak import faults_of_ended, forget_peak, peak_bytes, peak_since

HOLD = "import sys; held = bytearray(%d); del held; print('ready', flush=True); sys.stdin.read()"
MIB = 1024**2


def test_peaks_of_children_add_up_though_they_hold_it_no_longer():
    """Two of them, one of which counts as load; the peak outlives what was held."""
    before = descendants(os.getpid())
    words = [sys.executable, "-S", "-c", HOLD % (64 * MIB)]
    with (
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first,
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as second,
    ):
        for child in (first, second):
            child.stdout.readline()
        both, one = peak_since(before, [], 0), peak_since(before, [second.pid], 0)
        for child in (first, second):
            child.stdin.close()
    assert both >= 128 * MIB
    assert 64 * MIB <= one < both


def test_without_children_it_is_our_own_since_it_was_forgotten():
    """What was held before does not count."""
    held = bytearray(96 * MIB)
    del held
    before = peak_bytes(os.getpid())
    forget_peak()
    own = peak_since(descendants(os.getpid()), [], faults_of_ended())
    assert own <= before - 64 * MIB


def test_what_has_ended_took_its_peak_along():
    """Pytest's own would be a figure of something else: it is no figure at all."""
    before, ended = descendants(os.getpid()), faults_of_ended()
    subprocess.run([sys.executable, "-S", "-c", "held = bytearray(50_000_000)"], check=True)
    with pytest.raises(Undecided, match="had ended before the test did; start it in a fixture"):
        peak_since(before, [], ended)


def test_one_that_is_gone_has_none():
    """Between the list and the look."""
    assert peak_bytes(2**22 + 1) is None
