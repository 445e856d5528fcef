"""Whether the twin knows when to run a job: made servers, recorded passively for three weeks.

    python benchmarks/twin_when.py [--servers 10] [--days 200] [--json FILE]

Each server is the committed model (its parameters and its noise) with a life of its own: a profile
over the day that differs between working days and weekends, a level of each day, and bursts that
grow with it. Three weeks of seconds are learnt from; then a job of a minute is run at every hour of
many later days of the same life, and what came true is compared with what was predicted.

Goals: Brier skill by hour at least 0.6, reliability error at most 5 points, and the best hour found
on 9 servers of 10: the hour named is overloaded no more than two points more often than the hour
that truly is the least.
"""

import argparse
import json
import statistics
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from measure import machine_line

from twin_harness.predict.background_learning import learn_from_recordings
from twin_harness.predict.conditions import Others
from twin_harness.predict.demand import demand_of, stacked
from twin_harness.predict.free_run import FreeRun, noise_regimes
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.overload import Overload
from twin_harness.predict.scale import in_units, on_error_scale
from twin_harness.predict.simulate import simulate
from twin_harness.predict.starting_time import StartingTime
from twin_harness.predict.twin import Twin
from twin_harness.predict.when import best_of, compare_starts
from twin_harness.schedule.builders import cpu, plan

MODEL = Path(__file__).parent.parent / "data" / "sample" / "campaign" / "twin.json"
LEARNT_DAYS, JOB_S, LEVEL = 21, 60, 45
CONDITION = "cpu_percent > 90 for 3 s"
FIRST = datetime(2026, 11, 2, tzinfo=UTC)  # a Monday
DAY_S, HOURS = 86_400, 24


class Server:
    """A life of others: CPU percent in each second of any day."""

    def __init__(self, seed):
        draw = np.random.default_rng(seed)
        self.peak, self.width = draw.uniform(0, 24), draw.uniform(3, 7)
        self.low, self.high = draw.uniform(2, 10), draw.uniform(35, 60)
        self.weekend, self.spread = draw.uniform(0.2, 0.8), draw.uniform(0.05, 0.25)
        self.every_s, self.length_s = draw.uniform(60, 240), draw.uniform(5, 20)
        self.size = draw.uniform(0.3, 0.8)
        self.cron = int(draw.integers(24))  # an hour with a job of its own
        self.seed = seed

    def day(self, number):
        """Return (86,400,) percent of one day; 0 is a Monday."""
        draw = np.random.default_rng((self.seed, number))
        hours = np.arange(DAY_S) / 3600
        away = np.minimum((hours - self.peak) % 24, (self.peak - hours) % 24)
        share = self.weekend if number % 7 > 4 else 1.0
        level = self.low + share * self.high * np.exp(-((away / self.width) ** 2))
        level = level * np.exp(draw.normal(0, self.spread))
        cron = slice(3600 * self.cron + 300, 3600 * self.cron + 2400)
        level[cron] += 25
        values = level + draw.normal(0, 1.5, DAY_S)
        begin = draw.exponential(self.every_s)
        while begin < DAY_S:
            length = 2 + int(draw.exponential(self.length_s))
            at = int(begin)
            values[at : at + length] += draw.gamma(2, 1) * self.size * level[at]
            begin += length + draw.exponential(self.every_s)
        return np.clip(values, 0, 100)


def recorded(server, folder):
    """Write what ``twin log`` would record of three weeks, and return the file."""
    values = np.concatenate([server.day(number) for number in range(LEARNT_DAYS)])
    times = pd.date_range(FIRST + timedelta(seconds=1), periods=len(values), freq="1s")
    path = Path(folder) / "background.parquet"
    pd.DataFrame(
        {"time": times, "cpu_percent": values, "cpu_background_percent": values}
    ).to_parquet(path)
    return path


def came_true(model, job, server, days, seed):
    """Return whether the condition came true at every hour of some days, (days, hours)."""
    demand, condition = demand_of(job, model.capacity), Overload.parse(CONDITION)
    draw = np.random.default_rng(seed)
    found = np.zeros((days, HOURS), dtype=bool)
    for number in range(days):
        life = server.day(LEARNT_DAYS + number)
        # a job begins at its hour, give or take its timer
        begins = 3600 * np.arange(HOURS)
        others = np.stack([life[begin : begin + demand.seconds] for begin in begins])
        columns = simulate(
            model.parameters[np.newaxis],
            np.repeat(stacked([demand]), HOURS, axis=0),
            model.capacity,
            others=Others.of_cpu(others),
        )
        scaled = on_error_scale(columns)
        regimes = noise_regimes(columns)
        for hour in range(HOURS):
            alone = FreeRun(scaled[hour], scaled[hour][np.newaxis], regimes[hour : hour + 1])
            noisy = in_units(model.spread.members(alone, 1, int(draw.integers(2**31))))
            first = condition.first(noisy[:, COLUMNS.index("cpu_percent")])
            found[number, hour] = not np.isnan(first[0])
    return found


def judge(server, folder, days):
    """Return the scores of one server."""
    model = Twin.load(MODEL).model_
    path = recorded(server, folder)
    model = replace(model, background=learn_from_recordings([path], model.fingerprint))
    job = plan(cpu(LEVEL, duration_s=JOB_S), name="job")
    times = StartingTime.parse_all("every:1h")
    starts = compare_starts(model, job, times, [CONDITION])
    foretold = np.array([start.probability for start in starts])
    events = came_true(model, job, server, days, server.seed)
    truth = events.mean(axis=0)
    brier = ((foretold - events) ** 2).mean()
    best_possible = ((truth - events) ** 2).mean()
    usual = ((events.mean() - events) ** 2).mean()
    by_hour = 1 - ((foretold - truth) ** 2).mean() / max(
        ((events.mean() - truth) ** 2).mean(), 1e-9
    )
    named = times.index(best_of(starts)[0].at)
    return {
        "events": int(events.sum()),
        "runs": int(events.size),
        "foretold": float(foretold.mean() * events.size),
        "skill": 1 - brier / usual if usual else float("nan"),
        "skill_possible": 1 - best_possible / usual if usual else float("nan"),
        "skill_by_hour": by_hour,
        "reliability_points": 100 * np.abs(foretold - truth).mean(),
        "named_hour": named,
        "named_true_percent": 100 * float(truth[named]),
        "least_true_percent": 100 * float(truth.min()),
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--servers", type=int, default=10)
    parser.add_argument("--days", type=int, default=200, help="that are judged by, each")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    print(machine_line())
    rows = []
    for seed in range(arguments.servers):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(judge(Server(seed), folder, arguments.days))
        row = rows[-1]
        print(
            f"server {seed}: overload in {row['events']} of {row['runs']} runs,"
            f" {row['foretold']:.0f} foretold; Brier skill {row['skill']:.2f}"
            f" (each hour by its rate"
            f" {row['skill_possible']:.2f}), of the hours' rates {row['skill_by_hour']:.2f};"
            f" reliability error {row['reliability_points']:.1f} points; named"
            f" {row['named_hour']:02d}:00, true {row['named_true_percent']:.1f} % (least"
            f" {row['least_true_percent']:.1f} %)",
            flush=True,
        )
    found = sum(row["named_true_percent"] <= row["least_true_percent"] + 2 for row in rows)
    for name in ("skill", "skill_possible", "skill_by_hour", "reliability_points"):
        values = [row[name] for row in rows]
        print(
            f"{name}: median {statistics.median(values):.2f}"
            f" [{min(values):.2f}, {max(values):.2f}], n={len(values)}"
        )
    print(f"best hour found on {found} of {len(rows)} servers")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
