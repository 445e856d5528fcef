"""What a test requests: its fixtures, whether they are ours, and the parameters of its item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

PAIR, DRAWN, REPEAT = "_twin_pair", "_twin_drawn", "_twin_repeat"
LOADING = frozenset({"recording", "experiment", "cpu_stress", "mem_stress", "disk_stress"})


def requests(node: pytest.Item, fixture: str) -> bool:
    """Tell whether a test requests a fixture of that name, itself or through another one."""
    return fixture in getattr(node, "fixturenames", ())


def is_ours(node: pytest.Item, fixture: str) -> bool:
    """Tell whether a test requests our fixture of that name, and not one of the project's own."""
    fixtures = getattr(getattr(node, "_fixtureinfo", None), "name2fixturedefs", {})
    definitions = fixtures.get(fixture, ())
    return bool(definitions) and str(definitions[-1].func.__module__).startswith("twin_harness.")


def parameters_of(item: pytest.Item) -> dict[str, Any]:
    """Return the parameters of an item by name; empty where a test has only one item."""
    parameters: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    return parameters
