"""CPUs and their cores: which are allowed, which share a core, and of what kind they are.

Files are those of Documentation/admin-guide/cputopology.rst.
"""

from __future__ import annotations

import os
from collections import Counter

from twin_harness.system.procfs import read_text

# One for each kind of core, on x86 machines of several kinds (Documentation/ABI, event_source).
_PMUS = ("cpu_core", "cpu_atom", "cpu_lowpower")


def core_of(cpu: int, root: str = "/sys/devices") -> tuple[int, int, int]:
    """Return package, core and number of a CPU, as far as the kernel shows them."""
    folder = f"{root}/system/cpu/cpu{cpu}/topology"
    package, core = (read_text(f"{folder}/{name}") for name in ("physical_package_id", "core_id"))
    return int(package or 0), int(core or cpu), cpu


def cpu_kinds_of(allowed: tuple[int, ...], root: str = "/sys/devices") -> str:
    """Return what the allowed CPUs are, where the machine's first ones would be something else.

    Empty where as many of the first CPUs are the same. Distinguished are kinds of core
    (``cpu_capacity`` of arm64 and RISC-V, the PMUs of hybrid x86) and how many of the CPUs share a
    core.
    """
    online = parse_cpu_list(read_text(f"{root}/system/cpu/online"))
    first = online[: len(allowed)]
    if first == allowed or len(first) < len(allowed):
        return ""
    members = {pmu: parse_cpu_list(read_text(f"{root}/{pmu}/cpus")) for pmu in _PMUS}

    def kind(cpu: int) -> str:
        capacity = read_text(f"{root}/system/cpu/cpu{cpu}/cpu_capacity")
        return "/".join([capacity, *(pmu for pmu in _PMUS if cpu in members[pmu])])

    def signature(cpus: tuple[int, ...]) -> str:
        cores = Counter(core_of(cpu, root)[:2] for cpu in cpus)
        kinds = Counter(f"{kind(cpu)}:{cores[core_of(cpu, root)[:2]]}" for cpu in cpus)
        return ",".join(f"{count}x{name}" for name, count in sorted(kinds.items()))

    kinds = signature(allowed)
    if kinds == signature(first):
        return ""
    return kinds


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """Read the kernel's list format, ``0-3,8``."""
    cpus: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        cpus += range(int(first), int(last or first) + 1)
    return tuple(cpus)


def allowed_cpus() -> tuple[int, ...]:
    """Return the CPUs that this process may run on, in order."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))
