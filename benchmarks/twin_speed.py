"""How fast the twin answers.

What-ifs of 120 s with a band of 200 members, one at a time and in batches; fitting; beside the
eight baselines.

    python benchmarks/twin_speed.py [--runs DIR…] [--json FILE]

Goals: 100 what-ifs a second one at a time, 1,000 in batches, a fit of 100 runs within 3 minutes on
2 CPUs.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
from measure import machine_line

from twin_harness.control.campaign import draw_campaign
from twin_harness.predict.baselines import all_baselines
from twin_harness.predict.demand import demand_of
from twin_harness.predict.gathering import gather
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.twin import Twin
from twin_harness.runs.run import load
from twin_harness.schedule.model import Experiment

ROUNDS, ONE_BY_ONE, BATCH = 5, 50, 200
WHAT_IF_S = 120


def what_ifs(count):
    """Return plans of two minutes: two of the campaign's mixtures one after the other."""
    drawn = draw_campaign("4h", seed=17)[60:]
    found = []
    for number in range(count):
        first, second = drawn[number % len(drawn)], drawn[(7 * number + 3) % len(drawn)]
        later = tuple(
            event.model_copy(update={"id": f"{event.id}-later", "start_s": event.start_s + 55.0})
            for event in second.events
        )
        found.append(
            Experiment(
                name=f"what-if {number}",
                lead_s=5.0,
                tail_s=WHAT_IF_S - 5.0 - 103.0,
                events=(*first.events, *later),
            )
        )
    return found


def per_second(work, count):
    """Return how many a second, of several rounds."""
    rates = []
    for _ in range(ROUNDS):
        begin_s = time.perf_counter()
        work()
        rates.append(count / (time.perf_counter() - begin_s))
    return rates


def line(name, rates, goal=""):
    print(
        f"  {name:<40} {statistics.median(rates):8.0f} [{min(rates):.0f} … {max(rates):.0f}] a"
        f" second, n={len(rates)}{goal}"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs",
        nargs="+",
        default=None,
        help="run folders to fit (default: the campaign under data/sample)",
    )
    parser.add_argument("--json", metavar="FILE", help="results for machines")
    arguments = parser.parse_args()
    folders = arguments.runs or sorted(
        str(path) for path in Path("data/sample/campaign").glob("*Z-*")
    )
    print(machine_line())
    observations = gather([load(folder) for folder in folders])
    begin_s = time.perf_counter()
    twin = Twin().fit_observations(observations)
    fit_s = time.perf_counter() - begin_s
    print(f"fit of {len(observations)} runs: {fit_s:.1f} s (goal: 100 runs within 180 s)")
    plans = what_ifs(BATCH)

    def one_by_one():
        for plan in plans[:ONE_BY_ONE]:
            _ = twin.predict(plan).members

    found = {"fit_s": fit_s, "runs": len(observations)}
    print(f"what-ifs of {WHAT_IF_S} s with a band of 200 members:")
    found["one at a time"] = per_second(one_by_one, ONE_BY_ONE)
    line("twin, one at a time", found["one at a time"], " (goal 100)")
    found["in batches"] = per_second(lambda: twin.predict_many(plans), BATCH)
    line("twin, in batches", found["in batches"], " (goal 1,000)")
    demands = [demand_of(plan, twin.model_.capacity) for plan in plans]
    cold = np.full((len(demands), len(COLUMNS)), np.nan)
    for baseline in all_baselines():
        baseline.fit(observations, twin.model_.capacity)
        found[baseline.name] = per_second(
            lambda predictor=baseline: predictor.predict(demands, cold), BATCH
        )
        line(f"{baseline.name}, in batches, no band", found[baseline.name])
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
