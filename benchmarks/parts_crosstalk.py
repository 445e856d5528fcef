"""What experiments in parts of one machine do to each other, and what is gained.

The same experiments alone in a part, in parts at once, and on the whole machine one after another:

    python benchmarks/parts_crosstalk.py --rounds 5 --json crosstalk.json        about 3 minutes a
    round

The load's fidelity, the wake-up probe, and the speed of a fixed piece of work (a victim that is no
load of ours) tell the cross-talk; wall time of the whole pytest session tells the gain. Rounds
alternate.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import measure

from twin_harness import load

PARTS = 2
HEAD = """
import json
import time
from itertools import repeat
from pathlib import Path

import pytest

from twin_harness import cpu, disk, memory, sine
"""
VICTIM = """
@pytest.mark.parametrize("turn", {turns})
@pytest.mark.experiment(lead_s=0, tail_s=0.1)
def test_work_{name}(recording, turn):
    done, end_s = 0, time.monotonic() + 6
    while time.monotonic() < end_s:
        for _ in repeat(None, 20_000): pass
        done += 1
    Path(f"work-{{turn}}.json").write_text(json.dumps(done / 6))
"""
LOADS = """
@pytest.mark.parametrize("turn", {turns})
@pytest.mark.experiment(cpu(30, duration_s=6), lead_s=0.5, tail_s=0.5)
def test_cpu_30(recording, turn): pass


@pytest.mark.parametrize("turn", {turns})
@pytest.mark.experiment(cpu(85, duration_s=6), lead_s=0.5, tail_s=0.5)
def test_cpu_85(recording, turn): pass


@pytest.mark.parametrize("turn", {turns})
@pytest.mark.experiment(
    cpu(sine(50, 30, 3), duration_s=6),
    disk(10e6, duration_s=6),
    memory(1, duration_s=6),
    lead_s=0.5,
    tail_s=0.5,
)
def test_mixed(recording, turn): pass
"""
BEFORE, AFTER = (
    VICTIM.format(name="before", turns=[0, 1]),
    VICTIM.format(name="after", turns=[2, 3]),
)
ALL = {"test_all.py": BEFORE + LOADS.format(turns=[0, 1]) + AFTER}
# At once, the loads of either part run beside the victim in the other: one worker begins with its
# loads, the other with its victim.
HALVES = {
    "test_one.py": LOADS.format(turns=[0]) + AFTER,
    "test_two.py": BEFORE + LOADS.format(turns=[1]),
}
PARTED = [
    "-n",
    str(PARTS),
    "--twin-partition",
    "--dist=loadfile",
]  # a worker a file; it is confined to the CPUs of its part, so its victim is, too
WAYS = {
    "alone in a part": (PARTED, ALL),
    "in parts at once": (PARTED, HALVES),
    "whole machine": (["-n", "0"], ALL),
}


def run_once(arguments, files):
    """Run the project one way; return wall time, the recordings' figures and the victim's speed."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        Path(folder, "pytest.ini").write_text(
            "[pytest]\n"
        )  # a project of its own, wherever this is run
        for name, text in files.items():
            Path(folder, name).write_text(HEAD + text)
        begin_s = time.monotonic()
        words = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--twin-no-report",
            *arguments,
        ]
        finished = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        wall_s = time.monotonic() - begin_s
        if "failed" in finished.stdout or finished.returncode not in (0, 5):
            sys.stderr.write(finished.stdout[-2000:])
        run = load(Path(folder, "data", "latest"))
        found = {
            "wall_s": wall_s,
            "work_per_s": statistics.fmean(
                json.loads(path.read_text()) for path in Path(folder).glob("work-*.json")
            ),
        }
        for recording in run.recordings:
            name = recording.name.partition("[")[0]
            for row in recording.rows:
                if row.stressor in ("cpu", "disk"):
                    found.setdefault(f"{name} {row.stressor}: error, %", []).append(
                        row.delivered_error_percent
                    )
            if recording.rows:
                found.setdefault(f"{name}: wake-up, ms", []).append(
                    recording.mean("probe_wakeup_ms")
                )
                found.setdefault(f"{name}: cpu RMSE in 0.5 s, points", []).append(
                    statistics.fmean(off * off for off in windows_off(recording)) ** 0.5
                )
        return {
            name: statistics.fmean(value) if isinstance(value, list) else value
            for name, value in found.items()
        }


def windows_off(recording):
    """Return delivered less requested CPU in whole 0.5 s windows of the first event.

    In points of the machine.
    """
    samples = recording.during(recording.rows[0].event, 0.5).samples
    off = (samples["cpu_delivered_percent"] - samples["cpu_requested_percent"]) * samples["dt_s"]
    groups = off.groupby((samples.index // 0.5).astype(int))
    return [
        total / 0.5
        for (_, total), count in zip(groups.sum().items(), groups.count(), strict=True)
        if count >= 5
    ]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds (default: 5)")
    parser.add_argument("--json", metavar="FILE", help="results for machines")
    arguments = parser.parse_args()
    found = {way: [] for way in WAYS}
    for number in range(arguments.rounds):
        for way in list(WAYS) if number % 2 else list(WAYS)[::-1]:
            sys.stderr.write(f"round {number + 1} of {arguments.rounds}: {way}\n")
            found[way].append(run_once(*WAYS[way]))
    results = {"machine": measure.machine_line(), "ways": {way: {} for way in WAYS}}
    print(results["machine"])
    for name in found["alone in a part"][0]:
        print(f"\n{name}")
        for way, rounds in found.items():
            figure = results["ways"][way][name] = measure.figure([one.get(name) for one in rounds])
            print(f"  {way:<18} {measure.shown(figure, 3)}")
    pairs = zip(
        found["alone in a part"], found["in parts at once"], found["whole machine"], strict=True
    )
    ratios = [
        (at_once["work_per_s"] / alone["work_per_s"], whole["wall_s"] / at_once["wall_s"])
        for alone, at_once, whole in pairs
    ]
    results["victim_at_once_to_alone"], results["gain_in_wall_time"] = (
        measure.figure(column) for column in zip(*ratios, strict=True)
    )
    print(
        "\nspeed of a victim beside a loaded part, to alone:"
        f" {measure.shown(results['victim_at_once_to_alone'], 3)}"
    )
    print(
        "whole machine one after another takes, to parts at once:"
        f" {measure.shown(results['gain_in_wall_time'])} times as long"
    )
    if arguments.json:
        measure.write_json(arguments.json, results)


if __name__ == "__main__":
    main()
