"""The gate on a real service of another make, beside a neighbour that comes and goes.

    pip install flask waitress; python benchmarks/gate_real_service.py --json real.json

A Flask application under waitress (JSON and zlib work) is compared with itself and with a
candidate that does 7.5 % more work, of which an answer takes about 5 % longer: in turns, in turns
without a layout of memory that each start draws anew (`setarch -R`), and in a run each. A neighbour
takes a CPU for one to six seconds at a time, by a seed, about half of the time. About 1 minute a
session in turns, 2 in runs. What is missing is named, and nothing is installed.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import measure

SERVICE = """
import json, os, sys, zlib
from flask import Flask, request
import waitress

app = Flask(__name__)
ROUNDS = int(40_000 * float(os.environ.get("WORK", "1.0")))
TEXT = bytes(range(256)) * 4

@app.post("/orders")
def orders():
    order = json.loads(request.get_data())
    total = 0
    for number in range(ROUNDS):
        total = (total * 31 + number) % 1_000_003
    return {"id": order["id"], "total": total, "size": len(zlib.compress(TEXT))}

if __name__ == "__main__":
    server = waitress.create_server(app, host="127.0.0.1", port=0, threads=2)
    print(server.effective_port, flush=True)
    server.run()
"""
TESTS = """
import http.client, os, subprocess, sys, time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
import pytest

BODY = b'{"id": 7, "items": [1, 2, 3]}'

@contextmanager
def running(variant):
    words = [*os.environ.get("BEFORE", "").split(), sys.executable]
    words.append(str(Path(__file__).with_name("service.py")))
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, env={**os.environ, **variant.environ}
    )
    try:
        port = int(process.stdout.readline())
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        for _ in range(50):
            order(connection)
        yield connection
    finally:
        process.kill()
        process.wait()

def order(connection):
    begin_s = time.perf_counter()
    connection.request("POST", "/orders", BODY, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 200 and answer.read()
    return 1000 * (time.perf_counter() - begin_s)

@pytest.mark.gate("latency_ms", better="lower", threshold="3%", interleave="0.1s")
def test_turns(variants, gate):
    with ExitStack() as stack:
        services = {one: stack.enter_context(running(one)) for one in variants}
        for turn in gate.turns():
            while turn.is_open:
                turn.record("latency_ms", order(services[turn.variant]), unit="ms")

@pytest.mark.gate("latency_median_ms", better="lower", threshold="3%")
def test_runs(variant, gate):
    with running(variant) as connection:
        end_s = time.monotonic() + 2.0
        times = []
        while time.monotonic() < end_s:
            times.append(order(connection))
        gate.record("latency_median_ms", median(times), unit="ms")
"""


def neighbour(stop, seed):
    """Take a CPU for a while, rest for a while, until told to stop."""
    chance = random.Random(seed)
    while not stop.is_set():
        busy_s = chance.uniform(1.0, 6.0)
        words = ["timeout", f"{busy_s:.2f}", sys.executable, "-S", "-c", measure.HOG]
        with subprocess.Popen(words) as process:
            while process.poll() is None and not stop.is_set():
                time.sleep(0.05)
            process.terminate()
        stop.wait(chance.uniform(1.0, 6.0))


def session(folder, test, work, seed, before=""):
    """Run one session beside the neighbour; return what it said.

    ``before`` are words in front of the service's own.
    """
    stop = threading.Event()
    beside = threading.Thread(target=neighbour, args=(stop, seed))
    beside.start()
    begin_s = time.monotonic()
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"test_real.py::{test}",
    ]
    words += ["--twin-variant", "base:", "--twin-variant", f"candidate:WORK={work}"]
    words += ["--twin-seed", str(seed), "--twin-no-report"]
    try:
        environ = {**os.environ, "BEFORE": before}
        subprocess.run(words, cwd=folder, capture_output=True, check=False, env=environ)
    finally:
        stop.set()
        beside.join()
    found = json.loads((folder / "data" / "latest" / "gate.json").read_text())
    (verdict,) = found["verdicts"]
    return {
        "status": verdict["status"],
        "effect_percent": verdict["effect_shown"],
        "sd_percent": 100 * (verdict["spread"] or 0),
        "pairs": verdict["n"],
        "covariate": verdict["covariate"],
        "seconds": time.monotonic() - begin_s,
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=10, help="of each row (default: 10)")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name holds this")
    parser.add_argument("--skip", default="", metavar="TEXT", help="rows whose name does not")
    parser.add_argument("--json", metavar="FILE", help="results for machines")
    arguments = parser.parse_args()
    missing = [name for name in ("flask", "waitress") if find_spec(name) is None]
    if missing:
        sys.exit(f"left out: {', '.join(missing)} is not installed")
    print(measure.machine_line())
    results = {}
    tests = (("test_turns", ""), ("test_turns", "setarch -R"), ("test_runs", ""))
    for test, before in tests:
        for work in ("1.0", "1.075"):
            name = f"{before} {test}, work {work}".strip()
            if arguments.only not in name or (arguments.skip and arguments.skip in name):
                continue
            rows = []
            for seed in range(arguments.sessions):
                with tempfile.TemporaryDirectory() as path:
                    folder = Path(path)
                    (folder / "service.py").write_text(SERVICE)
                    (folder / "test_real.py").write_text(TESTS)
                    rows.append(session(folder, test, work, seed, before))
                sys.stderr.write(f"{name}: {rows[-1]}\n")
            results[name] = rows
            counts = {
                word: sum(row["status"] == word for row in rows)
                for word in ("REGRESSED", "PASSED", "UNDECIDED")
            }
            print(
                f"{name}: {counts}; SD of a pair"
                f" {statistics.median(row['sd_percent'] for row in rows):.2f} % (median),"
                f" {statistics.median(row['pairs'] for row in rows):g} pairs,"
                f" {statistics.median(row['seconds'] for row in rows):.0f} s a session"
            )
    if arguments.json:
        measure.write_json(arguments.json, results)


if __name__ == "__main__":
    main()
