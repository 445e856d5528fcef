"""The documentation's maps are made from the code, and nothing is missing from them."""

import argparse
import sys
from pathlib import Path

import pytest

import twin_harness
from twin_harness import metrics
from twin_harness.cli.parser import build_parser
from twin_harness.plugin import fixtures, markers
from twin_harness.session.options import OPTIONS

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def maps():
    """The module that makes maps."""
    sys.path.insert(0, str(DOCS))
    try:
        import maps
    finally:
        sys.path.pop(0)
    return maps


@pytest.fixture(scope="module")
def pages(maps):
    """Every reference page by its file name."""
    sys.path.insert(0, str(DOCS))
    try:
        import reference
    finally:
        sys.path.pop(0)
    return {**reference.pages(), **maps.pages()}


def test_map_of_the_rooms_is_that_of_the_code(maps):
    """Run `python docs/maps.py` when this fails."""
    assert maps.committed_rooms() == maps.rooms_table()


def test_every_module_says_in_a_sentence_what_it_is(maps):
    """The first line of the docstring stands in the map."""
    page = maps.modules_page()
    for path in maps.HOME.rglob("*.py"):
        line = maps.first_line(path)
        if path.name != "__main__.py":
            assert line.endswith((".", "?", "!")), path
            assert line in page, path


def test_every_public_name_is_documented(pages):
    """Each has a place on the page of the Python API, which its docstring fills."""
    for name in twin_harness._HOME_OF:
        assert f"\n## {name}\n" in pages["api.md"]
        assert getattr(twin_harness, name).__doc__, name


def _commands(parser, name=""):
    """Return (name, parser) of each command that can be typed, its subcommands too."""
    inner = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    if not inner:
        return [(name, parser)]
    return [
        found
        for action in inner
        for word, child in action.choices.items()
        for found in _commands(child, f"{name} {word}".strip())
    ]


def test_every_command_and_its_options_are_documented(pages):
    """No command is missing from the reference, and no option is without help."""
    for name, parser in _commands(build_parser()):
        assert f"## twin {name}\n" in pages["command.md"], name
        for action in parser._actions:
            assert action.help, f"twin {name}: {action.option_strings or action.dest}"


def test_every_option_marker_fixture_and_column_is_documented(pages):
    """The pages hold all of them."""
    for option in OPTIONS:
        assert f"`{option.flag}`" in pages["options.md"]
        assert option.help
    for line in markers.marker_lines():
        assert line.partition("(")[0] in pages["pytest.md"]
    for name in vars(fixtures):
        if name.startswith("fixture_"):
            assert f"`{name.removeprefix('fixture_')}`" in pages["pytest.md"]
    for metric in metrics.columns(()):
        assert f"`{metric.name}`" in pages["columns.md"]
