"""Without descriptors an experiment fails with a sentence, wherever they end."""

import pytest

from tests.chaos.faults import ALL_GONE_S, MARGIN_S
from tests.chaos.victim import gone_after_s, tracebacks
from twin_harness import load

# In each test a few descriptors are left, from none on: so every place of the start of an
# experiment runs out of them once.
TIGHT = """
import os
import resource
from contextlib import contextmanager
import pytest
from twin_harness import cpu, plan

@contextmanager
def room_for(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest, filled = max(map(int, os.listdir("/proc/self/fd"))), []
    while (descriptor := os.dup(0)) <= highest:
        filled.append(descriptor)
    os.close(descriptor)  # all below it are taken
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptor + count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in filled:
            os.close(descriptor)

@pytest.mark.experiment(cpu(20, duration_s=0.3), lead_s=0.4, tail_s=0.1)
def test_before(recording):  # loads every module, and the logger
    pass

@pytest.mark.parametrize("count", range(24))
def test_tight(experiment, count):
    planned = plan(cpu(20, duration_s=0.3), name=f"with {count}", lead_s=0.4, tail_s=0.1)
    with room_for(count):
        experiment.run(planned)

@pytest.mark.experiment(cpu(20, duration_s=0.3), lead_s=0.4, tail_s=0.1)
def test_after(recording):
    assert len(recording.samples) >= 3
"""


def check_end(victim):
    """Wait for the end; nothing is left, and nothing but sentences was said.

    Return exit code, output and run.
    """
    code = victim.wait(240.0)
    assert code is not None, victim.text()[-3000:]
    _, left = gone_after_s(list(victim.processes().values()), ALL_GONE_S + MARGIN_S)
    assert not left, f"left: {left}"
    assert victim.files_on_tmpfs() == []
    return code, victim.text()


def test_experiment_without_descriptors_fails_in_a_sentence_wherever_it_finds_none(make_victim):
    """With room for none, one, two … descriptors each experiment fails with a sentence or runs.

    The one after them runs.
    """
    victim = make_victim(tests=TIGHT).start()
    _, text = check_end(victim)
    run = load(victim.run_folder())
    assert not tracebacks(text), text[-6000:]
    failed = {
        line.split()[1].partition("::")[2]
        for line in text.splitlines()
        if line.startswith("FAILED ")
    }
    assert failed <= {f"test_tight[{count}]" for count in range(23)}, failed
    assert f"{len(failed)} failed, {26 - len(failed)} passed" in text, text[-3000:]
    assert "Too many open files" in text
    statuses = {recording.name: recording.planned.status for recording in run.recordings}
    assert "RUNNING" not in statuses.values(), statuses
    for name in statuses:
        assert [row.event for row in run.folder.read_annotations() if row.experiment == name] == [
            "cpu-0"
        ], name


@pytest.mark.parametrize("limit", [16, 24, 32, 40, 48])
def test_session_with_few_descriptors_ends_by_itself(make_victim, limit):
    """With a small ``ulimit -n`` the session ends in one sentence or success and leaves nothing."""
    victim = make_victim(limit=f"ulimit -n {limit}").start()
    code, text = check_end(victim)
    if "test session starts" in text and "collected 2 items" in text:
        assert not tracebacks(text), text[-6000:]
        assert code in (0, 1)
    victim.limit = ""
    code, text = victim.run_next()
    assert code == 0, text[-2000:]
