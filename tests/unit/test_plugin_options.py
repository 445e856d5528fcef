"""Options of pytest, read in this process: values, ini keys, and what does not go together."""

import pytest

from twin_harness.plugin import options
from twin_harness.plugin.options import read_config
from twin_harness.session.config import TwinConfig
from twin_harness.session.options import OPTIONS

BASE, OTHER = "--twin-variant=base:", "--twin-variant=candidate:WORK=110"


@pytest.fixture
def read(pytester, monkeypatch):
    """Read the options of a project from a command line."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def read(*arguments):
        return read_config(pytester.parseconfig(*arguments))

    return read


def test_defaults_are_those_of_the_table(read):
    """Without options the settings are what TwinConfig has by itself."""
    assert read() == TwinConfig()


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("--twin-interval=0", "--twin-interval: expected a number from 0.01 to 3600 but got '0'"),
        ("--twin-interval=nan", "--twin-interval: expected a number from 0.01 to 3600"),
        ("--twin-source=netdata", "expected one of auto, procfs, psutil but got 'netdata'"),
        ("--twin-seed=x", "--twin-seed: expected a whole number from 0 or 'random' but got 'x'"),
        ("--twin-random=0", "--twin-random: expected a whole number from 1 to 1000 but got '0'"),
        ("--twin-repeat=1.5", "--twin-repeat: expected a whole number from 1 to 1000"),
        ("--twin-guard=memory=10%", "--twin-guard: expected memory_available=…, disk_free=…"),
        ("--twin-guard=memory_available=ten", "expected a percent up to 100 or a size"),
        ("--twin-tolerance=much", "--twin-tolerance: expected a percent up to 100, or none"),
        ("--twin-undecided=maybe", "expected one of ignore, fail but got 'maybe'"),
        ("--twin-interval=", "--twin-interval: expected a number"),
        ("--twin-on=mars", "expected one of server, twin, both but got 'mars'"),
        ("--twin-campaign=2h", "expected one of 10m, 1h, 4h, or adaptive: and minutes or hours"),
        ("--twin-on=twin", "expected a fitted model but there is no --twin-model"),
        ("--twin-gate-pairs=13", "--twin-gate-pairs: pairs need two variants"),
        ("--twin-gate-resume=x", "--twin-gate-resume: pairs need two variants"),
    ],
)
def test_wrong_value_is_one_sentence(read, argument, sentence):
    """A wrong value is a usage error that names option, value and what was expected."""
    with pytest.raises(pytest.UsageError) as error:
        read(argument)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--twin-on=twin", "--twin-model=none.json"], "there is no file 'none.json'"),
        (["--twin-gate=a.json", "--twin-gate-save=b.json"], "judged or to be saved"),
        ([BASE, OTHER, "--twin-gate=x.json"], "pairs are judged by themselves"),
        ([BASE, OTHER, "--twin-repeat=2"], "pairs are the repetitions"),
        ([BASE, OTHER, "--dist=each"], "expected each pair to run once but got --dist each"),
        ([BASE], "expected two variants, base and candidate, but got 1"),
        ([BASE, BASE], "both variants are called 'base'; give them different names"),
        (["--twin-partition"], "--twin-partition: expected -n N with N from 2 to"),
        (["--twin-partition", "-n1"], "--twin-partition: expected -n N"),
        (["--twin-partition", "-n4096"], "--twin-partition: expected -n N"),
    ],
)
def test_what_does_not_go_together_is_refused(read, arguments, sentence):
    """Options that contradict each other are a usage error of one sentence."""
    with pytest.raises(pytest.UsageError) as error:
        read(*arguments)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("twin_interval", "0"),
        ("twin_source", "netdata"),
        ("twin_seed", "x"),
        ("twin_random", "0"),
        ("twin_repeat", "0"),
        ("twin_guard", "x"),
        ("twin_tolerance", "much"),
        ("twin_undecided", "maybe"),
        ("twin_no_report", "perhaps"),
    ],
)
def test_ini_key_is_read(pytester, read, key, text):
    """A wrong value in an ini file is refused with the option's name."""
    pytester.makeini(f"[pytest]\n{key} = {text}\n")
    with pytest.raises(pytest.UsageError, match=f"--{key.replace('_', '-')}"):
        read()


def test_command_line_is_stronger_than_the_ini_file(pytester, read):
    """An ini key holds where the command line says nothing."""
    pytester.makeini("[pytest]\ntwin_interval = 0.2\ntwin_data_dir = my-data\n")
    assert read().interval_s == 0.2
    settings = read("--twin-interval=0.05")
    assert settings.interval_s == 0.05
    assert settings.data_dir == "my-data"


def test_a_project_cannot_give_leave_for_commands(pytester, read):
    """--twin-allow-commands counts on the command line alone, not in addopts or an ini file."""
    assert read("--twin-allow-commands").may_run_commands
    pytester.makeini("[pytest]\naddopts = --twin-allow-commands\n")
    with pytest.raises(pytest.UsageError, match="expected it on the command line"):
        read()
    pytester.makeini("[pytest]\ntwin_allow_commands = true\n")
    assert not read().may_run_commands


def test_random_seed_is_drawn(read):
    """--twin-seed=random gives a number, another one each time."""
    first, second = read("--twin-seed=random").seed, read("--twin-seed=random").seed
    assert isinstance(first, int)
    assert first != second


def test_variants_are_read_base_first(read):
    """The variables of each variant stand in the settings."""
    base, candidate = read(BASE, OTHER).variants
    assert (base.name, base.environ) == (
        "base",
        {"TWIN_VARIANT": "base", "TWIN_VARIANT_FILL": "." * 36},
    )
    assert (candidate.name, candidate.environ) == (
        "candidate",
        {"TWIN_VARIANT": "candidate", "TWIN_VARIANT_FILL": "." * 31, "WORK": "110"},
    )


def test_every_option_is_registered_with_help_and_ini_key(pytester):
    """The table makes the command line, the ini keys and their help."""
    parser = pytest.Parser(_ispytest=True)
    options.add_options(parser)
    (group,) = [group for group in parser._groups if group.name == "twin"]
    help_of = {name: option.attrs()["help"] for option in group.options for name in option.names()}
    for option in OPTIONS:
        assert help_of[option.flag]
        assert (option.ini_key in parser._inidict) is option.has_ini
    assert "(default: 0.1)" in help_of["--twin-interval"]
