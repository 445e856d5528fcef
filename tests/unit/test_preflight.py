"""An experiment against machine and guard, on machines made up for it."""

from dataclasses import replace

import pytest

from tests.support.machines import MACHINE
from twin_harness.control import headroom, preflight, preflight_cpu
from twin_harness.control.limits import parse_guard
from twin_harness.errors import InvalidInput
from twin_harness.schedule.builders import command, cpu, disk, memory, plan
from twin_harness.shapes.shape import ramp, square, trace

MIB, GIB = 2**20, 2**30
OFF = parse_guard("off")


@pytest.fixture(autouse=True)
def roomy(monkeypatch):
    """6 GiB of memory available and 10 GiB of disk free."""
    monkeypatch.setattr(headroom, "available_memory_bytes", lambda _: 6 * GIB)
    monkeypatch.setattr(headroom, "free_disk_bytes", lambda _: 10 * GIB)


def refusal(experiment, machine=MACHINE, guard=OFF):
    with pytest.raises(InvalidInput) as caught:
        preflight.check(experiment, machine, guard)
    return str(caught.value)


def test_what_the_machine_carries_is_accepted():
    """An experiment within CPUs, memory and disk has nothing to be told."""
    assert (
        preflight.check(
            plan(cpu(100, duration_s=5), memory(10, duration_s=5), disk(1e6, duration_s=5)),
            MACHINE,
            OFF,
        )
        == []
    )


def test_cpu_events_must_fit_together():
    """Overlapping events are added up, and those one after another are not."""
    message = refusal(plan(cpu(60, duration_s=5), cpu(50, start_s=2, duration_s=5), name="x"))
    assert message.startswith("x: CPU events ask for 110 percent of the machine together at ")
    assert message.endswith(" s; expected at most 100, lower or separate them")
    preflight.check(plan(cpu(60, duration_s=5), cpu(50, start_s=5, duration_s=5)), MACHINE, OFF)


def test_a_short_overlap_is_found():
    """Half a second of too much within a week is too much."""
    experiment = plan(
        cpu(60, duration_s=100_000.5), cpu(50, start_s=100_000, duration_s=500_000), name="x"
    )
    assert "110 percent" in refusal(experiment)


def test_peaks_of_shapes_are_found():
    """The sum is looked at where shapes are highest, not on average."""
    assert "117 percent of the machine together at 9.5 s" in refusal(
        plan(cpu(ramp(0, 60), duration_s=10), cpu(square(0, 60, 5, 0.9), duration_s=10), name="x")
    )


@pytest.mark.parametrize(
    ("part", "has_account", "what"),
    [("", True, ""), ("", False, "of its control group"), ("p0", True, "of a part")],
)
def test_a_total_that_nobody_can_read_is_refused(monkeypatch, part, has_account, what):
    """Within a quota the total is the group's CPU time.

    Where that is hidden, or is of several parts, nothing can be filled up to it.
    """
    monkeypatch.setattr(
        preflight_cpu.ControlGroup, "cpu_use", lambda _: object() if has_account else None
    )
    machine = replace(MACHINE, cpu_capacity=0.5, partition=part)
    experiment = plan(cpu(50, duration_s=5, target="system"), name="x")
    if not what:
        assert preflight.check(experiment, machine, OFF) == []
        return
    assert (
        refusal(experiment, machine)
        == f"x: CPU event cpu-0 has target system, but a CPU quota binds here and the total {what}"
        " cannot be read; expected target own, or a machine without a quota (`twin doctor` says"
        " more)"
    )


def test_cpus_must_be_allowed():
    """A CPU that this process may not use is named."""
    assert (
        refusal(plan(cpu(5, duration_s=1), cpu(5, duration_s=1, cpus=[1, 7]), name="x"))
        == "x: events[1].options.cpus: [7] are not among the allowed CPUs [0, 1]; name some of"
        " these"
    )


def test_one_cpu_must_fit_too():
    """Two events on one CPU are too much for it though the machine has room."""
    message = refusal(
        plan(cpu(60, duration_s=5, cpus=[1]), cpu(60, duration_s=5, cpus=[1]), name="x")
    )
    assert message.startswith("x: CPU events ask for 120 percent of CPU 1 together at ")


def test_memory_must_leave_the_guard_s_floor():
    """The message gives what was asked for, what there is and the floor."""
    message = refusal(
        plan(memory(4 * GIB, duration_s=60, unit="bytes"), name="x"),
        guard=parse_guard("memory_available=3GiB"),
    )
    assert message.startswith("x: memory events ask for 4096 MiB at ")
    assert message.endswith(
        " s; expected at most 3072 MiB, which is the 6144 MiB available less the guard's floor of"
        " 3072 MiB; lower the level or --twin-guard"
    )
    preflight.check(
        plan(memory(3 * GIB, duration_s=60, unit="bytes")),
        MACHINE,
        parse_guard("memory_available=3GiB"),
    )


def test_a_percent_of_memory_is_of_the_limit():
    """60 percent of a limit of 8 GiB are 4.8 GiB."""
    preflight.check(plan(memory(60, duration_s=60)), MACHINE, OFF)
    assert "6554 MiB" in refusal(plan(memory(80, duration_s=60), name="x"))


def test_a_fill_faster_than_the_machine_is_warned_about():
    """A schedule that asks for faster filling is carried out with a warning."""
    (warning,) = preflight.check(
        plan(memory(4 * GIB, duration_s=2, unit="bytes"), name="x"), MACHINE, OFF
    )
    assert warning.startswith("x: mem-0 asks for 4096 MiB within 2 s; ")


def test_disk_files_must_fit():
    """The files of all disk events and the guard's floor must fit into what is free."""
    message = refusal(
        plan(disk(1e6, duration_s=5, file_bytes=8 * GIB), name="x"),
        guard=parse_guard("disk_free=4GiB"),
    )
    assert message.startswith(
        "x: disk events need 8192 MiB in /data/scratch; expected at most 6144 MiB, which is the"
        " 10240 MiB free less the guard's floor of 4096 MiB"
    )


def test_a_percent_of_disk_is_of_the_filesystem(monkeypatch, tmp_path):
    """A floor of 50 percent on a filesystem that is 40 percent free refuses every disk event."""
    space = [1000 * MIB // 4096 * 10, 400 * MIB // 4096 * 10, 400 * MIB // 4096 * 10, 4096]
    monkeypatch.setattr(headroom, "look_at_folder", lambda _: {"space": space})
    monkeypatch.setattr(headroom, "free_disk_bytes", lambda _: 4000 * MIB)
    assert "disk events need" in refusal(
        plan(disk(1e6, duration_s=5), name="x"),
        replace(MACHINE, scratch_dir=str(tmp_path)),
        parse_guard("disk_free=50%"),
    )


@pytest.mark.parametrize("kind", ["tmpfs", "ramfs", "nfs4", "cifs"])
def test_scratch_must_be_a_disk(kind):
    """Memory and the network are no disk of this machine, unless the user names the folder."""
    experiment, machine = (
        plan(disk(1e6, duration_s=5), name="x"),
        replace(MACHINE, scratch_filesystem=kind),
    )
    assert (
        refusal(experiment, machine)
        == f"x: the scratch folder /data/scratch is on {kind}, which is not a disk of this machine;"
        " name one with --twin-scratch-dir"
    )
    warnings = preflight.check(experiment, machine, OFF, is_scratch_named=True)
    why = (
        f"x: the scratch folder /data/scratch is on {kind}, which is memory: no byte of the disk"
        " load reaches a device, so none counts as delivered"
    )
    assert warnings == ([why] if kind in ("tmpfs", "ramfs") else [])


@pytest.mark.parametrize("backing", ["memory", "network"])
def test_scratch_is_judged_by_what_keeps_it_in_the_end(backing):
    """An overlay, or a file mounted by loop, is no disk where what is under it is none."""
    layers = f"overlay on ext4 on loop0 on {backing}"
    machine = replace(
        MACHINE, scratch_filesystem="overlay", scratch_backing=backing, scratch_layers=layers
    )
    assert (
        refusal(plan(disk(1e6, duration_s=5), name="x"), machine)
        == f"x: the scratch folder /data/scratch is on {layers}, which is not a disk of this"
        " machine; name one with --twin-scratch-dir"
    )


def test_scratch_that_cannot_be_known_is_taken():
    """What is not known is not refused; the doctor says so."""
    machine = replace(
        MACHINE, scratch_filesystem="zfs", scratch_layers="zfs on what cannot be seen from here"
    )
    assert preflight.check(plan(disk(1e6, duration_s=5), name="x"), machine, OFF) == []


def test_commands_need_leave():
    """A program runs only where the command line allows it, however the schedule came here."""
    assert (
        refusal(plan(command(["sleep", "1"], duration_s=1), name="x"))
        == "x: events[0].options.argv: 'sleep' is a command, and commands are not allowed; expected"
        " --twin-allow-commands on the command line"
    )


@pytest.mark.parametrize("word", ["no-such-program-anywhere", "/no/such/program", "./here"])
def test_a_program_must_exist(tmp_path, word):
    """What is not there is found before anything starts; a relative path counts from cwd."""
    with pytest.raises(InvalidInput, match=f"argv.0.: '{word}' is not an executable program"):
        preflight.check(
            plan(command([word], duration_s=1, cwd=str(tmp_path)), name="x"),
            MACHINE,
            OFF,
            may_run_commands=True,
        )


def test_a_folder_of_a_command_must_exist():
    """A missing cwd is named."""
    with pytest.raises(
        InvalidInput, match=r"x: events\[0\].options.cwd: '/no/such/folder' is not a folder"
    ):
        preflight.check(
            plan(command(["true"], duration_s=1, cwd="/no/such/folder"), name="x"),
            MACHINE,
            OFF,
            may_run_commands=True,
        )


def test_a_total_of_the_machine_stands_alone():
    """An event whose target is the total holds all other CPU events: two at a time mean nothing."""
    system, own = cpu(50, duration_s=5, target="system"), cpu(10, start_s=4, duration_s=5)
    assert "CPU event cpu-1 overlaps cpu-0, whose target is the total of the machine" in refusal(
        plan(system, own, name="x")
    )
    preflight.check(plan(system, cpu(10, start_s=5, duration_s=5)), MACHINE, OFF)


def test_needs_are_peaks_of_sums_over_time():
    """Levels that overlap are added up, those one after another are not.

    Scratch files all count.
    """
    experiment = plan(
        cpu(60, duration_s=5),
        cpu(30, start_s=2, duration_s=5),
        disk(1e6, duration_s=1),
        disk(3e6, start_s=1, duration_s=1),
        memory(10, duration_s=1),
    )
    needs = headroom.needs_of(experiment, MACHINE)
    assert needs["cpu_peak_percent"] == pytest.approx(90.0)
    assert needs["disk_peak_bytes_per_s"] == pytest.approx(3e6)
    assert needs["memory_peak_bytes"] == pytest.approx(0.1 * MACHINE.memory_limit_bytes)
    assert needs["space_bytes"] == 2 * experiment.events[2].option("file_bytes")


def test_room_of_a_part_is_its_share():
    """Available memory and floor are shared by the parts; the disk is everybody's."""
    whole = headroom.room_of(MACHINE, parse_guard("memory_available=10%,disk_free=1GiB"))
    assert whole["memory_bytes"] == 6 * GIB - 0.1 * MACHINE.memory_limit_bytes
    assert whole["space_bytes"] == 9 * GIB
    part = replace(
        MACHINE, parts=2, partition="p0", memory_limit_bytes=MACHINE.memory_limit_bytes // 2
    )
    floor_bytes = (
        6 * GIB - headroom.room_of(part, parse_guard("memory_available=10%"))["memory_bytes"]
    )
    assert floor_bytes == pytest.approx(0.05 * MACHINE.memory_limit_bytes)


# -- all of a plan ---------------------------------------------------------------------------------


def replayed(levels, kind=memory, step_s=1.0):
    """A recording of such levels, each held for a step."""
    points = [(step_s * index, level) for index, level in enumerate(levels)]
    return plan(
        kind(trace(points, interpolation="previous"), duration_s=step_s * len(levels)), name="x"
    )


@pytest.mark.parametrize("index", [0, 700, 1_234, 1_499])
def test_one_second_of_too_much_is_refused_wherever_it_stands(index):
    """A second at 97 % of memory among 1,500 is refused, and the moment named."""
    message = refusal(replayed([97 if row == index else 20 + row % 3 for row in range(1500)]))
    assert message.startswith(
        f"x: memory events ask for {0.97 * 8192:.0f} MiB at {index} s; expected at most 6144 MiB"
    )


def test_a_minute_of_a_week_is_in_the_table():
    """Ten thousand rows by the minute, one of them at 80 %.

    The peak that is said is that of the minute.
    """
    needs = headroom.needs_of(
        replayed([80 if row == 9_000 else 20 + row % 3 for row in range(10_080)], step_s=60.0),
        MACHINE,
    )
    assert needs["memory_peak_bytes"] == pytest.approx(0.8 * MACHINE.memory_limit_bytes)


def test_one_cpu_is_looked_at_as_closely():
    """A second of too much on one CPU is found among 1,500 of enough."""
    points = [(float(row), 60.0 if row == 1_321 else 10.0 + row % 3) for row in range(1500)]
    busy = cpu(trace(points, interpolation="previous"), duration_s=1500, cpus=[1])
    assert refusal(plan(busy, cpu(45, duration_s=1500, cpus=[1]), name="x")).startswith(
        "x: CPU events ask for 105 percent of CPU 1 together at 1321 s"
    )


def test_events_one_after_another_do_not_meet_by_rounding():
    """An event that ends at 0.1 s + 0.2 s and one that begins at 0.3 s are not at once."""
    preflight.check(
        plan(cpu(80, start_s=0.1, duration_s=0.2), cpu(70, start_s=0.3, duration_s=1)), MACHINE, OFF
    )


def test_a_spike_that_memory_cannot_follow_is_warned_about():
    """What cannot be filled in its second is said, however long the event is.

    What is held long enough is not.
    """
    (warning,) = preflight.check(
        replayed([70 if row == 700 else 20 for row in range(1500)]), MACHINE, OFF
    )
    assert warning.startswith(
        "x: mem-0 asks for 5734 MiB within 1 s from 700 s on; memory that the hypervisor has not"
        " backed yet fills at about 410 MiB/s"
    )
    assert (
        preflight.check(
            replayed([70 if 700 <= row < 715 else 20 for row in range(1500)]), MACHINE, OFF
        )
        == []
    )


def test_a_trace_that_begins_after_its_event_is_warned_about():
    """Times since 1970 in a trace hold the first level throughout: allowed, and said."""
    points = [
        (1_795_994_571.953 + row, level) for row, level in enumerate([10.0, 90.0, 20.0, 60.0])
    ]
    (warning,) = preflight.check(plan(cpu(trace(points), duration_s=4), name="x"), MACHINE, OFF)
    assert (
        warning
        == "x: the trace of cpu-0 begins at 1795994571.95 s, after the 4 s of the event, which so "
        "asks for 10 percent throughout; "
        "expected times from the start of the event"
    )
    assert preflight.check(plan(cpu(trace([(9, 10.0)]), duration_s=4)), MACHINE, OFF) == []
