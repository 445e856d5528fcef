"""Does the gate name the function that became slower, and none where none did?

    pip install py-spy; python benchmarks/gate_places.py --json places.json

A function of forty that share the work of an operation equally: the candidate's spends so much more
in one of them that the whole takes 5 % longer, or nothing. Whole sessions of twelve pairs in turns,
sampled by py-spy, about 2 minutes each. What the profiler costs is the operation's time in one
process with it and without, alternately, for four seconds each (sessions scatter more than it
costs). What is missing is named, and nothing is installed.
"""

import argparse
import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import measure

from twin_harness.gate.samplers import PySpy

COUNT = 40
SLOWER = 17  # the function that the candidate spends more in
LOOP = """
import statistics, sys, time
from shop import order
for _ in sys.stdin:
    end, times = time.perf_counter() + 4, []
    while time.perf_counter() < end:
        begin = time.perf_counter()
        order()
        times.append(time.perf_counter() - begin)
    print(sum(times) / len(times), flush=True)
"""
TESTS = """
import pytest

@pytest.mark.gate("order_ms", better="lower", threshold="3%", interleave="0.2s")
def test_orders(variants, gate):
    order = variants.function("shop:order")
    for turn in gate.turns():
        while turn.is_open:
            turn.record("order_ms", 1000 * order[turn.variant](), unit="ms")
"""


def shop():
    """Return the module whose operation calls each of the functions once.

    The work stands in each of them: their own share is what a profiler counts.
    """
    lines = ["import os", "", "MORE = int(os.environ.get('MORE', '0'))", ""]
    for number in range(COUNT):
        rounds = "400 + MORE" if number == SLOWER else "400"
        lines += [
            f"def step_{number}():",
            "    total = 0",
            f"    for number in range({rounds}):",
            "        total = (total * 31 + number) % 1_000_003",
            "    return total",
            "",
        ]
    calls = "; ".join(f"step_{number}()" for number in range(COUNT))
    lines += ["def order():", f"    {calls}", ""]
    return "\n".join(lines)


def session(folder, more, seed, *options):
    """Run one session and return its gate.json."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shop.py"]
    words += ["--twin-variant", "base:", "--twin-variant", f"candidate:MORE={more}"]
    words += ["--twin-seed", str(seed), "--twin-no-report", *options]
    subprocess.run(words, cwd=folder, capture_output=True, check=False)
    return json.loads((folder / "data" / "latest" / "gate.json").read_text())


def places_of(found):
    """Return verdict, effect, and the functions that were named, those that grew most first."""
    (verdict,) = found["verdicts"]
    names = [place["function"] for place in verdict["places"]]
    return {
        "status": verdict["status"],
        "effect_percent": verdict["effect_shown"],
        "named": names,
    }


def cost(folder, alternations):
    """Return by how many percent an operation takes longer with the profiler, each alternation."""
    words = [sys.executable, "-c", LOOP]
    process = subprocess.Popen(words, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    found = []
    for _ in range(alternations):
        plain = [operation_s(process), 0.0]
        sampler = PySpy("base", [process.pid])
        operation_s(process)  # while it attaches
        beside = operation_s(process)
        sampler.process.send_signal(signal.SIGINT)
        sampler.end()
        plain[1] = operation_s(process)
        found.append(100 * (2 * beside / sum(plain) - 1))
    process.stdin.close()
    process.wait()
    return found


def operation_s(process):
    """Return the mean time of an operation over four seconds."""
    process.stdin.write(b"\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=10, help="that regress (default: 10)")
    parser.add_argument("--equal", type=int, default=20, help="of equal variants (default: 20)")
    parser.add_argument("--cost", type=int, default=12, help="with and without (default: 12)")
    parser.add_argument("--json", metavar="FILE", help="results for machines")
    arguments = parser.parse_args()
    if not shutil.which("py-spy"):
        sys.exit("left out: py-spy is not on the search path")
    print(measure.machine_line())
    results = {"slower": [], "equal": [], "cost_percent": []}
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        (folder / "shop.py").write_text(shop())
        (folder / "test_shop.py").write_text(TESTS)
        more = round(0.05 * 400 * COUNT)
        rows = [("slower", more, seed) for seed in range(arguments.sessions)]
        rows += [("equal", 0, seed) for seed in range(arguments.equal)]
        for name, extra, seed in rows:
            results[name].append(places_of(session(folder, extra, seed, "--twin-gate-profile")))
            sys.stderr.write(f"{name}: {results[name][-1]}\n")
        results["cost_percent"] = cost(folder, arguments.cost)
    first = [one["named"][:1] for one in results["slower"]]
    hits = sum(bool(name) and name[0].startswith(f"step_{SLOWER} ") for name in first)
    quiet = sum(not one["named"] for one in results["equal"])
    print(f"+5 % in 1 of {COUNT} functions: named first in {hits} of {len(first)} sessions")
    print(f"equal variants: none named in {quiet} of {len(results['equal'])} sessions")
    if results["cost_percent"]:
        low, middle, high = statistics.quantiles(results["cost_percent"], n=4)
        print(
            f"an operation takes longer beside the profiler: median {middle:.2f} %, quartiles"
            f" {low:.2f} to {high:.2f} %, {len(results['cost_percent'])} alternations"
        )
    if arguments.json:
        measure.write_json(arguments.json, results)


if __name__ == "__main__":
    main()
