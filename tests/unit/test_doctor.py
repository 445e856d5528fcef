"""What twin doctor says.

Of the disks, interfaces and energy counters that columns are made of, and of the control groups
that bound us.
"""

from dataclasses import replace

import pytest

from tests.support.control_groups import Tree
from tests.support.machines import GIB, MACHINE
from twin_harness.control import device_findings, machine_findings
from twin_harness.system.power_zones import PowerZone

DISKSTATS = "   8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n   8 1 sda1 1 2 3 4 5 6 7 8 9 10 11\n"
NET = "Inter-| Receive\n face |bytes\n    lo: 1 2\n  eth0: 1 2\n bond0: 1 2\n"


@pytest.fixture
def show(monkeypatch):
    """Have the machine show such files and devices."""

    def made(files, *, disks=(), interfaces=(), unlisted=(), zones=()):
        monkeypatch.setattr(device_findings, "read_text", lambda path: files.get(path, ""))
        monkeypatch.setattr(device_findings, "counted_disks", lambda _: frozenset(disks))
        monkeypatch.setattr(device_findings, "counted_interfaces", lambda _: frozenset(interfaces))
        monkeypatch.setattr(device_findings, "unlisted_interfaces", lambda _: frozenset(unlisted))
        monkeypatch.setattr(
            device_findings,
            "power_zones",
            lambda: tuple(PowerZone(name, f"/{name}", 0) for name in zones),
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
    finding = device_findings.examine_disks()
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
    assert device_findings.examine_network().found == "the network rates are of eth0"
    show({"/proc/net/dev": NET}, interfaces=("eth0",), unlisted=("eth0", "bond0"))
    finding = device_findings.examine_network()
    assert (finding.is_fine, finding.found) == (
        False,
        "the network rates are of eth0, by their names: /sys/class/net does not show bond0, eth0",
    )
    show({})
    assert (
        device_findings.examine_network().found == "/proc/net/dev shows no interface but loopback"
    )


def test_doctor_names_energy_that_is_root_s(show):
    """Since 2020 the kernel lets root alone read it; a machine without has no line."""
    show({"/package-0": "5"}, zones=("package-0", "package-1"))
    (finding,) = device_findings.examine_power()
    assert finding.found == "the energy of package-1 can be read by root only"
    show({})
    assert device_findings.examine_power() == []


def test_doctor_names_a_few_and_counts_the_rest(show):
    """A storage server has hundreds of disks."""
    show(
        {"/proc/diskstats": "".join(f" 8 {n} sd{n} 1 2 3 4 5 6 7 8 9 10 11\n" for n in range(8))},
        disks=[f"sd{n}" for n in range(8)],
    )
    assert (
        device_findings.examine_disks().found
        == "the disk rates are of sd0, sd1, sd2, sd3, sd4 and 3 more"
    )


# -- control groups --------------------------------------------------------------------------------

BURSTS = "a cgroup quota bounds them: load comes in bursts of the quota's period"
WITHIN = replace(MACHINE, cpu_capacity=0.5)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A made-up tree of version 2 with this process in /pod/app."""
    found = Tree(tmp_path)
    found.put("cgroup.controllers", "cpu memory")
    found.put("pod/app/cgroup.procs", "1")
    monkeypatch.setattr(machine_findings, "ControlGroup", lambda: found.member("0::/pod/app"))
    return found


def test_the_quota_that_binds_is_named_and_whose_figures_are_shown(tree):
    """The group that has it, how often it held load up, and that CPU figures are that group's."""
    tree.put("pod/cpu.max", "50000 100000")
    tree.put(
        "pod/cpu.stat",
        "usage_usec 900\nuser_usec 600\nsystem_usec 300\nnr_periods 8\nnr_throttled 3",
    )
    finding = machine_findings.examine_cpus(WITHIN)
    assert (
        finding.found
        == "2 allowed of 4; 100 percent is 0.5 CPUs, the quota of control group /pod; it was"
        " throttled in 3 of 8 periods so far"
    )
    assert finding.advice == f"{BURSTS}; cpu_percent and cpu_background_percent are that group's"
    assert not finding.is_fine


def test_a_quota_without_an_account_is_said(tree):
    """Columns that stay empty are no surprise."""
    tree.put("pod/cpu.max", "50000 100000")
    assert (
        machine_findings.examine_cpus(WITHIN).advice
        == f"{BURSTS}; its CPU time cannot be read (cpuacct is mounted apart, or hidden), so"
        " cpu_percent and cpu_background_percent stay empty"
    )


def test_without_a_quota_cpus_are_fine(tree):
    """A whole machine is told as before."""
    assert machine_findings.examine_cpus(MACHINE).lines() == [
        "ok    cpus               2 allowed of 4; 100 percent is 2 CPUs"
    ]


@pytest.mark.parametrize(("name", "path"), [("memory.max", "pod/app"), ("memory.high", "pod")])
def test_the_memory_limit_that_binds_is_named(tree, name, path):
    """By its file and its group."""
    tree.put(f"{path}/{name}", GIB)
    bounded = replace(MACHINE, memory_limit_bytes=GIB, group_limit_bytes=GIB)
    assert (
        machine_findings.examine_memory(bounded).found
        == f"1.0 GiB are 100 percent (cgroup version 2: {name} of /{path}); no swap"
    )


def test_a_limit_above_the_machine_s_memory_is_none(tree):
    """What the machine has is 100 percent then."""
    tree.put("pod/memory.max", 64 * GIB)
    assert (
        machine_findings.examine_memory(MACHINE).found
        == "8.0 GiB are 100 percent (cgroup version 2); no swap"
    )


def test_whose_pressure_it_is_is_said(monkeypatch):
    """Inside a group it is still the whole machine's."""
    monkeypatch.setattr(machine_findings, "read_text", lambda _: "some avg10=0.00")
    assert (
        machine_findings.examine_pressure(is_bounded=True).found
        == "the kernel reports pressure (PSI) of the whole machine, not of the control group"
    )
    assert (
        machine_findings.examine_pressure(is_bounded=False).found
        == "the kernel reports pressure (PSI)"
    )
