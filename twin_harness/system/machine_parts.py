"""A machine cut into equal parts, one for each worker that runs experiments at once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from twin_harness.errors import InvalidInput
from twin_harness.system.cpu_topology import core_of

if TYPE_CHECKING:
    from twin_harness.system.machine import Machine


def cut_machine(machine: Machine, count: int, available_bytes: int) -> tuple[Machine, ...]:
    """Return ``count`` equal parts of a machine.

    Each has the same number of CPUs (what is left over belongs to none), and 1/count of memory and
    of the quota. CPUs that share a core stay together where that is possible. The disk, the network
    and the caches are everybody's.

    Args:
        machine: a whole machine.
        count: of parts.
        available_bytes: memory that new work can have now; each part may use up its share of it.

    Raises:
        InvalidInput: there are fewer CPUs than parts.
    """
    if not 1 <= count <= len(machine.cpus):
        msg = (
            f"expected at most {len(machine.cpus)} parts of this machine, one for each of its CPUs,"
            f" but got {count}; use fewer workers"
        )
        raise InvalidInput(msg)
    ordered = sorted(machine.cpus, key=core_of)
    each = len(machine.cpus) // count
    return tuple(
        replace(
            machine,
            cpus=tuple(sorted(ordered[index * each : (index + 1) * each])),
            cpu_capacity=min(float(each), machine.cpu_capacity / count),
            memory_limit_bytes=machine.memory_limit_bytes // count,
            partition=f"p{index}",
            parts=count,
            memory_share_bytes=available_bytes // count,
        )
        for index in range(count)
    )
