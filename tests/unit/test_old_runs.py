"""Which runs ``twin clean --keep`` and ``--older`` take, and which never; they do what they say."""

import json
import os
import platform
from datetime import UTC, datetime, timedelta

import pytest

from twin_harness.cli import main, old_runs
from twin_harness.quantity import quantity
from twin_harness.runs.folder import RunFolder
from twin_harness.system import newest
from twin_harness.system.procfs import start_ticks

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A project to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_run(lab, days, **state):
    """Make a run that began so many days ago, with a report, and return its id."""
    begun = datetime.now(UTC) - timedelta(days=days)
    run = f"{begun.strftime('%Y%m%dT%H%M%SZ')}-{abs(hash(days)) % 2**24:06x}"
    folder = RunFolder.create(lab / "data", run)
    folder.write_state(
        {"status": "COMPLETE", "experiments": [{"experiment": "a"}, {"experiment": "b"}], **state}
    )
    folder.dataset.write_bytes(b"." * 2**20)
    (lab / "reports" / run).mkdir(parents=True)
    (lab / "reports" / run / "index.html").write_bytes(b"." * 2**19)
    newest.set_latest(lab / "reports" / run)
    return run


def left(lab):
    """Return which runs are left, and which reports."""
    folders = [lab / "data", lab / "reports"]
    return [
        sorted(path.name for path in folder.iterdir() if not path.is_symlink())
        for folder in folders
    ]


@pytest.mark.parametrize(
    ("options", "stay"),
    [
        ("--keep 1", [0]),
        ("--keep 2", [0, 1]),
        ("--keep 9", [0, 1, 2, 3]),
        ("--older 30d", [0, 1, 2]),
        ("--older 2w", [0, 1]),
        ("--older 12h", [0]),
        ("--older 1000w", [0, 1, 2, 3]),
        ("--keep 3 --older 12h", [0, 1, 2]),
        ("--keep 1 --older 30d", [0, 1, 2]),
    ],
)
def test_runs_beyond_number_and_age_go_with_their_reports(lab, capsys, options, stay):
    """The newest stays whatever its age; a dry run says the same lines and removes nothing."""
    runs = [make_run(lab, days) for days in (40, 20, 5, 0.1)][::-1]
    data, reports = left(lab)
    assert main(["clean", *options.split(), "--dry-run"]) == 0
    *dry, dry_total = capsys.readouterr().out.splitlines()
    assert left(lab) == [data, reports]
    assert main(["clean", *options.split()]) == 0
    *lines, total = capsys.readouterr().out.splitlines()
    kept = [runs[number] for number in stay]
    assert [path for path in left(lab)[0] if path != ".gitignore"] == sorted(kept)
    assert left(lab)[1] == sorted(kept)
    assert lines == dry
    gone = len(runs) - len(kept)
    amount = f"{gone} run{'' if gone == 1 else 's'}, {quantity(1.5 * 2**20 * gone, 'bytes')}"
    assert (dry_total, total) == (
        f"{amount} would be removed; with --dry-run nothing is",
        f"{amount} removed",
    )
    if gone:
        oldest = runs[-1]
        assert (
            lines[0]
            == f"data/{oldest}/ and reports/{oldest}/  1.50 MiB, 2 experiments, began 40 d ago"
        )


def test_what_is_no_run_or_still_runs_stays_and_is_named(lab, capsys):
    """No run.json of its own, a newer format, a link, a live session, another machine, latest."""
    data = lab / "data"
    make_run(lab, 9)
    old = "20200101T000000Z-00000{}".format
    (data / old(1)).mkdir()
    (data / old(1) / "mine.txt").write_text("mine")
    (data / old(2)).mkdir()
    (data / old(2) / "run.json").write_text(json.dumps({"format": "twin-run/1", "run": old(9)}))
    (data / old(3)).mkdir()
    (data / old(3) / "run.json").write_text(json.dumps({"format": "twin-run/9", "run": old(3)}))
    outside = lab / "outside"
    outside.mkdir()
    (outside / "run.json").write_text(json.dumps({"format": "twin-run/1", "run": old(4)}))
    (data / old(4)).symlink_to(outside)
    RunFolder.create(data, old(5)).write_state(
        {
            "status": "RUNNING",
            "controller_pid": os.getpid(),
            "controller_start_ticks": start_ticks(os.getpid()),
        }
    )
    elsewhere = RunFolder.create(data, old(6))
    elsewhere.write_state({"status": "RUNNING", "controller_pid": 1, "controller_start_ticks": 0})
    elsewhere.write_machine({"host": f"{platform.node()}-other"})
    RunFolder.create(data, old(7)).write_state({"status": "COMPLETE"})  # the last one made: latest
    (data / "sample").mkdir()
    before = left(lab)
    assert main(["clean", "--keep", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert left(lab) == before
    assert told["removed"] == []
    assert {entry["path"]: entry["reason"] for entry in told["kept"]} == {
        f"data/{old(1)}": "it holds no run.json of the run that it is named for",
        f"data/{old(2)}": "it holds no run.json of the run that it is named for",
        f"data/{old(3)}": (
            f"data/{old(3)}/run.json: format 'twin-run/9' is newer than this version reads"
            " (twin-run/1); upgrade twin-harness"
        ),
        f"data/{old(5)}": "its session still runs",
        f"data/{old(6)}": (
            f"it says that it runs on {platform.node()}-other, which cannot be looked up from here"
        ),
        f"data/{old(7)}": "latest leads to it",
    }
    assert (outside / "run.json").exists()


def test_links_in_a_run_are_removed_and_not_followed(lab, capsys):
    """What a link in a run, or in place of its report, leads to stays."""
    run = make_run(lab, 40)
    make_run(lab, 1)
    precious = lab / "precious"
    precious.mkdir()
    (precious / "file").write_text("mine")
    (lab / "data" / run / "link").symlink_to(precious)
    (lab / "reports" / run / "index.html").unlink()
    (lab / "reports" / run).rmdir()
    (lab / "reports" / run).symlink_to(precious)
    assert main(["clean", "--keep", "1"]) == 0
    assert not (lab / "data" / run).exists()
    assert (precious / "file").read_text() == "mine"


def test_an_interrupted_removal_is_finished_by_the_next(lab, monkeypatch, capsys):
    """No reader meets half a run.

    Its name is gone with the first step, and what is left is found by the second one's name.
    """
    run = make_run(lab, 40)
    make_run(lab, 1)
    monkeypatch.setattr(
        old_runs.shutil, "rmtree", lambda _path: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    assert main(["clean", "--keep", "1"]) == 130
    assert f".{run}.removed" in left(lab)[0]
    assert main(["runs"]) == 0
    assert run not in capsys.readouterr().out
    monkeypatch.undo()
    monkeypatch.chdir(lab)
    assert main(["clean", "--keep", "1"]) == 0
    assert (
        f"data/.{run}.removed/  1.00 MiB, left by an interrupted removal, began 40 d ago"
        in capsys.readouterr().out
    )
    assert [name for name in left(lab)[0] if "removed" in name] == []


def test_a_run_that_cannot_be_removed_is_named_and_the_others_go(lab, monkeypatch, capsys):
    """Exit code 1, one sentence; it is found again by the next clean."""
    runs = [make_run(lab, days) for days in (40, 30, 1)]
    real = old_runs.shutil.rmtree

    def rmtree(path):
        if runs[0] in path.name:
            raise PermissionError(13, "Permission denied", str(path / "scratch"))
        real(path)

    monkeypatch.setattr(old_runs.shutil, "rmtree", rmtree)
    assert main(["clean", "--keep", "1"]) == 1
    written = capsys.readouterr()
    assert (
        written.err
        == f"twin: data/.{runs[0]}.removed/scratch: cannot be removed (Permission denied); look at"
        " its rights, and clean again\n"
    )
    assert written.out.splitlines()[-1] == "1 run, 1.50 MiB removed"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "--keep 0",
            "--keep: expected a whole number of 1 or more but got '0'; the newest run always stays",
        ),
        ("--keep -1", "clean: --keep: expected a whole number of 1 or more but got '-1'"),
        ("--keep all", "clean: --keep: expected a whole number of 1 or more but got 'all'"),
        (
            "--older 30",
            "expected an age in hours, days or weeks above 0, such as 12h, 30d or 2w, but got '30'",
        ),
        ("--older 0d", "but got '0d'"),
        ("--older 1e3d", "but got '1e3d'"),
        ("--older", "expected one argument"),
        ("--dry-run", "clean: --dry-run: expected --keep N or --older AGE with it but got neither"),
    ],
)
def test_a_wrong_limit_removes_nothing(lab, capsys, options, message):
    """One sentence, exit code 2."""
    run = make_run(lab, 400)
    words = options.replace("--keep -1", "--keep=-1").split()
    try:
        code = main(["clean", *words])
    except SystemExit as request:
        code = request.code
    assert code == 2
    assert message in capsys.readouterr().err
    assert (lab / "data" / run).is_dir()


@pytest.mark.parametrize(
    ("text", "age_s"), [("12h", 43_200), ("30d", 2_592_000), ("2w", 1_209_600), ("1.5d", 129_600)]
)
def test_an_age_is_read(text, age_s):
    """Hours, days, weeks."""
    assert old_runs.parse_age(text) == age_s


def test_an_id_that_is_no_time_has_no_age(lab):
    """A folder named like a run whose digits are no date is never old."""
    folder = RunFolder.create(lab / "data", "20269999T999999Z-000000")
    folder.write_state({"status": "COMPLETE"})
    make_run(lab, 1)
    assert old_runs.select(lab / "data", lab / "reports", 0, 3600.0, NOW).removals == []
