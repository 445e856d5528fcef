"""Cost and punctuality of a sample, beside a psutil script, collectl and sadc, in one run.

    python benchmarks/telemetry_cost.py                 everything, about 12 minutes
    python benchmarks/telemetry_cost.py --only cost --rounds 5 --json cost.json --figure cost.png

CPU time is that of the sampling process alone, by its CPU clock (ns), over the samples that it
wrote; rounds alternate. Our probe process is read apart. Nothing is installed; a peer that is
missing is named and left out.
"""

import argparse
import contextlib
import csv
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import measure
from stress_fidelity import Ours

from twin_harness.schedule import builders
from twin_harness.system.board import Board
from twin_harness.system.machine import inspect_machine
from twin_harness.telemetry.start import Telemetry

HERE = Path(__file__).resolve().parent
LENGTH_S, WARM_UP_S = 15.0, 2.0
HOGS = (
    "stress-ng",
    "--cpu",
    "8",
    "--vm",
    "2",
    "--vm-bytes",
    "512M",
    "--hdd",
    "1",
    "--hdd-bytes",
    "256M",
    "--quiet",
)


@contextlib.contextmanager
def our_logger(folder, interval_s, source="auto"):
    """Run our logger and probe beside the block; gives logger, probe and board."""
    board, machine = Board.create(), inspect_machine(folder)
    telemetry = Telemetry(
        folder / "dataset.csv",
        folder / "logger.json",
        folder / "logger.lock",
        board.path,
        interval_s,
        os.getpid(),
        machine.to_json(),
        source=source,
    )
    processes = []
    try:
        processes.append(telemetry.ensure_logger())
        processes.append(telemetry.start_probe())
        yield processes[0].pid, processes[1].pid, board
    finally:
        board.ask_to_stop()
        for process in processes:
            process.end(5.0)
        board.close(unlink=True)


def cost_of_ours(folder, interval_s, source="auto"):
    """Return µs of CPU a sample, samples lost, and µs of the probe a sample."""
    with our_logger(folder, interval_s, source) as (logger, probe, board):
        time.sleep(WARM_UP_S)
        before = (
            measure.cpu_ns([logger]),
            measure.cpu_ns([probe]),
            board.dataset_state()[2],
            time.monotonic(),
        )
        time.sleep(LENGTH_S)
        after = (
            measure.cpu_ns([logger]),
            measure.cpu_ns([probe]),
            board.dataset_state()[2],
            time.monotonic(),
        )
    samples = after[2] - before[2]
    lost = sum(int(row["missed_samples"] or 0) for row in read_rows(folder / "dataset.csv"))
    return {
        "us": (after[0] - before[0]) / 1e3 / samples,
        "lost": lost,
        "samples": samples,
        "probe_us": (after[1] - before[1]) / 1e3 / samples,
    }


def read_rows(path):
    """Return the rows of a dataset."""
    with path.open() as file:
        return list(csv.DictReader(file))


def cost_of_program(words, out, interval_s, expected=None):
    """Return µs of CPU a sample, and samples lost, of a program that appends lines to ``out``."""
    with measure.program(*words) as process:
        time.sleep(WARM_UP_S)
        pids = measure.tree(process.pid)
        lines = count_lines(out) if out else None
        before_ns, begin_s = measure.cpu_ns(pids), time.monotonic()
        time.sleep(LENGTH_S)
        spent_ns, span_s = measure.cpu_ns(pids) - before_ns, time.monotonic() - begin_s
        due = span_s / interval_s
        samples = count_lines(out) - lines if out else expected or round(due)
    return {
        "us": spent_ns / 1e3 / max(samples, 1),
        "lost": max(0, round(due) - samples) if out else None,
        "samples": samples,
    }


def cost_of_scrapes():
    """Return µs of CPU a scrape of node_exporter, one a second."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with measure.program(
        "prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{port}"
    ) as process:
        time.sleep(WARM_UP_S)
        scrapes, begin_ns = 0, measure.cpu_ns([process.pid])
        end_s = time.monotonic() + LENGTH_S
        while time.monotonic() < end_s:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                answer.read()
            scrapes += 1
            time.sleep(1.0)
        return {
            "us": (measure.cpu_ns([process.pid]) - begin_ns) / 1e3 / scrapes,
            "lost": None,
            "samples": scrapes,
        }


def draw(results, path):
    """Draw µs a sample of each tool, with the range of its rounds."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rows = results["cost"]
    figure, axes = plt.subplots(figsize=(8, 0.5 * len(rows) + 1.2), layout="constrained")
    for at, (name, row) in enumerate(rows.items()):
        us = row["us"]
        axes.barh(at, us["median"], color="#0072b2" if name.startswith("ours") else "#999999")
        axes.plot([us["min"], us["max"]], [at, at], color="black")
        axes.text(us["max"] + 40, at, f"{us['median']:.0f} µs, n = {us['n']}", va="center")
    axes.set(
        yticks=range(len(rows)),
        yticklabels=list(rows),
        xlabel="CPU time a sample, µs (bar: median; line: range of rounds)",
        title=results["machine"],
    )
    axes.set_xlim(0, 1.25 * max(row["us"]["max"] for row in rows.values()))
    axes.invert_yaxis()
    figure.savefig(path, dpi=120)


def count_lines(path):
    """Return how many lines a file holds by now."""
    path = Path(path)
    return path.read_bytes().count(b"\n") if path.exists() else 0


def sadc_path():
    """Return where Debian or others keep sadc, or None; say so."""
    for path in ("/usr/lib/sysstat/sadc", "/usr/lib64/sa/sadc", "/usr/libexec/sysstat/sadc"):
        if Path(path).exists():
            return path
    print("skipped: sadc (sysstat) is not installed", file=sys.stderr)
    return None


def compare_cost(rounds, say):
    """Return µs a sample of each tool at 10 Hz, and our ratios to them.

    sadc at its fastest, 1 Hz.
    """
    tools = {
        "ours": lambda folder: cost_of_ours(folder, 0.1),
        "ours, psutil source": lambda folder: cost_of_ours(folder, 0.1, "psutil"),
        "plain psutil script": lambda folder: cost_of_program(
            [sys.executable, str(HERE / "peers" / "plain_psutil.py"), str(folder / "x.csv"), "0.1"],
            folder / "x.csv",
            0.1,
        ),
    }
    if measure.version_of("collectl"):
        tools["collectl -i 0.1"] = lambda folder: cost_of_program(
            ["collectl", "-i", "0.1", "-scCdDmnN", "-P", "-f", str(folder / "c")], None, 0.1
        )
    if sadc := sadc_path():
        tools["sadc -S ALL at 1 Hz"] = lambda folder: cost_of_program(
            [sadc, "-S", "ALL", "1", str(folder / "s")], None, 1.0
        )
    if measure.version_of("prometheus-node-exporter"):
        tools["node_exporter, a scrape"] = lambda _: cost_of_scrapes()
    found = {name: [] for name in tools}
    for number in range(rounds):
        for name in list(tools) if number % 2 else list(tools)[::-1]:
            say(f"cost: round {number + 1} of {rounds}, {name}")
            with tempfile.TemporaryDirectory() as folder:
                found[name].append(tools[name](Path(folder)))
    rows = {
        name: {
            "us": measure.figure([one["us"] for one in series]),
            "lost": sum(one["lost"] or 0 for one in series),
        }
        for name, series in found.items()
    }
    rows["ours"]["probe_us"] = measure.figure([one["probe_us"] for one in found["ours"]])
    for name, series in found.items():
        rows[name]["ratio"] = measure.figure(
            [ours["us"] / one["us"] for ours, one in zip(found["ours"], series, strict=True)]
        )
    return rows


def count_missed(scratch, say):
    """Return the samples that ours and the psutil script lose at 10 and 100 Hz.

    Idle, and beside full load by our own stressors.
    """
    found = []
    ours = Ours(scratch)
    for load in ("idle", "full load"):
        for interval_s in (0.1, 0.01):
            with contextlib.ExitStack() as stack:
                if load != "idle":
                    for event in (
                        builders.cpu(100, duration_s=120.0),
                        builders.memory(20, duration_s=120.0),
                        builders.disk(40e6, duration_s=120.0),
                    ):
                        _, zero_s = stack.enter_context(ours.running(event))
                    measure.sleep_until(zero_s + 2.0)
                for name in ("ours", "plain psutil script"):
                    say(f"missed samples: {load}, every {interval_s:g} s, {name}")
                    with tempfile.TemporaryDirectory() as folder:
                        if name == "ours":
                            one = cost_of_ours(Path(folder), interval_s)
                        else:
                            out = Path(folder, "x.csv")
                            one = cost_of_program(
                                [
                                    sys.executable,
                                    str(HERE / "peers" / "plain_psutil.py"),
                                    str(out),
                                    str(interval_s),
                                ],
                                out,
                                interval_s,
                            )
                    found.append(
                        {
                            "load": load,
                            "interval_s": interval_s,
                            "tool": name,
                            "lost": one["lost"],
                            "samples": one["samples"],
                            "us": one["us"],
                        }
                    )
    return found


def measure_lateness(rounds, say):
    """Return lateness of samples at 10 Hz under load, with and without SCHED_FIFO.

    The load is 8 CPU, 2 memory and 1 disk hogs; rows with steal of 1 % or more are left out.
    """
    found = {}
    if not measure.version_of("stress-ng"):
        return found
    ways = {"as permitted": []}
    if shutil.which("setpriv") and os.getuid() == 0:
        ways["without SCHED_FIFO"] = ["setpriv", "--bounding-set=-sys_nice"]
    for name, prefix in ways.items():
        late_ms, dropped = [], 0
        for number in range(rounds):
            say(f"lateness: round {number + 1} of {rounds}, {name}")
            with (
                tempfile.TemporaryDirectory(dir=".") as folder,
                measure.program("sh", "-c", f"cd {folder} && exec {' '.join(HOGS)}"),
            ):
                time.sleep(2.0)
                out = Path(folder, "x.csv").resolve()
                words = [
                    *prefix,
                    sys.executable,
                    "-m",
                    "twin_harness.cli",
                    "log",
                    "--interval",
                    "0.1",
                    "--duration",
                    "15",
                    "--out",
                    str(out),
                ]
                subprocess.run(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    check=True,
                )
                for row in read_rows(out):
                    if float(row["cpu_steal_percent"] or 0) < 1.0:
                        late_ms.append(float(row["lateness_ms"]))
                    else:
                        dropped += 1
        late_ms.sort()
        found[name] = {
            "median_ms": statistics.median(late_ms) if late_ms else None,
            "p99_ms": late_ms[int(0.99 * len(late_ms))] if late_ms else None,
            "max_ms": late_ms[-1] if late_ms else None,
            "n": len(late_ms),
            "left_out_for_steal": dropped,
        }
    return found


def print_cost(rows):
    """Write the table of what a sample costs."""
    print("\nCPU time a sample at 10 Hz, µs; median [range] of rounds")
    for name, row in rows.items():
        ratio = "" if name == "ours" else f"  ours to it {measure.shown(row['ratio'])}"
        lost = f"  lost {row['lost']}" if name.startswith(("ours", "plain")) else ""
        print(f"  {name:<22} {measure.shown(row['us'], 0)}{lost}{ratio}")
    print(
        f"  our probe process, told apart: {measure.shown(rows['ours']['probe_us'], 0)} µs a sample"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only",
        choices=("cost", "missed", "lateness"),
        action="append",
        help="leave the rest out; may be given again",
    )
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds (default: 5)")
    parser.add_argument(
        "--scratch", default=".", help="folder on a disk, for the full load (default: here)"
    )
    parser.add_argument("--json", metavar="FILE", help="results for machines")
    parser.add_argument("--figure", metavar="PNG", help="the cost as a figure")
    arguments = parser.parse_args()
    wanted = arguments.only or ["cost", "missed", "lateness"]

    def say(text):
        sys.stderr.write(f"{text}\n")

    results = {"machine": measure.machine_line()}
    print(results["machine"])
    if "cost" in wanted:
        results["cost"] = compare_cost(arguments.rounds, say)
        print_cost(results["cost"])
    if "missed" in wanted:
        results["missed"] = count_missed(arguments.scratch, say)
        print("\nSamples lost")
        for row in results["missed"]:
            rate = f"every {row['interval_s']:g} s"
            print(
                f"  {row['load']:<10} {rate:<13} {row['tool']:<20} lost {row['lost']} of"
                f" {row['samples'] + row['lost']}, {row['us']:.0f} µs a sample"
            )
    if "lateness" in wanted:
        results["lateness"] = measure_lateness(max(1, arguments.rounds // 2), say)
        print(
            "\nLateness at 10 Hz beside 8 CPU, 2 memory and 1 disk hogs, rows with steal below 1 %"
        )
        for name, row in results["lateness"].items():
            if row["n"]:
                late = (
                    f"median {row['median_ms']:.2f}, p99 {row['p99_ms']:.2f}, max"
                    f" {row['max_ms']:.2f} ms"
                )
                print(
                    f"  {name:<20} {late}, n = {row['n']}; {row['left_out_for_steal']} rows left"
                    " out for steal"
                )
    if arguments.figure and "cost" in results:
        draw(results, arguments.figure)
    if arguments.json:
        measure.write_json(arguments.json, results)


if __name__ == "__main__":
    main()
