"""The two things that the gate compares, each a name and environment variables.

Their values are never stored.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twin_harness.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

_VARIANT = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,39}):(.*)", re.DOTALL)
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_COMMA = re.compile(r"(?<!\\),")


@dataclass(frozen=True)
class Variant:
    """One of the two things that the gate compares.

    A name and the environment variables that make it.

    Attributes:
        name: as it stands in results. environment: variables beside those of this process, in
            order.
    """

    name: str = ""
    environment: tuple[tuple[str, str], ...] = field(
        default=(), repr=False
    )  # tracebacks are stored, and show arguments

    @property
    def environ(self) -> dict[str, str]:
        """The variables alone; give a service under test ``{**os.environ, **variant.environ}``."""
        return dict(self.environment)

    def to_record(self) -> dict[str, Any]:
        """Return what may be stored.

        Names of variables, and of each value the first digits of its SHA-256.
        """
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
    found: list[Variant] = []
    for text in filter(None, (text.strip() for text in texts)):
        match = _VARIANT.fullmatch(text)
        if match:
            pieces = [piece.replace("\\,", ",") for piece in _COMMA.split(match.group(2)) if piece]
        else:
            pieces = []
        variables = [_VARIABLE.fullmatch(piece) for piece in pieces]
        if match is None or not all(variables):
            if "=" in text:
                hidden = " (values are not shown)"
            else:
                hidden = ""
            msg = (
                "--twin-variant: expected NAME:KEY=VALUE,… but got"
                f" {text.partition('=')[0]!r}{hidden}; {example}"
            )
            raise InvalidInput(msg)
        environment = tuple((one.group(1), one.group(2)) for one in variables if one)
        if len(dict(environment)) < len(environment):
            msg = f"--twin-variant: a variable of {match.group(1)!r} is given twice; give it once"
            raise InvalidInput(msg)
        found.append(Variant(match.group(1), environment))
    if found and len(found) != 2:
        msg = (
            f"--twin-variant: expected two variants, base and candidate, but got {len(found)};"
            f" {example}"
        )
        raise InvalidInput(msg)
    if found and found[0].name == found[1].name:
        msg = f"--twin-variant: both variants are called {found[0].name!r}; name them apart"
        raise InvalidInput(msg)
    return tuple(found)


def hide_variants(arguments: Sequence[str]) -> list[str]:
    """Return a command line with the values of variants' variables cut out."""
    hidden, is_variant = [], False
    for word in arguments:
        if "twin_variant" in word:  # -o twin_variant=…: any number of lines
            hidden.append(f"{word.partition('twin_variant')[0]}twin_variant=***")
            continue
        if word.startswith("--twin-variant="):
            head, text = ("--twin-variant=", word.removeprefix("--twin-variant="))
        else:
            head, text = ("", word)
        is_one = is_variant or bool(head)
        name, colon, variables = text.partition(":")
        keys = [piece.partition("=")[0] for piece in _COMMA.split(variables) if piece]
        hidden.append(
            f"{head}{name}{colon}{','.join(f'{key}=***' for key in keys)}" if is_one else word
        )
        is_variant = word == "--twin-variant"
    return hidden
