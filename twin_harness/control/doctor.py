"""``twin doctor``: show what this machine supports, and what is degraded where it does not."""

from __future__ import annotations

from pathlib import Path

from twin_harness.control.device_findings import (
    examine_direct,
    examine_disks,
    examine_network,
    examine_power,
    examine_scratch,
)
from twin_harness.control.finding import Finding
from twin_harness.control.machine_findings import (
    examine_cpus,
    examine_memory,
    examine_pressure,
    examine_quiet,
    examine_real_time,
)
from twin_harness.control.process_findings import examine_process
from twin_harness.system import deadline
from twin_harness.system.machine import inspect_machine


def examine(scratch_dir: Path) -> list[Finding]:
    """Look at the machine; ``scratch_dir`` is where disk load would go."""
    try:
        machine = inspect_machine(scratch_dir)
        scratch, direct = examine_scratch(machine), examine_direct(machine)
    except deadline.Unanswered as error:
        machine = inspect_machine(Path("/"))
        reason, _, advice = str(error).partition("; ")
        scratch = Finding("scratch", False, reason, advice)
        direct = Finding("direct I/O", False, f"not tried: {scratch_dir} does not answer")
    return [
        Finding(
            "machine",
            True,
            f"{machine.host}: {machine.cpu_model}, Linux {machine.kernel}, fingerprint"
            f" {machine.fingerprint}",
        ),
        examine_cpus(machine),
        examine_memory(machine),
        examine_real_time(machine),
        scratch,
        examine_pressure(
            is_bounded=machine.is_within_quota or machine.group_limit_bytes is not None
        ),
        examine_disks(),
        examine_network(),
        *examine_power(),
        direct,
        examine_quiet(),
        *examine_process(),
    ]
