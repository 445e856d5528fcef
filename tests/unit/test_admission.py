"""Admission: what a test holds of the machine covers its later loads, or is taken anew; nothing runs on less than it needs."""

import pytest

from twin_harness import Experiment, cpu, disk, memory
from twin_harness.control.machine_lock import MachineLock
from twin_harness.control.runner_parallel import Admission
from twin_harness.errors import InvalidInput


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
    """The lock that counts is the file's: nobody else gets a share once the machine was taken anew."""
    admission.take(SHARED_CPU)
    admission.take(WHOLE)
    waits = []

    def refuse():
        waits.append(True)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        MachineLock([str(tmp_path)], on_wait=refuse).take(shared_resources=["disk"])
    assert waits
