"""What this machine is and can do.

Its fingerprint, and the capacities that 100 percent refers to.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import socket
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.errors import InvalidInput
from twin_harness.system import deadline
from twin_harness.system.control_group import ControlGroup
from twin_harness.system.cpu_model import cpu_model, model_key
from twin_harness.system.procfs import read_meminfo, read_text
from twin_harness.system.storage import MEMORY_BACKED, NETWORK_BACKED

if TYPE_CHECKING:
    from collections.abc import Sequence

# Memory counts in steps of 64 MiB; MemTotal moves by a few MiB from one kernel build to the next,
# so near the middle between two steps a machine is known by both.
_STEP_BYTES, _SLACK_BYTES = 2**26, 2**24


@dataclass(frozen=True)
class Machine:
    """A machine as experiments see it.

    Plain data, the same in ``machine.json`` and in what child processes are told.

    Attributes:
        host: name of the machine.
        cpu_model, virtualisation, kernel, governor: as the kernel tells them; empty where it does
            not.
        cpus: the allowed CPUs; possible_cpus: those that may ever exist.
        cpu_capacity: how many CPUs are 100 percent (allowed CPUs, bounded by the cgroup quota).
        memory_total_bytes: of the whole machine; memory_limit_bytes: what is 100 percent (cgroup
            limit included).
        swap_bytes: size of swap.
        scratch_dir, scratch_filesystem, scratch_device: where disk load goes.
        scratch_backing: what keeps its bytes in the end: disk, memory or network; empty where it
            cannot be known.
        scratch_layers: its filesystems and devices from the top down, such as ``overlay on tmpfs``.
        group_limit_bytes: the control group's memory limit; None where it does not bound.
        partition: name of the part that this is of a machine cut into ``parts``; empty for a whole
            one.
        memory_share_bytes: of a part, the available memory that it may use up; None for a whole
            machine, which is asked when it matters.
        cpu_kinds: what the allowed CPUs are (cores shared, kinds of core), where others of that
            number would not be the same; else empty.
    """

    host: str
    cpu_model: str
    virtualisation: str
    kernel: str
    governor: str
    cpus: tuple[int, ...]
    possible_cpus: tuple[int, ...]
    cpu_capacity: float
    memory_total_bytes: int
    memory_limit_bytes: int
    swap_bytes: int
    scratch_dir: str
    scratch_filesystem: str
    scratch_device: str
    group_limit_bytes: int | None = None
    partition: str = ""
    parts: int = 1
    memory_share_bytes: int | None = None
    scratch_backing: str = ""
    scratch_layers: str = ""
    cpu_kinds: str = ""

    @property
    def backing(self) -> str:
        """What keeps the bytes of scratch.

        By its filesystem alone where an older run did not look further.
        """
        if self.scratch_backing or self.scratch_layers:
            return self.scratch_backing
        if self.scratch_filesystem in MEMORY_BACKED:
            return "memory"
        if self.scratch_filesystem in NETWORK_BACKED:
            return "network"
        return ""

    @property
    def bounding_limit_bytes(self) -> int | None:
        """The control group's memory limit where it is below the machine's memory.

        None where it does not bound.
        """
        return self.group_limit_bytes

    @property
    def part_number(self) -> int:
        """Which part this is, counted from 1; 0 for a whole machine."""
        if self.partition:
            return int(self.partition[1:]) + 1
        return 0

    @property
    def is_within_quota(self) -> bool:
        """Whether a control group's CPU quota is less than the allowed CPUs, so that it is what 100 percent refers to."""
        return self.cpu_capacity < len(self.cpus)

    @property
    def fingerprint(self) -> str:
        """Return 16 hex digits that name machines which may be compared with each other.

        It counts how many CPUs are allowed and of which kind, not which: a job that is given other
        CPUs each time is on one machine.
        """
        return self._fingerprint_of(self._equal_cpus(), self._memory_steps())

    @property
    def other_fingerprints(self) -> tuple[str, ...]:
        """Return what else this machine is known by.

        The numbers of its CPUs, as before, and memory that is hardly another.
        """
        exact, steps = self.memory_limit_bytes / _STEP_BYTES, self._memory_steps()
        beside = steps + (1 if exact > steps else -1)
        is_near = abs(exact - (steps + beside) / 2) * _STEP_BYTES <= _SLACK_BYTES
        found = [
            self._fingerprint_of(cpus, size)
            for size in (steps, *([beside] if is_near else []))
            for cpus in (self._equal_cpus(), list(self.cpus))
        ]
        return tuple(name for name in dict.fromkeys(found) if name != self.fingerprint)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Return all that this machine is known by, the fingerprint first."""
        return (self.fingerprint, *self.other_fingerprints)

    def _memory_steps(self) -> int:
        return round(self.memory_limit_bytes / _STEP_BYTES)

    def _equal_cpus(self) -> list[int | str]:
        """Return the first CPUs of that number, which stand for all that are like them.

        Kinds where these are not.
        """
        return [*range(len(self.cpus)), *([self.cpu_kinds] if self.cpu_kinds else [])]

    def _fingerprint_of(self, cpus: Sequence[int | str], memory_steps: int) -> str:
        facts = [
            model_key(self.cpu_model),
            list(cpus),
            self.cpu_capacity,
            memory_steps,
            self.virtualisation,
            ".".join(self.kernel.split(".")[:2]),
            self.governor,
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """Return plain data, the fingerprint first."""
        return {"fingerprint": self.fingerprint, **asdict(self)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Machine:
        """Return the machine that ``to_json`` described; what else stands there is left out."""
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        known["cpus"], known["possible_cpus"] = tuple(data["cpus"]), tuple(data["possible_cpus"])
        return cls(**known)


def known_fingerprints(facts: dict[str, Any]) -> tuple[str, ...]:
    """Return all that the machine of a ``machine.json`` is known by, the present fingerprint first.

    Whoever compares two machines asks whether the fingerprint of one is among these of the other.
    What a twin foretold is of the twin's machine, whatever it was computed on, and a file that does
    not tell enough has the fingerprint that stands in it.
    """
    stated = str(facts.get("fingerprint", ""))
    try:
        found = Machine.from_json(facts).fingerprints
    except (KeyError, TypeError, ValueError, AttributeError):
        return (stated,)
    if stated in found and "foretold_by" not in facts:
        return found
    return (stated,)


def is_same_machine(facts: dict[str, Any], others: dict[str, Any]) -> bool:
    """Tell whether the machines of two ``machine.json`` may be compared with each other."""
    return bool(set(known_fingerprints(facts)) & set(known_fingerprints(others)) - {""})


def inspect_machine(scratch_dir: Path) -> Machine:
    """Look at this machine.

    Raises:
        InvalidInput: there is no such scratch folder.
        Unanswered: its filesystem does not answer.
    """
    allowed = _allowed_cpus()
    group = ControlGroup()
    total_bytes, swap_bytes = _memory_bytes()
    limit_bytes, swap_limit_bytes = group.memory_limit_bytes(), group.swap_limit_bytes()
    quota = group.cpu_quota()
    scratch = look_at_folder(str(scratch_dir))
    return Machine(
        host=socket.gethostname(),
        cpu_model=_cpu_model(),
        virtualisation=_virtualisation(),
        kernel=platform.release(),
        governor=read_text(f"/sys/devices/system/cpu/cpu{allowed[0]}/cpufreq/scaling_governor"),
        cpus=allowed,
        possible_cpus=parse_cpu_list(read_text("/sys/devices/system/cpu/possible")) or allowed,
        cpu_capacity=min(float(len(allowed)), quota) if quota else float(len(allowed)),
        memory_total_bytes=total_bytes,
        memory_limit_bytes=min(total_bytes, limit_bytes) if limit_bytes else total_bytes,
        swap_bytes=swap_bytes if swap_limit_bytes is None else min(swap_bytes, swap_limit_bytes),
        scratch_dir=scratch["path"],
        scratch_filesystem=scratch["kind"],
        scratch_device=scratch["device"],
        group_limit_bytes=limit_bytes if limit_bytes and limit_bytes < total_bytes else None,
        scratch_backing=scratch["backing"],
        scratch_layers=scratch["layers"],
        cpu_kinds=_cpu_kinds(allowed),
    )


def look_at_folder(folder: str) -> dict[str, Any]:
    """Return what ``storage.describe`` says of a folder, within seconds.

    Raises:
        InvalidInput: there is no such folder.
        Unanswered: its filesystem does not answer.
    """
    try:
        found: dict[str, Any] = deadline.ask("twin_harness.system.storage:describe", folder)
    except OSError as error:
        reason = error.strerror or str(error)
        msg = f"scratch folder {folder!r} cannot be looked at ({reason}); expected a folder"
        raise InvalidInput(msg) from None
    return found


def cut(machine: Machine, count: int, available_bytes: int) -> tuple[Machine, ...]:
    """Return ``count`` equal parts of a machine.

    As many CPUs each (what is left over belongs to none), 1/count of memory and of the quota.

    CPUs that share a core stay together where that is possible. The disk, the network and the
    caches are everybody's.

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
    ordered, each = sorted(machine.cpus, key=_core_of), len(machine.cpus) // count
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


def _core_of(cpu: int, root: str = "/sys/devices") -> tuple[int, int, int]:
    """Return package, core and number of a CPU, as far as the kernel tells (cputopology.rst)."""
    folder = f"{root}/system/cpu/cpu{cpu}/topology"
    package, core = (read_text(f"{folder}/{name}") for name in ("physical_package_id", "core_id"))
    return int(package or 0), int(core or cpu), cpu


_PMUS = (
    "cpu_core",
    "cpu_atom",
    "cpu_lowpower",
)  # one a kind of core, on x86 machines of several (Documentation/ABI, event_source)


def _cpu_kinds(allowed: tuple[int, ...], root: str = "/sys/devices") -> str:
    """Return what the allowed CPUs are, where as many of the machine's first ones would be something else; empty where not.

    Told apart are kinds of core (``cpu_capacity`` of arm64 and RISC-V, the PMUs of hybrid x86) and
    how many of the CPUs share a core.
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
        cores = Counter(_core_of(cpu, root)[:2] for cpu in cpus)
        kinds = Counter(f"{kind(cpu)}:{cores[_core_of(cpu, root)[:2]]}" for cpu in cpus)
        return ",".join(f"{count}x{name}" for name, count in sorted(kinds.items()))

    ours = signature(allowed)
    if ours == signature(first):
        return ""
    return ours


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """Read the kernel's list format, ``0-3,8``."""
    cpus: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        cpus += range(int(first), int(last or first) + 1)
    return tuple(cpus)


def _allowed_cpus() -> tuple[int, ...]:
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def _memory_bytes() -> tuple[int, int]:
    if os.path.exists("/proc/meminfo"):
        table = read_meminfo(Path("/proc/meminfo").read_bytes())
        return table[b"MemTotal"], table.get(b"SwapTotal", 0)
    import psutil

    return psutil.virtual_memory().total, psutil.swap_memory().total


def _cpu_model() -> str:
    return cpu_model(read_text("/proc/cpuinfo")) or platform.processor() or platform.machine()


def _virtualisation() -> str:
    """Return the hypervisor as far as an unprivileged look tells; empty on bare metal."""
    vendor = read_text("/sys/class/dmi/id/sys_vendor")
    known = {
        "QEMU": "qemu",
        "Amazon EC2": "aws",
        "Google": "gce",
        "Microsoft Corporation": "hyper-v",
        "VMware, Inc.": "vmware",
    }
    if vendor in known:
        return known[vendor]
    has_hypervisor = " hypervisor" in read_text("/proc/cpuinfo")
    kind = read_text("/sys/hypervisor/type")
    return kind or ("virtual" if has_hypervisor else "")
