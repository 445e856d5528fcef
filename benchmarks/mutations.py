"""Break each stressor on purpose and see that every scenario that uses it fails.

`python benchmarks/mutations.py`.

Each mutation is made in a copy of the package, which the scenarios then run from. Needs a quiet
machine; takes about 15 minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

from twin_harness.control.make_schedule import draw_experiments

ROOT = Path(__file__).resolve().parent.parent
STRESSORS = "twin_harness/stress/stressors.py"
CPU, MEMORY, DISK = (f"twin_harness/stress/{name}_stress.py" for name in ("cpu", "mem", "disk"))
# (stressor, name): (file, what stands there, what to put instead)
MUTATIONS = {
    ("cpu", "off"): (CPU, "while own_s < target_s and", "while False and"),
    ("cpu", "half"): (
        CPU,
        "load.area(slot_end_s) - forgiven_s",
        "load.area(slot_end_s) / 2 - forgiven_s",
    ),
    ("cpu", "wrong resource"): (
        STRESSORS,
        "return CpuStress(load, team)",
        "return MemoryStress(load, 0)",
    ),
    ("cpu", "open loop"): (
        CPU,
        "while own_s < target_s and",
        "while time.monotonic() < slot_end_s - SLOT_S + load.level(slot_end_s) * SLOT_S * 1.2 and",
    ),
    ("memory", "off"): (MEMORY, "wanted_bytes = _to_grain(load.level(now_s))", "wanted_bytes = 0"),
    ("memory", "half"): (
        MEMORY,
        "wanted_bytes = _to_grain(load.level(now_s))",
        "wanted_bytes = _to_grain(load.level(now_s) / 2)",
    ),
    ("memory", "wrong resource"): (
        STRESSORS,
        'return MemoryStress(load, floor_bytes, self._plan["memory_limit_bytes"])',
        (
            "load.scale = 0.3 / max(load.shape.extremes(load.duration_s)[1], 1); return"
            " CpuStress(load, Team())"
        ),
    ),
    ("disk", "off"): (DISK, "self._move_block(done_bytes // block_bytes)", "pass"),
    ("disk", "half"): (
        DISK,
        "missing_bytes = load.area(now_s) - forgiven_bytes",
        "missing_bytes = load.area(now_s) / 2 - forgiven_bytes",
    ),
    ("disk", "wrong resource"): (
        STRESSORS,
        "return DiskStress(load, scratch_file, count_fsynced)",
        "load.scale = 0.3 / max(load.highest(), 1); return CpuStress(load, Team())",
    ),
}
USES = {
    "cpu": [
        "test_cpu.py::test_cpu_plateau_is_what_was_asked[20 percent]",
        "test_cpu.py::test_cpu_plateau_is_what_was_asked[50 percent]",
        "test_cpu.py::test_cpu_plateau_is_what_was_asked[80 percent]",
        "test_cpu.py::test_cpu_follows_a_staircase",
        "test_cpu.py::test_cpu_follows_ramp_and_wave",
        "test_cpu.py::test_busy_neighbour_is_seen",
        "test_together.py::test_three_loads_overlap",
        "test_together.py::test_random_schedules_are_delivered",
    ],
    "memory": [
        "test_memory.py::test_memory_follows_a_staircase",
        "test_memory.py::test_memory_comes_back",
        "test_together.py::test_three_loads_overlap",
        "test_together.py::test_random_schedules_are_delivered",
    ],
    "disk": [
        "test_disk.py::test_disk_writes_reach_the_device",
        "test_disk.py::test_disk_reads_come_from_the_device",
        "test_together.py::test_three_loads_overlap",
        "test_together.py::test_random_schedules_are_delivered",
    ],
}


def copy_and_break(folder: Path, file: str, old: str, new: str) -> None:
    """Copy the package to ``folder`` and put other text into one file of the copy."""
    shutil.copytree(
        ROOT / "twin_harness", folder / "twin_harness", ignore=shutil.ignore_patterns("__pycache__")
    )
    path = folder / file
    text = path.read_text()
    if old not in text:
        sys.exit(f"mutations: {file} no longer holds {old!r}; bring the mutation up to date")
    path.write_text(text.replace(old, new))


def outcomes(folder: Path, scenarios: list[str]) -> dict[str, str]:
    """Run scenarios from the broken copy and return their outcomes by name.

    Without pythonpath, which would put the sound package first.
    """
    junit = folder / "junit.xml"
    names = [str(ROOT / "scenarios" / scenario) for scenario in scenarios]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [
        sys.executable,
        "-P",
        "-m",
        "pytest",
        "-q",
        "-o",
        "pythonpath=",
        "--twin-no-report",
        f"--twin-data-dir={folder / 'data'}",
        f"--alluredir={folder / 'allure'}",
    ]
    subprocess.run(
        [*command, f"--junitxml={junit}", *names],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=False,
    )

    return {
        case.get("name", ""): (
            "failed"
            if case.find("failure") is not None
            else (
                "error"
                if case.find("error") is not None
                else "UNDECIDED"
                if case.find("skipped") is not None
                else "passed"
            )
        )
        for case in ET.parse(junit).iter("testcase")
    }


def is_used(stressor: str, test: str) -> bool:
    """Tell whether a scenario uses a stressor: a random schedule may do without."""
    if "[random-" not in test:
        return True
    index = int(test.partition("[random-")[2].rstrip("]"))
    return any(
        event.stressor == stressor
        for event in draw_experiments(3, 0, max_memory_percent=1)[index].events
    )


def main() -> int:
    """Print the table; return 1 when a scenario passes with a broken stressor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", help="stressor, or stressor:mutation")
    arguments = parser.parse_args()
    table = []
    for (stressor, name), change in MUTATIONS.items():
        if arguments.only and arguments.only not in (stressor, f"{stressor}:{name}"):
            continue
        with tempfile.TemporaryDirectory() as folder:
            copy_and_break(Path(folder), *change)
            for test, outcome in outcomes(Path(folder), USES[stressor]).items():
                if not is_used(stressor, test):
                    continue
                table.append(
                    {"stressor": stressor, "mutation": name, "scenario": test, "outcome": outcome}
                )
                if not arguments.json:
                    print(f"{stressor:<7} {name:<15} {outcome:<10} {test}", flush=True)
    if arguments.json:
        print(json.dumps(table, indent=1))
    survivors = [row for row in table if row["outcome"] != "failed"]
    print(f"{len(table)} runs, {len(survivors)} not failed", file=sys.stderr)
    return 1 if survivors else 0


if __name__ == "__main__":
    raise SystemExit(main())
