"""What the harness costs the machine.

Blocks of fixed work with and without logger and probes, interleaved.

In each round there are two blocks without (A, A) and one with (B), in turning order. A block is one
worker a CPU, which does the same piece of work again and again, and a sleeper, which measures how
late it is woken. B against the mean of both A is the cost; A against A is what the comparison
cannot tell.
"""

from __future__ import annotations

import json
import math
import os
import signal
import statistics
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.system.board import Board
from twin_harness.system.child import die_with_parent
from twin_harness.system.clock import monotonic_s, sleep_s
from twin_harness.system.machine import inspect_machine
from twin_harness.system.registry import register
from twin_harness.telemetry.start import Telemetry, remove_registered

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twin_harness.session.config import TwinConfig

_TURNS = 20_000
_SETTLE_S = 0.3
_SLEEP_S = 0.002
SHORTEST_BLOCK_S = 0.2
FEWEST_ROUNDS = 6  # of fewer values not even the smallest and the largest hold the median with 95 %
_ORDERS = (("A", "A", "B"), ("A", "B", "A"), ("B", "A", "A"))


@dataclass(frozen=True)
class Interval:
    """A median over rounds with its 95 % interval.

    Conover 1999, Practical Nonparametric Statistics, 3.2.

    Attributes:
        median: of the rounds.
        low: lower end of the interval.
        high: upper end.
        n: how many rounds.
    """

    median: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Interval:
        """Return the median and the values between which it lies with at least 95 %.

        They are as far from the ends as may be. Nothing is assumed about the distribution: each
        value is above the median with probability one half. The bounds of fewer than six values are
        infinite.
        """
        ordered, n = sorted(values), len(values)
        # Of 2**n equally likely ways, those in which so many values or fewer lie on one side.
        beyond, outside = 0, 1
        while 40 * (outside + math.comb(n, beyond + 1)) <= 2**n:  # at most 2.5 % on each side
            beyond += 1
            outside += math.comb(n, beyond)
        if n >= FEWEST_ROUNDS:
            low, high = ordered[beyond], ordered[n - 1 - beyond]
        else:
            low, high = -math.inf, math.inf
        return cls(statistics.median(values), low, high, n)

    def text(self, unit: str) -> str:
        """Return the interval in words."""
        return (
            f"{self.median:+.3f} {unit} (95 % from {self.low:+.3f} to {self.high:+.3f}, n ="
            f" {self.n} rounds)"
        )


@dataclass(frozen=True)
class Overhead:
    """What was measured.

    Attributes:
        cost_percent: how much less work was done with the harness than without.
        noise_percent: the same of two blocks without it.
        wakeup_ms: how much later the sleeper was woken (99th percentile of a block).
        noise_wakeup_ms: the same of two blocks without it.
    """

    cost_percent: Interval
    noise_percent: Interval
    wakeup_ms: Interval
    noise_wakeup_ms: Interval

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return what it says, for people."""
        if self.cost_percent.low > 0:
            verdict = "the harness costs the machine"
            figure = self.cost_percent.median
        else:
            verdict = (
                "no cost can be distinguished from the noise of this machine; it may be anything up"
                " to"
            )
            figure = max(self.cost_percent.high, 0.0)
        return [
            f"work done less   {self.cost_percent.text('%')}",
            f"  of two blocks without it   {self.noise_percent.text('%')}",
            f"wake-up later    {self.wakeup_ms.text('ms')}",
            f"  of two blocks without it   {self.noise_wakeup_ms.text('ms')}",
            f"{verdict} {figure:.2f} % of its work",
        ]


def measure(
    config: TwinConfig, rounds: int, block_s: float, progress: Callable[[str], None]
) -> Overhead:
    """Run the rounds and return what they say.

    Args:
        config: interval, source and probes of the harness that is measured.
        rounds: of three blocks each.
        block_s: length of a block.
        progress: takes lines of progress.
    """
    machine = inspect_machine(Path(config.scratch_dir or ".").absolute())
    costs, noises, wakeups, noise_wakeups = [], [], [], []
    for number in range(rounds):
        without, beside = [], []
        for kind in _ORDERS[number % len(_ORDERS)]:
            if kind == "A":
                without.append(_block(machine.cpus, block_s))
                continue
            with tempfile.TemporaryDirectory(prefix="twin-overhead-") as folder:
                beside.append(
                    _beside_the_harness(
                        Path(folder), config, machine.to_json(), machine.cpus, block_s
                    )
                )
        costs.append(100.0 * (1.0 - beside[0][0] / statistics.fmean(work for work, _ in without)))
        noises.append(100.0 * (1.0 - without[1][0] / without[0][0]))
        wakeups.append(beside[0][1] - statistics.fmean(late_ms for _, late_ms in without))
        noise_wakeups.append(without[1][1] - without[0][1])
        progress(
            f"round {number + 1} of {rounds}: {costs[-1]:+.2f} % beside the harness,"
            f" {noises[-1]:+.2f} % between two blocks without it"
        )
    return Overhead(*(Interval.of(values) for values in (costs, noises, wakeups, noise_wakeups)))


def _beside_the_harness(
    folder: Path, config: TwinConfig, machine: dict[str, Any], cpus: Sequence[int], block_s: float
) -> tuple[float, float]:
    with ExitStack() as ending:  # an interrupt, also one in the midst of this, leaves nothing
        board = Board.create()
        ending.callback(remove_registered, board)
        register(board.path, os.getpid(), "controller", workings_dir=str(folder))
        telemetry = Telemetry(
            dataset=folder / "dataset.csv",
            account=folder / "logger.json",
            lock=folder / "logger.lock",
            board=board.path,
            interval_s=config.interval_s,
            controller_pid=os.getpid(),
            machine=machine,
            source=config.source,
            probe_disk=config.probe_disk,
            probe_service=config.probe_service,
            on_start=lambda pid, role: register(board.path, pid, role),
        )
        for start in (telemetry.ensure_logger, telemetry.start_probe):
            process = start()
            if process is not None:
                ending.callback(process.end, 5.0)
        ending.callback(board.ask_to_stop)
        sleep_s(_SETTLE_S)
        return _block(cpus, block_s)


def _block(cpus: Sequence[int], block_s: float) -> tuple[float, float]:
    """Return the work done in a block, and the sleeper's 99th percentile of lateness in ms.

    Of work there is one worker per CPU; it is counted in pieces.
    """
    begin_s = monotonic_s() + 0.05
    pipes = [_fork(_work, cpu, begin_s, begin_s + block_s) for cpu in cpus]
    pipes.append(_fork(_sleep, None, begin_s, begin_s + block_s))
    answers = []
    for pid, pipe in pipes:
        with os.fdopen(pipe, "rb") as file:
            answers.append(json.loads(file.read() or "0"))
        os.waitpid(pid, 0)
    return float(sum(answers[:-1])), float(answers[-1])


def _fork(
    run: Callable[[float, float], float], cpu: int | None, begin_s: float, end_s: float
) -> tuple[int, int]:
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            die_with_parent()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            if cpu is not None and hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(0, {cpu})
            os.write(write_end, json.dumps(run(begin_s, end_s)).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    return pid, read_end


def _work(begin_s: float, end_s: float) -> float:
    """Do the piece of work until the end, and return how often, the last one in part."""
    sleep_s(begin_s - monotonic_s())
    done, before_s, now_s = 0, begin_s, monotonic_s()
    while now_s < end_s:
        for _ in repeat(None, _TURNS):
            pass
        before_s, now_s = now_s, monotonic_s()
        done += 1
    return done - 1 + (end_s - before_s) / max(now_s - before_s, 1e-9)


def _sleep(begin_s: float, end_s: float) -> float:
    """Sleep 2 ms at a time until the end, and return the 99th percentile of the lateness in ms."""
    late_ms = []
    sleep_s(begin_s - monotonic_s())
    while (now_s := monotonic_s()) < end_s:
        sleep_s(_SLEEP_S)
        late_ms.append((monotonic_s() - now_s - _SLEEP_S) * 1e3)
    late_ms.sort()
    if late_ms:
        return late_ms[int(0.99 * len(late_ms))]
    return 0.0
