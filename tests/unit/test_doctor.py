"""What the doctor says of the control groups that bound this process."""

from dataclasses import replace

import pytest

from twin_harness.control import doctor
from unit.test_machine import GIB, MACHINE
from unit.test_procfs import Tree

BURSTS = "a cgroup quota bounds them: load comes in bursts of the quota's period"
WITHIN = replace(MACHINE, cpu_capacity=0.5)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A made-up tree of version 2 with this process in /pod/app."""
    found = Tree(tmp_path)
    found.put("cgroup.controllers", "cpu memory")
    found.put("pod/app/cgroup.procs", "1")
    monkeypatch.setattr(doctor, "ControlGroup", lambda: found.member("0::/pod/app"))
    return found


def test_the_quota_that_binds_is_named_and_whose_figures_are_shown(tree):
    """The group that has it, how often it held load up, and that CPU figures are that group's."""
    tree.put("pod/cpu.max", "50000 100000")
    tree.put("pod/cpu.stat", "usage_usec 900\nuser_usec 600\nsystem_usec 300\nnr_periods 8\nnr_throttled 3")
    finding = doctor._cpus(WITHIN)
    assert finding.found == "2 allowed of 4; 100 percent is 0.5 CPUs, the quota of control group /pod; it was held up in 3 of 8 periods so far"
    assert finding.advice == f"{BURSTS}; cpu_percent and cpu_background_percent are that group's"
    assert not finding.is_fine


def test_a_quota_without_an_account_is_said(tree):
    """Columns that stay empty are no surprise."""
    tree.put("pod/cpu.max", "50000 100000")
    assert doctor._cpus(WITHIN).advice == (
        f"{BURSTS}; its CPU time cannot be read (cpuacct is mounted apart, or hidden), so cpu_percent and cpu_background_percent stay empty"
    )


def test_without_a_quota_cpus_are_fine(tree):
    """A whole machine is told as before."""
    assert doctor._cpus(MACHINE).lines() == ["ok    cpus               2 allowed of 4; 100 percent is 2 CPUs"]


@pytest.mark.parametrize(("name", "path"), [("memory.max", "pod/app"), ("memory.high", "pod")])
def test_the_memory_limit_that_binds_is_named(tree, name, path):
    """By its file and its group."""
    tree.put(f"{path}/{name}", GIB)
    bounded = replace(MACHINE, memory_limit_bytes=GIB, group_limit_bytes=GIB)
    assert doctor._memory(bounded).found == f"1.0 GiB are 100 percent (cgroup version 2: {name} of /{path}); no swap"


def test_a_limit_above_the_machine_s_memory_is_none(tree):
    """What the machine has is 100 percent then."""
    tree.put("pod/memory.max", 64 * GIB)
    assert doctor._memory(MACHINE).found == "8.0 GiB are 100 percent (cgroup version 2); no swap"


def test_whose_pressure_it_is_is_said(monkeypatch):
    """Inside a group it is still the whole machine's."""
    monkeypatch.setattr(doctor, "read_text", lambda _: "some avg10=0.00")
    assert doctor._pressure(is_bounded=True).found == "the kernel tells pressure (PSI) of the whole machine, not of the control group"
    assert doctor._pressure(is_bounded=False).found == "the kernel tells pressure (PSI)"
