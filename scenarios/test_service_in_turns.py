"""A service whose base and candidate take turns: what whole runs scatter by falls out.

Measured always, judged when the gate is asked: ``pytest scenarios/test_service_in_turns.py
--twin-variant base: --twin-variant candidate:SERVICE_WORK_PERCENT=105``
"""

import pytest


@pytest.mark.gate("latency_ms", better="lower", threshold="3%", interleave="0.2s")
def test_service_in_turns(services, gate):
    """The time to an answer, of each order of each slice."""
    for turn in gate.turns():
        with services[turn.variant].connect() as orders:
            while turn.is_open:
                turn.record("latency_ms", orders.place(), unit="ms")
