"""Whether suggested experiments teach a twin more than random ones.

On machines that are the fitted model with its noise, so that the truth is known.

    python benchmarks/twin_suggest.py [--runs DIR…] [--repeats 10] [--json FILE]

Each repeat is another machine (a plausible parameter set) and begins with six random plans. Five
more are chosen from forty candidates, once as ``twin schedule suggest`` does and once at random;
the error is that of the free run on twenty other plans, without noise. Goal: the suggested five
lower it more than the random five in 8 of 10 repeats.
"""

import argparse
import json
import random
import statistics
from pathlib import Path

import numpy as np
from measure import machine_line

from twin_harness.control.campaign import draw_campaign, role_of
from twin_harness.control.campaign_bounds import CampaignBounds
from twin_harness.predict.demand import demand_of, stacked
from twin_harness.predict.free_run import FreeRun, noise_regimes
from twin_harness.predict.gathering import gather
from twin_harness.predict.observation import COLUMNS, Observation
from twin_harness.predict.parameters import NAMES
from twin_harness.predict.scale import in_units, on_error_scale
from twin_harness.predict.simulate import simulate
from twin_harness.predict.suggest import suggest
from twin_harness.predict.twin import Twin
from twin_harness.runs.run import load

FIRST, MORE, CANDIDATES, TEST = 6, 5, 40, 20
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


def repeat(number, known):
    """Return the error with the first six plans, and with five more: suggested, and random."""
    machine = Machine(
        known, known.spread.parameter_sets[1 + number % (len(known.spread.parameter_sets) - 1)]
    )
    drawn = [
        one
        for one in draw_campaign("4h", seed=500 + number, bounds=BOUNDS)
        if role_of(one.name) != "test"
    ]
    mixed = [one for one in drawn if role_of(one.name) == "calibrate"]
    # Candidates are of every kind: those of training, and mixtures.
    first, candidates = (
        mixed[:FIRST],
        [
            *drawn[: CANDIDATES // 2],
            *mixed[FIRST : FIRST + CANDIDATES // 2],
        ],
    )
    test = mixed[-TEST:]
    begin = machine.run(first, number)
    twin = Twin(starts=1).fit_observations(begin)
    chosen = [
        one
        for one, _ in suggest(twin.model_, candidates, mixed[FIRST + CANDIDATES // 2 : -TEST], MORE)
    ]
    picked = random.Random(number).sample(candidates, MORE)
    taught = [
        Twin(starts=1).fit_observations([*begin, *machine.run(more, 100 + number)])
        for more in (chosen, picked)
    ]
    return [error(one.model_, machine, test) for one in (twin, *taught)]


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
        "--repeats", type=int, default=10, help="how many simulated machines (default: 10)"
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
    for number in range(arguments.repeats):
        rows.append(repeat(number, known))
        before, ours, others = rows[-1]
        print(
            f"  machine {number}: error {before:.3f} after {FIRST} plans; {ours:.3f} with {MORE}"
            f" suggested, {others:.3f} with {MORE} random",
            flush=True,
        )
    wins = sum(ours < others for _, ours, others in rows)
    before, ours, others = (statistics.median(column) for column in zip(*rows, strict=True))
    print(
        f"suggested beat random in {wins} of {len(rows)} (goal 8 of 10); median error {before:.3f}"
        f" → {ours:.3f} suggested, {others:.3f} random"
    )
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({"wins": wins, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
