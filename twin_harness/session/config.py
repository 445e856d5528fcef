"""The settings of a session: the frozen configuration that the table of options makes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from twin_harness.control.limits import GuardLimits, parse_guard
from twin_harness.gate.looks import Length, parse_length
from twin_harness.gate.variant import Variant
from twin_harness.schedule.tolerance import percent_of
from twin_harness.session.options import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEFAULTS: dict[str, Any] = {option.field: option.convert(option.default) for option in OPTIONS}


@dataclass(frozen=True)
class TwinConfig:
    """The settings of one session, checked once on the controller.

    Plain strings and numbers throughout.
    """

    on: str = _DEFAULTS["on"]
    model: str = _DEFAULTS["model"]
    interval_s: float = _DEFAULTS["interval_s"]
    source: str = _DEFAULTS["source"]
    data_dir: str = _DEFAULTS["data_dir"]
    report_dir: str = _DEFAULTS["report_dir"]
    scratch_dir: str = _DEFAULTS["scratch_dir"]
    probe_disk: bool = _DEFAULTS["probe_disk"]
    probe_service: str = _DEFAULTS["probe_service"]
    schedule: str = _DEFAULTS["schedule"]
    seed: int = _DEFAULTS["seed"]
    random: int | None = _DEFAULTS["random"]
    campaign: str | None = _DEFAULTS["campaign"]
    repeat: int = _DEFAULTS["repeat"]
    parts: int = _DEFAULTS["parts"]
    guard: GuardLimits = _DEFAULTS["guard"]
    gate: str = _DEFAULTS["gate"]
    gate_save: str = _DEFAULTS["gate_save"]
    gate_pairs: Length = _DEFAULTS["gate_pairs"]
    gate_resume: str = _DEFAULTS["gate_resume"]
    gate_profile: bool = _DEFAULTS["gate_profile"]
    variants: tuple[Variant, ...] = _DEFAULTS["variants"]
    tolerance: str = _DEFAULTS["tolerance"]
    undecided: str = _DEFAULTS["undecided"]
    may_run_commands: bool = _DEFAULTS["may_run_commands"]
    has_report: bool = _DEFAULTS["has_report"]

    @classmethod
    def of_options(cls, values: Mapping[str, Any], **fixed: Any) -> TwinConfig:
        """Return the configuration that the values of options give.

        Args:
            values: by the options' names; those that are absent have their defaults.
            fixed: fields of the configuration that win over options.
        """
        fields = {
            option.field: option.convert(values[option.name])
            for option in OPTIONS
            if option.name in values
        }
        return cls(**{**fields, **fixed})

    @property
    def gate_length(self) -> Length:
        """How many pairs there are to be; with a profile a regression does not end them early.

        A function is named by all pairs: few of them could tell few functions apart.
        """
        return replace(self.gate_pairs, calls_early=not self.gate_profile)

    @property
    def tolerance_percent(self) -> float | None:
        """The session's tolerance as a number.

        None judges nothing but what has a tolerance of its own.
        """
        return percent_of(self.tolerance)

    def to_json(self) -> dict[str, Any]:
        """Return plain data: how a worker gets the configuration."""
        pairs: int | str = self.gate_pairs.least
        if self.gate_pairs.most > self.gate_pairs.least:
            pairs = str(self.gate_pairs)
        return {**asdict(self), "guard": str(self.guard), "gate_pairs": pairs}

    def to_record(self) -> dict[str, Any]:
        """Return how it stands in ``run.json``: without the values of variants' environments."""
        return {**self.to_json(), "variants": [variant.to_record() for variant in self.variants]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TwinConfig:
        """Return what ``to_json`` made."""
        variants = tuple(
            Variant(variant["name"], tuple((key, value) for key, value in variant["environment"]))
            for variant in data["variants"]
        )
        parsed = {
            "guard": parse_guard(data["guard"]),
            "gate_pairs": parse_length(str(data["gate_pairs"])),
            "variants": variants,
        }
        return cls(**{**data, **parsed})
