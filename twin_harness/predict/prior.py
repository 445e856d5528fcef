"""What is believed of the parameters before any run: hardly anything, or what another machine told.

A model of one machine is the prior of the next (Bayesian transfer): how a machine behaves is kept,
how large, fast and busy it is comes from its own runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from twin_harness.predict.parameters import HIGH, LOW, NAMES, PARAMETERS, START, to_fit_scale

_USUAL_REACH = 2.3  # a scale is within a factor of ten of the usual one, as a rule
# On a logarithm, and as a share of a range: what machines hardly differ in, and what they do.
_KEPT_LOG, _KEPT_SHARE = 0.35, 0.05
_DIFFER_LOG, _DIFFER_SHARE = 0.8, 0.15
# What differs from machine to machine: speeds, sizes, costs and levels at rest.
SCALES = frozenset(
    {
        "background_cpu",
        "harness_cpu",
        "start_cost",
        "end_cost",
        "fill_fresh",
        "fill_warm",
        "warm_idle",
        "fresh_first",
        "free_cpu",
        "write_cpu",
        "read_cpu",
        "write_bandwidth",
        "read_bandwidth",
        "sync_bandwidth",
        "disk_background",
        "memory_idle",
        "load_idle",
        "load_start",
        "cpu_wait_idle",
        "io_wait_idle",
        "wakeup_idle",
        "work_idle",
    }
)


@dataclass(frozen=True)
class Prior:
    """A normal distribution about a centre, on the fitting scale.

    Attributes:
        centre: (parameters,).
        widths: (parameters,) standard deviations.
        is_drawn: an ensemble draws its centres, for what the runs do not tell is as uncertain as
            the prior; of a weak prior it is shown as not identified.
    """

    centre: np.ndarray
    widths: np.ndarray
    is_drawn: bool = False

    @classmethod
    def weak(cls) -> Self:
        """Return the prior of a machine that nothing is known of."""
        widths = np.where(_is_log(), _USUAL_REACH, to_fit_scale(HIGH) - to_fit_scale(LOW))
        return cls(to_fit_scale(START), widths)

    @classmethod
    def of_machine(cls, parameters: np.ndarray, errors: np.ndarray) -> Self:
        """Return the prior that the model of another machine is.

        As wide as machines differ and as that model knows its own; about what it does not know it
        says nothing.

        Args:
            parameters: (parameters,) of that model, in units.
            errors: (parameters,) their standard errors on the fitting scale, NaN where unknown.
        """
        weak = cls.weak()
        ranges = to_fit_scale(HIGH) - to_fit_scale(LOW)
        kept = np.where(_is_log(), _KEPT_LOG, _KEPT_SHARE * ranges)
        differ = np.where(_is_log(), _DIFFER_LOG, _DIFFER_SHARE * ranges)
        widths = np.hypot(np.where([name in SCALES for name in NAMES], differ, kept), errors)
        is_known = ~np.isnan(errors) & (widths < weak.widths)
        return cls(
            np.where(is_known, to_fit_scale(parameters), weak.centre),
            np.where(is_known, widths, weak.widths),
            is_drawn=True,
        )

    def pinned(self, name: str, value: float, width: float) -> Self:
        """Return it with one parameter that is known.

        Args:
            name: of the parameter.
            value: on the fitting scale.
            width: how well it is known.
        """
        index = NAMES.index(name)
        centre, widths = self.centre.copy(), self.widths.copy()
        centre[index], widths[index] = value, width
        return type(self)(centre, widths, self.is_drawn)

    def residuals(self, point: np.ndarray) -> np.ndarray:
        """Return one residual per parameter, given a point on the fitting scale."""
        found: np.ndarray = (point - self.centre) / self.widths
        return found

    def drawn(self, generator: np.random.Generator) -> Self:
        """Return it about a centre that is drawn from it, within the parameters' bounds."""
        if not self.is_drawn:
            return self
        centre = generator.normal(self.centre, self.widths)
        centre = np.clip(centre, to_fit_scale(LOW), to_fit_scale(HIGH))
        return type(self)(centre, self.widths, self.is_drawn)


def _is_log() -> np.ndarray:
    return np.array([parameter.is_log for parameter in PARAMETERS])
