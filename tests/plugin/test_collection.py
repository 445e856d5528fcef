"""Collection: what markers and schedule files plan, and what is refused."""

import json

import pytest

HEAD = "import pytest\nfrom twin_harness import cpu, memory, disk, plan, ramp\n"

REFUSED = {
    "level too high": (
        "@pytest.mark.experiment(cpu(120, duration_s=1))",
        "recording",
        "cpu(): shape.level: 120 is above 100 percent",
    ),
    "unknown argument": (
        "@pytest.mark.experiment(cpu(20, duration_s=1), lead=3)",
        "recording",
        "marker experiment: got an unexpected keyword argument 'lead'",
    ),
    "no event": (
        "@pytest.mark.experiment(3)",
        "recording",
        (
            "expected events made by cpu(), memory(), disk(), command() or custom() but got"
            " events[0]=3 (type=int)"
        ),
    ),
    "bad tolerance": (
        "@pytest.mark.experiment(cpu(20, duration_s=1), tolerance='x')",
        "recording",
        "tolerance: 'x' is not a percentage",
    ),
    "nothing runs it": (
        "@pytest.mark.experiment(cpu(20, duration_s=1))",
        "tmp_path",
        "nothing runs the experiment of test_it",
    ),
    "nothing planned": ("", "recording", "requests recording or experiment_plan but plans nothing"),
    "random unknown bound": (
        "@pytest.mark.random_schedules(n=2, max_cpu=3)",
        "recording",
        "'max_cpu' is not a bound; expected one of stressors",
    ),
    "random zero": (
        "@pytest.mark.random_schedules(n=0)",
        "recording",
        "expected n from 1 to 10000 but got n=0",
    ),
    "inside given": (
        (
            "from hypothesis import given, strategies as st\n@pytest.mark.experiment(cpu(20,"
            " duration_s=1))\n@given(x=st.integers())"
        ),
        "recording, x",
        "puts this machine inside @given",
    ),
    "random without recording": (
        "@pytest.mark.random_schedules(n=1)",
        "tmp_path",
        "nothing runs the schedules of test_it",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_marker_is_a_collection_error_of_one_sentence(project, run_here, case):
    """A wrong marker ends collection with exit code 2 and a sentence, and nothing is written.

    There is no traceback of ours.
    """
    mark, fixture, sentence = REFUSED[case]
    project.makepyfile(f"{HEAD}{mark}\ndef test_it({fixture}): pass\n")
    result = run_here()
    assert result.ret == 2
    assert sentence in result.stdout.str()
    assert "twin_harness/plugin" not in result.stdout.str()
    assert not (project.path / "data").exists()


def test_parametrized_marker_is_checked_too(project, run_here):
    """A marker on one parameter is refused like one on the function."""
    project.makepyfile(
        HEAD + "@pytest.mark.parametrize('x', [pytest.param(1, marks=pytest.mark.experiment(cpu(20,"
        " duration_s=1), name='-'))])\ndef test_it(recording, x): pass\n"
    )
    result = run_here()
    assert result.ret == 2
    assert "name: '-' is not a valid name" in result.stdout.str()


def test_random_schedules_are_items_of_their_own(project, run_here):
    """random_schedules(n) makes n items; --twin-random overrides n.

    One seed gives the same schedules every time.
    """
    project.makepyfile(
        HEAD + "@pytest.mark.random_schedules(n=3)\ndef test_it(experiment_plan): print('PLAN',"
        " experiment_plan.hash())\n"
    )
    listed = run_here("--collect-only", "-q").stdout
    listed.fnmatch_lines(["*test_it[[]random-0]", "*test_it[[]random-1]", "*test_it[[]random-2]"])
    run_here("--collect-only", "-q", "--twin-random=5").stdout.fnmatch_lines(
        ["*test_it[[]random-4]"]
    )
    plans = [
        [line for line in run_here("-s", *seed).stdout.lines if "PLAN" in line]
        for seed in ((), (), ("--twin-seed=1",))
    ]
    assert len(plans[0]) == 3
    assert plans[0] == plans[1]
    assert plans[0] != plans[2]


def test_repeat_makes_items(project, run_here):
    """--twin-repeat N collects every experiment N times."""
    project.makepyfile(
        HEAD + "@pytest.mark.experiment(cpu(20, duration_s=1))\ndef test_it(recording): pass\ndef"
        " test_other(): pass\n"
    )
    listed = run_here("--collect-only", "-q", "--twin-repeat=2").stdout
    listed.fnmatch_lines(
        ["*test_it[[]repeat-0]", "*test_it[[]repeat-1]", "*test_other", "3 tests collected*"]
    )


def schedule(tmp_path, **changes):
    data = {
        "format": "twin-schedule/1",
        "experiments": [{"name": "a b", "lead_s": 0.2, "tail_s": 0.2, "events": []}],
        **changes,
    }
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(data))
    return path


def test_schedule_file_is_replayed_alone(project, run, tmp_path):
    """--twin-schedule runs a file's experiments as tests, and no others unless paths are named."""
    project.makepyfile(HEAD + "def test_other(): pass\n")
    result = run(f"--twin-schedule={schedule(tmp_path)}", "-v")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*a b PASSED*", "*1 passed*"])


def test_schedule_file_that_is_none_is_refused(project, run_here, tmp_path):
    """A broken schedule file is a collection error that names path and value."""
    path = schedule(
        tmp_path,
        experiments=[
            {
                "events": [
                    {
                        "stressor": "cpu",
                        "duration_s": 1,
                        "shape": {"kind": "ramp", "from": 0, "to": 130},
                    }
                ]
            }
        ],
    )
    result = run_here(f"--twin-schedule={path}")
    assert result.ret == 2
    assert "experiments[0].events[0].shape.to: 130 is above 100 percent" in result.stdout.str()
    assert not (project.path / "data").exists()


def test_plan_is_told_before_any_load(project, run_here):
    """The plan names experiments, duration, peaks, the guard, and where data goes."""
    project.makepyfile(
        HEAD
        + "@pytest.mark.experiment(cpu(ramp(0, 60), duration_s=3), memory(1, duration_s=2))\ndef"
        " test_it(recording): pass\n"
    )
    result = run_here("--collect-only", "--twin-guard=off")
    result.stdout.fnmatch_lines(
        [
            "twin: 1 experiments planned, 5.0 s of load and quiet",
            "twin: highest level asked for: cpu 60.0 %, memory 1.00 %",
            "twin: guard off; tolerance none; seed 0; a sample every 0.1 s",
            "twin: data goes to data/*",
        ]
    )


def test_highest_level_is_of_all_events_together(project, run_here):
    """What overlaps is added up, what follows is not, one row of many counts.

    Units are told apart.
    """
    project.makepyfile(
        HEAD + "from twin_harness import disk, trace\n"
        "LONG = trace([(k, 70 if k == 1321 else 10) for k in range(1500)], "
        "interpolation='previous')\n"
        "@pytest.mark.experiment(cpu(LONG, duration_s=1500), cpu(25, duration_s=1400), memory(2, "
        "duration_s=5),\n"
        "    memory(2**26, unit='bytes', duration_s=5), memory(2**27, unit='bytes', start_s=5, "
        "duration_s=5))\n"
        "def test_it(recording): pass\n"
        "@pytest.mark.experiment(cpu(50, duration_s=5), cpu(60, start_s=5, duration_s=5), "
        "memory(1, duration_s=5))\n"
        "def test_other(recording): pass\n"
    )
    run_here("--collect-only").stdout.fnmatch_lines(
        ["twin: highest level asked for: cpu 95.0 %, memory 2.00 % and 128 MiB"]
    )


def test_real_server_never_runs_inside_given(project, run):
    """Also where no fixture of ours is asked for.

    A sentence says what to do, and no load was made.
    """
    project.makepyfile(
        HEAD + "from hypothesis import given, strategies as st\nfrom twin_harness import run\n"
        "@given(st.integers())\ndef test_it(x): run(plan(cpu(20, duration_s=1)))\n"
    )
    result = run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*expected a model inside @given but got this machine*random_schedules*"]
    )
    assert not (project.path / "data").exists()  # each example would open a session of its own


def test_collect_only_says_how_long_each_test_takes(project, run_here):
    """--collect-only lists the planned seconds of every test that has an experiment."""
    project.makepyfile(
        HEAD + "@pytest.mark.experiment(cpu(20, duration_s=7), lead_s=1, tail_s=2)\ndef"
        " test_a(recording): pass\n@pytest.mark.random_schedules(n=1)\ndef test_b(recording):"
        " pass\ndef test_c(): pass\n"
    )
    text = run_here("--collect-only").stdout
    text.fnmatch_lines(["twin:    10.0 s  *::test_a", "twin: *.? s  *::test_b[[]random-0[]]"])
    assert "s  test_collect_only_says_how_long_each_test_takes.py::test_c" not in text.str()
    planned = run_here("--setup-plan").stdout
    planned.fnmatch_lines(["twin: 2 experiments planned, *"])
    assert "twin:    10.0 s" not in planned.str()
