"""CPU events against the machine: its CPUs, its quota, and what all events ask for together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.control.headroom import with_scales
from twin_harness.errors import InvalidInput
from twin_harness.schedule.peaks import peak
from twin_harness.system.control_group import ControlGroup

if TYPE_CHECKING:
    from twin_harness.schedule.event import Event
    from twin_harness.schedule.model import Experiment
    from twin_harness.system.machine import Machine

_MOST_PERCENT = 100 * (1 + 1e-6)  # rounding
_MOST_LOAD_PROCESSES = 512


def check_cpu(experiment: Experiment, events: list[Event], machine: Machine) -> None:
    """Check an experiment's CPU events: their CPUs, their sum, and the processes they need.

    Args:
        experiment: all of it; only CPU events may name CPUs.
        events: its CPU events.
        machine: what they are asked of.

    Raises:
        InvalidInput: a CPU is not allowed, or the events ask for more than the machine or one of
            its CPUs has.
    """
    _check_allowed(experiment, machine)
    _check_system_target(experiment, events, machine)
    loads = with_scales(events, machine)
    total, at_s = peak(loads)
    if total > _MOST_PERCENT:
        msg = (
            f"{experiment.name}: CPU events ask for {total:g} percent of the machine together at"
            f" {at_s:g} s; expected at most 100, lower or separate them"
        )
        raise InvalidInput(msg)
    processes = sum(len(event.options.get("cpus") or machine.cpus) for event in events)
    if processes > _MOST_LOAD_PROCESSES:
        msg = (
            f"{experiment.name}: CPU events would need {processes} load processes; expected at most"
            f" {_MOST_LOAD_PROCESSES}, use fewer events or a trace"
        )
        raise InvalidInput(msg)
    _check_each_cpu(experiment, loads, machine)


def _check_allowed(experiment: Experiment, machine: Machine) -> None:
    for index, event in enumerate(experiment.events):
        cpus = event.options.get("cpus")
        if machine.partition and cpus:
            msg = (
                f"{experiment.name}: events[{index}].options.cpus: expected none in parts of a"
                " machine, whose CPUs differ; leave cpus out"
            )
            raise InvalidInput(msg)
        if event.stressor != "cpu":
            continue
        strange = sorted(set(cpus or ()) - set(machine.cpus))
        if strange:
            msg = (
                f"{experiment.name}: events[{index}].options.cpus: {strange} are not among the"
                f" allowed CPUs {list(machine.cpus)}; name some of these"
            )
            raise InvalidInput(msg)


def _check_each_cpu(
    experiment: Experiment, loads: list[tuple[Event, float]], machine: Machine
) -> None:
    checked = set()
    for cpu in machine.cpus:
        on_cpu = [
            (event, factor * machine.cpu_capacity / len(_cpus_of(event, machine)))
            for event, factor in loads
            if cpu in _cpus_of(event, machine)
        ]
        names = tuple(event.id for event, _ in on_cpu)
        # Most CPUs have the same events; and those that are spread over all CPUs ask no more of one
        # than of the machine.
        if names in checked or not any(event.options.get("cpus") for event, _ in on_cpu):
            continue
        checked.add(names)
        highest, at_s = peak(on_cpu)
        if highest > _MOST_PERCENT:
            msg = (
                f"{experiment.name}: CPU events ask for {highest:g} percent of CPU {cpu} together"
                f" at {at_s:g} s; expected at most 100, lower or separate them"
            )
            raise InvalidInput(msg)


def _check_system_target(experiment: Experiment, events: list[Event], machine: Machine) -> None:
    for event in events:
        if (
            event.is_of_system
            and machine.is_within_quota
            and (machine.partition or ControlGroup().cpu_use() is None)
        ):
            if machine.partition:
                what = "of a part"
            else:
                what = "of its control group"
            msg = (
                f"{experiment.name}: CPU event {event.id} has target system, but a CPU quota binds"
                f" here and the total {what} cannot be read; expected target own, or a machine"
                " without a quota (`twin doctor` says more)"
            )
            raise InvalidInput(msg)
        for other in events if event.is_of_system else ():
            if other is not event and other.overlaps(event):
                msg = (
                    f"{experiment.name}: CPU event {other.id} overlaps {event.id}, whose target is"
                    " the total of the machine and so holds it; expected one of them at a time"
                )
                raise InvalidInput(msg)


def _cpus_of(event: Event, machine: Machine) -> set[int]:
    return set(event.options.get("cpus") or machine.cpus)
