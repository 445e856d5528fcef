"""How often the gate cries wolf, what it misses, and what it leaves open.

Whole pipelines, simulated on noise that was recorded.

    python benchmarks/gate_power.py --pipelines 2000 --json power.json --figure power.png
    about 15 minutes on a CPU

Noise comes from recorded A/A runs (``data/sample/gate-aa.csv``: every trial of whole A/A sessions
of scenarios/test_service.py on one machine; `--record DIR…` makes the file of run folders). The
model of each measure: a drift over a session (AR(1)) and noise of a run with heavy tails (Student's
t), each with the recorded share, scaled so that the log ratio of a pair has the SD σ that the table
asks for. Peers' rules (benchmarks/peers/gate_rules.py) see the very runs of the same simulated
sessions, raw and with the limit moved so that one family in a hundred alarms.
"""

import argparse
import csv
import sys
from dataclasses import dataclass, field, replace
from math import log
from pathlib import Path

import measure
import numpy as np
from peers.gate_rules import RULES
from scipy import stats

from twin_harness.gate.declaration import declare
from twin_harness.gate.environment import Environment
from twin_harness.gate.judging import Evidence, judge_pairs
from twin_harness.gate.looks import Length
from twin_harness.gate.paired_verdict import judge_all
from twin_harness.gate.pairs import SPARES, order_of
from twin_harness.gate.stopping import find_ending, is_wanted
from twin_harness.gate.trials import Trial, family_of
from twin_harness.runs.run import load

SAMPLE = Path(__file__).parent.parent / "data" / "sample" / "gate-aa.csv"
PAIRS, FAMILY, TESTS = 12, 20, 5
NAMES = ("base", "candidate")
ENVIRONMENT = ("steal_percent", "background_percent", "calibration_ms")
COLUMNS = (
    "session",
    "test",
    "measure",
    "better",
    "scale",
    "threshold",
    "pair",
    "position",
    "variant",
    "value",
    *ENVIRONMENT,
)
NEIGHBOUR_PERCENT = 15.0  # of the machine; work beside it takes 7 to 22 % longer
NEIGHBOUR = "beside a neighbour that is there in every second run, at random"


@dataclass(frozen=True)
class Row:
    """A row of the table.

    SD of a pair's log ratio, change of one measure, neighbour, lengths of a session, how many
    measures, whether both variants take turns, whether the noise is normal and without steal,
    divisor of the number of pipelines.
    """

    name: str
    sigma: float
    change: float = 0.0
    neighbour: str = ""
    length: Length = field(default_factory=Length)
    family: int = FAMILY
    in_turns: bool = False
    is_plain: bool = False
    divisor: int = 4


ROWS = [
    Row("A/A, σ 2.5 %", 0.025, divisor=1),
    Row("A/A, σ 5 %", 0.05),
    Row("+10 % of one measure, σ 3 %", 0.03, 0.10),
    Row("+5 % of one measure, σ 2 %", 0.02, 0.05),
    Row(
        "+10 % beside a neighbour that works for a third of the session, σ 3 %",
        0.03,
        0.10,
        "stretch",
    ),
    Row(f"+10 % {NEIGHBOUR}, σ 3 %", 0.03, 0.10, "runs"),
    Row(f"+10 % {NEIGHBOUR}, σ 3 %, 12..16", 0.03, 0.10, "runs", Length(12, 16)),
    Row(f"+5 % {NEIGHBOUR}, σ 3 %, 12..24", 0.03, 0.05, "runs", Length(12, 24)),
    Row(f"A/A {NEIGHBOUR}, σ 3 %, 12..24", 0.03, 0.0, "runs", Length(12, 24), divisor=1),
    *(
        Row(
            f"{name} {NEIGHBOUR}, σ 3 %, {length}, normal noise, no steal",
            0.03,
            change,
            "runs",
            length,
            is_plain=True,
        )
        for name, change, length in (
            ("+10 %", 0.10, Length(12, 16)),
            ("+5 %", 0.05, Length(12, 24)),
        )
    ),
    Row("A/A of one measure with looks, σ 3 %", 0.03, family=1, divisor=1),
    Row("+10 % of a family of one, with looks, σ 3 %", 0.03, 0.10, family=1),
    Row("A/A in turns, σ 1 %", 0.01, 0.0, "runs", in_turns=True),
    Row("+5 % in turns, σ 1 %", 0.01, 0.05, "runs", in_turns=True),
]


# -- the recorded noise ----------------------------------------------------------------------------


def record(folders, path):
    """Write the trials of recorded A/A sessions as one table."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for folder in folders:
            run = load(folder)
            for trial in map(Trial.from_json, run.folder.read_gate()["trials"]):
                for one in trial.measures:
                    e = trial.environment
                    cells = [
                        run.folder.run_id,
                        trial.test,
                        one.short_name,
                        one.better,
                        one.scale,
                        one.threshold,
                        trial.pair,
                        trial.position,
                        trial.variant,
                    ]
                    figures = [
                        trial.values.get(one.short_name),
                        e.steal_percent,
                        e.background_percent,
                        e.calibration_ms,
                    ]
                    writer.writerow(
                        [*cells, *("" if value is None else f"{value:.6g}" for value in figures)]
                    )


def read_sample(path):
    """Return the trials of each recorded session."""
    found = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            number = {
                name: float(row[name]) if row[name] else None for name in ("value", *ENVIRONMENT)
            }
            key = (row["test"], int(row["pair"]), row["variant"])
            measures, values, _ = found.setdefault(row["session"], {}).setdefault(
                key, ([], {}, None)
            )
            one = declare(
                row["test"],
                row["measure"],
                better=row["better"],
                threshold=f"{float(row['threshold']) * 100:g}%",
            )
            measures.append(one)
            if number["value"] is not None:
                values[row["measure"]] = number["value"]
            environment = Environment(
                number["steal_percent"], number["background_percent"], number["calibration_ms"]
            )
            found[row["session"]][key] = (measures, values, (environment, int(row["position"])))
    return {
        session: [
            Trial(test, variant, pair, position, tuple(measures), values, environment=environment)
            for (test, pair, variant), (measures, values, (environment, position)) in rows.items()
        ]
        for session, rows in found.items()
    }


@dataclass(frozen=True)
class Noise:
    """The noise of a measure.

    Share of a run's variance that drifts, how the drift lasts from run to run, degrees of freedom
    of what does not.
    """

    name: str
    sigma: float
    drift_share: float
    phi: float
    degrees: float


def fit_noise(sessions):
    """Fit a model to each recorded measure.

    SD of the pairs' log ratios (robust), drift by the covariance of runs one and two apart, tails
    by kurtosis.
    """
    found = []
    names = sorted(
        {one.name for trials in sessions.values() for trial in trials for one in trial.measures}
    )
    for name in names:
        ratios, near, far, total = [], [], [], []
        for trials in sessions.values():
            own = [trial for trial in trials if any(one.name == name for one in trial.measures)]
            short = (
                next(one.short_name for trial in own for one in trial.measures if one.name == name)
                if own
                else ""
            )
            runs = [
                log(trial.values[short])
                for trial in sorted(own, key=lambda trial: (trial.pair, trial.position))
                if trial.values.get(short, 0) > 0
            ]
            if len(runs) < 8:
                continue
            centred = np.array(runs) - np.mean(runs)
            total.append(np.mean(centred**2))
            near.append(np.mean(centred[1:] * centred[:-1]))
            far.append(np.mean(centred[2:] * centred[:-2]))
            by_pair = {}
            for trial in own:
                by_pair.setdefault(trial.pair, {})[trial.variant] = trial.values.get(short)
            ratios += [
                log(pair["candidate"] / pair["base"])
                for pair in by_pair.values()
                if len(pair) == 2 and all(pair.values())
            ]
        if len(ratios) < 20:
            continue
        variance, first, second = np.mean(total), max(0.0, np.mean(near)), max(0.0, np.mean(far))
        phi = float(np.clip(second / first if first > 0 else 0.0, 0.0, 0.95))
        share = float(np.clip(first / phi / variance if phi > 0 else 0.0, 0.0, 0.9))
        kurtosis = float(stats.kurtosis(ratios))
        degrees = 4.0 + 6.0 / kurtosis if kurtosis > 0.2 else 30.0
        found.append(
            Noise(
                name, float(stats.median_abs_deviation(ratios, scale="normal")), share, phi, degrees
            )
        )
    return found


# -- simulated pipelines ---------------------------------------------------------------------------


def runs_of(noise, sigma, count, common, rng):
    """Return log values of ``count`` runs in order.

    Drift and tails as recorded, SD of a pair's log ratio ``sigma``; ``common`` is shared by
    measures.
    """
    drift, level = np.empty(count), 0.0
    for index in range(count):
        level = noise.phi * level + rng.normal() * (1 - noise.phi**2) ** 0.5
        drift[index] = level
    alone = (
        stats.t.rvs(noise.degrees, size=count, random_state=rng)
        / (noise.degrees / (noise.degrees - 2)) ** 0.5
    )
    alone = (0.5**0.5) * alone + (0.5**0.5) * common
    share = noise.drift_share
    per_pair = 2 * ((1 - share) + share * (1 - noise.phi))
    return sigma / per_pair**0.5 * (share**0.5 * drift + (1 - share) ** 0.5 * alone)


def machine_of(row, count, is_there, rng):
    """Return what all measures of a test's runs share.

    Noise, steal, others' CPU time, the speed of a fixed work, and how much slower each run is by
    the log. ``is_there`` says of each run whether the neighbour is; None draws it.
    """
    common = stats.t.rvs(5, size=count, random_state=rng) / (5 / 3) ** 0.5
    steal = rng.exponential(0.3, count) + (rng.random(count) < 0.03) * rng.exponential(
        10.0, count
    )  # a burst in 3 of 100 runs
    if row.is_plain:
        common, steal = rng.normal(size=count), np.zeros(count)
    busy = ((rng.random(count) < 0.5) if is_there is None else is_there) * NEIGHBOUR_PERCENT
    others = 5.0 + rng.normal(0, 0.5, count) + busy
    speed = np.exp(rng.normal(0, 0.01, count) + steal / 100)
    slow = steal / 100.0 + busy / 100.0 * rng.uniform(0.5, 1.5, count)
    if row.in_turns:  # whatever others did, they did it to both
        steal, others, speed, slow = (
            np.repeat(figures[::2], 2) for figures in (steal, others, speed, slow)
        )
    return common, steal, others, speed, slow


def pipeline(models, row, change, rng, *, may_end=True):
    """Simulate one session of paired mode and judge it whole: looks, spares, environment.

    The first measure changes by ``change``, as a log ratio.
    """
    sigma, neighbour, length = row.sigma, row.neighbour, row.length
    interleave = "0.2s" if row.in_turns else None
    family = [
        declare(f"test_{index % TESTS}", f"m{index}", better="lower", interleave=interleave)
        for index in range(row.family)
    ]
    tests = list(dict.fromkeys(one.test for one in family))
    changes = [change] + [0.0] * (row.family - 1)
    count = 2 * (length.most + SPARES)
    series, environments, slow = {}, {}, {}
    begin = rng.integers(count)
    is_there = {
        "": np.zeros(count),
        "stretch": (np.arange(count) - begin) % count < count / 3,
        "runs": None,
    }[neighbour]
    for test in range(len(tests)):
        common, steal, others, speed, slow[test] = machine_of(row, count, is_there, rng)
        environments[test] = [
            Environment(*map(float, figures), own_percent=20.0)
            for figures in zip(steal, others, speed, strict=True)
        ]
        for index in range(test, row.family, TESTS):
            model = models[index % len(models)]
            if row.is_plain:
                model = replace(model, drift_share=0.0, degrees=1e6)
            series[index] = runs_of(model, sigma, count, common, rng) + slow[test]
    trials = []
    seed = int(rng.integers(2**31))
    orders = {test: order_of(seed, test, length) for test in tests}
    for pair in range(length.most + SPARES):
        for number, test in enumerate(tests):
            if pair >= length.least and not is_wanted(trials, NAMES, test, pair, length, tests):
                continue
            mine = [one for one in family if one.test == test]
            for position in (0, 1):
                is_candidate = orders[test][pair] == (position == 0)
                slot = 2 * pair + position
                values = {
                    one.short_name: float(
                        np.exp(
                            series[int(one.metric[1:])][slot]
                            + (changes[int(one.metric[1:])] if is_candidate else 0)
                        )
                    )
                    for one in mine
                }
                trials.append(
                    Trial(
                        test,
                        NAMES[is_candidate],
                        pair,
                        position,
                        tuple(mine),
                        values,
                        environment=environments[number][slot],
                    )
                )
        is_look = pair + 1 in {look.pairs for look in length.looks(row.family)}
        if may_end and is_look and find_ending(trials, NAMES, family, length).pairs is not None:
            break
    judgement = judge_all(trials, NAMES, family, length=length, seed=0)
    return judgement, trials, family


def bound(count, total, confidence=0.95):
    """Return the one-sided upper bound of a share (Clopper and Pearson, Biometrika 26, 1934)."""
    return 1.0 if count == total else float(stats.beta.ppf(confidence, count + 1, total - count))


def share(count, total):
    """Return a share as plain data and text."""
    return {
        "count": int(count),
        "total": int(total),
        "share": count / total,
        "upper_95": bound(count, total),
    }


def shown(found):
    return (
        f"{100 * found['share']:.2f} % ({found['count']} of {found['total']}, upper 95 % bound"
        f" {100 * found['upper_95']:.2f} %)"
    )


def judge_row(row, models, total, rng):
    """Simulate one row of the table; print it and return it as plain data."""
    counts = dict.fromkeys(
        ("alarm", "REGRESSED", "PASSED", "UNDECIDED", "others_open", "others", "early"), 0
    )
    pairs = []
    for number in range(total):
        judgement, _, _ = pipeline(models, row, log(1 + row.change), rng)
        first, *others = judgement.verdicts if row.change else (None, *judgement.verdicts)
        counts["alarm"] += any(verdict.status == "REGRESSED" for verdict in others)
        counts["others_open"] += sum(verdict.status == "UNDECIDED" for verdict in others)
        counts["others"] += len(others)
        counts["early"] += judgement.facts["stopped_at"] is not None
        pairs.append(judgement.facts["stopped_at"] or judgement.facts["pairs_planned"])
        if first:
            counts[first.status] += 1
        if number % 50 == 0:
            sys.stderr.write(f"\r{row.name}: {number} of {total}   ")
    sys.stderr.write("\n")
    found = {}
    if counts["others"]:
        found["false_alarm_of_the_family"] = share(counts["alarm"], total)
        found["open_per_measure"] = share(counts["others_open"], counts["others"])
    if row.change:
        found |= {word: share(counts[word], total) for word in ("REGRESSED", "PASSED", "UNDECIDED")}
    print(
        f"\n{row.name}, family of {row.family}, {row.length} pairs, {total} pipelines;"
        f" {100 * counts['early'] / total:.0f} % stopped early, median {np.median(pairs):g}"
        f" pairs, mean {np.mean(pairs):.1f}"
    )
    for key, one in found.items():
        print(f"  {key:<28} {shown(one)}")
    return {
        **found,
        "stopped_early": counts["early"] / total,
        "pairs_median": float(np.median(pairs)),
        "pairs_mean": float(np.mean(pairs)),
    }


def scores_of(models, row, change, rng):
    """Simulate one session and return each rule's score of every measure on its very runs.

    By (rule, measure), ours beside; a score above 1 is a call.

    Otava sees sessions, not pairs: 30 values of the base and one or three of the candidate, each a
    run of this session moved by a session's own effect of half a pair's SD.
    """
    judgement, trials, family = pipeline(models, row, log(1 + change), rng, may_end=False)
    sigma = row.sigma
    scores = {name: np.empty(FAMILY) for name in (*RULES, "ours")}
    for index, one in enumerate(family):
        runs = {
            name: [
                run.values[one.short_name]
                for run in trials
                if run.test == one.test and run.variant == name and run.pair < PAIRS
            ]
            for name in NAMES
        }
        base, candidate = (np.array(runs[name]) for name in NAMES)
        history = rng.choice(base, 30) * np.exp(rng.normal(0, 0.5 * sigma, 30))
        after = rng.choice(candidate, 3, replace=False) * np.exp(rng.normal(0, 0.5 * sigma, 3))
        for name, rule in RULES.items():
            scores[name][index] = (
                rule(history, after[: int(name[7])])
                if name.startswith("Otava")
                else rule(base, candidate)
            )
        verdict = judgement.verdicts[index]
        is_large = verdict.effect >= one.least_effect
        scores["ours"][index] = (
            log(max(verdict.p, 1e-12)) / log(0.01)
            if is_large
            else min(0.999, log(max(verdict.p, 1e-12)) / log(0.01))
        )
    return scores


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--pipelines",
        type=int,
        default=2000,
        help="simulated pipelines of the A/A row (default: 2000); the other rows take a quarter",
    )
    parser.add_argument(
        "--only",
        default="",
        metavar="TEXT",
        help="the rows whose name holds this, and nothing else",
    )
    parser.add_argument(
        "--record",
        nargs="+",
        metavar="DIR",
        help="make data/sample/gate-aa.csv of these run folders, and end",
    )
    parser.add_argument("--json", metavar="FILE", help="results for machines")
    parser.add_argument(
        "--figure",
        metavar="PNG",
        help="power against the size of the change, ours beside the peers' rules",
    )
    arguments = parser.parse_args()
    if arguments.record:
        record(arguments.record, SAMPLE)
        return
    sessions = read_sample(SAMPLE)
    models = fit_noise(sessions)
    rng, results = (
        np.random.default_rng(9),
        {
            "models": [vars(model) for model in models],
            "sessions": len(sessions),
        },
    )
    print(
        f"noise of {len(models)} measures from {len(sessions)} recorded A/A sessions; σ is the SD"
        " of a pair's log ratio"
    )
    for model in models:
        drift = f"drift {100 * model.drift_share:3.0f} % of the variance, φ {model.phi:.2f}"
        print(
            f"  {model.name:<70} σ {100 * model.sigma:5.2f} %  {drift}, t with {model.degrees:.1f}"
            " degrees"
        )

    for row in ROWS:
        if arguments.only in row.name:
            results[row.name] = judge_row(
                row, models, max(1, arguments.pipelines // row.divisor), rng
            )
    if arguments.only:
        return
    results["visible"] = visible(models, rng)
    for key, one in results["visible"].items():
        print(
            f"smallest visible effect, {key}: printed {one['printed']:.4f} (median of 200),"
            f" empirical {one['empirical']:.4f}, ratio {one['ratio']:.2f}"
        )

    results["recorded"] = resample(sessions, rng)
    one = results["recorded"]
    print(
        f"\n{len(sessions)} recorded A/A sessions as they were: {one['alarms']} alarms,"
        f" {one['open']} of {one['verdicts']} verdicts UNDECIDED"
    )
    print(
        "  resampled by session, pairs within a session shuffled and halves swapped by chance:"
        f" alarms in {shown(one['resampled'])}"
    )

    results["peers"] = peers_tables(models, rng, max(200, arguments.pipelines // 4))
    if arguments.figure:
        draw(models, rng, arguments.figure)
    if arguments.json:
        measure.write_json(arguments.json, results)


def peers_tables(models, rng, total):
    """Print a table of the peers' rules for each kind of noise; return them as plain data."""
    tables = {}
    for row, change in (
        (Row("σ 3 %", 0.03), 0.10),
        (Row(f"{NEIGHBOUR}, σ 3 %", 0.03, neighbour="runs"), 0.10),
        (Row("in turns, σ 1 %", 0.01, neighbour="runs", in_turns=True), 0.05),
    ):
        found = tables[row.name] = compare_peers(models, row, change, rng, total)
        print(
            f"\nthe peers' rules on the same noise, {row.name}, family of {FAMILY}: false alarm of"
            f" the family; power at +{100 * change:g} % on one measure, raw / at 1 % false alarms"
        )
        for name, one in found.items():
            print(
                f"  {name:<22} {100 * one['alarm']:5.1f} %   {one['power']:.2f} /"
                f" {one['power_at_equal']:.2f}"
            )
    return tables


def visible(models, rng):
    """Compare the smallest visible effect that is printed with the empirical one.

    That which is called in 80 % of simulations.
    """
    found = {}
    for sigma in (0.01, 0.02, 0.03):
        one = declare("t", "m", better="lower")
        printed = []
        for number in range(200):
            model = models[number % len(models)]
            values = runs_of(model, sigma, 2 * PAIRS, rng.normal(0, 1, 2 * PAIRS), rng)
            family = [Evidence(one, tuple(np.exp(values[0::2])), tuple(np.exp(values[1::2])))] + [
                Evidence(one, fault="-")
            ] * (FAMILY - 1)
            printed.append(judge_pairs(family)[0].visible)
        changes, called = np.linspace(0.005, 0.15, 30), []
        for change in changes:
            hits = 0
            for number in range(100):
                values = runs_of(
                    models[number % len(models)], sigma, 2 * PAIRS, rng.normal(0, 1, 2 * PAIRS), rng
                )
                evidence = Evidence(
                    one, tuple(np.exp(values[0::2])), tuple(np.exp(values[1::2] + change))
                )
                hits += judge_pairs([evidence], alpha=0.01 / FAMILY)[0].status == "REGRESSED"
            called.append(hits / 100)
        empirical = float(np.interp(0.8, np.maximum.accumulate(called), changes))
        found[f"σ {100 * sigma:g} %"] = {
            "printed": float(np.median(printed)),
            "empirical": empirical,
            "ratio": float(np.median(printed) / empirical),
        }
    return found


def resample(sessions, rng, count=500):
    """Judge the recorded sessions as they were, and resampled.

    A session drawn, halves of its pairs swapped by chance.
    """
    alarms = opened = verdicts = 0
    for trials in sessions.values():
        family = family_of(one for trial in trials for one in trial.measures)
        judgement = judge_all(trials, NAMES, family, length=Length(PAIRS, PAIRS), seed=0)
        alarms += judgement.status == "REGRESSED"
        opened += judgement.count("UNDECIDED")
        verdicts += len(judgement.verdicts)
    names, hits = list(sessions), 0
    for _ in range(count):
        trials = sessions[names[rng.integers(len(names))]]
        swapped = {
            (test, pair): rng.random() < 0.5
            for test in {trial.test for trial in trials}
            for pair in range(PAIRS + SPARES)
        }
        other = {"base": "candidate", "candidate": "base"}
        mixed = [
            (
                replace(trial, variant=other[trial.variant])
                if swapped[trial.test, trial.pair]
                else trial
            )
            for trial in trials
        ]
        family = family_of(one for trial in trials for one in trial.measures)
        hits += (
            judge_all(mixed, NAMES, family, length=Length(PAIRS, PAIRS), seed=0).status
            == "REGRESSED"
        )
    return {
        "alarms": int(alarms),
        "open": int(opened),
        "verdicts": int(verdicts),
        "resampled": share(hits, count),
    }


def compare_peers(models, row, change, rng, total):
    """Return false-alarm rate and power of each peer's rule and of ours.

    Raw, and where one family in a hundred alarms.
    """
    quiet = [scores_of(models, row, 0.0, rng) for _ in range(total)]
    real = [scores_of(models, row, change, rng) for _ in range(total)]
    found = {}
    for name in (*RULES, "ours"):
        alarms, hits = (
            np.array([one[name].max() for one in quiet]),
            np.array([one[name][0] for one in real]),
        )
        limit = float(np.quantile(alarms, 0.99))
        found[name] = {
            "alarm": float((alarms >= 1).mean()),
            "power": float((hits >= 1).mean()),
            "power_at_equal": float((hits > limit).mean()),
            "n": total,
        }
    return found


def draw(models, rng, path):
    """Draw the chance of a call against the size of the change."""
    import matplotlib.pyplot as plt

    changes, total, sigma = (0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.10, 0.15), 100, 0.02
    lines = {name: [] for name in (*RULES, "ours")}
    for change in changes:
        real = [scores_of(models, Row("", sigma), change, rng) for _ in range(total)]
        for name, line in lines.items():
            line.append(np.mean([one[name][0] >= 1 for one in real]))
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for name, line in lines.items():
        axes.plot(
            [100 * change for change in changes],
            line,
            label=name,
            linewidth=3 if name == "ours" else 1.2,
            marker="o",
        )
    axes.set(xlabel="real change of one measure, %", ylabel="share of comparisons that call it")
    axes.set_title(f"σ of a pair {100 * sigma:g} %, family of {FAMILY}, {PAIRS} pairs")
    axes.axvspan(0, 3, alpha=0.1, color="grey")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
