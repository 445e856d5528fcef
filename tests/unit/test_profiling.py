"""Sampling both variants from outside: whom, what comes back, and why nothing does."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from twin_harness.gate.profiling import FAULT, Profilers
from twin_harness.gate.samplers import Perf, collapse, targets, text_of
from twin_harness.gate.variant import Variant
from twin_harness.system.procfs import read_text

BOTH = (Variant("base"), Variant("candidate"))
# Stands in for the profiler: takes its arguments, and writes its file when it is told to end.
SAMPLER = """#!{python}
import signal, sys
path = sys.argv[sys.argv.index("--output") + 1]
pid = sys.argv[sys.argv.index("--pid") + 1]
def end(*_):
    with open(path, "w") as file:
        file.write(f"process {{pid}};main (a.py:1);work (b.py:{{pid}}) 5\\n")
    sys.exit(0)
signal.signal(signal.SIGINT, end)
print("py-spy> Sampling process 100 times a second", file=sys.stderr, flush=True)
while True:
    signal.pause()
"""
REFUSED = """#!{python}
import sys
print("py-spy> Sampling", file=sys.stderr)
sys.exit("Error: Permission denied: try running with elevated permissions")
"""
SERVICE = "print('ready', flush=True); import sys; sys.stdin.read()"


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a program of that text on the search path, as the profiler."""

    def install(text):
        path = tmp_path / "py-spy"
        path.write_text(text.format(python=sys.executable))
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    return install


@pytest.fixture
def services():
    """A process of each variant."""
    found = []
    for variant in BOTH:
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", SERVICE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **variant.environ},
        )
        process.stdout.readline()
        found.append(process)
    yield found
    for process in found:
        process.communicate()


def is_alive(pid):
    """Whether a process runs: it is there, and no zombie that nobody has reaped."""
    state = read_text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return bool(state) and state[0] not in "ZX"


def ready(profilers):
    """Wait until each stand-in has said that it samples, so that its end is caught."""
    for sampler in profilers._running:
        while sampler.process.poll() is None and not text_of(sampler.messages):
            pass


def test_each_variant_is_sampled_by_its_name(program, services):
    """The stacks are of the process that bears it, and nothing is left of the profilers."""
    program(SAMPLER)
    profilers = Profilers(BOTH)
    ready(profilers)
    stacks = profilers.end()
    assert {name: text.split("b.py:")[1] for name, text in stacks.items()} == {
        variant.name: f"{process.pid}) 5\n" for variant, process in zip(BOTH, services, strict=True)
    }
    assert all(sampler.process.poll() is not None for sampler in profilers._running)


def test_the_profiler_ends_with_the_session(program, services, tmp_path):
    """However that dies: nothing goes on sampling, and no file is left."""
    program(SAMPLER)
    code = (
        "import os, sys; from twin_harness.gate import profiling;"
        "from twin_harness.gate.variant import Variant;"
        "profiling.processes_of = lambda variant: [int(sys.argv[1])];"
        "found = profiling.Profilers([Variant('base')])._running;"
        "print(found[0].process.pid, flush=True);"
        "os.kill(os.getpid(), 9)"
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    session = subprocess.run(
        [sys.executable, "-c", code, str(services[0].pid)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(scratch)},
    )
    pid = int(session.stdout)
    deadline_s = time.monotonic() + 20.0
    while time.monotonic() < deadline_s and is_alive(pid):
        time.sleep(0.01)
    assert not is_alive(pid)
    assert not list(scratch.iterdir())


def test_what_may_not_be_sampled_is_a_line(program, services):
    """The profiler's own reason, without its progress."""
    program(REFUSED)
    profilers = Profilers(BOTH)
    for sampler in profilers._running:
        sampler.process.wait()
    stacks = profilers.end()
    assert set(stacks) == {"base", "candidate"}
    for text in stacks.values():
        assert text.startswith(f"{FAULT}py-spy: Error: Permission denied: try running")


def test_a_variant_without_a_process_says_how_it_is_found(program):
    """Started without variant.environ it cannot be told."""
    program(SAMPLER)
    stacks = Profilers(BOTH).end()
    assert stacks["base"].startswith(f"{FAULT}no process of base was there when the turns began")


LISTED = """
\t            1173 inner (/srv/shop)
\t            121b main (/srv/shop)

\t            1173 inner (/srv/shop)
\t            121b main (/srv/shop)

\t    7f0000002224 std::map<int; int>::find (int) const (/usr/lib/libshop.so.1 (deleted))
\t               0 [unknown] ([unknown])
"""


def test_what_perf_lists_is_collapsed():
    """Outermost first, each stack with its count; a semicolon in a name parts no frames."""
    assert collapse(LISTED).splitlines() == [
        "main (shop);inner (shop) 2",
        "[unknown] ([unknown]);std::map<int: int>::find (int) const (libshop.so.1 (deleted)) 1",
    ]


def test_a_shell_that_starts_python_is_looked_at_by_both():
    """Py-spy is given the Python, perf what runs something else."""
    words = f'{sys.executable} -S -c "{SERVICE}"; true'
    process = subprocess.Popen(["sh", "-c", words], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    found = [(kind.__name__, pids) for kind, pids in targets(process.pid)]
    process.communicate()
    assert [kind for kind, _ in found] == ["PySpy", "Perf"]
    assert process.pid not in found[0][1]
    assert found[1][1] == (process.pid,)


def test_what_perf_may_not_see_is_a_line(tmp_path, monkeypatch):
    """Of its many lines the one that says why."""
    path = tmp_path / "perf"
    path.write_text("#!/bin/sh\necho Error: >&2\necho No permission to enable it. >&2\nexit 1\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    sampler = Perf("base", [os.getpid()])
    sampler.process.wait()
    assert sampler.end() == ("", "perf: No permission to enable it.")


@pytest.mark.skipif(not shutil.which("perf"), reason="perf is not installed")
def test_perf_sees_a_program_at_work():
    """Each sample is CPU time of the program, so that is what is waited for, however busy it is.

    What it looks at runs no Python; nothing is left in the home folder.
    """
    program = subprocess.Popen(["sh", "-c", "while :; do :; done"])
    try:
        sampler = Perf("base", [program.pid])
        while sampler.process.poll() is None and not _counts(sampler.process.pid):
            time.sleep(0.05)
        begun = _cpu_s(program.pid)
        while sampler.process.poll() is None and _cpu_s(program.pid) < begun + 0.5:
            time.sleep(0.05)
        sampler.process.send_signal(signal.SIGINT)
        stacks, fault = sampler.end()
    finally:
        program.kill()
        program.wait()
    if not stacks and fault != "perf saw it at no work":
        pytest.skip(fault)
    assert sum(int(line.rpartition(" ")[2]) for line in stacks.splitlines()) > 10, fault


def _counts(pid: int) -> bool:
    """Whether perf has opened its counters."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since
            if "perf_event" in os.readlink(entry):
                return True
    return False


def _cpu_s(pid: int) -> float:
    return sum(psutil.Process(pid).cpu_times()[:2])
