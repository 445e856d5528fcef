"""Experiment plans made by rule: ``random`` ones by a seed, and the ``grid`` of all level pairs.

A plan records generator, version, arguments and seed; the same seed gives the same plans on every
worker and in every run.
"""

from __future__ import annotations

import itertools
import random as _random
from typing import TYPE_CHECKING, Any

from twin_harness import __version__
from twin_harness.errors import InvalidInput
from twin_harness.schedule.builders import cpu, disk, memory, plan
from twin_harness.schedule.model import Experiment, Schedule

if TYPE_CHECKING:
    from twin_harness.schedule.event import Event

MOST_EXPERIMENTS = 10_000


def draw_experiments(
    n: int, seed: int, name: str = "random", **bounds: Any
) -> tuple[Experiment, ...]:
    """Draw ``n`` experiments; the same seed and bounds give the same ones.

    Hypothesis always begins with the minimal example, so one more is drawn and the first dropped.

    Args:
        n: how many.
        seed: 0 or more.
        name: they are called ``name-0``, ``name-1`` and so on.
        bounds: see ``strategies.Bounds``.

    Raises:
        InvalidInput: ``n`` or a bound is out of range.
    """
    if type(seed) is not int or seed < 0:
        msg = (
            f"random schedules: expected a seed of 0 or more but got seed={seed!r}"
            f" (type={type(seed).__name__})"
        )
        raise InvalidInput(msg)
    if type(n) is not int or not 1 <= n <= MOST_EXPERIMENTS:
        msg = (
            f"random schedules: expected n from 1 to {MOST_EXPERIMENTS} but got n={n!r}"
            f" (type={type(n).__name__})"
        )
        raise InvalidInput(msg)
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as hypothesis_seed

    from twin_harness.schedule.random_bounds import Bounds
    from twin_harness.strategies import experiments

    checked = Bounds.of(**bounds)
    drawn: list[Experiment] = []

    @hypothesis_seed(seed)
    @settings(
        max_examples=n + 1,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(experiments(checked))
    def collect(experiment: Experiment) -> None:
        drawn.append(experiment)

    state = _random.getstate()
    try:
        collect()
    finally:
        _random.setstate(state)
    chosen = drawn[1 : n + 1]
    if not chosen:
        chosen.append(drawn[0])
    different = max(1, len(drawn) - 1)
    while len(chosen) < n:  # bounds so narrow that there are fewer different ones
        chosen.append(chosen[len(chosen) % different])
    return tuple(
        experiment.model_copy(update={"name": f"{name}-{index}"})
        for index, experiment in enumerate(chosen)
    )


def random(n: int = 3, seed: int = 0, **bounds: Any) -> Schedule:
    """Return a schedule of ``n`` random experiments.

    Args:
        n: how many experiments, 1 to 10,000.
        seed: 0 or more; the same seed and bounds give the same experiments.
        bounds: see ``strategies.Bounds``.

    Raises:
        InvalidInput: ``n`` or a bound is out of range.
    """
    generator = {"name": "random", "version": __version__, "arguments": {"n": n, **bounds}}
    return Schedule(seed=seed, generator=generator, experiments=draw_experiments(n, seed, **bounds))


def grid(
    cpu_percent: tuple[float, ...] = (),
    memory_percent: tuple[float, ...] = (),
    disk_bytes_per_s: tuple[float, ...] = (),
    *,
    duration_s: float = 10.0,
    lead_s: float = 1.0,
    tail_s: float = 1.0,
) -> Schedule:
    """Return a schedule of every combination of the levels given.

    Args:
        cpu_percent: levels of CPU load; a level of 0 leaves the resource out.
        memory_percent: levels of memory load.
        disk_bytes_per_s: levels of disk load.
        duration_s: how long each experiment's events last.
        lead_s: quiet time before them.
        tail_s: quiet time after them.

    Raises:
        InvalidInput: no levels, or one out of range.
    """
    levels = {"cpu": cpu_percent, "memory": memory_percent, "disk": disk_bytes_per_s}
    used = {name: values for name, values in levels.items() if values}
    if not used:
        msg = (
            "grid: no levels given; expected at least one of cpu_percent, memory_percent,"
            " disk_bytes_per_s"
        )
        raise InvalidInput(msg)
    make = {"cpu": cpu, "memory": memory, "disk": disk}
    experiments = []
    for combination in itertools.product(*used.values()):
        events: list[Event] = [
            make[name](float(level), duration_s=duration_s)
            for name, level in zip(used, combination, strict=True)
            if level
        ]
        name = " ".join(
            f"{name} {_level_text(level)}" for name, level in zip(used, combination, strict=True)
        )
        quiet_s = tail_s if events else tail_s + duration_s
        experiments.append(plan(*events, name=name, lead_s=lead_s, tail_s=quiet_s))
    arguments = {
        "cpu_percent": list(cpu_percent),
        "memory_percent": list(memory_percent),
        "disk_bytes_per_s": list(disk_bytes_per_s),
        "duration_s": duration_s,
    }
    return Schedule(
        generator={"name": "grid", "version": __version__, "arguments": arguments},
        experiments=tuple(experiments),
    )


def _level_text(level: float) -> str:
    """Return a level without an exponent: names hold no plus sign."""
    return f"{level:f}".rstrip("0").rstrip(".")
