"""Whether plans that are chosen as a campaign goes teach a twin in less time than fixed ones.

On machines that are the fitted model with its noise, so that the truth is known.

    python benchmarks/twin_suggest.py [--runs DIR…] [--machines 10] [--json FILE]
    about 20 minutes on a CPU

Each machine is a plausible parameter set. All campaigns begin with the six runs of the shortest
one. Then the fixed campaign goes on in its order; the adaptive one chooses three short plans at a
time, fits anew and chooses again, as ``--twin-campaign adaptive:`` does; and one takes the same
short plans at random. The error is that of the free run on twenty other plans, without noise, in
deviations of each column. Goals: the adaptive one is as good as the fixed one at its end (24
runs) in 0.6 of the machine's time or less, and better than the random one in 9 of 10.
"""

import argparse
import json
import statistics
from pathlib import Path

import numpy as np
from measure import machine_line

from twin_harness.control.adaptive import draw_candidates, usual_plans
from twin_harness.control.campaign import draw_campaign, role_of
from twin_harness.control.campaign_bounds import CampaignBounds
from twin_harness.predict.demand import demand_of, stacked
from twin_harness.predict.free_run import FreeRun, noise_regimes
from twin_harness.predict.gathering import gather
from twin_harness.predict.observation import COLUMNS, Observation
from twin_harness.predict.parameters import NAMES
from twin_harness.predict.scale import in_units, on_error_scale
from twin_harness.predict.simulate import simulate
from twin_harness.predict.suggest import Enough, suggest
from twin_harness.predict.twin import Twin
from twin_harness.runs.run import load

FIRST, AT_ONCE, TEST = 6, 3, 20
GOAL = 0.6  # of the fixed campaign's time
BOUNDS = CampaignBounds(
    max_cpu_percent=100, max_memory_percent=80, max_disk_bytes_per_s=2_000_000_000
)


class Machine:
    """A machine that is the model.

    A parameter set, and the noise that was found on the real one.
    """

    def __init__(self, model, parameters):
        self.model, self.parameters = model, parameters

    def truth(self, experiments):
        """Return each plan's columns without noise, on the scale of errors, and its regimes."""
        columns = simulate(
            self.parameters[np.newaxis],
            stacked([demand_of(one, self.model.capacity) for one in experiments]),
            self.model.capacity,
        )
        return on_error_scale(columns)[:, 0], noise_regimes(columns)

    def run(self, experiments, seed):
        """Return what would be recorded of each plan."""
        centre, regime = self.truth(experiments)
        known = dict(zip(NAMES, self.parameters, strict=True))
        before = np.array(
            [
                {"load1": known["load_start"], "memory_percent": known["memory_idle"]}.get(
                    name, 0.0
                )
                for name in COLUMNS
            ]
        )
        found = []
        for number, experiment in enumerate(experiments):
            demand = demand_of(experiment, self.model.capacity)
            part = slice(number, number + 1)
            free = FreeRun(
                centre[part, :, : demand.seconds],
                centre[part, np.newaxis, :, : demand.seconds],
                regime[part, : demand.seconds],
            )
            values = in_units(self.model.spread.members(free, count=2, seed=1_000 * seed + number))[
                0
            ]
            stressors = frozenset(event.stressor for event in experiment.events)
            facts = {
                "capacity": self.model.capacity,
                "fingerprint": self.model.fingerprint,
                "run": f"simulated-{seed}",
                "began": "",
            }
            name = experiment.name.replace("test", "train").replace(
                "calibrate", "train"
            )  # every one of them is to be fitted
            found.append(
                Observation(
                    name=name,
                    plan=experiment.hash(),
                    demand=demand,
                    values=values,
                    before=before,
                    stressors=stressors,
                    **facts,
                )
            )
        return found


def error(model, machine, experiments):
    """Return the mean over columns of the free run's error, in deviations of the truth."""
    demands = [demand_of(one, model.capacity) for one in experiments]
    centre, (truth, _) = model.free_run(demands).centre, machine.truth(experiments)
    inside = np.arange(truth.shape[2]) < np.array([one.seconds for one in demands])[:, np.newaxis]
    pairs = [(centre[:, index][inside], truth[:, index][inside]) for index in range(len(COLUMNS))]
    sizes = [np.sqrt(((ours - real) ** 2).mean()) / max(real.std(), 1e-9) for ours, real in pairs]
    return float(np.mean(sizes))


def grow(machine, begin, plans, test, at_s):
    """Return (machine seconds, error) after each batch of plans, as they are recorded.

    Args:
        machine: the simulated one.
        begin: plans that every campaign begins with.
        plans: gives the next plans for the model, in batches.
        test: plans to judge by.
        at_s: how much of the machine's time there is.
    """
    runs, used_s = machine.run(begin, 0), sum(one.machine_s for one in begin)
    twin = Twin(starts=1).fit_observations(runs)
    curve = [(used_s, error(twin.model_, machine, test))]
    number = 1
    while batch := plans(twin.model_, number):
        used_s += sum(one.machine_s for one in batch)
        if used_s > at_s:
            break
        runs = [*runs, *machine.run(batch, number)]
        twin = Twin(starts=1).fit_observations(runs)
        curve.append((used_s, error(twin.model_, machine, test)))
        number += 1
    return curve


def campaigns(number, known):
    """Return the curves of the fixed, the adaptive and the random campaign on one machine."""
    sets = known.spread.parameter_sets
    machine = Machine(known, sets[1 + number % (len(sets) - 1)])
    fixed = [one for one in draw_campaign("1h", number, BOUNDS) if role_of(one.name) == "train"]
    begin, rest = fixed[:FIRST], fixed[FIRST:]
    test = [
        one for one in draw_campaign("4h", 500 + number, BOUNDS) if role_of(one.name) == "test"
    ][:TEST]
    usual = usual_plans(number, BOUNDS)
    full_s = sum(one.machine_s for one in fixed)

    def chosen(model, batch):
        candidates = draw_candidates(1_000 * number + batch, BOUNDS)
        return [one.experiment for one in suggest(model, candidates, usual, Enough(AT_ONCE))]

    def drawn(_, batch):
        return list(draw_candidates(1_000 * number + batch, BOUNDS)[:AT_ONCE])

    def whole(_, batch):
        return rest if batch == 1 else []

    return {
        "fixed": grow(machine, begin, whole, test, full_s),
        "adaptive": grow(machine, begin, chosen, test, GOAL * full_s + 1.0),
        "random": grow(machine, begin, drawn, test, GOAL * full_s + 1.0),
    }


def share_to(curve, goal, full_s):
    """Return in which share of the fixed campaign's time a curve is as good as it; NaN if never."""
    return next((used_s / full_s for used_s, left in curve if left <= goal), float("nan"))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs",
        nargs="+",
        default=None,
        help="run folders (default: the campaign under data/sample)",
    )
    parser.add_argument(
        "--machines", type=int, default=10, help="how many are simulated (default: 10)"
    )
    parser.add_argument("--json", metavar="FILE", help="results for machines")
    arguments = parser.parse_args()
    folders = arguments.runs or sorted(
        str(path) for path in Path("data/sample/campaign").glob("*Z-*")
    )
    print(machine_line())
    observations = gather([load(folder) for folder in folders])
    train = [one for one in observations if one.role == "train"]
    known = Twin(starts=1).fit_observations(train).model_
    rows = []
    for number in range(arguments.machines):
        curves = campaigns(number, known)
        full_s, goal = curves["fixed"][-1]
        share = share_to(curves["adaptive"], goal, full_s)
        rows.append({"share": share, **curves})
        ends = ", ".join(f"{name} {curve[-1][1]:.3f}" for name, curve in curves.items())
        print(
            f"  machine {number}: error {curves['fixed'][0][1]:.3f} after {FIRST} plans; {ends};"
            f" as good as the fixed one in {share:.2f} of its {full_s:.0f} s",
            flush=True,
        )
    wins = sum(row["adaptive"][-1][1] < row["random"][-1][1] for row in rows)
    reached = sum(row["share"] <= GOAL for row in rows)
    medians = {
        name: statistics.median(row[name][-1][1] for row in rows)
        for name in ("fixed", "adaptive", "random")
    }
    print(
        f"as good as the fixed campaign in {GOAL} of its time: {reached} of {len(rows)}; adaptive"
        f" beat random in {wins} of {len(rows)} (goal 9 of 10); median errors at the end"
        f" {', '.join(f'{name} {value:.3f}' for name, value in medians.items())}"
    )
    if arguments.json:
        Path(arguments.json).write_text(
            json.dumps({"wins": wins, "machines": rows}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
