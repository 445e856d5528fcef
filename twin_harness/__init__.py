"""Twin Harness: a digital twin of a computing server, run through pytest.

The public names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOME_OF = {
    "constant": "shapes.shape",
    "ramp": "shapes.shape",
    "steps": "shapes.shape",
    "sine": "shapes.shape",
    "square": "shapes.shape",
    "spikes": "shapes.shape",
    "leak": "shapes.shape",
    "trace": "shapes.shape",
    "Event": "schedule.model",
    "Experiment": "schedule.model",
    "Schedule": "schedule.model",
    "cpu": "schedule.builders",
    "memory": "schedule.builders",
    "disk": "schedule.builders",
    "command": "schedule.builders",
    "custom": "schedule.builders",
    "plan": "schedule.builders",
    "Recording": "runs.recording",
    "Run": "runs.run",
    "Runner": "runs.runner",
    "load": "runs.run",
    "run": "session.session",
    "Twin": "predict.twin",
    "TwinError": "errors",
    "InvalidInput": "errors",
    "ExperimentFailed": "errors",
    "ExperimentAborted": "errors",
    "FidelityMissed": "errors",
    "Undecided": "errors",
}

__all__ = [  # noqa: PLE0604 - every name is in _HOME_OF and resolved by __getattr__
    "__version__",
    *_HOME_OF,
]

if TYPE_CHECKING:  # what _HOME_OF says, for type checkers: `X as X` re-exports
    from twin_harness.errors import ExperimentAborted as ExperimentAborted
    from twin_harness.errors import ExperimentFailed as ExperimentFailed
    from twin_harness.errors import FidelityMissed as FidelityMissed
    from twin_harness.errors import InvalidInput as InvalidInput
    from twin_harness.errors import TwinError as TwinError
    from twin_harness.errors import Undecided as Undecided
    from twin_harness.predict.twin import Twin as Twin
    from twin_harness.runs.recording import Recording as Recording
    from twin_harness.runs.run import Run as Run
    from twin_harness.runs.run import load as load
    from twin_harness.runs.runner import Runner as Runner
    from twin_harness.schedule.builders import command as command
    from twin_harness.schedule.builders import cpu as cpu
    from twin_harness.schedule.builders import custom as custom
    from twin_harness.schedule.builders import disk as disk
    from twin_harness.schedule.builders import memory as memory
    from twin_harness.schedule.builders import plan as plan
    from twin_harness.schedule.event import Event as Event
    from twin_harness.schedule.model import Experiment as Experiment
    from twin_harness.schedule.model import Schedule as Schedule
    from twin_harness.session.session import run as run
    from twin_harness.shapes.shape import constant as constant
    from twin_harness.shapes.shape import leak as leak
    from twin_harness.shapes.shape import ramp as ramp
    from twin_harness.shapes.shape import sine as sine
    from twin_harness.shapes.shape import spikes as spikes
    from twin_harness.shapes.shape import square as square
    from twin_harness.shapes.shape import steps as steps
    from twin_harness.shapes.shape import trace as trace


def __getattr__(name: str) -> object:
    """Load a public name from its module on first use (PEP 562).

    There is no ``__dir__`` that names them: what looks at every attribute of every module, as
    freezegun does, would load pandas through them, with ``datetime`` replaced; pandas 2 and 3 do
    not survive that.
    """
    if name not in _HOME_OF:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
