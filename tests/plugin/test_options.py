"""Options and ini keys: checked once, one sentence each, nothing written."""

import pytest

from twin_harness.session.options import OPTIONS

IDLE = """
import pytest

@pytest.mark.experiment(lead_s=0.2, tail_s=0.2)
def test_idle(recording):
    assert recording.max("cpu_delivered_percent") == 0
"""

WRONG = [
    ("--twin-interval=0", "--twin-interval: expected a number from 0.01 to 3600 but got '0'"),
    ("--twin-interval=fast", "--twin-interval: expected a number from 0.01 to 3600 but got 'fast'"),
    ("--twin-interval=nan", "--twin-interval: expected a number from 0.01 to 3600 but got 'nan'"),
    (
        "--twin-source=netdata",
        "--twin-source: expected one of auto, procfs, psutil but got 'netdata'",
    ),
    ("--twin-seed=x", "--twin-seed: expected a whole number from 0 or 'random' but got 'x'"),
    ("--twin-random=0", "--twin-random: expected a whole number from 1 to 1000 but got '0'"),
    ("--twin-repeat=1.5", "--twin-repeat: expected a whole number from 1 to 1000 but got '1.5'"),
    (
        "--twin-guard=memory=10%",
        (
            "--twin-guard: expected memory_available=…, disk_free=…, temperature=…,"
            " pressure_memory=…, swap=… or off but got 'memory=10%'"
        ),
    ),
    (
        "--twin-guard=memory_available=ten",
        "memory_available: expected a percent up to 100 or a size",
    ),
    (
        "--twin-tolerance=much",
        "--twin-tolerance: expected a percent up to 100, or none, but got 'much'; write e.g. 5%",
    ),
    ("--twin-undecided=maybe", "--twin-undecided: expected one of ignore, fail but got 'maybe'"),
]


@pytest.mark.parametrize(("argument", "sentence"), WRONG, ids=[argument for argument, _ in WRONG])
def test_wrong_value_is_a_usage_error_of_one_line(project, run_here, argument, sentence):
    """A wrong value ends pytest with exit code 4 and one sentence, before anything is written."""
    project.makepyfile(IDLE)
    result = run_here(argument)
    assert result.ret == 4
    lines = [line for line in result.stderr.lines if line.strip()]
    assert len(lines) == 1
    assert sentence in lines[0]
    assert not (project.path / "data").exists()


WRONG_BY_INI = {
    "interval": "0",
    "source": "netdata",
    "seed": "x",
    "random": "0",
    "repeat": "0",
    "guard": "x",
    "tolerance": "much",
    "undecided": "maybe",
    "no-report": "perhaps",
}


@pytest.mark.parametrize("name", WRONG_BY_INI)
def test_ini_key_reaches_the_option(project, run_here, name):
    """A wrong value in an ini file is refused with the option's name: the key is read."""
    project.makeini(f"[pytest]\ntwin_{name.replace('-', '_')} = {WRONG_BY_INI[name]}\n")
    project.makepyfile(IDLE)
    result = run_here()
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*--twin-{name}:*"] if name != "guard" else ["*--twin-guard*"])


def test_folders_of_the_ini_file_are_used(project, run):
    """twin_data_dir, twin_report_dir and twin_scratch_dir are where data, report and scratch go."""
    scratch = project.mkdir("elsewhere")
    project.makeini(
        "[pytest]\ntwin_data_dir = my-data\ntwin_report_dir = my-reports\ntwin_scratch_dir ="
        f" {scratch}\n"
    )
    project.makepyfile(IDLE)
    result = run(report=True)
    assert result.ret == 0
    assert (project.path / "my-data" / "latest" / "annotations.csv").exists()
    assert (project.path / "my-reports" / "latest" / "index.html").exists()
    assert str(scratch) in (project.path / "my-data" / "latest" / "machine.json").read_text()
    assert (project.path / "my-data" / ".gitignore").exists()


def test_command_line_wins_over_the_ini_file(project, run_here):
    """An option on the command line is stronger than its ini key."""
    project.makeini("[pytest]\ntwin_interval = 0.2\n")
    project.makepyfile(IDLE)
    result = run_here("--twin-interval=0.05", "--collect-only")
    result.stdout.fnmatch_lines(["*a sample every 0.05 s*"])


def test_help_teaches_every_option(run_here):
    """--help lists every option with its default, and --markers every marker with its arguments."""
    text = run_here("--help").stdout.str()
    for option in OPTIONS:
        assert option.flag in text
        assert (option.ini_key in text) is option.has_ini
    markers = run_here("--markers").stdout
    markers.fnmatch_lines(
        [
            "@pytest.mark.experiment(*events, name=None, lead_s=1, tail_s=1*",
            "@pytest.mark.random_schedules(n=3, *",
        ]
    )


def test_random_seed_is_drawn_and_told(project, run_here):
    """--twin-seed=random draws a number and prints it, so that the run can be repeated."""
    project.makepyfile(
        "import pytest\n@pytest.mark.random_schedules(n=1)\ndef test_it(recording): pass\n"
    )
    first, second = (
        run_here("--collect-only", "--twin-seed=random").stdout.str() for _ in range(2)
    )
    seed_of = [text.partition("seed ")[2].partition(";")[0] for text in (first, second)]
    assert all(seed.isdecimal() for seed in seed_of)
    assert seed_of[0] != seed_of[1]


COMMAND = """
import pytest
from twin_harness import command

@pytest.mark.experiment(command(["sleep", "0.3"], duration_s=1), lead_s=0, tail_s=0)
def test_command(recording):
    assert recording.annotation("command-0").status == "completed"
"""


def test_command_needs_the_option(project, run):
    """Without --twin-allow-commands a program is refused in one sentence; with it, it runs."""
    project.makepyfile(COMMAND)
    refused = run()
    refused.assert_outcomes(failed=1)
    refused.stdout.fnmatch_lines(
        ["*options.argv: 'sleep' is a command*expected --twin-allow-commands on the command line*"]
    )
    run("--twin-allow-commands").assert_outcomes(passed=1)


def test_leave_for_commands_counts_on_the_command_line_alone(project, run):
    """A file that came with a project cannot give leave: neither addopts nor an ini key."""
    project.makepyfile(COMMAND)
    project.makeini("[pytest]\naddopts = --twin-allow-commands\n")
    result = run()
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--twin-allow-commands: expected it on the command line*"])
    project.makeini("[pytest]\ntwin_allow_commands = true\n")
    run().assert_outcomes(failed=1)


@pytest.mark.parametrize("arguments", [[], ["-n0"], ["-n1"], ["-n4096"]])
def test_parts_need_as_many_workers(project, run_here, arguments):
    """--twin-partition without two workers, or with more than CPUs, is refused in one sentence."""
    project.makepyfile(IDLE)
    result = run_here("--twin-partition", *arguments)
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        [
            (
                "*--twin-partition: expected -n N with N from 2 to *, a CPU or more a part, but got"
                " * workers; write e.g. -n 2*"
            )
        ]
    )
