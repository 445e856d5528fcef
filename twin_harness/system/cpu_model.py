"""What kind of CPU this is, in words and numbers that identify it on every architecture.

x86 has a "model name". ARM has numbers alone (MIDR_EL1: implementer, part, variant), which the
table below puts names to: those of the Linux kernel's arch/arm64/include/asm/cputype.h and of Arm's
manuals. The numbers always stand beside the name: a fingerprint is made of them, so that a name
that is added later changes none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from twin_harness.system.procfs import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable

_ARM_CORES = {
    (0x41, 0xC07): "Cortex-A7", (0x41, 0xC08): "Cortex-A8", (0x41, 0xC09): "Cortex-A9",
    (0x41, 0xC0F): "Cortex-A15", (0x41, 0xD01): "Cortex-A32", (0x41, 0xD02): "Cortex-A34",
    (0x41, 0xD03): "Cortex-A53", (0x41, 0xD04): "Cortex-A35", (0x41, 0xD05): "Cortex-A55",
    (0x41, 0xD06): "Cortex-A65", (0x41, 0xD07): "Cortex-A57", (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD09): "Cortex-A73", (0x41, 0xD0A): "Cortex-A75", (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0C): "Neoverse-N1", (0x41, 0xD0D): "Cortex-A77", (0x41, 0xD40): "Neoverse-V1",
    (0x41, 0xD41): "Cortex-A78", (0x41, 0xD44): "Cortex-X1", (0x41, 0xD46): "Cortex-A510",
    (0x41, 0xD47): "Cortex-A710", (0x41, 0xD48): "Cortex-X2", (0x41, 0xD49): "Neoverse-N2",
    (0x41, 0xD4A): "Neoverse-E1", (0x41, 0xD4B): "Cortex-A78C", (0x41, 0xD4D): "Cortex-A715",
    (0x41, 0xD4E): "Cortex-X3", (0x41, 0xD4F): "Neoverse-V2", (0x41, 0xD80): "Cortex-A520",
    (0x41, 0xD81): "Cortex-A720", (0x41, 0xD82): "Cortex-X4", (0x41, 0xD83): "Neoverse-V3AE",
    (0x41, 0xD84): "Neoverse-V3", (0x41, 0xD85): "Cortex-X925", (0x41, 0xD87): "Cortex-A725",
    (0x41, 0xD8E): "Neoverse-N3", (0x43, 0x0A1): "ThunderX", (0x43, 0x0AF): "ThunderX2",
    (0x42, 0x516): "ThunderX2", (0x46, 0x001): "A64FX", (0x48, 0xD01): "Kunpeng-920",
    (0x50, 0x000): "X-Gene", (0x51, 0xC00): "Falkor", (0xC0, 0xAC3): "Ampere-1",
    (0xC0, 0xAC4): "Ampere-1A", (0x61, 0x022): "Icestorm-M1", (0x61, 0x023): "Firestorm-M1",
    (0x61, 0x032): "Blizzard-M2", (0x61, 0x033): "Avalanche-M2",
}  # fmt: skip
_ARM_NUMBERS = re.compile(r"0x[0-9a-f]{2}/0x[0-9a-f]{3}/0x[0-9a-f]+")
_NAMES = ("model name", "Model", "cpu model", "Model Name")
# 32-bit ARM has a model name, the same one for every core of an architecture.
_NAMELESS = re.compile(r"ARMv\d+ Processor")


def cpu_model(cpuinfo: str | None = None) -> str:
    """Return what the kernel calls this machine's CPU; empty where it has no name for it.

    Args:
        cpuinfo: content of /proc/cpuinfo; None reads it.
    """
    fields = _fields(read_text("/proc/cpuinfo") if cpuinfo is None else cpuinfo)
    named = next(
        (value for name, value in fields if name in _NAMES and not _NAMELESS.match(value)), ""
    )
    return named or _arm_cores(fields) or _other(dict(reversed(fields)))


def model_key(model: str) -> str:
    """Return the part of a model that a fingerprint is made of: numbers of ARM cores, else all."""
    return "+".join(_ARM_NUMBERS.findall(model)) or model


def _fields(cpuinfo: str) -> list[tuple[str, str]]:
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    return [
        (name.strip(), value.strip()) for name, colon, value in lines if colon and value.strip()
    ]


def _arm_cores(fields: Iterable[tuple[str, str]]) -> str:
    """Return the kinds of ARM core, each once: a big.LITTLE machine has several."""
    kinds: set[tuple[int, int, int]] = set()
    last = dict.fromkeys(("CPU implementer", "CPU variant", "CPU part"), "0x0")
    for name, value in fields:
        if name in last:
            last[name] = value
        # The part is the last of the three that the kernel prints (c_show in
        # arch/arm64/kernel/cpuinfo.c).
        if name == "CPU part":
            implementer, variant = _number(last["CPU implementer"]), _number(last["CPU variant"])
            kinds.add((implementer, _number(value), variant))
    return " + ".join(_arm_core(*kind) for kind in sorted(kinds))


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        return 0


def _arm_core(implementer: int, part: int, variant: int) -> str:
    name = _ARM_CORES.get((implementer, part), "ARM core")
    return f"{name} (0x{implementer:02x}/0x{part:03x}/0x{variant:x})"


def _other(first: dict[str, str]) -> str:
    """Return the model on RISC-V, s390x and POWER, given the first value of each name.

    Empty elsewhere.
    """
    # RISC-V: the core's name where the firmware has one, its maker's numbers where it has none.
    if "isa" in first:
        names = ("uarch", "mvendorid", "marchid")
        return " ".join(first[name] for name in names if name in first) or first["isa"]
    machine = re.search(r"machine = (\w+)", first.get("processor 0", ""))
    if machine:  # s390x; its "identification" is another one in each partition
        return f"{first.get('vendor_id', 'IBM/S390')} {machine.group(1)}"
    return first.get("cpu", "")  # POWER, SPARC
