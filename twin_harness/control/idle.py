"""Waiting for the machine to fall idle before an experiment begins (``settle_s``)."""

from __future__ import annotations

from math import isnan, nan
from typing import TYPE_CHECKING, Any

from twin_harness.runs.frames import read_frame
from twin_harness.system.clock import monotonic_s, sleep_s

if TYPE_CHECKING:
    from twin_harness.control.site import Site

_IDLE_CPU_PERCENT, _IDLE_DISK_BYTES_PER_S, _IDLE_FOR_S = 5.0, 1e6, 1.0
_POLL_S = 0.2


def wait_until_idle(site: Site, longest_s: float) -> dict[str, Any]:
    """Wait until CPU and disk have been idle for a second on end, and return how that went.

    Args:
        site: where the dataset, the board and the machine are.
        longest_s: wait no longer than that.

    Raises:
        KeyboardInterrupt: the controller was interrupted.
    """
    begin_s = monotonic_s()
    while True:
        waited_s = monotonic_s() - begin_s
        busy_percent, moved = _last_second(site, begin_s)
        is_idle = busy_percent <= _IDLE_CPU_PERCENT and _is_disk_quiet(site, moved)
        if is_idle or waited_s >= longest_s:
            return {
                "is_idle": is_idle,
                "waited_s": round(waited_s, 3),
                "cpu_percent": _rounded(busy_percent),
                "disk_bytes_per_s": _rounded(moved),
            }
        if site.board.is_load_stopping:
            msg = "the controller was interrupted"
            raise KeyboardInterrupt(msg)
        sleep_s(min(_POLL_S, longest_s - waited_s))


def _last_second(site: Site, begin_s: float) -> tuple[float, float]:
    """Return the CPU percent and the disk's bytes/s of the last second; NaN where unknown."""
    valid_bytes, newest_s, _, _ = site.board.dataset_state()
    if newest_s < begin_s + _IDLE_FOR_S:
        return nan, nan
    with site.folder.open_dataset(valid_bytes) as dataset:
        rows = read_frame(dataset, newest_s - _IDLE_FOR_S, newest_s, site.machine.partition)
    busy_percent = float((rows["cpu_percent"] - rows["harness_cpu_percent"]).mean())
    moved = float((rows["disk_read_bytes_per_s"] + rows["disk_write_bytes_per_s"]).mean())
    return busy_percent, moved


def _is_disk_quiet(site: Site, moved: float) -> bool:
    # Where no disk is measured the CPU alone decides, and the record shows it. The disk of a part
    # is the neighbours', too.
    if isnan(moved) or site.machine.partition:
        return True
    return moved <= _IDLE_DISK_BYTES_PER_S


def _rounded(value: float) -> float | None:
    if isnan(value):
        return None
    return round(value, 2)
