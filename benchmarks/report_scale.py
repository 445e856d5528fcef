"""What the report and the Parquet of a run cost against its length.

A recorded run, repeated end to end to an hour and to a day.

    python benchmarks/report_scale.py data/latest --hours 1 24 --json scale.json

Goals: 1 h at 10 Hz within 15 s, 24 h within 60 s and 1 GiB. Each step is a process of its own, so
that its peak of memory is its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import measure
import pandas as pd

from twin_harness import load
from twin_harness.dataset.tables import write_parquet
from twin_harness.report.html import write_report

GOAL_S = {1.0: 15.0, 24.0: 60.0}


def repeat_run(source, target, hours):
    """Make a run folder of so many hours and return its rows.

    The experiments of another run come in it again and again.
    """
    heading, *lines = source.joinpath("system_metrics_dataset.csv").read_text().splitlines()
    names = heading.split(",")
    time_at, clock_at, experiment_at = (
        names.index(name) for name in ("time", "monotonic_s", "experiment")
    )
    rows = [line.split(",") for line in lines if '"' not in line]
    first_s, last_s = float(rows[0][clock_at]), float(rows[-1][clock_at])
    span_s, moments = (
        last_s - first_s + 0.1,
        pd.to_datetime([row[time_at] for row in rows], utc=True),
    )
    turns = max(1, round(hours * 3600 / span_s))
    state = json.loads(source.joinpath("run.json").read_text())
    schedule = json.loads(source.joinpath("schedule.json").read_text())
    annotations = pd.read_csv(source / "annotations.csv", dtype=str, keep_default_na=False)
    target.mkdir()
    plans, experiments, events = [], [], []
    with (target / "system_metrics_dataset.csv").open("w") as file:
        file.write(heading + "\n")
        for turn in range(turns):
            ending = f"#{turn + 1}" if turn else ""

            def name_of(name, ending=ending):
                return f"{name[:110]}{ending}"

            texts = (moments + timedelta(seconds=turn * span_s)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            for row, text in zip(rows, texts, strict=True):
                changed = list(row)
                changed[time_at], changed[clock_at] = (
                    text,
                    f"{float(row[clock_at]) + turn * span_s:.6f}",
                )
                changed[experiment_at] = name_of(row[experiment_at]) if row[experiment_at] else ""
                file.write(",".join(changed) + "\n")
            moved = annotations.copy()
            for column in ("start_monotonic_s", "end_monotonic_s"):
                moved[column] = [
                    f"{float(value) + turn * span_s:.6f}" if value else ""
                    for value in moved[column]
                ]
            moved["experiment"] = [name_of(name) for name in moved["experiment"]]
            events.append(moved)
            for entry in state["experiments"]:
                shifted = {
                    key: entry[key] + turn * span_s for key in ("begin_s", "zero_s", "end_s")
                }
                plans.append({**entry, **shifted, "experiment": name_of(entry["experiment"])})
            experiments += [
                {**experiment, "name": name_of(experiment["name"])}
                for experiment in schedule["experiments"]
            ]
    pd.concat(events).to_csv(target / "annotations.csv", index=False)
    target.joinpath("run.json").write_text(json.dumps({**state, "experiments": plans}))
    target.joinpath("schedule.json").write_text(
        json.dumps({**schedule, "experiments": experiments})
    )
    target.joinpath("machine.json").write_bytes(source.joinpath("machine.json").read_bytes())
    return turns * len(rows)


def step(kind, folder):
    """Do one step in this process, and print its seconds and its peak of memory in MiB."""
    begin_s = time.monotonic()
    if kind == "report":
        write_report(load(folder), Path(folder, "report"))
    else:
        write_parquet(load(folder), Path(folder, "x.parquet"))
    print(
        json.dumps(
            [time.monotonic() - begin_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]
        )
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="a run folder")
    parser.add_argument("--hours", type=float, nargs="+", default=[1.0, 24.0])
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--json", metavar="FILE", help="results for machines")
    arguments = parser.parse_args()
    if arguments.step:
        step(arguments.step, arguments.run)
        return
    results = {"machine": measure.machine_line(), "rows": []}
    print(
        f"{results['machine']}\n{'hours':>6} {'rows':>9} {'CSV MiB':>8}  {'step':<8} {'seconds':>8}"
        f" {'peak MiB':>9} {'file MiB':>9}"
    )
    for hours in arguments.hours:
        with tempfile.TemporaryDirectory(dir=".") as name:
            folder = Path(name, "20260101T000000Z-aaaaaa")
            rows = repeat_run(Path(arguments.run).resolve(), folder, hours)
            size_mib = (folder / "system_metrics_dataset.csv").stat().st_size / 2**20
            for kind, made in (("parquet", "x.parquet"), ("report", "report/index.html")):
                words = [sys.executable, __file__, str(folder), "--step", kind]
                seconds, peak_mib = json.loads(
                    subprocess.run(words, capture_output=True, text=True, check=True).stdout
                )
                file_mib = (folder / made).stat().st_size / 2**20
                goal = f"  goal {GOAL_S[hours]:g} s" if kind == "report" and hours in GOAL_S else ""
                print(
                    f"{hours:>6g} {rows:>9,} {size_mib:>8.1f}  {kind:<8} {seconds:>8.1f}"
                    f" {peak_mib:>9.0f} {file_mib:>9.1f}{goal}",
                    flush=True,
                )
                results["rows"].append(
                    {
                        "hours": hours,
                        "rows": rows,
                        "step": kind,
                        "seconds": seconds,
                        "peak_mib": peak_mib,
                        "file_mib": file_mib,
                    }
                )
    if arguments.json:
        measure.write_json(arguments.json, results)


if __name__ == "__main__":
    main()
