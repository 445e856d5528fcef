"""Break plugin, gate and twin in one place each, and see that a test fails.

`python benchmarks/code_mutations.py`.

Each mutation is made in a copy of the package, which the unit and plugin tests named beside it then
run from, until one fails. No timings and no load but the tests' own; takes about five minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from mutations import ROOT, copy_and_break

GATE, PLUGIN, PREDICT = (f"twin_harness/{room}" for room in ("gate", "plugin", "predict"))
GATE_TESTS = ("unit/test_gate_statistics.py", "unit/test_gate_verdicts.py")
# name: (file, what stands there, what to put instead, tests)
MUTATIONS = {
    "Holm counts every measure alone": (
        f"{GATE}/statistics.py",
        "min(1.0, (len(p_values) - rank) * p_values[index])",
        "min(1.0, p_values[index])",
        GATE_TESTS,
    ),
    "the smallest p-value is 0": (
        f"{GATE}/statistics.py",
        "(1 + np.count_nonzero(sums <= tolerance)) / (1 + len(sums))",
        "np.count_nonzero(sums <= tolerance) / len(sums)",
        GATE_TESTS,
    ),
    "an effect below the threshold regresses": (
        f"{GATE}/judging.py",
        'numbers["p"] <= alpha and tested.effect >= least',
        'numbers["p"] <= alpha',
        GATE_TESTS,
    ),
    "the mean, not its bound, passes": (
        f"{GATE}/judging.py",
        "if tested.upper < least:",
        "if tested.effect < least:",
        GATE_TESTS,
    ),
    "no pair is unfit": (
        f"{GATE}/environment.py",
        "abs(gap - middle) > limit",
        "abs(gap - middle) > 1e9",
        ("unit/test_gate_trials.py",),
    ),
    "every look spends all there is": (
        f"{GATE}/looks.py",
        "round(part * self.least): share * alpha for part",
        "round(part * self.least): alpha for part",
        ("unit/test_gate_trials.py",),
    ),
    "one service is asked twice": (
        f"{GATE}/turn_work.py",
        "own_ns < _SILENT * theirs_ns",
        "False",
        ("unit/test_turn_work.py",),
    ),
    "who goes first counts": (
        f"{GATE}/turns.py",
        "change = 0.5 * (base_first + candidate_first)",
        "change = base_first",
        ("unit/test_gate_turns.py",),
    ),
    "a regression ends with 0": (
        f"{PLUGIN}/gate_verdict.py",
        "session.exitstatus = _exit_code(settings, judgement, fault, has_trials=bool(trials))",
        "pass",
        ("plugin/test_gate.py",),
    ),
    "the base always goes first": (
        f"{PLUGIN}/gate_pairs.py",
        "order_of(state.config.seed, name, state.config.gate_length)[number]",
        "False",
        ("plugin/test_gate.py",),
    ),
    "a load of this machine inside @given": (
        "twin_harness/control/runner.py",
        "hypothesis is not None and hypothesis.currently_in_test_context()",
        "False",
        ("plugin/test_collection.py",),
    ),
    "a trip of the guard is not counted": (
        f"{PLUGIN}/undecided.py",
        "return TRIPPED in _verdicts(report)",
        "return False",
        ("plugin/test_run.py", "plugin/test_tries.py"),
    ),
    "UNDECIDED passes although it is to fail": (
        f"{PLUGIN}/undecided.py",
        'if settings.undecided == "fail":',
        "if False:",
        ("plugin/test_told_alike.py",),
    ),
    "nothing extrapolates": (
        f"{PREDICT}/domain.py",
        "level > _MARGIN * domain.highest[name]",
        "level > 1e3 * _MARGIN * domain.highest[name]",
        ("unit/test_predict_splits.py", "unit/test_predict_fit.py", "plugin/test_twin.py"),
    ),
    "bands of half the width": (
        f"{PREDICT}/spread.py",
        "reach: np.ndarray = np.sqrt(np.stack(noise) ** 2 + between_sets)",
        "reach: np.ndarray = 0.5 * np.sqrt(np.stack(noise) ** 2 + between_sets)",
        ("unit/test_predict_uncertainty.py", "unit/test_predict_fit.py"),
    ),
}


def is_caught(name: str) -> bool:
    """Tell whether a test fails when the package is broken as ``name`` says."""
    file, old, new, tests = MUTATIONS[name]
    with tempfile.TemporaryDirectory() as folder:
        copy_and_break(Path(folder), file, old, new)
        done = subprocess.run(
            [
                *(sys.executable, "-P", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"),
                *("-o", "addopts=--strict-markers --strict-config", "-o", "pythonpath="),
                *(str(ROOT / "tests" / word) if word.endswith(".py") else word for word in tests),
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": folder},
            capture_output=True,
            check=False,
        )
    if done.returncode not in (0, 1):
        sys.exit(f"mutations: {name}: pytest ended with {done.returncode}: {done.stdout[-2000:]!r}")
    return done.returncode == 1


def main() -> int:
    """Print the table; return 1 when a mutation is not caught."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=sorted(MUTATIONS), help="the name of one mutation")
    arguments = parser.parse_args()
    table = []
    for name, (file, *_) in MUTATIONS.items():
        if arguments.only in (None, name):
            outcome = "caught" if is_caught(name) else "NOT CAUGHT"
            table.append({"mutation": name, "file": file, "outcome": outcome})
            if not arguments.json:
                print(f"{outcome:<11} {file:<40} {name}", flush=True)
    if arguments.json:
        print(json.dumps(table, indent=1))
    missed = [row for row in table if row["outcome"] != "caught"]
    print(f"{len(table)} mutations, {len(missed)} not caught", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
