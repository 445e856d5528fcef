"""The page with the twin's equations: what stands in it is what the code has."""

import re
import sys
from pathlib import Path

import pytest

from twin_harness.predict.parameters import NAMES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def page():
    """The page as it is when the site is built."""
    sys.path.insert(0, str(DOCS))
    try:
        import reference
    finally:
        sys.path.pop(0)
    text = (DOCS / "explanation" / "twin-model.md").read_text(encoding="utf-8")
    return reference.fill_markers(text)


def test_the_table_has_every_parameter(page):
    """The marker is filled, a row per parameter."""
    assert "<!--" not in page
    assert tuple(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == NAMES


def test_every_parameter_stands_in_an_equation(page):
    """Before the table, in the formulas or the sentences about them."""
    equations = page[: page.index("## Parameters")]
    assert [name for name in NAMES if not re.search(rf"\b{name}\b", equations)] == []
