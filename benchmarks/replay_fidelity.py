"""A recorded run, replayed.

Its means again, and its course (Tracie, the published peer: within 5 % of means, correlation 0.8).

    python benchmarks/replay_fidelity.py --rounds 5 --json replay.json        about 8 minutes

A made-up production load (waves and steps of CPU, a slow wave of memory, bursts of disk) is run and
recorded; the recording of the machine (total CPU, memory above its lowest, disk bytes) is turned
into a schedule by ``twin schedule replay`` and run again. Compared are 1 s means.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import measure
import numpy as np

from twin_harness import load
from twin_harness.schedule import builders
from twin_harness.schedule.model import Schedule
from twin_harness.shapes import shape as shapes

# What is replayed is what the load itself took; the machine's totals hold its neighbours, too, and
# are shown beside.
COLUMNS = {
    "cpu of the load": ("cpu_delivered_percent", "cpu_side_percent"),
    "memory of the load": ("memory_delivered_bytes",),
    "disk of the load": ("disk_delivered_bytes_per_s",),
    "cpu of the machine": ("cpu_percent",),
    "memory of the machine": ("memory_used_bytes",),
    "disk of the machine": ("disk_write_bytes_per_s",),
}


def recorded():
    """Return a minute's load of three resources."""
    return builders.plan(
        builders.cpu(shapes.sine(35, 20, 15), duration_s=30),
        builders.cpu(shapes.steps([20, 60, 40]), start_s=30, duration_s=15),
        builders.memory(shapes.sine(3, 2, 30), duration_s=45),
        builders.disk(shapes.square(2e6, 20e6, 10, 0.5), duration_s=45),
        name="production",
    )


def run(schedule, folder):
    """Run a schedule by the command, and return the run."""
    words = [sys.executable, "-m", "twin_harness.cli", "run", str(schedule), "--no-report"]
    subprocess.run(
        words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    )
    return load(Path(folder, "data", "latest"))


def seconds_of(run_, columns, length_s):
    """Return 1 s means of the sum of columns over the events of a run's one experiment.

    From the row values and their lengths.
    """
    (recording,) = run_.recordings
    samples = recording.samples
    samples = samples[(samples.index > 0) & (samples.index <= length_s)]
    weights = samples["dt_s"]
    groups = (np.ceil(samples.index) - 1).astype(int)
    return (
        (samples[list(columns)].sum(axis=1) * weights).groupby(groups).sum()
        / weights.groupby(groups).sum()
    ).to_numpy()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="recordings, each replayed once (default: 5)"
    )
    parser.add_argument("--json", metavar="FILE", help="results for machines")
    arguments = parser.parse_args()
    found = {name: {"mean_error_percent": [], "correlation": []} for name in COLUMNS}
    for number in range(arguments.rounds):
        sys.stderr.write(f"round {number + 1} of {arguments.rounds}\n")
        with tempfile.TemporaryDirectory(dir=".") as name:
            folder = Path(name).resolve()
            Schedule.of(recorded()).write(folder / "first.json")
            first = run(folder / "first.json", folder)
            words = [
                sys.executable,
                "-m",
                "twin_harness.cli",
                "schedule",
                "replay",
                str(first.path),
                "--experiment",
                "production",
                "-o",
                "again.json",
            ]
            subprocess.run(words, cwd=folder, stdout=subprocess.DEVNULL, check=True)
            again = run(folder / "again.json", folder)
            lead_s = first.recordings[0].planned.experiment.lead_s
            for resource, columns in COLUMNS.items():
                one, other = (
                    seconds_of(first, columns, 45.0),
                    seconds_of(again, columns, 45.0 + lead_s),
                )
                other = other[round(lead_s) :][: len(one)]  # a recording's lead is replayed, too
                if (
                    resource == "memory of the machine"
                ):  # what the machine held before is not the load's
                    one, other = one - one.min(), other - other.min()
                one = one[: len(other)]
                found[resource]["mean_error_percent"].append(
                    100.0 * (other.mean() / one.mean() - 1.0)
                )
                found[resource]["correlation"].append(float(np.corrcoef(one, other)[0, 1]))
    results = {"machine": measure.machine_line(), "goal": "means within 5 %, correlation > 0.9"}
    print(f"{results['machine']}; goal: {results['goal']} (Tracie: 5 %, 0.8)")
    for resource, figures in found.items():
        results[resource] = {name: measure.figure(values) for name, values in figures.items()}
        error, correlation = results[resource].values()
        print(
            f"  {resource:<22} mean error {measure.shown(error)} %   correlation of 1 s means"
            f" {measure.shown(correlation, 3)}"
        )
    if arguments.json:
        measure.write_json(arguments.json, results)


if __name__ == "__main__":
    main()
