"""A service under load: what its users notice, idle and beside CPU, memory and disk load.

Measured always, judged when the gate is asked: ``pytest scenarios/test_service.py --twin-variant
base: --twin-variant candidate:SERVICE_WORK_PERCENT=110``
"""

import pytest

from fixtures.limits import DISK_BYTES_PER_S, MEMORY_STEP_BYTES

VISIT_S = 3
LONGEST_S = 30

pytestmark = [
    pytest.mark.gate("requests_per_s", better="higher", threshold="5%"),
    pytest.mark.gate("latency_median_ms", better="lower", threshold="5%"),
    pytest.mark.gate("latency_p95_ms", better="lower", threshold="20%"),
    pytest.mark.gate("latency_to_reference", better="lower", threshold="3%"),
]


def measure(service, gate):
    """Visit the service, and hand what was seen to the gate."""
    seen = service.visit(VISIT_S)
    assert seen.count > 10
    gate.record("requests_per_s", seen.requests_per_s, unit="1/s")
    gate.record("latency_median_ms", seen.median_ms, unit="ms")
    gate.record("latency_p95_ms", seen.p95_ms, unit="ms")
    gate.record("latency_to_reference", seen.to_reference)


def test_service_idle(service, gate):
    """The service alone on the machine."""
    measure(service, gate)


def test_service_beside_cpu_load(service, gate, cpu_stress):
    """The service while half of the CPU is taken."""
    with cpu_stress.background(50, at_most_s=LONGEST_S):
        measure(service, gate)


def test_service_beside_memory_load(service, gate, mem_stress):
    """The service while memory is taken and held."""
    with mem_stress.background(MEMORY_STEP_BYTES, unit="bytes", at_most_s=LONGEST_S):
        measure(service, gate)


def test_service_beside_disk_load(service, gate, disk_stress):
    """The service while the disk writes for others."""
    with disk_stress.background(DISK_BYTES_PER_S, at_most_s=LONGEST_S):
        measure(service, gate)
