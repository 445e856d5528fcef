"""What a source reads at one moment, and the figures of one sample that are made of two."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import nan
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(slots=True)
class Counters:
    """One reading of everything that only grows, and of the gauges beside it.

    Attributes:
        cpu: times of the allowed CPUs in ``CPU_FIELDS``' order, in the source's own unit.
        per_cpu: busy time and all time of each CPU.
        times: as ``cpu``, of each CPU.
        events: context switches, interrupts and forks.
        running: processes that run or wait for a CPU.
        blocked: processes that wait for I/O.
        disk: counters of each disk that counts; None where they could not be read.
        device: ms busy and weighted ms of the device below scratch.
        network: counters of each interface that counts; None where they could not be read.
        loopback: bytes received on it.
        pressure: µs of waiting: some for CPU, memory, I/O, then full for memory, I/O.
        pressure_s: when ``pressure`` was read, on CLOCK_MONOTONIC.
        group: CPU time of the control group in µs: all, user, system.
    """

    cpu: list[int] = field(default_factory=list)
    per_cpu: dict[int, tuple[int, int]] = field(default_factory=dict)
    times: dict[int, list[int]] = field(default_factory=dict)
    events: tuple[float, float, float] = (nan, nan, nan)
    running: float = nan
    blocked: float = nan
    disk: Mapping[Any, Sequence[bytes | int]] | None = None
    device: tuple[int, int] | None = None
    network: Mapping[Any, Sequence[bytes | int]] | None = None
    loopback: float = nan
    pressure: tuple[float, float, float, float, float] = (nan,) * 5
    pressure_s: float = nan
    group: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Sample:
    """What one sample holds, in the order of the registry.

    Attributes:
        cpu_percent: busy share of the machine's CPUs.
        steal_percent: share that the hypervisor took.
        memory_percent: used share of the memory.
        disk_bytes_per_s: read and written.
        cells: all figures; NaN is an empty cell.
        parts: of each part of the machine, what its rows have in place of the first cells: its own
            CPUs.
    """

    cpu_percent: float
    steal_percent: float
    memory_percent: float
    disk_bytes_per_s: float
    cells: tuple[float, ...]
    parts: tuple[tuple[float, ...], ...] = ()
