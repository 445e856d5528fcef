"""What the twin's commands learn from: the observations of run folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.cli.output import echo_error

if TYPE_CHECKING:
    from twin_harness.predict.observation import Observation


def read_observations(folders: list[str]) -> list[Observation]:
    """Return the observations of runs; what cannot be used is said on stderr."""
    from twin_harness.predict.gathering import gather
    from twin_harness.runs.run import load

    return gather([load(folder) for folder in folders], echo_error)
