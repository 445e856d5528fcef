"""What is read once a second, on files made up for it.

A thing counts once, and a sensor that answers rubbish costs its own cell.
"""

import errno
import math
import os

import pytest

from twin_harness.system.machine import inspect_machine
from twin_harness.system.power_zones import power_zones
from twin_harness.telemetry import cpu_sensors, power_meter, slow_metrics
from twin_harness.telemetry.notes import Notes
from twin_harness.telemetry.slow_metrics import SlowMetrics

VMSTAT = "nr_free_pages 1\npswpin {0}\npswpout {0}\npgfault {0}\npgmajfault {0}\n"


class Sensors:
    """A machine of two CPUs whose sensors say what the test wants.

    A file that is made anew leaves its old descriptor dead.
    """

    def __init__(self, folder, monkeypatch, facts):
        self.folder, self.facts = folder, facts
        (folder / "powercap").mkdir()
        self.refusing = {}
        for name, text in (
            ("vmstat", VMSTAT.format(0)),
            ("cpu0", "2000000"),
            ("cpu1", "3000000"),
            ("temp", "50000"),
            ("temp2", "40000"),
        ):
            (folder / name).write_text(f"{text}\n")
        for module in (slow_metrics, cpu_sensors):
            monkeypatch.setattr(module, "keep", self.keep)
        monkeypatch.setattr(
            power_meter, "power_zones", lambda: power_zones(str(folder / "powercap"))
        )
        monkeypatch.setattr(
            cpu_sensors, "cpu_temperature_files", lambda: [("temp", math.nan), ("temp2", math.nan)]
        )
        monkeypatch.setattr(cpu_sensors, "_FREQUENCY", "cpu{}")
        self.notes = Notes()

    def keep(self, path, size_bytes, *, has_records=False):
        return Kept(self, path.rpartition("/")[2])

    def put(self, name, text):
        (self.folder / name).write_text(f"{text}\n")

    def zone(self, entry, name, energy_uj, range_uj=262_143_328_850):
        folder = self.folder / "powercap" / entry
        folder.mkdir(exist_ok=True)
        for file, value in (
            ("name", name),
            ("energy_uj", energy_uj),
            ("max_energy_range_uj", range_uj),
        ):
            (folder / file).write_text(f"{value}\n")

    def start(self):
        machine = {"cpus": (0, 1), "scratch_dir": str(self.folder)}
        slow = SlowMetrics({**self.facts, **machine}, self.notes)
        slow.refresh(0.0)
        return slow


class Kept:
    def __init__(self, sensors, name):
        self._sensors, self.path = sensors, name
        self._born = sensors.refusing.get(name, 0)

    def read(self):
        number = self._sensors.refusing.get(self.path, 0)
        if number and (number is True or number > self._born):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        return (self._sensors.folder / self.path).read_bytes()

    def close(self):
        pass


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    """This machine, looked at once: it is asked through a child process."""
    return inspect_machine(tmp_path_factory.mktemp("scratch")).to_json()


@pytest.fixture
def sensors(tmp_path, monkeypatch, facts):
    return Sensors(tmp_path, monkeypatch, facts)


# -- power -----------------------------------------------------------------------------------------


def test_power_is_that_of_the_packages(sensors):
    """40 W: the platform's 60 hold them, mmio shows them again, and a core's are within."""
    watts = {
        "intel-rapl:0": ("package-0", 40),
        "intel-rapl:1": ("psys", 60),
        "intel-rapl-mmio:0": ("package-0", 40),
        "intel-rapl:0:0": ("core", 30),
    }
    for second in (0, 1):
        for entry, (name, power) in watts.items():
            sensors.zone(entry, name, second * power * 1_000_000)
        if second == 0:
            slow = sensors.start()
    slow.refresh(1.0)
    assert slow.power_watts == 40.0


ENERGIES = {
    "goes round at its range": ([262_143_000_000, 9_671_150], 10.0, None),
    "is set back": (
        [150_000_000_000, 5],
        None,
        "an energy counter was set back from [150000000000] to [5] µJ",
    ),
    "goes round at a range that is not known": (
        [100, 5],
        None,
        "an energy counter was set back from [100] to [5] µJ",
    ),
    "says what is no number": ([100, "<unknown>"], None, "the energy of package-0 cannot be read"),
    "is refused": ([100, ""], None, "the energy of package-0 cannot be read"),
    "goes on": ([100, 5_000_100], 5.0, None),
}


@pytest.mark.parametrize(("energies", "watts", "note"), ENERGIES.values(), ids=list(ENERGIES))
def test_an_energy_counter(sensors, energies, watts, note):
    """It begins again at 0 where its range ends, which is no gap.

    Anything else that is no growth is an empty cell and a note.
    """
    range_uj = 262_143_328_850 if energies[0] > 100 else ""
    sensors.zone("intel-rapl:0", "package-0", energies[0], range_uj)
    slow = sensors.start()
    sensors.zone("intel-rapl:0", "package-0", energies[1], range_uj)
    slow.refresh(1.0)
    assert slow.power_watts == pytest.approx(watts) if watts else math.isnan(slow.power_watts)
    assert [text.startswith(note) for text in sensors.notes] == ([True] if note else [])


def test_half_of_the_packages_is_no_power(sensors):
    """A zone that disappears costs the cell, and what comes back counts from there."""
    sensors.zone("intel-rapl:0", "package-0", 0)
    sensors.zone("intel-rapl:1", "package-1", 0)
    slow = sensors.start()
    watts = []
    for second in range(1, 6):
        sensors.zone("intel-rapl:0", "package-0", second * 1_000_000)
        sensors.zone("intel-rapl:1", "package-1", second * 2_000_000)
        if second == 3:
            (sensors.folder / "powercap/intel-rapl:1/energy_uj").unlink()
        slow.refresh(float(second))
        watts.append(slow.power_watts)
    assert [None if math.isnan(value) else value for value in watts] == [3.0, 3.0, None, None, 3.0]
    assert sensors.notes == [
        "the energy of package-1 cannot be read (the kernel lets root alone): power_watts is empty"
    ]


# -- sensors that answer rubbish -------------------------------------------------------------------

ANSWERS = ["<unknown>", "", "0", "refused"]


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_cpu_that_is_offline_is_none_of_those_that_run(sensors, answer):
    """The kernel's cpufreq answers EBUSY, <unknown> or 0 for it.

    The frequency is that of the others, and it is said once.
    """
    slow = sensors.start()
    assert slow.frequency_hz == 2.5e9
    sensors.refusing["cpu0"] = answer == "refused"
    if answer != "refused":
        sensors.put("cpu0", answer)
    for second in range(1, 30):
        slow.refresh(float(second))
    assert slow.frequency_hz == 3e9
    assert len([text for text in sensors.notes if "cpu0" in text]) == (answer != "0")
    sensors.put("cpu1", "0")
    slow.refresh(30.0)
    assert math.isnan(slow.frequency_hz)


def test_a_sensor_that_was_made_anew_is_opened_anew(sensors):
    """A CPU that comes back online has new files; the old descriptor answers ENODEV for ever."""
    slow = sensors.start()
    sensors.refusing["cpu0"] = 2  # what was opened before is dead, what is opened now is not
    slow.refresh(1.0)
    assert slow.frequency_hz == 3e9
    slow.refresh(2.0)
    slow.refresh(3.0)
    assert slow.frequency_hz == 2.5e9


@pytest.mark.parametrize("answer", ["0", "-128000", "255500", "<unknown>", "", "refused"])
def test_a_temperature_that_no_cpu_has_does_not_count(sensors, answer):
    """The hottest of the others is the figure; without any it is empty."""
    slow = sensors.start()
    assert slow.temperature_celsius == 50.0
    for name, rest in (("temp", 40.0), ("temp2", None)):
        sensors.refusing[name] = answer == "refused"
        if answer != "refused":
            sensors.put(name, answer)
        slow.refresh(slow._read_s + 1.0)
        slow.refresh(slow._read_s + 1.0)
        assert slow.temperature_celsius == rest if rest else math.isnan(slow.temperature_celsius)
    assert len(sensors.notes) == 2


@pytest.mark.parametrize("name", ["pswpin", "pswpout", "pgfault", "pgmajfault"])
def test_a_line_that_vmstat_lacks_is_an_empty_cell(sensors, name):
    """A kernel without swap has no pswpin: its rate is empty and not 0, the others are measured."""

    def lacking(number):
        return "\n".join(
            line for line in VMSTAT.format(number).splitlines() if not line.startswith(f"{name} ")
        )

    sensors.put("vmstat", lacking(0))
    slow = sensors.start()
    sensors.put("vmstat", lacking(7))
    slow.refresh(1.0)
    rates = dict(
        zip(
            ("pswpin", "pswpout", "pgfault", "pgmajfault"),
            (slow.swap_in, slow.swap_out, slow.faults, slow.major_faults),
            strict=True,
        )
    )
    assert [key for key, value in rates.items() if math.isnan(value)] == [name]
    assert sensors.notes == [f"/proc/vmstat does not show {name}: the columns made of it are empty"]


def test_a_second_without_vmstat_is_empty_and_so_is_the_one_after(sensors):
    """The difference over two seconds is no rate of one."""
    slow = sensors.start()
    rates = []
    for second in range(1, 5):
        sensors.put("vmstat", VMSTAT.format(10 * second))
        sensors.refusing["vmstat"] = second == 2
        slow.refresh(float(second))
        rates.append(slow.faults)
    assert [None if math.isnan(value) else value for value in rates] == [10.0, None, None, 10.0]
    # On a busy machine the filesystem may answer later than these made seconds pass.
    assert [note for note in sensors.notes if "filesystem" not in note] == [
        "swap and faults could not be read (Device or resource busy): its columns are empty"
    ]


def test_notes_are_bounded():
    """A sensor that fails for a day with another text each time fills no memory."""
    notes = Notes()
    for number in range(100_000):
        notes.once(f"cause {number}", "text")
    assert len(notes) == 200
