"""Build the wheel, install it into a fresh environment, and use it from a foreign project.

Run by ``tox run -e wheel-smoke``; ends with an AssertionError or CalledProcessError that names what
is wrong.
"""

import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
FOREIGN_TEST = """
import pytest
from twin_harness import constant, cpu, plan


@pytest.mark.experiment(lead_s=0.3, tail_s=0.3)
def test_an_idle_server_delivers_no_load(recording):
    assert recording.max("cpu_delivered_percent") == 0


def test_a_plan_is_made_without_a_server():
    assert plan(cpu(constant(40), duration_s=5)).duration_s == 7
"""


def run(*command, folder):
    """Run a command, show what it says, and return it; a bad end is an error."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PYTEST", "VIRTUAL_ENV"))
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    sys.stdout.write(done.stdout + done.stderr)
    done.check_returncode()
    return done.stdout


def check_contents(wheel):
    """The wheel ships the package with its type marker and licence, and no other top-level name."""
    names = zipfile.ZipFile(wheel).namelist()
    folders = {name.partition("/")[0] for name in names}
    metadata = next(folder for folder in folders if folder.endswith(".dist-info"))
    assert folders == {
        "twin_harness",
        metadata,
    }, f"expected twin_harness alone but the wheel holds {sorted(folders)}"
    for name in (
        "twin_harness/py.typed",
        "twin_harness/cli/__init__.py",
        f"{metadata}/licenses/LICENSE",
        f"{metadata}/entry_points.txt",
    ):
        assert name in names, f"{name} is not in the wheel"
    strange = [
        name for name in names if name.endswith((".pyc", ".csv", ".png")) or "/tests/" in name
    ]
    assert not strange, f"the wheel holds {strange}"


def main():
    """Build, look inside, install, and use."""
    with tempfile.TemporaryDirectory(prefix="twin-wheel-") as scratch:
        dist, environment, project = (
            Path(scratch, name) for name in ("dist", "environment", "project")
        )
        project.mkdir()
        run(
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--wheel-dir",
            dist,
            CHECKOUT,
            folder=scratch,
        )
        (wheel,) = dist.glob("*.whl")
        check_contents(wheel)

        venv.create(environment, with_pip=True)
        programs = environment / "bin"
        run(programs / "pip", "install", "--quiet", wheel, folder=scratch)
        help_text = run(programs / "twin", "--help", folder=project)
        assert "usage: twin" in help_text, "twin --help does not say how it is used"

        (project / "test_foreign.py").write_text(FOREIGN_TEST)
        closing = run(programs / "pytest", "-p", "no:cacheprovider", folder=project)
        assert "2 passed" in closing, "the foreign project's tests did not pass"
        deliverables = {path.name for path in (project / "data" / "latest").iterdir()}
        assert {
            "system_metrics_dataset.csv",
            "annotations.csv",
            "schedule.json",
        } <= deliverables, f"only {sorted(deliverables)} were left"
    sys.stdout.write("the wheel is whole\n")


if __name__ == "__main__":
    main()
