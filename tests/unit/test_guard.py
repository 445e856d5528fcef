"""The guard's limits, each on files made up for it.

Crossed or not, and a sentence with both figures.
"""

import errno
import math
import os
import signal
import subprocess

import pytest

from twin_harness.control import guard, watched_limits
from twin_harness.control.watched_limits import (
    DiskFloor,
    MemoryFloor,
    PressureCeiling,
    Seen,
    SwapCeiling,
    TemperatureCeiling,
    limits_to_watch,
)
from twin_harness.system import space_watch
from twin_harness.system.load_tree import await_dead
from twin_harness.system.procfs import KeptFile

LIMITS = {
    "memory_floor_bytes": 0,
    "memory_limit_bytes": None,
    "disk_floor_bytes": 0,
    "scratch_dir": "/",
    "temperature_celsius": None,
    "pressure_memory_percent": None,
    "swap_percent": None,
}


def sensor(root, number, name, celsius, critical=None):
    chip = root / f"hwmon{number}"
    chip.mkdir(parents=True)
    (chip / "name").write_text(f"{name}\n")
    (chip / "temp1_input").write_text(f"{celsius * 1000:.0f}\n")
    if critical is not None:
        (chip / "temp1_crit").write_text(f"{critical * 1000:.0f}\n")
    return chip / "temp1_input"


def test_temperature_is_held_below_what_the_sensor_calls_critical(tmp_path):
    """Five degrees below; a sensor that names nothing critical, or is no CPU's, is not watched."""
    hot = sensor(tmp_path, 0, "coretemp", 60, critical=100)
    sensor(tmp_path, 1, "k10temp", 120)
    sensor(tmp_path, 2, "nvme", 120, critical=80)
    ceiling = TemperatureCeiling(None, str(tmp_path))
    assert ceiling.crossing() == ""
    hot.write_text("95000\n")
    assert ceiling.crossing() == ""
    hot.write_text("95100\n")
    assert ceiling.crossing() == "temperature rose to 95.1 °C, above the ceiling of 95.0 °C"


@pytest.mark.parametrize(("given", "is_crossed"), [(70.0, True), (90.0, False), (math.inf, False)])
def test_temperature_ceiling_of_one_s_own(tmp_path, given, is_crossed):
    """A ceiling that was given holds for every CPU sensor, also one without a critical value.

    Off watches none.
    """
    sensor(tmp_path, 0, "k10temp", 80)
    assert bool(TemperatureCeiling(given, str(tmp_path)).crossing()) is is_crossed


def test_sensor_that_cannot_be_read_trips_nothing(tmp_path):
    path = sensor(tmp_path, 0, "coretemp", 60, critical=100)
    ceiling = TemperatureCeiling(None, str(tmp_path))
    path.write_text("")
    assert ceiling.crossing() == ""


@pytest.mark.parametrize("said", ["255500", "-128000", "<unknown>", "0"])
def test_temperature_that_no_cpu_can_have_trips_nothing(tmp_path, said):
    """A sensor that is not connected says 255.5 °C: that stops no load."""
    path = sensor(tmp_path, 0, "coretemp", 60, critical=100)
    path.write_text(f"{said}\n")
    assert TemperatureCeiling(None, str(tmp_path)).crossing() == ""


BLIND = {
    "memory_available": (
        lambda path: MemoryFloor(1.0, None),
        "meminfo",
        "/proc/meminfo does not show MemAvailable",
    ),
    "swap": (
        lambda path: SwapCeiling(50.0, str(path)),
        "meminfo",
        "/proc/meminfo does not show SwapTotal and SwapFree",
    ),
    "pressure_memory": (
        lambda path: PressureCeiling(50.0, str(path)),
        "pressure",
        "could not convert string to float: b'<unknown>'",
    ),
}


@pytest.mark.parametrize(("make", "what", "reason"), BLIND.values(), ids=list(BLIND))
def test_a_limit_that_cannot_be_read_is_borne_for_a_second(
    tmp_path, monkeypatch, make, what, reason
):
    """A moment of rubbish stops nothing and ends no guard.

    A second of it does, for nobody would watch: in a sentence with the reason.
    """
    now = [100.0]
    monkeypatch.setattr(guard.time, "monotonic", lambda: now[0])
    good = {
        "meminfo": "MemAvailable: 4000 kB\nSwapTotal: 1000 kB\nSwapFree: 1000 kB\n",
        "pressure": "some avg10=0 total=5\n",
    }[what]
    path = tmp_path / what
    path.write_text(good)
    monkeypatch.setattr("twin_harness.system.available_memory.keep", lambda *_: KeptFile(str(path)))
    limit = Seen(make(path))
    verdicts = []
    for step in range(60):
        rubbish = 10 <= step < 20 or step >= 30
        path.write_text("some total=<unknown>\n" if rubbish else good)
        verdicts.append(limit.crossing())
        now[0] += 0.05
    assert not any(verdicts[:49])
    name = limit._limit.name
    assert verdicts[-1] == f"{name} could not be read for 1.4 s ({reason}), so nothing watched it"


def test_a_limit_whose_file_is_refused_is_borne_for_a_second(monkeypatch):
    """A control group that is gone answers ENODEV."""
    now = [100.0]
    monkeypatch.setattr(guard.time, "monotonic", lambda: now[0])

    class Refused:
        name = "memory_available"

        def crossing(self):
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    limit = Seen(Refused())
    assert limit.crossing() == ""
    now[0] += 1.0
    assert (
        limit.crossing()
        == "memory_available could not be read for 1.0 s (No such device), so nothing watched it"
    )


def test_pressure_is_judged_over_a_second(tmp_path, monkeypatch):
    """A moment of pressure is none yet; half of a second is 50 %."""
    path, now = tmp_path / "memory", [100.0]
    monkeypatch.setattr(guard.time, "monotonic", lambda: now[0])
    path.write_text("some avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\n")
    ceiling = PressureCeiling(20.0, str(path))
    verdicts = []
    for step in range(40):
        total_us = 1_000_000 + (step - 10) * 25_000 if step > 10 else 1_000_000
        path.write_text(
            f"some avg10=0.00 avg60=0.00 avg300=0.00 total={total_us:.0f}\nfull avg10=0 total=5\n"
        )
        verdicts.append(ceiling.crossing())
        now[0] += 0.05
    assert not any(verdicts[:18])
    assert verdicts[-1] == "pressure_memory rose to 50.0 %, above the ceiling of 20 %"


def test_swap_is_judged_by_its_used_share(tmp_path):
    path = tmp_path / "meminfo"
    path.write_text("SwapTotal: 1000 kB\nSwapFree: 400 kB\n")
    assert (
        SwapCeiling(50.0, str(path)).crossing() == "swap rose to 60.0 %, above the ceiling of 50 %"
    )
    assert SwapCeiling(70.0, str(path)).crossing() == ""
    path.write_text("SwapTotal: 0 kB\nSwapFree: 0 kB\n")
    assert SwapCeiling(1.0, str(path)).crossing() == ""


def test_floors_of_memory_and_disk(tmp_path):
    """More than there can be is crossed, nothing is not; a folder that is gone cannot be judged."""
    assert MemoryFloor(2.0**60, None).crossing().startswith("memory_available fell to ")
    assert MemoryFloor(1.0, None).crossing() == ""
    assert DiskFloor(2.0**60, str(tmp_path)).crossing().startswith("disk_free fell to ")
    assert DiskFloor(1.0, str(tmp_path)).crossing() == ""
    with pytest.raises(FileNotFoundError, match="gone"):  # Seen has it stop the load in a second
        DiskFloor(1.0, str(tmp_path / "gone")).crossing()


def test_only_what_was_asked_for_is_watched():
    """Temperature always, where a sensor is; the rest by name."""
    assert [limit.name for limit in limits_to_watch(LIMITS)] == ["temperature"]
    everything = {
        **LIMITS,
        "memory_floor_bytes": 1,
        "disk_floor_bytes": 1,
        "pressure_memory_percent": 5.0,
        "swap_percent": 5.0,
    }
    assert [limit.name for limit in limits_to_watch(everything)] == [
        "memory_available",
        "disk_free",
        "temperature",
        "pressure_memory",
        "swap",
    ]


def test_dead_is_said_when_none_of_the_group_works_any_more():
    """Zombies count as dead, for they hold no memory; a process that lives does not."""
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        assert not await_dead(child.pid, patience_s=0.05)
        child.kill()
        assert await_dead(child.pid, patience_s=5.0)  # nobody has reaped it
    finally:
        child.kill()
        child.wait()


# -- a filesystem that does not answer -------------------------------------------------------------


@pytest.fixture
def mute(monkeypatch):
    """Filesystems whose processes wait for ever, and a clock of our own."""
    now = [100.0]
    monkeypatch.setattr(space_watch.os, "statvfs", lambda _: signal.pause())
    monkeypatch.setattr(guard.time, "monotonic", lambda: now[0])
    return now


def test_disk_floor_says_which_folder_does_not_answer(mute, tmp_path):
    """After the patience, and never by waiting for it."""
    floor = DiskFloor(1e9, str(tmp_path), patience_s=0.01)
    verdicts, are_mute = [], []
    for now_s in (100.005, 100.02, 105.0):
        mute[0] = now_s
        verdicts.append(floor.crossing())
        are_mute.append(floor.is_mute)
    assert are_mute == [False, True, True]
    floor.watch.close()
    assert verdicts == [
        "",
        f"disk_free cannot be read in {tmp_path}: it has not answered for 0 s",
        f"disk_free cannot be read in {tmp_path}: it has not answered for 5 s",
    ]


def test_memory_is_watched_whatever_the_disk_does(mute, tmp_path, monkeypatch):
    """With a scratch that never answers each look at all limits still sees memory fall."""
    monkeypatch.setattr(watched_limits, "PATIENCE_S", 0.01)
    limits = {
        **LIMITS,
        "memory_floor_bytes": 1 << 30,
        "disk_floor_bytes": 1,
        "scratch_dir": str(tmp_path),
    }
    memory, disk = limits_to_watch(limits)[:2]
    assert (memory.name, disk.name) == ("memory_available", "disk_free")
    monkeypatch.setattr(memory._available, "read_bytes", lambda: 1 << 20)
    assert disk.crossing() == ""
    assert memory.crossing() == "memory_available fell to 1 MiB, below the floor of 1024 MiB"
    disk.watch.close()


def test_disk_floor_is_judged_by_the_system_s_answer(tmp_path):
    """Free space above the floor is fine, below it is a sentence with both figures."""
    for floor_bytes, verdict in ((1, ""), (1 << 60, "below the floor of 1099511627776 MiB")):
        floor = DiskFloor(floor_bytes, str(tmp_path))
        assert floor.crossing().endswith(verdict)
        assert bool(floor.crossing()) == bool(verdict)
        floor.watch.close()


def test_scratch_folder_that_is_gone_is_said(tmp_path, monkeypatch):
    """One error may pass within a second; for longer nobody watches the folder, which is named."""
    now = [100.0]
    monkeypatch.setattr(guard.time, "monotonic", lambda: now[0])
    folder = tmp_path / "no"
    floor = DiskFloor(1, str(folder))
    seen = Seen(floor)
    assert seen.crossing() == ""
    now[0] = 101.0
    why = "so nothing watched it"
    assert (
        seen.crossing()
        == f"disk_free could not be read for 1.0 s (No such file or directory in {folder}), {why}"
    )
    folder.mkdir()
    for _ in range(2):  # the open question may have been answered before
        floor.watch.take(10.0)
        floor.watch.ask(101.0)
    floor.watch.take(10.0)
    assert (seen.crossing(), floor.is_mute) == ("", False)
    floor.watch.close()


def test_scratch_that_nobody_can_watch_is_never_unwatched(tmp_path, monkeypatch):
    """Where no process can be started that asks, the limit counts as crossed, in a sentence."""
    refused = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    monkeypatch.setattr(space_watch.os, "fork", lambda: (_ for _ in ()).throw(refused))
    floor = DiskFloor(1, str(tmp_path))
    assert (
        floor.crossing()
        == f"disk_free cannot be read in {tmp_path}: the process that asks could not be started"
        " (Resource temporarily unavailable)"
    )
    assert (floor.watch.pid, floor.is_mute) == (0, False)


@pytest.mark.parametrize("is_mute", [True, False])
def test_trip_tells_whether_the_disk_is_mute(monkeypatch, is_mute):
    """In a field: a sentence is for people, and its words may change."""
    told = []
    monkeypatch.setattr(guard, "_answer", told.append)
    guard._trip("a reason", 1.0, 0, "", is_mute=is_mute)
    assert (told[0]["state"], told[0]["is_mute"]) == ("tripped", is_mute)
