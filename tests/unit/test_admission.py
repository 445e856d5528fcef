"""Admission: what a test holds of the machine covers its later loads, or is taken anew.

Nothing runs on less than it needs.
"""

import os

import pytest

from twin_harness import Experiment, cpu, disk, memory
from twin_harness.control.runner_parallel import Admission, claim_part
from twin_harness.errors import HarnessFailure, InvalidInput
from twin_harness.system.machine_lock import MachineLock, open_lock


def experiment(*events, share):
    return Experiment(name="made", events=list(events), share=share)


SHARED_CPU = experiment(cpu(10, duration_s=1), share=True)
SHARED_DISK = experiment(disk(1e6, duration_s=1), share=True)
WHOLE = experiment(memory(1, duration_s=1), share=False)


@pytest.fixture
def admission(tmp_path):
    held = Admission(lambda _: None, [str(tmp_path)])
    yield held
    held.release()


@pytest.mark.parametrize(
    ("first", "then", "is_taken_anew"),
    [
        (WHOLE, SHARED_CPU, False),
        (WHOLE, WHOLE, False),
        (SHARED_CPU, SHARED_CPU, False),
        (SHARED_CPU, SHARED_DISK, True),
        (SHARED_CPU, WHOLE, True),
    ],
    ids=["whole-cpu", "whole-whole", "cpu-cpu", "cpu-disk", "cpu-whole"],
)
def test_later_load_of_a_test_has_what_it_needs(admission, first, then, is_taken_anew):
    assert admission.take(first) is True
    assert admission.take(then) is is_taken_anew


@pytest.mark.parametrize("then", [SHARED_DISK, WHOLE], ids=["disk", "whole"])
def test_load_inside_one_that_shares_is_refused_what_that_has_not(admission, then):
    admission.take(SHARED_CPU)
    with pytest.raises(InvalidInput, match="inside a load that shares the machine and has cpu"):
        admission.take(then, is_nested=True)


def test_whole_machine_after_a_shared_one_keeps_others_out(admission, tmp_path):
    """The lock that counts is the file's.

    Nobody else gets a share once the machine was taken anew.
    """
    admission.take(SHARED_CPU)
    admission.take(WHOLE)
    waits = []

    def refuse(_):
        waits.append(True)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        MachineLock([str(tmp_path)], on_wait=refuse).take(shared_resources=["disk"])
    assert waits


def test_each_worker_gets_a_part_of_its_own(tmp_path):
    """The preferred part, else another, else an error.

    A part is free again when whoever inherited its lock is gone.
    """
    paths = [tmp_path / "a", tmp_path / "b"]
    first, held = claim_part(paths, 1)
    second, other = claim_part(paths, 1)
    assert (first, second) == (1, 0)
    inherited = os.dup(held.descriptor)
    held.close()
    with pytest.raises(HarnessFailure, match="all 2 parts"):
        claim_part(paths, 1, patience_s=0.0)
    os.close(inherited)
    third, again = claim_part(paths, 0)
    assert third == 1
    for lock in (other, again):
        lock.close()


def test_owner_of_a_part_takes_no_turns(tmp_path):
    """Whoever has a part of the machine waits for nobody, and its load inherits the part's lock."""
    part = open_lock("part", [str(tmp_path)])
    admission = Admission(lambda _: None, [str(tmp_path)], part=part)
    assert admission.take(WHOLE) is False
    assert admission.descriptors == (part.descriptor,)
    part.close()
