"""The machine: a fingerprint stable and sensitive, and the capacities of 100 percent."""

import json
import os
import platform
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.machines import GIB, MACHINE
from twin_harness.errors import InvalidInput
from twin_harness.system import cpu_topology, hypervisor
from twin_harness.system import machine as machine_module
from twin_harness.system.control_group import ControlGroup
from twin_harness.system.cpu_topology import parse_cpu_list
from twin_harness.system.machine import (
    Machine,
    inspect_machine,
    is_same_machine,
    known_fingerprints,
)
from twin_harness.system.machine_parts import cut_machine

SAMPLE = Path(__file__).parents[2] / "data" / "sample"


def test_the_fingerprint_holds_for_ever():
    """The same facts give the same 16 hex digits in every version: baselines are found by them."""
    assert MACHINE.fingerprint == "da24032554d11f7a"
    assert replace(MACHINE).fingerprint == MACHINE.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"cpu_model": "Another CPU"},
        {"cpus": (0,)},
        {"cpus": (2, 3), "cpu_kinds": "2x/cpu_atom:1"},
        {"cpu_model": "Neoverse-N1 (0x41/0xd0c/0x3)"},
        {"cpu_capacity": 1.5},
        {"memory_limit_bytes": 4 * GIB},
        {"virtualisation": ""},
        {"kernel": "6.19.0-generic"},
        {"kernel": "7.18.3-generic"},
        {"governor": "powersave"},
    ],
    ids=str,
)
def test_the_fingerprint_tells_machines_apart(change):
    """Any fact that makes figures incomparable changes it."""
    assert replace(MACHINE, **change).fingerprint != MACHINE.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"host": "another"},
        {"cpus": (2, 3)},
        {"cpus": (1, 3)},
        {"kernel": "6.18.9-cloud"},
        {"possible_cpus": (0, 1)},
        {"memory_total_bytes": 64 * GIB},
        {"memory_limit_bytes": 8 * GIB + 1024**2},
        {"swap_bytes": GIB},
        {"scratch_dir": "/elsewhere"},
        {"scratch_filesystem": "xfs"},
        {"scratch_device": "vdb"},
    ],
    ids=str,
)
def test_the_fingerprint_overlooks_what_does_not_matter(change):
    """Names, patch levels and a few MiB that the firmware keeps leave it alone."""
    assert replace(MACHINE, **change).fingerprint == MACHINE.fingerprint


def facts(**change):
    return json.loads(json.dumps(replace(MACHINE, **change).to_json()))


def before(**change):
    """The id that a machine was given when the numbers of its CPUs counted."""
    one = replace(MACHINE, **change)
    return one._fingerprint_of(list(one.cpus), round(one.memory_limit_bytes / 2**26))


MIDDLE = 8 * GIB + 2**25  # half way between two steps of 64 MiB
SAME = {
    "the same": ({}, {}),
    "another cpuset of the same size": ({"cpus": (2, 3)}, {"cpus": (0, 1)}),
    "memory that an update moved over the middle between two steps": (
        {"memory_limit_bytes": MIDDLE - 2**22},
        {"memory_limit_bytes": MIDDLE + 2**22},
    ),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=list(SAME))
def test_a_machine_keeps_its_key(one, other):
    """What changes from job to job and from update to update leaves the machine's identity."""
    assert is_same_machine(facts(**one), facts(**other))
    assert is_same_machine(facts(**other), facts(**one))


@pytest.mark.parametrize(
    "change", [{"cpus": (2, 3)}, {"cpus": (1, 2), "cpu_kinds": "2x512:1"}], ids=str
)
def test_a_fingerprint_of_before_is_known(change):
    """A run, baseline or model with the id of the CPUs' numbers is still that machine's."""
    old = before(**change)
    assert old not in (MACHINE.fingerprint, replace(MACHINE, **change).fingerprint)
    assert old in replace(MACHINE, **change).fingerprints
    assert (
        known_fingerprints({**facts(**change), "fingerprint": old})[0]
        == replace(MACHINE, **change).fingerprint
    )


def test_an_old_machine_file_needs_no_new_fields():
    """One written before there were kinds of CPU is read, and its id is the same."""
    old = facts()
    del old["cpu_kinds"]
    assert known_fingerprints(old)[0] == MACHINE.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"predicted_by": "twin.json"},
        {"foretold_by": "twin.json"},  # as it was written once
        {"cpus": None},
        {"kernel": None},
        {"cpu_model": None},
        {"memory_limit_bytes": "much"},
    ],
    ids=str,
)
def test_what_cannot_be_computed_is_what_stands_there(change):
    """A twin's run is of the twin's machine.

    A damaged file has the id that stands in it and no other.
    """
    assert known_fingerprints({**facts(), "fingerprint": "f" * 16, **change}) == ("f" * 16,)
    assert known_fingerprints({}) == ("",)
    assert not is_same_machine({}, {})


@pytest.mark.parametrize(
    "path", sorted(SAMPLE.rglob("machine.json")), ids=lambda path: path.parent.name
)
def test_committed_runs_keep_their_machine(path):
    """Their stated id is the one that this version computes."""
    stated = json.loads(path.read_text())
    assert known_fingerprints(stated)[0] == stated["fingerprint"]


HYBRID = {"system/cpu/online": "0-5", "cpu_core/cpus": "0-3", "cpu_atom/cpus": "4-5"} | {
    f"system/cpu/cpu{cpu}/topology/{name}": value
    for cpu, core in enumerate((0, 0, 1, 1, 8, 9))
    for name, value in (("physical_package_id", 0), ("core_id", core))
}
BIG_LITTLE = {"system/cpu/online": "0-3"} | {
    f"system/cpu/cpu{cpu}/cpu_capacity": 1024 if cpu > 1 else 446 for cpu in range(4)
}


@pytest.mark.parametrize(
    ("tree", "allowed", "kinds"),
    [
        ({"system/cpu/online": "0-7"}, (3,), ""),
        ({}, (3,), ""),
        (HYBRID, (0, 1), ""),
        (HYBRID, (2, 3), ""),
        (HYBRID, (0, 2), "2x/cpu_core:1"),
        (HYBRID, (4, 5), "2x/cpu_atom:1"),
        (HYBRID, tuple(range(6)), ""),
        (BIG_LITTLE, (0, 1), ""),
        (BIG_LITTLE, (2, 3), "2x1024:1"),
        (BIG_LITTLE, (1, 2), "1x1024:1,1x446:1"),
    ],
)
def test_cpus_of_another_kind_are_told_apart(tmp_path, tree, allowed, kinds):
    """Performance and efficiency cores, big and little ones, threads of one core and of two.

    Else the number of CPUs is enough.
    """
    for name, value in tree.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{value}\n")
    assert cpu_topology.cpu_kinds_of(allowed, str(tmp_path)) == kinds


def test_a_machine_survives_json():
    """Plain JSON and back gives an equal machine, and what a later version adds is left out."""
    data = json.loads(
        json.dumps({**MACHINE.to_json(), "format": "twin-machine/1", "colour": "red"})
    )
    assert next(iter(MACHINE.to_json())) == "fingerprint"
    assert data["fingerprint"] == MACHINE.fingerprint
    assert Machine.from_json(data) == MACHINE


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("", ()),
        ("0", (0,)),
        ("0-3", (0, 1, 2, 3)),
        ("0-3,8", (0, 1, 2, 3, 8)),
        ("1,3,5-6", (1, 3, 5, 6)),
        ("7-7", (7,)),
        ("0-1,", (0, 1)),
        ("0-8191", tuple(range(8192))),
    ],
)
def test_the_kernel_s_lists_are_read(text, cpus):
    """Ranges and single numbers, in the order given."""
    assert parse_cpu_list(text) == cpus


@given(st.sets(st.integers(0, 300)))
def test_any_set_of_cpus_survives_the_kernel_s_format(cpus):
    """What the kernel would print of a set is read as that set."""
    ordered, parts = sorted(cpus), []
    for cpu in ordered:
        if parts and parts[-1][1] == cpu - 1:
            parts[-1][1] = cpu
        else:
            parts.append([cpu, cpu])
    text = ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)
    assert parse_cpu_list(text) == tuple(ordered)


def test_this_machine_is_inspected(tmp_path):
    """The real machine's figures are what the kernel gives this process, and two looks agree."""
    found = inspect_machine(tmp_path)
    assert found == inspect_machine(tmp_path)
    assert found.cpus == tuple(sorted(os.sched_getaffinity(0)))
    assert set(found.cpus) <= set(found.possible_cpus)
    assert 0 < found.cpu_capacity <= len(found.cpus)
    assert 0 < found.memory_limit_bytes <= found.memory_total_bytes
    assert (found.kernel, found.scratch_dir) == (platform.release(), str(tmp_path))
    assert found.cpu_model


@pytest.mark.parametrize(("quota", "capacity"), [(None, 3.0), (1.5, 1.5), (8.0, 3.0), (0.25, 0.25)])
def test_capacity_is_bounded_by_the_quota(tmp_path, monkeypatch, quota, capacity):
    """100 percent are the allowed CPUs, or the quota where that is less."""
    monkeypatch.setattr(machine_module, "allowed_cpus", lambda: (0, 1, 5))
    monkeypatch.setattr(ControlGroup, "cpu_quota", lambda _: quota)
    assert inspect_machine(tmp_path).cpu_capacity == capacity


@pytest.mark.parametrize(
    ("limit", "expected"), [(None, 16 * GIB), (4 * GIB, 4 * GIB), (64 * GIB, 16 * GIB)]
)
def test_memory_is_bounded_by_the_group(tmp_path, monkeypatch, limit, expected):
    """100 percent of memory is the machine's, or the group's limit where that is less."""
    monkeypatch.setattr(machine_module, "_memory_bytes", lambda: (16 * GIB, 0))
    monkeypatch.setattr(ControlGroup, "memory_limit_bytes", lambda _: limit)
    assert inspect_machine(tmp_path).memory_limit_bytes == expected


@pytest.mark.parametrize(
    ("cpuinfo", "model"),
    [
        ("processor\t: 0\nmodel name\t: Intel(R) Xeon(R)\n", "Intel(R) Xeon(R)"),
        (
            "processor\t: 0\nBogoMIPS\t: 50.00\n\nModel\t\t: Raspberry Pi 5: rev 1\n",
            "Raspberry Pi 5: rev 1",
        ),
        ("cpu\t\t: POWER9\ncpu model : X\n", "X"),
    ],
)
def test_the_cpu_model_is_found_on_every_architecture(monkeypatch, cpuinfo, model):
    """The kernel calls it differently on different architectures."""
    monkeypatch.setattr(machine_module, "read_text", lambda _: cpuinfo)
    assert machine_module._cpu_model() == model


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({}, ""),
        ({"/sys/class/dmi/id/sys_vendor": "QEMU"}, "qemu"),
        ({"/sys/class/dmi/id/sys_vendor": "Amazon EC2"}, "aws"),
        ({"/sys/class/dmi/id/sys_vendor": "Dell Inc."}, ""),
        ({"/proc/cpuinfo": "flags : fpu hypervisor sse"}, "virtual"),
        ({"/sys/hypervisor/type": "xen"}, "xen"),
    ],
)
def test_the_hypervisor_is_told_as_far_as_it_shows(monkeypatch, files, kind):
    """By vendor, by type, or at least that there is one; bare metal is empty."""
    monkeypatch.setattr(hypervisor, "read_text", lambda path: files.get(str(path), ""))
    assert hypervisor.hypervisor() == kind


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
def test_parts_are_equal_and_disjoint(tmp_path, count):
    """As many CPUs each, none in two parts, together no more than there are.

    Memory, capacity and quota are 1/count.
    """
    machine = replace(
        inspect_machine(tmp_path), cpus=tuple(range(8)), cpu_capacity=6.0, memory_limit_bytes=800
    )
    parts = cut_machine(machine, count, 400)
    assert [part.partition for part in parts] == [f"p{index}" for index in range(count)]
    assert {len(part.cpus) for part in parts} == {8 // count}
    assert len({cpu for part in parts for cpu in part.cpus}) == count * (8 // count)
    assert {part.cpu_capacity for part in parts} == {min(8 // count, 6.0 / count)}
    assert {(part.memory_limit_bytes, part.memory_share_bytes, part.parts) for part in parts} == {
        (800 // count, 400 // count, count)
    }
    assert Machine.from_json(json.loads(json.dumps(parts[-1].to_json()))) == parts[-1]


def test_more_parts_than_cpus_are_refused(tmp_path):
    machine = replace(inspect_machine(tmp_path), cpus=(0, 1))
    with pytest.raises(InvalidInput, match="at most 2 parts of this machine"):
        cut_machine(machine, 3, 1)
