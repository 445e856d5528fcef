"""How good the twin is.

Every score of the protocol beside must, stretch, floor and the best baseline.

    python benchmarks/twin_score.py [--runs DIR…] [--model FILE --test DIR…] [--splits S1,S2,S3,S5]
    [--json FILE]

By default the campaign under data/sample: its model, which was frozen before the campaign's test
runs were recorded, judged by these; then the design, by every split of all the runs, each with its
own fit. With --model and --test any model is judged by runs that were recorded after it; --splits
"" leaves the splits out.
"""

import argparse
import json
import math
from pathlib import Path

from measure import machine_line

from twin_harness.predict.evaluate import WARM, evaluate
from twin_harness.predict.gathering import gather
from twin_harness.predict.held_out import check_held_out
from twin_harness.predict.split_evaluation import evaluate_splits
from twin_harness.predict.splits import HEADLINE, SPLITS
from twin_harness.predict.twin import Twin
from twin_harness.runs.run import load

# Must and stretch of the protocol: RMSE in units (or of the floor), NRMSE, and for latencies the
# log ratio of p95.
GOALS = {
    "cpu_percent": {"rmse": 5.0, "floors": (1.5, 1.15), "nrmse": 0.20},
    "memory_percent": {"rmse": 1.5, "floors": (1.5, 1.15), "nrmse": 0.10},
    "load1": {"nrmse": 0.20, "stretch": 0.10},
    "disk_write_bytes_per_s": {"nrmse": 0.45, "stretch": 0.30, "total": (10.0, 5.0)},
    "pressure_cpu_percent": {"nrmse": 0.45, "stretch": 0.30},
    "pressure_io_percent": {"nrmse": 0.45, "stretch": 0.30},
    "probe_wakeup_ms": {"log_ratio": (0.25, 0.15)},
    "probe_cpu_ms": {"log_ratio": (0.25, 0.15)},
}


def verdict(one):
    """Return must and stretch of a column, met or missed."""
    goal = GOALS[one.column]
    checks = []
    if "rmse" in goal:
        floors = [
            1.5 * one.floor if math.isfinite(one.floor) else 0.0,
            1.15 * one.floor if math.isfinite(one.floor) else math.nan,
        ]
        checks.append(
            (
                one.rmse <= max(goal["rmse"], floors[0]),
                one.rmse <= floors[1],
                f"RMSE ≤ {max(goal['rmse'], floors[0]):.3g}, {floors[1]:.3g}",
            )
        )
    if "nrmse" in goal:
        checks.append(
            (
                one.nrmse <= goal["nrmse"],
                one.nrmse <= goal.get("stretch", goal["nrmse"]),
                f"NRMSE ≤ {goal['nrmse']}, {goal.get('stretch', '–')}",
            )
        )
    if "total" in goal:
        checks.append(
            (
                abs(one.total_percent) <= goal["total"][0],
                abs(one.total_percent) <= goal["total"][1],
                f"total ± {goal['total'][0]:g} %",
            )
        )
    if "log_ratio" in goal:
        checks.append(
            (
                one.log_ratio <= goal["log_ratio"][0],
                one.log_ratio <= goal["log_ratio"][1],
                f"p95 log ratio ≤ {goal['log_ratio'][0]}",
            )
        )
    must, stretch = (all(check[place] for check in checks) for place in (0, 1))
    return (
        f"{'met' if must else 'MISSED'}{', stretch too' if must and stretch else ''}"
        f" ({'; '.join(check[2] for check in checks)})"
    )


def show(found):
    name = (
        f"{found.split} {SPLITS[found.split]}"
        if found.split
        else "held-out runs, recorded after the model was written"
    )
    print(
        f"\n{name}\n  fitted to {found.train} runs, tested on {found.test}; floor of {found.pairs}"
        " pairs of replicates"
    )
    for column in GOALS:
        ours, warm, best = (
            found.score_of(column),
            found.score_of(column, WARM),
            found.best_baseline(column),
        )
        if ours is None:
            continue
        scale = 1e-6 if column.endswith("bytes_per_s") else 1.0
        extra = (
            f", p95 log ratio {ours.log_ratio:.2f} (floor {ours.log_ratio_floor:.2f})"
            if math.isfinite(ours.log_ratio)
            else ""
        )
        extra += f", total {ours.total_percent:+.1f} %" if math.isfinite(ours.total_percent) else ""
        other = f"; {best.predictor} {best.nrmse:.2f}" if best else ""
        floor = (
            f", floor {scale * ours.floor:.3g}, {ours.to_floor:.2f} of it"
            if math.isfinite(ours.floor)
            else ""
        )
        print(
            f"  {column:<24} RMSE {scale * ours.rmse:.3g}{floor}, NRMSE {ours.nrmse:.2f}"
            f" (warm start {warm.nrmse:.2f}{other}){extra}: {verdict(ours)}"
        )
    for baseline, columns in found.skills.items():
        parts = [
            f"{column.split('_')[0]} {three[0]:.2f} [{three[1]:.2f}, {three[2]:.2f}]"
            for column, three in columns.items()
            if column in GOALS
        ]
        print(f"  skill against {baseline:<22} {'  '.join(parts[:4])}")
    for one in found.coverage:
        if math.isfinite(one.pointwise) and one.column in GOALS:
            whole = (
                f"{100 * one.simultaneous:.0f} % [{100 * one.low:.0f}, {100 * one.high:.0f}] of"
                " runs"
                if math.isfinite(one.simultaneous)
                else "unknown"
            )
            ratio = (
                f"{one.width / one.replicate_width:.1f} of the replicates'"
                if one.replicate_width > 0
                else "no replicates"
            )
            must = 0.87 <= one.pointwise <= 0.93 and one.simultaneous >= 0.85
            can_tell = one.high < 0.85 or one.low >= 0.85
            verdict_ = (
                f"{'met' if must else 'missed'}{'' if can_tell else ', simultaneous UNDECIDED'}"
            )
            print(
                f"  90 % band of {one.column:<24} {100 * one.pointwise:.1f} % of seconds, {whole},"
                f" width {one.width:.3g} ({ratio}), CRPS {one.crps:.3g}, n={one.runs}: {verdict_}"
            )
    for one in found.overload:
        decided = (
            f"Brier skill {one.skill:.2f}, time off by {one.time_error_s:.1f} s, false safe"
            f" {100 * one.false_safe:.0f} %"
        )
        print(
            f"  {one.condition}: {one.events} events, {one.others} others:"
            f" {decided if one.is_decided else f'UNDECIDED ({decided})'}"
        )


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
    parser.add_argument("--model", metavar="FILE", help="a model that twin fit has made")
    parser.add_argument(
        "--test", nargs="+", default=[], metavar="DIR", help="run folders recorded after it"
    )
    parser.add_argument("--splits", default=",".join(SPLITS), help="which splits (default: all)")
    parser.add_argument("--json", metavar="FILE", help="results for machines")
    arguments = parser.parse_args()
    if arguments.test and not arguments.model:
        parser.error("--test: expected the model to judge beside it: --model FILE")
    folders = arguments.runs or sorted(
        str(path) for path in Path("data/sample/campaign").glob("*Z-*")
    )
    print(machine_line())
    observations = gather([load(folder) for folder in folders], print)
    found, missing = [], []
    sample = Path("data/sample/campaign/twin.json")
    model = arguments.model or (str(sample) if sample.exists() and not arguments.runs else None)
    if model:
        twin = Twin.load(model)
        known = {*twin.file_.training.plans}
        test = (
            gather([load(folder) for folder in arguments.test], print)
            if arguments.test
            else [one for one in observations if one.role == "test"]
        )
        check_held_out(twin.file_, test)
        found.append(
            evaluate(twin.model_, [one for one in observations if one.plan in known], test)
        )
    if arguments.splits:
        by_split, missing = evaluate_splits(observations, arguments.splits.split(","))
        found += by_split
    for one in found:
        show(one)
    for sentence in missing:
        print(f"\n{sentence}")
    if headline := [one for one in found if one.split in HEADLINE]:
        print(
            f"\nheadline ({'+'.join(one.split for one in headline)}), mean NRMSE over the splits,"
            " cold"
        )
        for column in GOALS:
            scores = [part.nrmse for one in headline if (part := one.score_of(column))]
            print(f"  {column:<24} {sum(scores) / len(scores):.2f}")
    if arguments.json:
        Path(arguments.json).write_text(
            json.dumps([one.to_json() for one in found], indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
