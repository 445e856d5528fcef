"""A machine as experiments see it: its fingerprint, and the capacities that are 100 percent."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.errors import InvalidInput
from twin_harness.system import deadline
from twin_harness.system.control_group import ControlGroup
from twin_harness.system.cpu_model import cpu_model, model_key
from twin_harness.system.cpu_topology import allowed_cpus, cpu_kinds_of, parse_cpu_list
from twin_harness.system.hypervisor import hypervisor
from twin_harness.system.mounts import MEMORY_BACKED, NETWORK_BACKED
from twin_harness.system.procfs import read_meminfo, read_text
from twin_harness.system.provenance import is_predicted

if TYPE_CHECKING:
    from collections.abc import Sequence

# Memory counts in steps of 64 MiB; MemTotal moves by a few MiB from one kernel build to the next,
# so near the middle between two steps a machine is known by both.
_STEP_BYTES, _SLACK_BYTES = 2**26, 2**24


@dataclass(frozen=True)
class Machine:
    """A machine as experiments see it.

    Plain data, the same in ``machine.json`` and in what child processes are given.

    Attributes:
        host: name of the machine.
        cpu_model: as the kernel names it; empty where it does not.
        virtualisation: the hypervisor; empty on bare metal.
        kernel: its release.
        governor: of CPU frequency; empty where there is none.
        cpus: the allowed CPUs.
        possible_cpus: those that may ever exist.
        cpu_capacity: how many CPUs are 100 percent (allowed CPUs, bounded by the cgroup quota).
        memory_total_bytes: of the whole machine.
        memory_limit_bytes: what is 100 percent (cgroup limit included).
        swap_bytes: size of swap.
        scratch_dir: where disk load goes.
        scratch_filesystem: type of the filesystem there.
        scratch_device: the block device below it; empty where no single one counts its I/O.
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
        """What keeps the bytes of scratch: disk, memory or network; empty where that is unknown.

        Judged by the filesystem alone where an older run did not look further.
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
        """The control group's memory limit; None where it is not below the machine's memory."""
        return self.group_limit_bytes

    @property
    def part_number(self) -> int:
        """Which part this is, counted from 1; 0 for a whole machine."""
        if self.partition:
            return int(self.partition[1:]) + 1
        return 0

    @property
    def is_within_quota(self) -> bool:
        """Whether a CPU quota is less than the allowed CPUs, so that it is what 100 percent is."""
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

        Fingerprints made of the numbers of its CPUs, as older versions did, and of the memory size
        next to its own where that is hardly another.
        """
        exact, steps = self.memory_limit_bytes / _STEP_BYTES, self._memory_steps()
        beside = steps + 1 if exact > steps else steps - 1
        sizes = [steps]
        if abs(exact - (steps + beside) / 2) * _STEP_BYTES <= _SLACK_BYTES:
            sizes.append(beside)
        names = [
            self._fingerprint_of(cpus, size)
            for size in sizes
            for cpus in (self._equal_cpus(), list(self.cpus))
        ]
        return tuple(name for name in dict.fromkeys(names) if name != self.fingerprint)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Return all that this machine is known by, the fingerprint first."""
        return (self.fingerprint, *self.other_fingerprints)

    def _memory_steps(self) -> int:
        return round(self.memory_limit_bytes / _STEP_BYTES)

    def _equal_cpus(self) -> list[int | str]:
        """Return the first CPUs of that number, and the kinds of ours where they are others.

        They stand for all CPUs that are like them.
        """
        kinds = [self.cpu_kinds] if self.cpu_kinds else []
        return [*range(len(self.cpus)), *kinds]

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
    What a twin predicted is of the twin's machine, whatever it was computed on, and a file that
    does not hold enough has the fingerprint that stands in it.
    """
    stated = str(facts.get("fingerprint", ""))
    try:
        found = Machine.from_json(facts).fingerprints
    except (KeyError, TypeError, ValueError, AttributeError):
        return (stated,)
    if stated in found and not is_predicted(facts):
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
    allowed = allowed_cpus()
    group = ControlGroup()
    cpu_capacity = min(float(len(allowed)), group.cpu_quota() or math.inf)
    total_bytes, swap_bytes = _memory_bytes()
    limit_bytes, swap_limit_bytes = group.memory_limit_bytes(), group.swap_limit_bytes()
    if swap_limit_bytes is not None:
        swap_bytes = min(swap_bytes, swap_limit_bytes)
    memory_limit_bytes = min(total_bytes, limit_bytes or total_bytes)
    is_bounded = memory_limit_bytes < total_bytes
    scratch = look_at_folder(str(scratch_dir))
    return Machine(
        host=socket.gethostname(),
        cpu_model=_cpu_model(),
        virtualisation=hypervisor(),
        kernel=platform.release(),
        governor=read_text(f"/sys/devices/system/cpu/cpu{allowed[0]}/cpufreq/scaling_governor"),
        cpus=allowed,
        possible_cpus=parse_cpu_list(read_text("/sys/devices/system/cpu/possible")) or allowed,
        cpu_capacity=cpu_capacity,
        memory_total_bytes=total_bytes,
        memory_limit_bytes=memory_limit_bytes,
        swap_bytes=swap_bytes,
        scratch_dir=scratch["path"],
        scratch_filesystem=scratch["kind"],
        scratch_device=scratch["device"],
        group_limit_bytes=memory_limit_bytes if is_bounded else None,
        scratch_backing=scratch["backing"],
        scratch_layers=scratch["layers"],
        cpu_kinds=cpu_kinds_of(allowed),
    )


def look_at_folder(folder: str) -> dict[str, Any]:
    """Return the answer of ``storage.describe`` on a folder, within seconds.

    Raises:
        InvalidInput: there is no such folder.
        Unanswered: its filesystem does not answer.
    """
    try:
        answer: dict[str, Any] = deadline.ask("twin_harness.system.storage:describe", folder)
    except OSError as error:
        reason = error.strerror or str(error)
        msg = f"scratch folder {folder!r} cannot be inspected ({reason}); expected a folder"
        raise InvalidInput(msg) from None
    return answer


def _memory_bytes() -> tuple[int, int]:
    if os.path.exists("/proc/meminfo"):
        table = read_meminfo(Path("/proc/meminfo").read_bytes())
        return table[b"MemTotal"], table.get(b"SwapTotal", 0)
    import psutil

    return psutil.virtual_memory().total, psutil.swap_memory().total


def _cpu_model() -> str:
    return cpu_model(read_text("/proc/cpuinfo")) or platform.processor() or platform.machine()
