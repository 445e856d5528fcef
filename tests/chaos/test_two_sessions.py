"""Two sessions at once on one machine: every experiment runs, once, and no two overlap."""

from itertools import pairwise

import pytest

from tests.chaos.victim import PATIENCE_S
from twin_harness import load

COUNT = 4
TESTS = """
import pytest
from twin_harness import cpu

@pytest.mark.parametrize("number", range(4))
@pytest.mark.experiment(cpu(20, duration_s=0.6), lead_s=0.4, tail_s=0.2)
def test_it(recording, number):
    pass
"""


def windows(victims):
    """Return (begin, end, session, experiment) of every experiment, in order of time.

    Lead and tail are included.
    """
    found = []
    for number, victim in enumerate(victims):
        run = load(victim.run_folder())
        assert run.status == "COMPLETE", run.state
        found += [
            (recording.planned.begin_s, recording.planned.end_s, number, recording.name)
            for recording in run.recordings
        ]
    return sorted(found)


def events(victims):
    """Return (start, end, session, experiment, event, worker) of every annotation, by time."""
    rows = [
        (number, row)
        for number, victim in enumerate(victims)
        for row in load(victim.run_folder()).folder.read_annotations()
    ]
    return sorted(
        (row.start_monotonic_s, row.end_monotonic_s, number, row.experiment, row.event, row.worker)
        for number, row in rows
    )


def check_disjoint(spans):
    """No span begins before the one before it has ended."""
    for before, after in pairwise(spans):
        assert after[0] >= before[1], f"{before} and {after} overlap"


@pytest.mark.parametrize("workers", [0, 2], ids=["plain", "n2"])
def test_no_two_experiments_of_two_sessions_overlap(make_victim, workers):
    """Two pytest processes take turns on the machine: each planned event once, none beside another.

    Under -n 2 by two workers each.
    """
    victims = [
        make_victim(*(["-n", str(workers)] if workers else []), tests=TESTS) for _ in range(2)
    ]
    for victim in victims:
        victim.start()
    for victim in victims:
        assert victim.wait(3 * PATIENCE_S) == 0, victim.text()[-3000:]
    spans = windows(victims)
    assert len(spans) == 2 * COUNT
    check_disjoint(spans)
    annotated = events(victims)
    assert (
        len({(session, experiment, event) for _, _, session, experiment, event, _ in annotated})
        == len(annotated)
        == 2 * COUNT
    )
    check_disjoint(annotated)
    for number in range(2):
        names = {worker for _, _, session, _, _, worker in annotated if session == number}
        assert names == ({"gw0", "gw1"} if workers else {"main"})
    # They really were there at the same time, and took turns rather than one after the other.
    order = [session for _, _, session, _ in spans]
    assert sum(before != after for before, after in pairwise(order)) >= 2, order
    assert any("waiting for the machine" in victim.text() for victim in victims)
