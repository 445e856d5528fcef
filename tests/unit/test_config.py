"""The options: one table, what each accepts and refuses, the guard's limits and sizes."""

import argparse
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_harness.control.limits import GIB, MIB, GuardLimits, Limit, parse_guard, parse_size
from twin_harness.errors import InvalidInput
from twin_harness.gate.looks import Length
from twin_harness.session.config import TwinConfig
from twin_harness.session.option_values import parse_value
from twin_harness.session.options import OPTIONS

OPTION = {option.name: option for option in OPTIONS}

DEFAULTS = {
    "on": "server",
    "model": "",
    "campaign": None,
    "interval": 0.1,
    "source": "auto",
    "data-dir": "data",
    "report-dir": "reports",
    "scratch-dir": "",
    "schedule": "",
    "seed": 0,
    "random": None,
    "repeat": 1,
    "partition": False,
    "guard": "memory_available=10%,disk_free=1GiB",
    "gate": "",
    "gate-save": "",
    "gate-pairs": None,
    "gate-resume": "",
    "gate-profile": False,
    "variant": (),
    "tolerance": "5%",
    "undecided": "ignore",
    "probe-disk": False,
    "probe-service": "",
    "allow-commands": False,
    "no-report": False,
}


def refusal(option, value):
    with pytest.raises(InvalidInput) as caught:
        parse_value(OPTION[option], value)
    return str(caught.value)


# -- the table -------------------------------------------------------------------------------------


def test_the_defaults_are_those_of_the_format():
    """Names and defaults are spelled out here once more."""
    assert {option.name: option.default for option in OPTIONS} == DEFAULTS


def test_flag_and_ini_key_follow_the_name():
    """``--twin-data-dir`` has the ini key ``twin_data_dir``."""
    assert (OPTION["data-dir"].flag, OPTION["data-dir"].ini_key) == (
        "--twin-data-dir",
        "twin_data_dir",
    )


def test_flags_and_ini_keys_are_unique():
    """No two options share a flag or an ini key."""
    assert (
        len({option.flag for option in OPTIONS})
        == len({option.ini_key for option in OPTIONS})
        == len(OPTIONS)
    )


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_argparse_can_print_the_help(option):
    """The help text survives argparse's % formatting as one line."""
    parser = argparse.ArgumentParser()
    parser.add_argument(option.flag, help=option.help)
    assert option.flag in parser.format_help()
    assert "\n" not in option.help


def test_the_config_s_defaults_are_the_options():
    """A TwinConfig made of nothing is what the table's defaults give."""
    made = TwinConfig()
    by_field = {field.name: getattr(made, field.name) for field in fields(made)}
    assert by_field.pop("interval_s") == OPTION["interval"].default
    assert by_field.pop("guard") == parse_guard(OPTION["guard"].default)
    assert by_field.pop("may_run_commands") is OPTION["allow-commands"].default
    assert bool(by_field.pop("parts")) is OPTION["partition"].default
    assert by_field.pop("has_report") is not OPTION["no-report"].default
    assert by_field.pop("variants") == OPTION["variant"].default
    assert by_field.pop("gate_pairs") == Length(
        12, 12
    )  # the option's own is None: given without variants it is refused
    assert by_field == {name: OPTION[name.replace("_", "-")].default for name in by_field}


def test_the_config_is_made_of_options_by_their_names():
    """An option's value becomes its field's; fields that are given win, the rest is the default."""
    made = TwinConfig.of_options(
        {"interval": 0.5, "no-report": True, "guard": OPTION["guard"].default}, interval_s=0.2
    )
    assert made == TwinConfig(interval_s=0.2, has_report=False)
    assert TwinConfig.of_options({"seed": "random"}).seed in range(2**31)


def test_every_field_is_that_of_an_option():
    """No setting stands beside the table."""
    assert [field.name for field in fields(TwinConfig)] == [option.field for option in OPTIONS]


def test_the_config_is_frozen():
    """Nobody changes a setting after the controller has checked it."""
    with pytest.raises(AttributeError):
        TwinConfig().seed = 1


# -- values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given_value", "expected"),
    [
        ("interval", "0.01", 0.01),
        ("interval", " 0.5 ", 0.5),
        ("interval", 3600, 3600.0),
        ("interval", "1e-2", 0.01),
        ("source", "procfs", "procfs"),
        ("data-dir", "elsewhere/ünï", "elsewhere/ünï"),
        ("report-dir", "/var/reports", "/var/reports"),
        ("scratch-dir", "", ""),
        ("schedule", "a b.json", "a b.json"),
        ("seed", "7", 7),
        ("seed", "random", "random"),
        ("seed", str(2**63), 2**63),
        ("random", "1000", 1000),
        ("repeat", "1", 1),
        ("guard", "off", GuardLimits()),
        ("guard", "disk_free=2GiB", GuardLimits(disk_free=Limit(2 * GIB, "bytes"))),
        ("undecided", "fail", "fail"),
        ("no-report", "yes", True),
        ("no-report", True, True),
        ("no-report", "OFF", False),
        ("no-report", "", False),
    ],
)
def test_a_good_value_is_parsed(name, given_value, expected):
    """Each kind of option becomes its own type, white space around it left out."""
    parsed = parse_value(OPTION[name], given_value)
    assert (parsed, type(parsed)) == (expected, type(expected))


@pytest.mark.parametrize(
    "option", [o for o in OPTIONS if o.default is not None], ids=lambda option: option.name
)
def test_every_default_is_accepted(option):
    """A default that is spelled out is parsed to the same setting."""
    expected = parse_guard(option.default) if option.kind == "guard" else option.default
    assert parse_value(option, option.default) == expected


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "interval",
            "0.009",
            "--twin-interval: expected a number from 0.01 to 3600 but got '0.009'",
        ),
        (
            "interval",
            "3600.1",
            "--twin-interval: expected a number from 0.01 to 3600 but got '3600.1'",
        ),
        ("interval", "nan", "--twin-interval: expected a number from 0.01 to 3600 but got 'nan'"),
        ("interval", "inf", "--twin-interval: expected a number from 0.01 to 3600 but got 'inf'"),
        ("interval", "", "--twin-interval: expected a number from 0.01 to 3600 but got ''"),
        ("interval", "0,1", "--twin-interval: expected a number from 0.01 to 3600 but got '0,1'"),
        (
            "probe-service",
            "ftp://host/x",
            (
                "--twin-probe-service: expected an address such as http://127.0.0.1:8080/health,"
                " http or https alone and no password, but got 'ftp://host/x'"
            ),
        ),
        (
            "probe-service",
            "file:///etc/passwd",
            (
                "--twin-probe-service: expected an address such as http://127.0.0.1:8080/health,"
                " http or https alone and no password, but got 'file:///etc/passwd'"
            ),
        ),
        (
            "probe-service",
            "http://",
            (
                "--twin-probe-service: expected an address such as http://127.0.0.1:8080/health,"
                " http or https alone and no password, but got 'http://'"
            ),
        ),
        (
            "source",
            "netdata",
            "--twin-source: expected one of auto, procfs, psutil but got 'netdata'",
        ),
        ("source", "", "--twin-source: expected one of auto, procfs, psutil but got ''"),
        ("seed", "1.5", "--twin-seed: expected a whole number from 0 or 'random' but got '1.5'"),
        (
            "seed",
            "Random",
            "--twin-seed: expected a whole number from 0 or 'random' but got 'Random'",
        ),
        ("random", "0", "--twin-random: expected a whole number from 1 to 1000 but got '0'"),
        ("random", "1001", "--twin-random: expected a whole number from 1 to 1000 but got '1001'"),
        ("random", "3.0", "--twin-random: expected a whole number from 1 to 1000 but got '3.0'"),
        ("repeat", "-1", "--twin-repeat: expected a whole number from 1 to 1000 but got '-1'"),
        ("undecided", "warn", "--twin-undecided: expected one of ignore, fail but got 'warn'"),
        ("no-report", "maybe", "--twin-no-report: expected true or false but got 'maybe'"),
        ("repeat", "1\n2", r"--twin-repeat: expected a whole number from 1 to 1000 but got '1\n2'"),
    ],
)
def test_a_bad_value_is_refused_in_one_sentence(name, value, message):
    """The message names the option, what was expected and the value."""
    assert refusal(name, value) == message


def test_a_negative_seed_is_refused_for_being_negative():
    """The message for a negative seed tells the range."""
    assert (
        refusal("seed", "-1")
        == "--twin-seed: expected a whole number from 0 or 'random' but got '-1'"
    )


@pytest.mark.parametrize("name", [option.name for option in OPTIONS])
@given(value=st.text(max_size=30))
def test_any_text_is_parsed_or_refused_in_one_line(name, value):
    """Any text is valid or raises InvalidInput, in one line that names flag or limit."""
    message = "expected"
    try:
        parse_value(OPTION[name], value)
    except InvalidInput as error:
        message = str(error)
    assert len(message.splitlines()) == 1
    assert "expected" in message or "twice" in message


def test_thousands_of_digits_are_refused():
    """A whole number beyond Python's limit of digits is refused like any other bad value."""
    assert refusal("repeat", "9" * 5000).startswith(
        "--twin-repeat: expected a whole number from 1 to 1000 but got '999"
    )


# -- sizes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("10%", 10.0, "percent"),
        (" 0 % ", 0.0, "percent"),
        ("100%", 100.0, "percent"),
        ("12.5%", 12.5, "percent"),
        ("0", 0.0, "bytes"),
        ("4096", 4096.0, "bytes"),
        ("1B", 1.0, "bytes"),
        ("500MB", 500e6, "bytes"),
        ("1gib", float(GIB), "bytes"),
        ("1.5 GiB", 1.5 * GIB, "bytes"),
        ("2TiB", 2.0 * 1024 * GIB, "bytes"),
        ("3KiB", 3072.0, "bytes"),
        ("1TB", 1e12, "bytes"),
    ],
)
def test_sizes_are_read(text, amount, unit):
    """Percents, bytes, and decimal and binary units in any case are read exactly."""
    assert parse_size(text, argument="disk_free") == Limit(amount, unit)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "%",
        "100.1%",
        "-1%",
        "-1GiB",
        "1e3",
        "nan",
        "inf",
        "1 GB B",
        "1PiB",
        "0x10",
        "1,5GiB",
        "٣GiB",
        "GiB",
        ".5GiB",
        "1.GiB",
        "10%%",
    ],
)
def test_other_sizes_are_refused(text):
    """The message names the argument, the text and an example."""
    with pytest.raises(InvalidInput) as caught:
        parse_size(text, argument="disk_free")
    assert (
        str(caught.value)
        == "disk_free: expected a percent up to 100 or a size such as 10% or 1GiB but got"
        f" {text!r}; write e.g. disk_free=10%"
    )


def test_an_endless_size_is_refused():
    """A size beyond every float is no size."""
    with pytest.raises(InvalidInput, match="disk_free"):
        parse_size("9" * 400, argument="disk_free")


@pytest.mark.parametrize(
    ("limit", "total", "floor"),
    [
        (Limit(10, "percent"), 200, 20),
        (Limit(5, "bytes"), 200, 5),
        (Limit(0, "percent"), 200, 0),
        (Limit(100, "percent"), 200, 200),
    ],
)
def test_a_limit_gives_its_floor(limit, total, floor):
    """A percent is of the whole, an amount of bytes is itself."""
    assert limit.of(total) == floor


# -- the guard -------------------------------------------------------------------------------------


def test_the_guard_reads_both_limits():
    """Limits stand in any order, with blanks around them."""
    assert parse_guard(" disk_free = 512MiB , memory_available=5% ") == GuardLimits(
        Limit(5.0, "percent"), Limit(512.0 * MIB, "bytes")
    )


@pytest.mark.parametrize("text", ["off", " OFF ", "Off"])
def test_the_guard_is_switched_off_by_name(text):
    """Only the word switches the guard off."""
    assert parse_guard(text) == GuardLimits()
    assert not parse_guard(text).is_on
    assert str(parse_guard(text)) == "off"


def test_a_limit_that_is_not_given_is_not_watched():
    """Naming one limit leaves the other quantity unwatched, and the guard on."""
    limits = parse_guard("disk_free=0")
    assert limits.memory_available is None
    assert limits.is_on


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "",
            (
                "--twin-guard: expected memory_available=…, disk_free=…, temperature=…,"
                " pressure_memory=…, swap=… or off but got ''; see --help"
            ),
        ),
        (
            "memory_available",
            (
                "--twin-guard: expected memory_available=…, disk_free=…, temperature=…,"
                " pressure_memory=…, swap=… or off but got 'memory_available'; see --help"
            ),
        ),
        (
            "memory=10%",
            (
                "--twin-guard: expected memory_available=…, disk_free=…, temperature=…,"
                " pressure_memory=…, swap=… or off but got 'memory=10%'; see --help"
            ),
        ),
        (
            "disk_free=1GiB,",
            (
                "--twin-guard: expected memory_available=…, disk_free=…, temperature=…,"
                " pressure_memory=…, swap=… or off but got ''; see --help"
            ),
        ),
        (
            "off,disk_free=1",
            (
                "--twin-guard: expected memory_available=…, disk_free=…, temperature=…,"
                " pressure_memory=…, swap=… or off but got 'off'; see --help"
            ),
        ),
        (
            "disk_free=1,disk_free=2",
            "--twin-guard: disk_free is given twice in 'disk_free=1,disk_free=2'; give it once",
        ),
        (
            "disk_free=",
            (
                "disk_free: expected a percent up to 100 or a size such as 10% or 1GiB but got '';"
                " write e.g. disk_free=10%"
            ),
        ),
        (
            "temperature=hot",
            (
                "temperature: expected a temperature such as 85C, or off but got 'hot'; write e.g."
                " temperature=85C"
            ),
        ),
        (
            "temperature=900C",
            (
                "temperature: expected a temperature such as 85C, or off but got '900C'; write e.g."
                " temperature=85C"
            ),
        ),
        ("swap=0", "swap: expected a percent above 0 such as 20% but got '0'; write e.g. swap=20%"),
        (
            "swap=101%",
            "swap: expected a percent above 0 such as 20% but got '101%'; write e.g. swap=20%",
        ),
        (
            "pressure_memory=1GiB",
            (
                "pressure_memory: expected a percent above 0 such as 20% but got '1GiB'; write e.g."
                " pressure_memory=20%"
            ),
        ),
        (
            "disk_free==1",
            (
                "disk_free: expected a percent up to 100 or a size such as 10% or 1GiB but got"
                " '=1'; write e.g. disk_free=10%"
            ),
        ),
    ],
)
def test_a_bad_guard_is_refused_in_one_sentence(text, message):
    """The message names the part that is wrong."""
    with pytest.raises(InvalidInput) as caught:
        parse_guard(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "text",
    [
        "memory_available=10%,disk_free=1GiB",
        "memory_available=12.5%",
        "disk_free=1.5MiB",
        "disk_free=0B",
        "temperature=85C",
        "temperature=off,pressure_memory=20%,swap=50%",
        "off",
    ],
)
def test_common_limits_print_as_they_were_written(text):
    """What people write comes back as they wrote it."""
    assert str(parse_guard(text)) == text


@given(
    st.one_of(
        st.integers(0, 2**60).map(lambda size: f"{size}B"),
        st.integers(0, 10**7).map(lambda part: f"{part / 10**5:.5f}%"),
    )
)
def test_limits_survive_printing(text):
    """Any limits that were read are read again, equal, from their own text.

    That is how they travel to other processes.
    """
    limits = parse_guard(f"memory_available={text}")
    assert parse_guard(str(limits)) == limits
