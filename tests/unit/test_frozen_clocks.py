"""Whatever a test does to the clocks of its process.

Ours go on, and nothing of ours that runs there waits by another.
"""

import ast
import datetime as dt
import time
from pathlib import Path

import pytest

import twin_harness
from twin_harness.control.annotations import utc_text
from twin_harness.system import clock
from twin_harness.system.run_id import draw_run_id

PACKAGE = Path(twin_harness.__file__).parent
# Processes of our own, which no test of a user's can reach into.
OWN_PROCESSES = (
    "gate/pinned.py",
    *("control/guard.py", "control/watched_limits.py", "stress/children.py"),
    *("stress/command_stress.py", "stress/cpu_stress.py", "stress/disk_stress.py"),
    *("stress/hosted_event.py", "stress/load.py", "stress/load_host.py", "stress/mem_stress.py"),
    *("telemetry/logger_account.py", "telemetry/probe.py", "telemetry/psutil_logger.py"),
    "telemetry/wake_up.py",
)
REPLACEABLE = {
    "time": {
        "monotonic",
        "monotonic_ns",
        "time",
        "time_ns",
        "sleep",
        "perf_counter",
        "perf_counter_ns",
        "localtime",
    },
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "select": {"select"},  # it knows no descriptor above 1,023
}


def session_side():
    modules = {str(path.relative_to(PACKAGE)): path for path in PACKAGE.rglob("*.py")}
    assert set(OWN_PROCESSES) <= set(modules)
    return [name for name in sorted(modules) if name not in (*OWN_PROCESSES, "system/clock.py")]


def replaceable_names(source):
    """Return what a module takes from clocks that a test can replace, by name."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.attr in REPLACEABLE.get(node.value.id, ())
        ):
            found.append(f"{node.value.id}.{node.attr}")
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            found += [f"from time import {name.name}" for name in node.names]
        is_wait = (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("wait", "communicate")
        )
        if (
            is_wait
            and ast.unparse(node.func.value).rpartition(".")[2]
            in ("process", "worker", "child", "_starter")
            and (node.args or node.keywords)
        ):
            found.append(
                f"{ast.unparse(node.func)} with a timeout, which subprocess takes from"
                " time.monotonic"
            )
    return found


@pytest.mark.parametrize("name", session_side())
def test_session_side_modules_take_time_from_the_clock_module_alone(name):
    """What runs in the user's process asks no clock and no sleep that a test may freeze.

    With time.monotonic or time.sleep it would hang.
    """
    assert replaceable_names((PACKAGE / name).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.monotonic()",
        "from time import sleep",
        "x = datetime.now(UTC)",
        "select.select([], [], [])",
        "process.wait(1.0)",
        "default=time.time",
    ],
)
def test_the_search_finds_each_kind(source):
    """The rule above is not held by a search that finds nothing."""
    assert replaceable_names(source)


@pytest.fixture
def frozen(monkeypatch):
    """Freeze and replace what freezegun, time-machine and impatient tests replace."""

    class Frozen(dt.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2020, 1, 1, tzinfo=tz)

    real = time.clock_gettime, time.clock_gettime_ns
    for name in ("monotonic", "time", "perf_counter"):
        monkeypatch.setattr(time, name, lambda: 1_577_836_800.0)
    monkeypatch.setattr(
        time,
        "clock_gettime",
        lambda number: 1_577_836_800.0 if number == time.CLOCK_REALTIME else real[0](number),
    )
    monkeypatch.setattr(
        time,
        "clock_gettime_ns",
        lambda number: 1_577_836_800 * 10**9 if number == time.CLOCK_REALTIME else real[1](number),
    )
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(dt, "datetime", Frozen)
    return real


def test_our_clocks_go_on_while_those_of_the_process_stand(frozen):
    """Monotonic time and wall clock are the kernel's, and a sleep takes its time."""
    before_s, before_utc_s = clock.monotonic_s(), clock.utc_s()
    clock.sleep_s(0.002)
    assert clock.monotonic_s() - before_s >= 0.002
    assert clock.utc_s() - before_utc_s >= 0.002
    assert abs(clock.utc_s() - frozen[0](time.CLOCK_REALTIME)) < 1.0
    assert not clock.is_standing()


def test_texts_bear_the_real_year(frozen):
    """Annotations, run ids and run.json are of now, not of the year that the test froze."""
    year = f"{time.gmtime(int(frozen[0](time.CLOCK_REALTIME))).tm_year}"
    assert [
        text[:4] for text in (utc_text(clock.monotonic_s()), clock.now_text(), draw_run_id())
    ] == [year] * 3


def test_a_clock_that_stands_is_noticed(monkeypatch):
    """A preloaded library can freeze the kernel's clock, too: then nothing is waited for."""
    monkeypatch.setattr(time, "clock_gettime", lambda _: 5.0)
    assert clock.is_standing()


@pytest.mark.parametrize(
    ("instant_s", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000000Z"),
        (1_577_836_799.9999999, "2020-01-01T00:00:00.000000Z"),
        (951_782_400.25, "2000-02-29T00:00:00.250000Z"),
    ],
)
def test_an_instant_is_written_with_microseconds(instant_s, text):
    """Also where rounding reaches the next second, and on a leap day."""
    assert clock.utc_text(instant_s) == text
