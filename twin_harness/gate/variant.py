"""Variants: the two things that the gate compares, each a name and environment variables."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twin_harness.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

# Tells a process, and those who look at it, which variant it is; the other one makes the block of
# variables as long for both, for its length moves the stack (Mytkowicz et al., ASPLOS 2009).
VARIABLE, _FILL = "TWIN_VARIANT", "TWIN_VARIANT_FILL"
_LONGEST_NAME = 40
PROFILERS = ("py-spy", "perf")
_VARIANT = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,39}):(.*)", re.DOTALL)
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_COMMA = re.compile(r"(?<!\\),")


@dataclass(frozen=True)
class Variant:
    """One of the two things that the gate compares: a name, and the variables that make it.

    Attributes:
        name: as it stands in results.
        environment: variables beside those of this process, in order; their values are never
            stored.
    """

    name: str = ""
    # no repr: tracebacks are stored, and show arguments
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def environ(self) -> dict[str, str]:
        """The variables alone; give a service under test ``{**os.environ, **variant.environ}``.

        TWIN_VARIANT among them is the variant's name, where it has one.
        """
        if not self.name:
            return dict(self.environment)
        fill = "." * (_LONGEST_NAME - len(self.name))
        return {VARIABLE: self.name, _FILL: fill, **dict(self.environment)}

    def to_record(self) -> dict[str, Any]:
        """Return what may be stored: of each variable's value a part of its SHA-256."""
        return {
            "name": self.name,
            "environment": {
                key: f"sha256:{hashlib.sha256(value.encode()).hexdigest()[:12]}"
                for key, value in self.environment
            },
        }


def parse_variants(texts: Sequence[str]) -> tuple[Variant, ...]:
    r"""Read two variants, ``NAME:KEY=VALUE,…`` each, base first.

    A comma in a value is written ``\,``.

    Raises:
        InvalidInput: there are not two, they have one name, or one is not written so. Equal
            environments are an A/A run.
    """
    example = "write e.g. --twin-variant base: --twin-variant candidate:SERVICE_WORK=110"
    variants: list[Variant] = []
    for text in filter(None, (text.strip() for text in texts)):
        match = _VARIANT.fullmatch(text)
        pieces: list[str] = []
        if match:
            pieces = [piece.replace("\\,", ",") for piece in _COMMA.split(match.group(2)) if piece]
        variables = [_VARIABLE.fullmatch(piece) for piece in pieces]
        if match is None or not all(variables):
            hidden = ""
            if "=" in text:
                hidden = " (values are not shown)"
            msg = (
                "--twin-variant: expected NAME:KEY=VALUE,… but got"
                f" {text.partition('=')[0]!r}{hidden}; {example}"
            )
            raise InvalidInput(msg)
        environment = tuple(
            (variable.group(1), variable.group(2)) for variable in variables if variable
        )
        if len(dict(environment)) < len(environment):
            msg = f"--twin-variant: a variable of {match.group(1)!r} is given twice; give it once"
            raise InvalidInput(msg)
        variants.append(Variant(match.group(1), environment))
    if variants and len(variants) != 2:
        msg = (
            f"--twin-variant: expected two variants, base and candidate, but got {len(variants)};"
            f" {example}"
        )
        raise InvalidInput(msg)
    if variants and variants[0].name == variants[1].name:
        name = variants[0].name
        msg = f"--twin-variant: both variants are called {name!r}; give them different names"
        raise InvalidInput(msg)
    return tuple(variants)


def hide_variants(arguments: Sequence[str]) -> list[str]:
    """Return a command line with the values of variants' variables cut out."""
    flag = "--twin-variant"
    hidden, follows_flag = [], False
    for word in arguments:
        if "twin_variant" in word:  # -o twin_variant=…: any number of lines
            hidden.append(f"{word.partition('twin_variant')[0]}twin_variant=***")
            continue
        if word.startswith(f"{flag}="):
            hidden.append(f"{flag}={_without_values(word.removeprefix(f'{flag}='))}")
        elif follows_flag:
            hidden.append(_without_values(word))
        else:
            hidden.append(word)
        follows_flag = word == flag
    return hidden


def _without_values(text: str) -> str:
    """Return ``NAME:KEY=VALUE,…`` with the values cut out."""
    name, colon, variables = text.partition(":")
    keys = [piece.partition("=")[0] for piece in _COMMA.split(variables) if piece]
    return f"{name}{colon}{','.join(f'{key}=***' for key in keys)}"
