"""The package as a whole: public names, what importing costs, and where it was installed from."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import twin_harness

HOME = Path(twin_harness.__file__).resolve().parent
STANDARD_LIBRARY_ONLY = [
    *["errors", "metrics", "quantity", "session.config", "runs.dataset_file"],
    *[
        f"{room}.{path.stem}"
        for room in ("shapes", "system")
        for path in sorted((HOME / room).glob("[a-z]*.py"))
    ],
    *[
        "stress.load_host",
        "stress.cpu_stress",
        "stress.mem_stress",
        "stress.disk_stress",
        "control.guard",
        "control.watched_limits",
        "stress.stressors",
        "system.guard_messages",
        "system.load_messages",
        "system.telemetry_messages",
        "telemetry.psutil_logger",
        "telemetry.probe",
        "telemetry.load_account",
    ],
]


@pytest.mark.parametrize("name", twin_harness.__all__)
def test_every_public_name_is_there(name):
    """Each name of ``__all__`` can be had from the package."""
    assert getattr(twin_harness, name) is not None


def test_another_name_is_no_attribute():
    """A misspelled name is an AttributeError like in any module."""
    with pytest.raises(AttributeError, match="module 'twin_harness' has no attribute 'cpus'"):
        _ = twin_harness.cpus


def test_no_public_name_is_shadowed_by_a_module():
    """A builder that bore the name of a module would vanish once that module is imported."""
    modules = {path.stem for path in HOME.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not modules & set(twin_harness.__all__)


def run_python(*arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd="/",
        env={"PYTHONPATH": str(HOME.parent)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_importing_the_package_imports_nothing():
    """The root loads no other module of the package, and nothing outside the standard library."""
    done = run_python(
        "-S",
        "-s",
        "-c",
        "import sys, typing; before = set(sys.modules); import twin_harness;"
        " print(*sorted(set(sys.modules) - before))",
    )
    assert set(done.stdout.split()) <= {"twin_harness", "__future__"}, done.stderr


def test_load_processes_need_the_standard_library_alone():
    """What a load host, guard or probe imports is there without site-packages."""
    done = run_python(
        "-S", "-s", "-c", "\n".join(f"import twin_harness.{name}" for name in STANDARD_LIBRARY_ONLY)
    )
    assert done.returncode == 0, done.stderr


def test_what_needs_no_tables_and_figures_does_not_wait_for_their_libraries():
    """A session, wrong use of ``twin report`` and ``validate``, and a schedule on the terminal.

    Tables are made at a session's end, and figures where one is asked for.
    """
    code = (
        "import sys, twin_harness.session.session, twin_harness.report.plan_bars\n"
        "from twin_harness.cli import main\n"
        "for command in ('report', 'validate'):\n"
        "    assert main([command, 'nowhere']) == 2\n"
        "assert main(['schedule', 'show', 'nowhere.json']) == 2\n"
        "print({'pandas', 'matplotlib', 'scipy'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=HOME.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "set()", done.stderr
    assert done.stderr.count("\n") == 3


def test_a_twin_is_imported_without_pandas_and_scipy():
    """Fitting alone takes scipy; who predicts does not wait for it."""
    done = run_python(
        "-c",
        "import sys, twin_harness.predict.twin;"
        " print({'pandas', 'pyarrow', 'scipy'} & set(sys.modules))",
    )
    assert done.stdout.strip() == "set()", done.stderr


LOOKS_AT_ALL = """
import sys
import twin_harness.plugin
for module in [module for name, module in sys.modules.items() if name.startswith("twin_harness")]:
    for name in dir(module):
        getattr(module, name)
print(sorted({"pandas", "numpy", "scipy", "matplotlib", "pydantic", "hypothesis"} & {*sys.modules}))
"""


def test_looking_at_every_attribute_loads_nothing():
    """As freezegun does with every module, while datetime is replaced: pandas would crash."""
    done = run_python("-c", LOOKS_AT_ALL)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_the_version_is_a_version():
    """Three numbers."""
    assert [part.isdecimal() for part in twin_harness.__version__.split(".")] == [True, True, True]


@pytest.mark.skipif("TWIN_TEST_WHEEL" not in os.environ, reason="only tox installs a wheel")
def test_the_wheel_is_tested_and_not_the_checkout():
    """Under tox the package comes from site-packages."""
    assert "site-packages" in HOME.parts
