"""What twin doctor says of the disks, interfaces and energy counters that columns are made of."""

import pytest

from twin_harness.control import doctor
from twin_harness.devices import PowerZone

DISKSTATS = "   8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n   8 1 sda1 1 2 3 4 5 6 7 8 9 10 11\n"
NET = "Inter-| Receive\n face |bytes\n    lo: 1 2\n  eth0: 1 2\n bond0: 1 2\n"


@pytest.fixture
def show(monkeypatch):
    """Have the machine show such files and devices."""

    def made(files, *, disks=(), interfaces=(), unlisted=(), zones=()):
        monkeypatch.setattr(doctor, "read_text", lambda path: files.get(path, ""))
        monkeypatch.setattr(doctor, "counted_disks", lambda _: frozenset(disks))
        monkeypatch.setattr(doctor, "counted_interfaces", lambda _: frozenset(interfaces))
        monkeypatch.setattr(doctor, "unlisted_interfaces", lambda _: frozenset(unlisted))
        monkeypatch.setattr(
            doctor, "power_zones", lambda: tuple(PowerZone(name, f"/{name}", 0) for name in zones)
        )

    return made


@pytest.mark.parametrize(
    ("files", "disks", "said"),
    [
        ({"/proc/diskstats": DISKSTATS}, ("sda",), "the disk rates are of sda"),
        (
            {"/sys/block/cciss!c0d0/stat": "1 2 3"},
            ("cciss/c0d0",),
            "the disk rates are of cciss/c0d0",
        ),
        ({}, ("sda",), "neither /proc/diskstats nor /sys/block shows a disk"),
        ({"/proc/diskstats": DISKSTATS}, (), "neither /proc/diskstats nor /sys/block shows a disk"),
    ],
)
def test_doctor_says_whose_the_disk_rates_are(show, files, disks, said):
    """A container may show no disk: that is poor, and what stays empty is said."""
    show(files, disks=disks)
    finding = doctor._disks()
    assert (finding.found, finding.is_fine) == (said, said.startswith("the disk rates"))
    assert finding.advice == (
        ""
        if finding.is_fine
        else "the disk rates stay empty: show one of the two to this user or container"
    )


def test_doctor_says_whose_the_network_rates_are(show):
    """Interfaces that sysfs does not show are judged by name, which is said.

    Loopback alone is none.
    """
    show({"/proc/net/dev": NET}, interfaces=("eth0",))
    assert doctor._network().found == "the network rates are of eth0"
    show({"/proc/net/dev": NET}, interfaces=("eth0",), unlisted=("eth0", "bond0"))
    finding = doctor._network()
    assert (finding.is_fine, finding.found) == (
        False,
        "the network rates are of eth0, by their names: /sys/class/net does not show bond0, eth0",
    )
    show({})
    assert doctor._network().found == "/proc/net/dev shows no interface but loopback"


def test_doctor_names_energy_that_is_root_s(show):
    """Since 2020 the kernel lets root alone read it; a machine without has no line."""
    show({"/package-0": "5"}, zones=("package-0", "package-1"))
    (finding,) = doctor._power()
    assert finding.found == "the energy of package-1 is for root to read"
    show({})
    assert doctor._power() == []


def test_doctor_names_a_few_and_counts_the_rest(show):
    """A storage server has hundreds of disks."""
    show(
        {"/proc/diskstats": "".join(f" 8 {n} sd{n} 1 2 3 4 5 6 7 8 9 10 11\n" for n in range(8))},
        disks=[f"sd{n}" for n in range(8)],
    )
    assert doctor._disks().found == "the disk rates are of sd0, sd1, sd2, sd3, sd4 and 3 more"
