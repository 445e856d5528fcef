"""A simulated machine: the grey box with known parameters, recorded with noise."""

import dataclasses
import functools

import numpy as np

from twin_harness.control.campaign import draw_campaign
from twin_harness.control.campaign_bounds import CampaignBounds
from twin_harness.predict.conditions import Start
from twin_harness.predict.demand import Capacity, demand_of, stacked
from twin_harness.predict.observation import COLUMNS, Observation
from twin_harness.predict.parameters import NAMES, START
from twin_harness.predict.scale import LOG_COLUMNS
from twin_harness.predict.simulate import simulate

CAPACITY = Capacity(cpus=2.0, memory_bytes=24 * 2.0**30)
FINGERPRINT = "0123456789abcdef"
NOISE = {
    "cpu_percent": 1.0,
    "memory_percent": 0.05,
    "load1": 0.03,
    "disk_write_bytes_per_s": 1e5,
    "disk_read_bytes_per_s": 1e5,
    "pressure_cpu_percent": 0.5,
    "pressure_io_percent": 0.3,
    "probe_wakeup_ms": 0.1,
    "probe_cpu_ms": 0.05,
}
TRUTH = {
    "fill_fresh": 6e8,
    "fill_warm": 3e9,
    "background_cpu": 1.5,
    "write_bandwidth": 4e8,
    "load_cpu": 1.1,
    "memory_idle": 7.0,
}


def true_parameters(**changes):
    """Return the parameters of the machine that is the model."""
    found = START.copy()
    for name, value in {**TRUTH, **changes}.items():
        found[NAMES.index(name)] = value
    return found


def observed(experiments, seed=0, noise=1.0, parameters=None, fingerprint=FINGERPRINT):
    """Return runs of experiments on that machine."""
    generator = np.random.default_rng(seed)
    parameters = true_parameters() if parameters is None else parameters
    demands = [demand_of(experiment, CAPACITY) for experiment in experiments]
    start = Start(np.full(len(demands), 0.1), np.full(len(demands), 7.0))
    columns = simulate(parameters[np.newaxis], stacked(demands), CAPACITY, start)
    runs = []
    for number, (experiment, demand) in enumerate(zip(experiments, demands, strict=True)):
        values = np.stack([columns[name][number, 0, : demand.seconds] for name in COLUMNS])
        for index, name in enumerate(COLUMNS):
            drawn = noise * NOISE[name] * generator.normal(size=demand.seconds)
            values[index] = (
                values[index] * np.exp(drawn)
                if name in LOG_COLUMNS
                else np.maximum(values[index] + drawn, 0.0)
            )
        before = np.where(
            np.isin(COLUMNS, ("load1", "memory_percent")),
            [0.1 if name == "load1" else 7.0 for name in COLUMNS],
            0.0,
        )
        runs.append(
            Observation(
                name=experiment.name,
                run="20261101T000000Z-000000",
                began="2026-11-01 00:00:00+00:00",
                plan=experiment.hash(),
                fingerprint=fingerprint,
                capacity=CAPACITY,
                demand=demand,
                values=values,
                before=before,
                stressors=frozenset(event.stressor for event in experiment.events),
                shapes=frozenset(
                    (
                        "holds"
                        if getattr(event.shape, "interpolation", "") == "previous"
                        else event.shape.kind
                    )
                    for event in experiment.events
                ),
            )
        )
    return runs


def campaign(size="1h", seed=0, **bounds):
    """Return the plans of a campaign that this machine can carry."""
    return list(_drawn(size, seed, **bounds))


@functools.cache
def _drawn(size, seed, **bounds):
    return draw_campaign(size, seed, CampaignBounds(**bounds))


def without(observation, column):
    """Return a run in which one column was never measured."""
    values = observation.values.copy()
    values[COLUMNS.index(column)] = np.nan
    return dataclasses.replace(observation, values=values)
