"""An option's value: what the command line or an ini file gave, read as its kind says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from twin_harness.control.limits import parse_guard
from twin_harness.errors import InvalidInput
from twin_harness.gate.looks import parse_length
from twin_harness.gate.variant import parse_variants
from twin_harness.schedule.tolerance import parse_tolerance

if TYPE_CHECKING:
    from collections.abc import Callable

    from twin_harness.gate.variant import Variant
    from twin_harness.session.options import Option


def parse_value(option: Option, value: object) -> Any:
    """Turn what the command line or an ini file gave into the option's value.

    Raises:
        InvalidInput: the value is not of the option's kind or range; one sentence that names option
            and value.
    """
    if option.kind == "variant":
        return _parse_variants(value)
    return _READERS[option.kind](option, str(value).strip())


def _parse_choice(option: Option, text: str) -> str:
    if text not in option.choices:
        msg = f"{option.flag}: expected one of {', '.join(option.choices)} but got {text!r}"
        raise InvalidInput(msg)
    return text


def _parse_campaign(option: Option, text: str) -> str:
    from twin_harness.control.adaptive import parse_campaign  # pydantic, which few sessions need

    try:
        return parse_campaign(text)
    except InvalidInput as error:
        msg = f"{option.flag}: {str(error).partition(': ')[2]}"
        raise InvalidInput(msg) from None


def _parse_variants(value: object) -> tuple[Variant, ...]:
    """Return the variants of an option given twice, or of an ini file's lines."""
    if isinstance(value, (list, tuple)):
        return parse_variants(value)
    return parse_variants(str(value).strip().splitlines())


def _parse_seed(option: Option, text: str) -> float | str:
    if text == "random":
        return text
    return _parse_number(option, text)


def _parse_url(option: Option, text: str) -> str:
    msg = (
        f"{option.flag}: expected an address such as http://127.0.0.1:8080/health, http or https"
        f" alone and no password, but got {text!r}"
    )
    try:
        parts = urlsplit(text)
        is_address = not text or (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and (parts.port is None or parts.port > 0)
        )
        is_address = is_address and "@" not in parts.netloc
    except ValueError:
        raise InvalidInput(msg) from None
    if not is_address or not text.isascii() or not text.isprintable() or " " in text:
        raise InvalidInput(msg)
    return text


def _parse_flag(option: Option, text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off", ""):
        return False
    msg = f"{option.flag}: expected true or false but got {text!r}"
    raise InvalidInput(msg)


def _parse_number(option: Option, text: str) -> float:
    is_whole = option.kind != "float"
    if is_whole:
        wanted = "a whole number"
    else:
        wanted = "a number"
    if option.kind == "seed":
        wanted = "a whole number from 0 or 'random'"
    if option.minimum is not None:
        wanted += f" from {option.minimum:g} to {option.maximum:g}"
    msg = f"{option.flag}: expected {wanted} but got {text!r}"
    number: float
    try:
        if is_whole:
            number = int(text)
        else:
            number = float(text)
    except ValueError:
        raise InvalidInput(msg) from None
    if option.minimum is not None:
        low = option.minimum
    else:
        low = 0
    if option.maximum is not None:
        high = option.maximum
    else:
        high = 2**63
    if not low <= number <= high:
        raise InvalidInput(msg)
    return number


_READERS: dict[str, Callable[[Option, str], Any]] = {
    "str": lambda _, text: text,
    "choice": _parse_choice,
    "flag": _parse_flag,
    "url": _parse_url,
    "int": _parse_number,
    "float": _parse_number,
    "seed": _parse_seed,
    "guard": lambda _, text: parse_guard(text),
    "tolerance": lambda _, text: parse_tolerance(text),
    "campaign": _parse_campaign,
    "pairs": lambda _, text: parse_length(text),
}
