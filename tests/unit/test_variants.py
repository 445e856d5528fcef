"""Functions under both variants: each in a process of its own, its environment, its faults."""

import os
import sys

import pytest

from twin_harness.errors import ExperimentFailed, InvalidInput
from twin_harness.gate.variant import Variant
from twin_harness.gate.variants import Variants

WORK = """
import os, sys, time
def sleepy(seconds): time.sleep(seconds)
def loud(): print("what the function prints is no answer")
def which(): assert os.environ["WHICH"] == "candidate", os.environ["WHICH"]
def cpus(expected): assert list(os.sched_getaffinity(0)) == expected
def leave(): os._exit(3)
class Shop:
    @staticmethod
    def order(): pass
count = 0
def later():
    global count
    count += 1
    if count > 2: raise ValueError("third call")
"""
BOTH = (Variant("base", (("WHICH", "base"),)), Variant("candidate", (("WHICH", "candidate"),)))


@pytest.fixture
def variants(tmp_path):
    (tmp_path / "shop_work.py").write_text(WORK)
    with Variants(BOTH, str(tmp_path)) as both:
        yield both


def test_a_call_returns_its_seconds_in_a_process_of_its_own(variants):
    """The mean of the calls between two readings; what is printed is no answer."""
    sleepy = variants.function("shop_work:sleepy", 0.02, number=3)
    assert [sleepy[variant]() for variant in variants] == pytest.approx([0.02, 0.02], abs=0.019)
    pids = {function.pid for function in sleepy.values()}
    assert len(pids | {os.getpid()}) == 3
    loud = variants.function("shop_work:loud")
    assert all(function() >= 0 for function in loud.values())
    assert variants.function("shop_work:Shop.order")[BOTH[0]]() < 1


def test_both_are_pinned_to_one_cpu(variants):
    """They take turns, so they share the CPU, and its speed."""
    for function in variants.function("shop_work:cpus", [max(os.sched_getaffinity(0))]).values():
        function()


def test_their_processes_end_with_the_test(tmp_path):
    """Leaving the variants ends them, however long a call would have taken."""
    (tmp_path / "shop_work.py").write_text(WORK)
    with Variants(BOTH, str(tmp_path)) as both:
        pids = [one.pid for one in both.function("shop_work:sleepy", 0).values()]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_another_checkout_is_a_variant(tmp_path):
    """A variant's own PYTHONPATH comes before the folders of the test."""
    for name, body in (("old", "def work(): pass"), ("new", "def work(): raise KeyError('new')")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "shop_work.py").write_text(body)
    one = Variant("candidate", (("PYTHONPATH", str(tmp_path / "new")),))
    with (
        Variants((one,), str(tmp_path / "old")) as both,
        pytest.raises(ExperimentFailed, match=r"shop_work:work of candidate: KeyError: 'new'"),
    ):
        both.function("shop_work:work")


@pytest.mark.parametrize(
    ("target", "arguments", "sentence"),
    [
        ("shop_work:which", (), "shop_work:which of base: AssertionError: base"),
        ("shop_work:none", (), "of base: AttributeError: module 'shop_work' has no attribute"),
        ("no_such_module:f", (), "of base: ModuleNotFoundError"),
        ("shop_work:leave", (), r"of base: its process ended \(exit 3\)"),
    ],
)
def test_what_cannot_be_called_is_one_sentence(variants, target, arguments, sentence):
    """It names function and variant."""
    with pytest.raises(ExperimentFailed, match=sentence):
        variants.function(target, *arguments)


def test_one_that_fails_or_hangs_later_is_one_sentence(variants):
    """At the call in which it happens; one that gives no answer is ended."""
    later = variants.function("shop_work:later")[BOTH[0]]
    later()
    with pytest.raises(ExperimentFailed, match="of base: ValueError: third call"):
        later()
    with pytest.raises(ExperimentFailed, match=r"no answer within 0.2 s, so it was ended"):
        variants.function("shop_work:sleepy", 30, patience_s=0.2)


@pytest.mark.parametrize("target", ["shop_work", ":f", "shop_work:", ""])
def test_targets_that_are_none(variants, target):
    """One sentence with the value."""
    with pytest.raises(InvalidInput, match="expected 'module:function' but got"):
        variants.function(target)


def test_arguments_are_plain_data(variants):
    """What JSON does not have is refused, with what it is."""
    with pytest.raises(InvalidInput, match=r"expected arguments of plain data .* not JSON"):
        variants.function("shop_work:sleepy", sys)
