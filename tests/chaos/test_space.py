"""No space: in the data folder, in scratch before the load and under it.

And a data folder that cannot be written.
"""

import time

import pytest

from tests.chaos.faults import ALL_GONE_S, LOAD_GONE_S, MARGIN_S, judge_dataset
from tests.chaos.mounts import fill, read_only, small_disk, small_filesystem
from tests.chaos.victim import gone_after_s, tracebacks
from twin_harness import load

MIB = 2**20
CPU_ALONE = """
import pytest
from twin_harness import cpu

@pytest.mark.experiment(cpu(20, duration_s=6), name="test_load", lead_s=0.5, tail_s=0.5)
def test_load(recording):
    pass
"""
DISK = """
import pytest
from twin_harness import cpu, disk

@pytest.mark.experiment(
    cpu(20, duration_s=5),
    disk(2e6, duration_s=5, file_bytes=16 * 2**20),
    name="test_load",
    lead_s=0.5,
    tail_s=0.5,
)
def test_load(recording):
    pass
"""
# Another tenant takes the space between the check of the schedule and the making of the file.
FILLED_MEANWHILE = """
import os
from twin_harness.control import preflight

@pytest.fixture(autouse=True)
def tenant(monkeypatch, request):
    check = preflight.check
    def check_then_fill(*arguments, **more):
        warnings = check(*arguments, **more)
        folder = request.config.getoption("--twin-scratch-dir")
        with open(f"{folder}/tenant", "wb", buffering=0) as file:
            state = os.statvfs(folder)
            os.posix_fallocate(file.fileno(), 0, state.f_bavail * state.f_frsize)
        return warnings
    monkeypatch.setattr(preflight, "check", check_then_fill)
"""


def end_of(victim, patience_s=60.0):
    """Wait for the session's end; nothing of it may be left a second later.

    Return exit code, output and run.
    """
    code = victim.wait(patience_s)
    assert code is not None, (
        f"the session did not end within {patience_s:g} s:\n{victim.text()[-3000:]}"
    )
    _, left = gone_after_s(list(victim.processes().values()), ALL_GONE_S + MARGIN_S)
    assert not left, f"left: {left}"
    assert victim.scratch_files() == []
    folder = victim.run_folder()
    return code, victim.text(), load(folder) if folder else None


def rows_of(run):
    return {
        row.event: row for row in run.folder.read_annotations() if row.experiment == "test_load"
    }


@pytest.mark.parametrize("workers", [0, 2], ids=["plain", "n2"])
def test_logger_without_space_says_so_once_and_keeps_its_rows(make_victim, tmp_path, workers):
    """With the data folder full the logger says one clear line, and the experiment fails.

    Rows so far are whole.
    """
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with small_filesystem(tmp_path / "small", 4 * MIB) as small:
        more = ["-n", str(workers)] if workers else []
        victim = make_victim(
            f"--twin-data-dir={small}/data",
            f"--twin-scratch-dir={scratch}",
            "--twin-interval=0.02",
            *more,
            tests=CPU_ALONE,
        )
        (victim.project / "data").symlink_to(small / "data")
        victim.start()
        victim.wait_for_load(["cpu"])
        time.sleep(0.5)
        fill(small, leave_bytes=20_000)  # about forty rows more
        code, text, run = end_of(victim)
        assert code == 1
        assert (
            text.count(
                "twin-harness logger: the dataset cannot be written: No space left on device"
            )
            == 1
        )
        assert not tracebacks(text), text[-4000:]
        assert judge_dataset(run.samples).endswith("rows")
        assert (
            (small / "data" / "latest" / "system_metrics_dataset.csv").read_bytes().endswith(b"\n")
        )
        assert victim.files_on_tmpfs() == []
        assert list(scratch.iterdir()) == []
        (small / "ballast").unlink()
        code, text = victim.run_next(f"--twin-scratch-dir={scratch}")
        assert code == 0, text[-2000:]


def test_scratch_that_filled_up_meanwhile_fails_the_event_with_the_reason(make_victim, tmp_path):
    """An event whose space has gone since the check fails with the reason, and no load is left."""
    with small_filesystem(tmp_path / "small", 64 * MIB) as small:
        victim = make_victim(
            f"--twin-scratch-dir={small}", "--twin-guard=off", tests=DISK + FILLED_MEANWHILE
        )
        victim.start()
        code, text, run = end_of(victim)
        row = rows_of(run)["disk-0"]
        assert (code, run.status, row.status) == (1, "COMPLETE", "failed"), text[-3000:]
        assert (
            f"scratch folder {small}: No space left on device; name another one with"
            " --twin-scratch-dir" in row.message
        )
        assert row.start_monotonic_s is None
        assert not tracebacks(text), text[-4000:]
        assert victim.files_on_tmpfs() == []


def test_scratch_that_is_too_small_is_refused_before_the_load(make_victim, tmp_path):
    """A disk event whose file has no room is refused by a sentence with both figures.

    Nothing ran.
    """
    with small_filesystem(tmp_path / "small", 8 * MIB) as small:
        victim = make_victim(f"--twin-scratch-dir={small}", "--twin-guard=off", tests=DISK).start()
        code, text, run = end_of(victim)
        assert code == 1
        assert f"test_load: disk events need 16 MiB in {small}; expected at most" in text
        assert not tracebacks(text), text[-4000:]
        assert run.folder.read_plans() == []


@pytest.mark.parametrize("kind", [small_filesystem, small_disk], ids=["tmpfs", "ext4"])
def test_scratch_that_fills_up_under_load_is_left_by_the_guard(make_victim, tmp_path, kind):
    """Others fill the scratch file system under load.

    The guard ends the load, and the event says which floor was crossed.
    """
    with kind(tmp_path / "small", 96 * MIB) as small:
        victim = make_victim(
            f"--twin-scratch-dir={small}", "--twin-guard=disk_free=24MiB", tests=DISK
        ).start()
        victim.wait_for_load(["cpu", "disk"])
        time.sleep(0.5)
        load_processes = victim.loads()
        fill(small, leave_bytes=8 * MIB)
        _, left = gone_after_s(load_processes, LOAD_GONE_S + MARGIN_S)
        assert not left
        code, text, run = end_of(victim)
        rows = rows_of(run)
        assert code == 1
        assert {row.status for row in rows.values()} == {"aborted"}
        assert "disk_free fell to" in rows["disk-0"].message
        assert not tracebacks(text), text[-4000:]


def test_full_scratch_does_not_stop_a_file_that_has_its_space(make_victim, tmp_path):
    """Without a guard a disk event goes on in the file it has.

    Its space was set aside before the load.
    """
    with small_disk(tmp_path / "small", 96 * MIB) as small:
        victim = make_victim(f"--twin-scratch-dir={small}", "--twin-guard=off", tests=DISK).start()
        victim.wait_for_load(["cpu", "disk"])
        fill(small)
        code, text, run = end_of(victim)
        assert (code, rows_of(run)["disk-0"].status) == (0, "completed"), text[-3000:]


@pytest.mark.parametrize("workers", [0, 2], ids=["plain", "n2"])
@pytest.mark.parametrize("there", [True, False], ids=["data-is-there", "data-is-not-there"])
def test_read_only_data_folder_is_refused_in_one_sentence(make_victim, tmp_path, workers, there):
    """A data folder that cannot be written is named in one sentence that says what to do.

    No process, board or folder is made.
    """
    place = tmp_path / "place"
    data = place / "data"
    (data if there else place).mkdir(parents=True)
    with read_only(place):
        victim = make_victim(
            f"--twin-data-dir={data}", *(["-n", str(workers)] if workers else []), tests=CPU_ALONE
        ).start()
        code, text, _ = end_of(victim)
    assert code == 1
    assert f"data folder '{data}' cannot be {'written' if there else 'made'} (" in text
    assert "; name another one with --twin-data-dir" in text
    assert not tracebacks(text), text[-4000:]
    assert victim.files_on_tmpfs() == []
    assert list(place.rglob("*")) == ([data] if there else [])
