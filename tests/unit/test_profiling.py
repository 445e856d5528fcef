"""Sampling both variants from outside: whom, what comes back, and why nothing does."""

import os
import subprocess
import sys

import pytest

from twin_harness.gate import profiling
from twin_harness.gate.profiling import FAULT, Profilers
from twin_harness.gate.variant import Variant

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


def ready(profilers):
    """Wait until each stand-in has said that it samples, so that its end is caught."""
    for _, path, process in profilers._running:
        while process.poll() is None and not profiling._messages(path).read_text():
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
    assert all(process.poll() is not None for _, _, process in profilers._running)


def test_what_may_not_be_sampled_is_a_line(program, services):
    """The profiler's own reason, without its progress."""
    program(REFUSED)
    profilers = Profilers(BOTH)
    for _, _, process in profilers._running:
        process.wait()
    stacks = profilers.end()
    assert set(stacks) == {"base", "candidate"}
    for text in stacks.values():
        assert text.startswith(f"{FAULT}py-spy: Error: Permission denied: try running")


def test_a_variant_without_a_process_says_how_it_is_found(program):
    """Started without variant.environ it cannot be told."""
    program(SAMPLER)
    stacks = Profilers(BOTH).end()
    assert stacks["base"].startswith(f"{FAULT}no process of base was there when the turns began")
