"""Every command and every option explains itself, and stands in the reference."""

import argparse
import re
import sys
from pathlib import Path

import pytest

from twin_harness import __version__
from twin_harness.cli import main
from twin_harness.cli.parser import build_parser

DOCS = Path(__file__).resolve().parents[2] / "docs"
COMMANDS = dict(build_parser().typed_commands())
TYPED = {
    *("doctor", "stress", "log", "overhead", "run", "clean", "runs", "validate", "merge"),
    *("report", "allure", "fit", "predict", "score", "schedule", "gate", "transfer"),
}


@pytest.fixture(scope="module")
def reference():
    """The text of the page about the command."""
    sys.path.insert(0, str(DOCS))
    try:
        import reference
    finally:
        sys.path.remove(str(DOCS))
    return reference.pages()["command.md"]


def test_every_command_is_found_by_the_walk():
    """Those of the top level, and the actions of schedule and gate."""
    assert {name.split()[0] for name in COMMANDS} == TYPED
    assert {"schedule suggest", "schedule show", "gate compare", "gate accept"} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_and_its_options_have_a_help_text(name):
    """What it does, and what each of its arguments is."""
    assert COMMANDS[name].description
    for action in COMMANDS[name]._actions:
        assert action.help, (name, action.dest)
        assert action.help != argparse.SUPPRESS


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_ends_with_an_example(name, capsys):
    """One that can be typed, or several."""
    with pytest.raises(SystemExit) as caught:
        main([*name.split(), "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: twin {name}")
    examples = re.findall(r"^(?:example: |  )(twin .*)", text, flags=re.MULTILINE)
    assert examples
    assert all(line.startswith(f"twin {name}") for line in examples)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_and_its_options_stand_in_the_reference(name, reference):
    """Under a heading of its own, as its help shows them."""
    section = reference.partition(f"## twin {name}\n")[2].partition("\n## ")[0]
    assert section
    for action in COMMANDS[name]._actions:
        for word in action.option_strings or [action.metavar or action.dest]:
            assert word in section


def test_version(capsys):
    """Distribution and version, on stdout, exit code 0."""
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"twin-harness {__version__}\n"
