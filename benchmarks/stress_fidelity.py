"""Delivered load against asked, ours beside stress-ng, fio and a plain duty cycle, in one run.

    python benchmarks/stress_fidelity.py                  everything, about 25 minutes on two CPUs
    python benchmarks/stress_fidelity.py --only cpu --rounds 5 --json fidelity.json --figure
    fidelity.png

Every tool is read from outside, in the same way: CPU clocks of its whole process tree (ns) in 0.5 s
windows, resident bytes, the kernel's I/O account and the device's own counter. Rounds alternate
between the tools. Nothing is installed; a peer that is missing is named and left out.
"""

import argparse
import contextlib
import dataclasses
import itertools
import mmap
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import measure

from twin_harness.control.host_link import HostLink
from twin_harness.schedule import builders
from twin_harness.schedule.model import Experiment
from twin_harness.session.config import TwinConfig
from twin_harness.shapes import shape as shapes
from twin_harness.system.board import Board
from twin_harness.system.machine import inspect_machine

CPUS = sorted(os.sched_getaffinity(0))
WINDOW_S, LENGTH_S, SETTLE_S = 0.5, 6.5, 0.5
QUIET_LEVELS, HOG_LEVELS = (10, 33, 60, 85, 95), (25, 40)
RATES_MIB = (5, 20, 80)
GIB, MIB = 2**30, 2**20
DUTY = """
import multiprocessing, sys, time
def cycle(level):
    while True:
        begin_s = time.perf_counter()
        while time.perf_counter() - begin_s < 0.1 * level:
            pass
        time.sleep(max(0.0, 0.1 - (time.perf_counter() - begin_s)))
for _ in range(int(sys.argv[2])):
    multiprocessing.Process(target=cycle, args=(float(sys.argv[1]) / 100,)).start()
"""
POPULATE = """
import mmap, sys, time
area = mmap.mmap(-1, int(sys.argv[1]), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
begin_s = time.monotonic()
area.madvise(23)
print(time.monotonic() - begin_s, flush=True)
time.sleep(60)
"""


class Ours:
    """Our stressors, by their load host alone: no logger, no guard, no session."""

    def __init__(self, scratch):
        self.machine = inspect_machine(Path(scratch))

    @contextlib.contextmanager
    def running(self, event):
        """Run one event beside the block.

        Gives the pid of its load host and the start of the event on CLOCK_MONOTONIC.
        """
        board = Board.create()
        experiment = Experiment(events=(event,))
        machine = self.machine
        plan = {
            "board": str(board.path),
            "watch_pids": [os.getpid()],
            "cpus": list(machine.cpus),
            "cpu_capacity": machine.cpu_capacity,
            "scratch_dir": machine.scratch_dir,
            "is_scratch_memory": machine.backing == "memory",
            "is_pinned": False,
            "part": 0,
            "memory_floor_bytes": int(
                TwinConfig().guard.memory_available.of(machine.memory_limit_bytes)
            ),
            "memory_limit_bytes": machine.bounding_limit_bytes,
            "custom": {},
            "custom_path": [],
            "environments": {},
            "events": [
                {
                    "id": planned.id,
                    "stressor": planned.stressor,
                    "start_s": planned.start_s,
                    "duration_s": planned.duration_s,
                    "shape": shapes.to_json(planned.shape),
                    "scale": planned.scale(machine.cpu_capacity, machine.memory_limit_bytes),
                    "options": planned.resolved_options(),
                }
                for planned in experiment.events
            ],
        }
        link = HostLink.start(plan, None)
        try:
            link.await_ready()
            zero_s = time.monotonic() + 0.5
            link.begin(zero_s, 0)
            yield link, zero_s
        finally:
            link.close()
            board.close(unlink=True)


def windows_of(read, zero_s, length_s, window_s=WINDOW_S):
    """Return what a counter gained in each window after ``zero_s``, per second."""
    measure.sleep_until(zero_s)
    times, values = [time.monotonic()], [read()]
    for number in range(1, round(length_s / window_s) + 1):
        measure.sleep_until(zero_s + number * window_s)
        times.append(time.monotonic())
        values.append(read())
    spans = list(itertools.pairwise(times))
    return [
        (after - before) / (end - begin)
        for (before, after), (begin, end) in zip(itertools.pairwise(values), spans, strict=True)
    ], spans


def rmse(errors):
    """Return the root mean square."""
    return statistics.fmean(error**2 for error in errors) ** 0.5 if errors else None


# -- CPU -------------------------------------------------------------------------------------------


def cpu_tools(ours):
    """Return what makes each tool put a constant level on all CPUs."""
    count = str(len(CPUS))

    @contextlib.contextmanager
    def by_us(level):
        with ours.running(builders.cpu(level, duration_s=LENGTH_S)) as (link, zero_s):
            yield link.host_pid, zero_s

    @contextlib.contextmanager
    def by_program(*words):
        with measure.program(*words) as process:
            yield process.pid, time.monotonic() + 0.5

    tools = {
        "ours": by_us,
        "duty cycle": lambda level: by_program(sys.executable, "-c", DUTY, str(level), count),
    }
    if measure.version_of("stress-ng"):
        tools["stress-ng"] = lambda level: by_program(
            "stress-ng", "--cpu", count, "--cpu-load", str(level), "--quiet"
        )
    return tools


def one_cpu_round(tool, level):
    """Return the means of delivered CPU in percent of the machine, window by window."""
    with tool(level) as (pid, zero_s):
        gains, _ = windows_of(
            lambda: measure.cpu_ns(measure.tree(pid)), zero_s, LENGTH_S - WINDOW_S
        )
    return [100.0 * gain / 1e9 / len(CPUS) for gain in gains]


def compare_cpu(ours, rounds, say):
    """Return a row a condition, level and tool.

    Mean, error of the mean, RMSE of windows, settled or not.
    """
    tools, rows = cpu_tools(ours), []
    for condition, levels in (("quiet", QUIET_LEVELS), ("beside a hog", HOG_LEVELS)):
        with measure.competitor() if condition != "quiet" else contextlib.nullcontext():
            for level in levels:
                found = {name: [] for name in tools}
                for number in range(rounds):
                    for name in sorted(
                        tools, key=lambda name, number=number: (number + len(name)) % len(tools)
                    ):
                        found[name].append(
                            one_cpu_round(tools[name], level)[round(SETTLE_S / WINDOW_S) :]
                        )
                        say(f"cpu {condition} {level} %: round {number + 1} of {rounds}, {name}")
                for name, series in found.items():
                    rows.append(
                        {
                            "resource": "cpu",
                            "condition": condition,
                            "asked": level,
                            "tool": name,
                            "mean": measure.figure(
                                [statistics.fmean(windows) for windows in series]
                            ),
                            "error": measure.figure(
                                [statistics.fmean(windows) - level for windows in series]
                            ),
                            "rmse": measure.figure(
                                [rmse([window - level for window in windows]) for windows in series]
                            ),
                            "settled": sum(
                                all(abs(window - level) <= 1.0 for window in windows)
                                for windows in series
                            ),
                        }
                    )
    return rows


SHAPES = {
    "ramp": shapes.ramp(0, 80),
    "sine": shapes.sine(40, 30, 4.0),
    "steps": shapes.steps([20, 60, 40, 80]),
    "square": shapes.square(15, 65, 4.0),
    "spikes": shapes.spikes(20, 50, 1.0, 15, seed=3),
    "leak": shapes.leak(10, 4.0),
    "trace": shapes.trace([(0, 10), (3, 50), (5, 30), (9, 70), (12, 20)]),
}
SHAPE_S = 12.0


def follow_shapes(ours, say):
    """Return requested and delivered in short windows for each shape on each resource.

    With the RMSE outside 0.5 s after each jump.
    """
    rows = []
    for resource in ("cpu", "memory", "disk"):
        for name, shape in SHAPES.items():
            say(f"{resource}: {name}")
            rows.append(
                {"resource": resource, "shape": name, **follow_shape(ours, resource, shape)}
            )
    return rows


def follow_shape(ours, resource, shape):
    """Run one shape.

    Levels are percent of the machine for CPU, of 2 GiB for memory, of 40 MB/s for disk.
    """
    factor = {"cpu": 1.0, "memory": 2 * GIB / 100, "disk": 40e6 / 100}[resource]
    scaled = _scaled(shape, factor)
    make = {
        "cpu": builders.cpu,
        "memory": lambda shape, **more: builders.memory(shape, unit="bytes", **more),
        "disk": builders.disk,
    }[resource]
    with ours.running(make(scaled, duration_s=SHAPE_S)) as (link, zero_s):
        pid = link.host_pid
        if resource == "memory":
            asked, got, times = [], [], []
            base = measure.held_bytes(measure.tree(pid))
            while (now_s := time.monotonic()) < zero_s + SHAPE_S - 0.05:
                if now_s < zero_s:
                    base = measure.held_bytes(measure.tree(pid))
                else:
                    times.append(now_s - zero_s)
                    asked.append(scaled.level(now_s - zero_s, SHAPE_S))
                    got.append(measure.held_bytes(measure.tree(pid)) - base)
                time.sleep(0.05)
            spans = [(t, t) for t in times]
        else:
            read = measure.cpu_ns if resource == "cpu" else measure.moved_bytes
            gains, stamps = windows_of(lambda: read(measure.tree(pid)), zero_s, SHAPE_S - WINDOW_S)
            spans = [(begin - zero_s, end - zero_s) for begin, end in stamps]
            unit = 1e7 * len(CPUS) if resource == "cpu" else 1.0
            got = [gain / unit for gain in gains]
            asked = [
                (scaled.area(end, SHAPE_S) - scaled.area(begin, SHAPE_S)) / (end - begin)
                for begin, end in spans
            ]
            times = [end for _, end in spans]
    jumps = (0.0, *scaled.discontinuities(SHAPE_S))
    kept = [
        index
        for index, (begin, end) in enumerate(spans)
        if not any(begin < jump + SETTLE_S and end >= jump for jump in jumps)
    ]
    errors = [(got[index] - asked[index]) / factor for index in kept]
    return {
        "times_s": times,
        "asked": [value / factor for value in asked],
        "got": [value / factor for value in got],
        "rmse": rmse(errors),
        "n": len(kept),
    }


def _scaled(shape, factor):
    """Return a shape with every level multiplied."""
    levels = {
        "level",
        "from_",
        "to",
        "mean",
        "amplitude",
        "low",
        "high",
        "base",
        "height",
        "start",
        "rate_per_s",
    }
    changes = {
        field.name: getattr(shape, field.name) * factor
        for field in dataclasses.fields(shape)
        if field.name in levels
    }
    if isinstance(shape, shapes.Steps):
        changes["levels"] = tuple(level * factor for level in shape.levels)
    if isinstance(shape, shapes.Trace):
        changes["points"] = tuple((at_s, level * factor) for at_s, level in shape.points)
    return dataclasses.replace(shape, **changes)


def busy_percent():
    """Return the busy ticks of all our CPUs since boot, as CPU seconds.

    They are user, nice, system, irq and softirq.
    """
    total = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name[3:].isdecimal() and int(name[3:]) in CPUS:
            total += sum(int(fields[index]) for index in (0, 1, 2, 5, 6))
    return total / os.sysconf("SC_CLK_TCK")


def fill_up(ours, rounds, say):
    """Return the total over 5 s beside a varying neighbour for ``target.

    System``, and our share beside one that exceeds the target.
    """
    totals, shares = [], []
    for number in range(rounds):
        say(f"cpu target system: round {number + 1} of {rounds}")
        with (
            measure.competitor(measure.VARYING_HOG),
            ours.running(builders.cpu(60, duration_s=11.0, target="system")) as (_, zero_s),
        ):
            measure.sleep_until(zero_s + 1.0)
            gains, _ = windows_of(busy_percent, zero_s + 1.0, 10.0, 5.0)
            totals += [100.0 * gain / len(CPUS) for gain in gains]
        with (
            measure.competitor(count=len(CPUS)),
            ours.running(builders.cpu(60, duration_s=6.0, target="system")) as (link, zero_s),
        ):
            pid = link.host_pid
            gains, _ = windows_of(
                lambda pid=pid: measure.cpu_ns(measure.tree(pid)), zero_s + 1.0, 5.0, 5.0
            )
            shares += [100.0 * gain / 1e9 / len(CPUS) for gain in gains]
    return {"total_of_60": measure.figure(totals), "share_beside_full_hogs": measure.figure(shares)}


# -- memory ----------------------------------------------------------------------------------------


def compare_memory(ours, rounds, say):
    """Return fill times of a 4 GiB step beside a plain MADV_POPULATE_WRITE.

    With error and cost of holding, and time of release.
    """
    size_bytes = 4 * GIB
    fills, plain, errors, holding, releases = [], [], [], [], []
    for number in range(rounds):
        for who in ("ours", "plain") if number % 2 else ("plain", "ours"):
            say(f"memory: round {number + 1} of {rounds}, {who}")
            if who == "plain":
                plain.append(_plain_fill_s(size_bytes))
                continue
            fill_s, error, cost, release_s = _our_fill(ours, size_bytes)
            fills.append(fill_s)
            errors.append(error)
            holding.append(cost)
            releases.append(release_s)
    found = {
        "fill_s": {
            "ours": measure.figure(fills),
            "plain MADV_POPULATE_WRITE": measure.figure(plain),
        },
        "ratio_of_fill": measure.figure(
            [ours_s / plain_s for ours_s, plain_s in zip(fills, plain, strict=True)]
        ),
        "held_error_percent": measure.figure(errors),
        "holding_percent_of_a_core": {"ours": measure.figure(holding)},
        "release_s_of_4_gib": measure.figure(releases),
    }
    if measure.version_of("stress-ng"):
        found["holding_percent_of_a_core"]["stress-ng --vm"] = measure.figure(
            [_stress_ng_vm() for _ in range(rounds)]
        )
    return found


def _plain_fill_s(size_bytes):
    process = subprocess.Popen(
        [sys.executable, "-c", POPULATE, str(size_bytes)], stdout=subprocess.PIPE
    )
    try:
        return float(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        time.sleep(1.5)


def _our_fill(ours, size_bytes):
    with ours.running(builders.memory(float(size_bytes), unit="bytes", duration_s=14.0)) as (
        link,
        zero_s,
    ):
        pid = link.host_pid
        measure.sleep_until(zero_s - 0.05)
        children = measure.tree(pid)
        base = measure.held_bytes(children)
        fill_s = None
        while time.monotonic() < zero_s + 10.0:
            if measure.held_bytes(children) - base >= 0.999 * size_bytes:
                fill_s = time.monotonic() - zero_s
                break
            time.sleep(0.005)
        measure.sleep_until(zero_s + 10.5)
        before_ns, begin_s = measure.cpu_ns(children), time.monotonic()
        worst = 0.0
        while time.monotonic() < zero_s + 13.5:
            worst = max(
                worst, abs(measure.held_bytes(children) - base - size_bytes) / size_bytes * 100
            )
            time.sleep(0.1)
        cost = (measure.cpu_ns(children) - before_ns) / 1e7 / (time.monotonic() - begin_s)
        measure.sleep_until(zero_s + 13.95)
        released_s = None
        while released_s is None and time.monotonic() < zero_s + 20.0:
            for message in link.poll(0.1):
                released_s = message.get("release_s", released_s)
        time.sleep(1.0)
    return fill_s, worst, cost, released_s


def _stress_ng_vm():
    with measure.program(
        "stress-ng", "--vm", "1", "--vm-bytes", "2G", "--vm-keep", "--quiet"
    ) as process:
        time.sleep(3.0)
        gains, _ = windows_of(
            lambda: measure.cpu_ns(measure.tree(process.pid)), time.monotonic(), 3.0, 3.0
        )
    return gains[0] / 1e7


# -- disk ------------------------------------------------------------------------------------------


def compare_disk(ours, rounds, say):
    """Return a row a rate and tool.

    Delivered by the I/O account and at the device, in 1 s windows, and CPU per byte.
    """
    device = ours.machine.scratch_device
    has_fio, rows = measure.version_of("fio"), []
    for rate_mib in RATES_MIB:
        found = {"ours": [], **({"fio": []} if has_fio else {})}
        for number in range(rounds):
            for name in list(found) if number % 2 else list(found)[::-1]:
                say(f"disk {rate_mib} MiB/s: round {number + 1} of {rounds}, {name}")
                found[name].append(_disk_round(ours, name, rate_mib, device))
        rows += [
            {
                "resource": "disk",
                "asked": rate_mib,
                "tool": name,
                "error_percent": measure.figure(
                    [100 * (one["mean"] - rate_mib) / rate_mib for one in series]
                ),
                "worst_window_percent": measure.figure(
                    [
                        max(abs(100 * (window - rate_mib) / rate_mib) for window in one["windows"])
                        for one in series
                    ]
                ),
                "device_percent": measure.figure(
                    [100 * (one["device"] - rate_mib) / rate_mib for one in series]
                ),
                "cpu_ns_per_byte": measure.figure([one["cpu_ns_per_byte"] for one in series]),
                "percent_of_a_core": measure.figure([one["percent_of_a_core"] for one in series]),
            }
            for name, series in found.items()
        ]
    return rows


def _disk_round(ours, name, rate_mib, device, length_s=6.0):
    if name == "ours":
        with ours.running(builders.disk(rate_mib * MIB, duration_s=length_s + 1.5)) as (
            link,
            zero_s,
        ):
            return _read_disk(link.host_pid, zero_s + 0.5, device, length_s)
    with tempfile.TemporaryDirectory(dir=ours.machine.scratch_dir) as folder:
        words = [
            "fio",
            "--name=x",
            f"--directory={folder}",
            "--rw=write",
            "--bs=256k",
            "--direct=1",
            "--size=128m",
            "--time_based",
            "--runtime=60",
            "--thread",
        ]
        with measure.program(
            *words, f"--rate={rate_mib}m", "--ioengine=psync", "--loops=1000"
        ) as process:
            measure.sleep_until(time.monotonic() + 2.0)
            return _read_disk(process.pid, time.monotonic() + 0.1, device, length_s)


def _read_disk(pid, begin_s, device, length_s):
    measure.sleep_until(begin_s)
    processes = measure.tree(pid)
    before = measure.device_bytes(device), measure.cpu_ns(processes), time.monotonic()
    gains, _ = windows_of(lambda: measure.moved_bytes(processes), begin_s, length_s, 1.0)
    span_s = time.monotonic() - before[2]
    cpu_ns, at_device = (
        measure.cpu_ns(processes) - before[1],
        measure.device_bytes(device) - before[0],
    )
    windows = [gain / MIB for gain in gains]
    mean = statistics.fmean(windows)
    return {
        "mean": mean,
        "windows": windows,
        "device": at_device / span_s / MIB,
        "cpu_ns_per_byte": cpu_ns / (mean * MIB * span_s),
        "percent_of_a_core": cpu_ns / 1e7 / span_s,
    }


# -- output ----------------------------------------------------------------------------------------


def print_cpu(rows):
    """Print the table of CPU levels, and our RMSE as a part of each peer's."""
    print(
        "\nCPU: delivered against asked, percent of the machine, CPU clocks in 0.5 s windows;"
        " median [range] of rounds"
    )
    print(
        f"{'condition':<13} {'asked':>5}  {'tool':<11} {'mean error':<32} {'RMSE':<32}"
        f" {'settled':<9} ratio of RMSE, ours to it"
    )
    for row in rows:
        own = next(
            other
            for other in rows
            if other["tool"] == "ours"
            and (other["condition"], other["asked"]) == (row["condition"], row["asked"])
        )
        ratio = (
            f"{own['rmse']['median'] / row['rmse']['median']:.2f}"
            if row["tool"] != "ours" and row["rmse"]["median"]
            else ""
        )
        settled = f"{row['settled']}/{row['rmse']['n']}"
        error, spread = measure.shown(row["error"]), measure.shown(row["rmse"])
        print(
            f"{row['condition']:<13} {row['asked']:>5}  {row['tool']:<11} {error:<32} {spread:<32}"
            f" {settled:<9} {ratio}"
        )


def print_disk(rows):
    """Print the table of disk rates."""
    print("\nDisk: direct sequential writes of 256 KiB, percent of asked; median [range] of rounds")
    print(
        f"{'asked MiB/s':>11}  {'tool':<5} {'mean error %':<32} {'worst 1 s window %':<30}"
        f" {'device %':<32} {'CPU ns per byte':<30} ratio, ours to it"
    )
    for row in rows:
        own = next(
            other for other in rows if other["tool"] == "ours" and other["asked"] == row["asked"]
        )
        ratio = (
            f"{own['cpu_ns_per_byte']['median'] / row['cpu_ns_per_byte']['median']:.2f}"
            if row["tool"] != "ours"
            else ""
        )
        columns = [
            measure.shown(row[name])
            for name in (
                "error_percent",
                "worst_window_percent",
                "device_percent",
                "cpu_ns_per_byte",
            )
        ]
        print(
            f"{row['asked']:>11}  {row['tool']:<5} {columns[0]:<32} {columns[1]:<30}"
            f" {columns[2]:<32} {columns[3]:<30} {ratio}"
        )


def print_memory(found):
    """Print what memory load did."""
    print("\nMemory: a step of 4 GiB; median [range] of rounds")
    for name, value in found["fill_s"].items():
        print(f"  filled by {name:<27} {measure.shown(value)} s")
    print(f"  ratio of fill times, ours to plain    {measure.shown(found['ratio_of_fill'])}")
    print(
        f"  worst error while held                {measure.shown(found['held_error_percent'], 3)} %"
    )
    for name, value in found["holding_percent_of_a_core"].items():
        print(f"  holding, {name:<28} {measure.shown(value)} % of a core")
    print(
        f"  released after                        {measure.shown(found['release_s_of_4_gib'], 3)} s"
    )


def print_shapes(rows):
    """Print the RMSE of each shape on each resource."""
    print(
        "\nShapes: RMSE of delivered less asked outside 0.5 s after each jump (cpu: points; memory:"
        " % of 2 GiB; disk: % of 40 MB/s)"
    )
    for resource in ("cpu", "memory", "disk"):
        print(
            f"  {resource:<7}"
            + "  ".join(
                f"{row['shape']} {_two(row['rmse'])} (n={row['n']})"
                for row in rows
                if row["resource"] == resource
            )
        )


def _two(value):
    return "-" if value is None else f"{value:.2f}"


def draw(rows, path):
    """Draw requested and delivered of each shape on each resource."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 8), dpi=90)
    axes = figure.subplots(3, len(SHAPES), sharex=True, sharey=True)
    for row in rows:
        pane = axes[("cpu", "memory", "disk").index(row["resource"])][
            list(SHAPES).index(row["shape"])
        ]
        pane.step(row["times_s"], row["asked"], color="#6b6b6b", where="pre", label="asked")
        pane.step(
            row["times_s"],
            row["got"],
            color="#0072B2",
            where="pre",
            linestyle="--",
            label="delivered",
        )
        pane.set_title(f"{row['resource']}: {row['shape']}, RMSE {_two(row['rmse'])}", fontsize=8)
    axes[0][0].legend(fontsize=7)
    figure.supxlabel("seconds")
    figure.supylabel("percent of the machine, of 2 GiB, of 40 MB/s")
    figure.tight_layout()
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only",
        choices=("cpu", "shapes", "system", "memory", "disk"),
        action="append",
        help="leave the rest out; may be given again",
    )
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds (default: 5)")
    parser.add_argument(
        "--scratch", default=".", help="folder on the disk under test (default: here)"
    )
    parser.add_argument("--json", metavar="FILE", help="results for machines")
    parser.add_argument(
        "--figure", metavar="FILE", help="requested against delivered of each shape, as a PNG"
    )
    arguments = parser.parse_args()
    wanted = arguments.only or ["cpu", "shapes", "system", "memory", "disk"]
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        sys.exit("this benchmark reads /proc: it runs on Linux alone")
    is_terminal = sys.stderr.isatty()

    def say(text):
        sys.stderr.write(f"\r\x1b[2K{text}" if is_terminal else f"{text}\n")
        sys.stderr.flush()

    print(
        f"{measure.machine_line()};"
        f" {', '.join(filter(None, map(measure.version_of, ('stress-ng', 'fio'))))}"
    )
    ours, results = Ours(arguments.scratch), {"machine": measure.machine_line()}
    if "cpu" in wanted:
        results["cpu"] = compare_cpu(ours, arguments.rounds, say)
        print_cpu(results["cpu"])
    if "system" in wanted:
        results["system"] = fill_up(ours, arguments.rounds, say)
        print(
            "\nCPU with target system, 60 %: total over 5 s beside a varying neighbour"
            f" {measure.shown(results['system']['total_of_60'])} %"
        )
        print(
            "  own share beside neighbours that take everything"
            f" {measure.shown(results['system']['share_beside_full_hogs'], 3)} %"
        )
    if "shapes" in wanted:
        results["shapes"] = follow_shapes(ours, say)
        print_shapes(results["shapes"])
        if arguments.figure:
            draw(results["shapes"], arguments.figure)
    if "memory" in wanted:
        results["memory"] = compare_memory(ours, arguments.rounds, say)
        print_memory(results["memory"])
    if "disk" in wanted:
        results["disk"] = compare_disk(ours, arguments.rounds, say)
        print_disk(results["disk"])
    if arguments.json:
        measure.write_json(arguments.json, results)


if __name__ == "__main__":
    main()
