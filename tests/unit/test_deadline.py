"""Questions to a filesystem that does not answer: who asks goes on, and nothing of his is held."""

import errno
import gc
import os
import select
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import twin_harness
from twin_harness.system import child, deadline, space_watch
from twin_harness.system.deadline import Unanswered, ask
from twin_harness.system.space_watch import SpaceWatch

PACKAGE = Path(twin_harness.__file__).parent
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
ASKS_AND_DIES = (
    "from twin_harness.system.space_watch import SpaceWatch; import sys; watch ="
    " SpaceWatch(sys.argv[1]); print(watch.pid); sys.stdout.flush(); sys.stdin.read(1)"
)


@pytest.fixture
def mute(monkeypatch):
    """Filesystems whose processes wait for ever; the process that asks inherits it."""
    monkeypatch.setattr(space_watch.os, "statvfs", lambda _: signal.pause())


@pytest.fixture
def watch_of():
    watches = []

    def make(folder):
        watches.append(SpaceWatch(str(folder)))
        return watches[-1]

    yield make
    for watch in watches:
        watch.close()


def test_space_is_that_of_the_system(watch_of, tmp_path):
    """Total, free and the used share are those of statvfs, the share as df counts it."""
    watch = watch_of(tmp_path)
    watch.ask(0.0)
    watch.take(10.0)
    status = os.statvfs(tmp_path)
    assert watch.space.total_bytes == status.f_blocks * status.f_frsize
    assert watch.space.free_bytes == pytest.approx(status.f_bavail * status.f_frsize, rel=0.05)
    assert (watch.waited_s(5.0), watch.fault, watch.is_open) == (0.0, "", False)


def test_used_share_is_of_what_users_can_have():
    """What is kept for root counts neither as used nor as free."""
    assert space_watch.space_from(100, 40, 20, 4096) == (409600, 81920, 75.0)
    assert space_watch.space_from(0, 0, 0, 4096).used_percent != 0.0


def test_mute_filesystem_delays_nobody(mute, watch_of, tmp_path):
    """No look waits, one question stays open, and how long it has waited is known."""
    watch = watch_of(tmp_path)
    watch.ask(100.0)
    for now_s in (100.05, 101.0, 107.0):
        watch.take()
        watch.ask(now_s)
        assert watch.waited_s(now_s) == now_s - 100.0
    assert (watch.space, watch.fault, watch.is_open) == (None, "", True)


def test_folder_that_is_gone_is_a_fault_in_the_system_s_words(watch_of, tmp_path):
    watch = watch_of(tmp_path / "no")
    watch.ask(0.0)
    watch.take(10.0)
    assert (watch.fault, watch.space) == ("No such file or directory", None)


def test_error_that_passes_is_forgotten(watch_of, tmp_path):
    """A lost handle or a folder that is put back: the next question has an answer again."""
    folder = tmp_path / "late"
    watch = watch_of(folder)
    watch.ask(0.0)
    watch.take(10.0)
    assert (watch.errno, watch.is_lost) == (errno.ENOENT, False)
    folder.mkdir()
    watch.ask(1.0)
    watch.take(10.0)
    assert (watch.errno, watch.fault) == (0, "")
    assert watch.space.total_bytes > 0


@pytest.mark.parametrize("call", ["fork", "pipe"])
def test_asker_that_cannot_be_started_is_a_fault(tmp_path, monkeypatch, call):
    """Nothing raises, no descriptor is left open, and no question is asked."""
    before = os.listdir("/proc/self/fd")
    first = [os.pipe] if call == "pipe" else []

    def refuse():
        if first:
            return first.pop()()
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(space_watch.os, call, refuse)
    watch = SpaceWatch(str(tmp_path))
    monkeypatch.undo()
    watch.ask(0.0)
    watch.take(1.0)
    watch.close()
    fault = "the process that asks could not be started (Resource temporarily unavailable)"
    assert (watch.fault, watch.is_lost, watch.is_open, watch.space) == (fault, True, False, None)
    assert os.listdir("/proc/self/fd") == before


def test_asker_closes_what_is_open_and_no_more(watch_of, tmp_path, monkeypatch):
    """One of a thousand million descriptors that are permitted would take minutes to come to."""
    monkeypatch.setattr(space_watch.os, "closerange", lambda *_: signal.pause())
    watch = watch_of(tmp_path)
    watch.ask(0.0)
    watch.take(10.0)
    assert watch.space is not None


def test_without_proc_a_bounded_range_is_closed(tmp_path, monkeypatch):
    closed = []
    monkeypatch.setattr(space_watch, "_DESCRIPTORS", tmp_path / "no")
    monkeypatch.setattr(space_watch.os, "closerange", lambda *bounds: closed.append(bounds))
    space_watch._close_from(3)
    assert closed == [(3, 65536)]


def test_asker_that_was_killed_is_a_fault(mute, watch_of, tmp_path):
    """Whoever asks again learns it, and nothing raises."""
    watch = watch_of(tmp_path)
    watch.ask(0.0)
    os.kill(watch.pid, signal.SIGKILL)
    watch.take(10.0)
    assert (watch.fault, watch.is_lost) == ("the process that asks has ended", True)
    watch.ask(1.0)
    assert not watch.is_open


def test_asker_holds_nothing_of_whom_it_asks_for(mute, watch_of, tmp_path):
    """Its two pipes and /dev/null are all it has.

    Neither locks nor stdout nor stderr wait with it.
    """
    with (tmp_path / "lock").open("w"):
        watch = watch_of(tmp_path)
        watch.ask(0.0)
        status = os.waitpid(watch.pid, os.WNOHANG)
        while len(os.listdir(f"/proc/{watch.pid}/fd")) != 3:
            assert status == (0, 0)
        links = [os.readlink(f"/proc/{watch.pid}/fd/{number}") for number in range(3)]
    assert [link.partition(":")[0] for link in links] == ["pipe", "pipe", "/dev/null"]


def test_closing_leaves_no_process(mute, tmp_path):
    watch = SpaceWatch(str(tmp_path))
    pid = watch.pid
    watch.ask(0.0)
    watch.close()
    watch.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)


def test_asker_ends_with_whom_it_asks_for(tmp_path):
    """A guard or a logger that is killed takes it along, by the end of its pipe."""
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", ASKS_AND_DIES, str(tmp_path)],
        env=child.child_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    asker = int(process.stdout.readline())
    end = child.watch_process(asker)
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    if end is None:
        pytest.skip("no pidfd here")
    assert select.select([end], [], [], 10)[0] == [end]
    os.close(end)


# -- asked once ------------------------------------------------------------------------------------


def test_answer_is_plain_data(tmp_path):
    """What the function returns comes back."""
    (tmp_path / "a").write_text("é}\n{")
    assert ask("twin_harness.system.procfs:read_text", str(tmp_path / "a")) == "é}\n{"


def test_error_of_the_system_comes_back(tmp_path):
    with pytest.raises(FileNotFoundError, match="No such file or directory"):
        ask("twin_harness.system.storage:describe", str(tmp_path / "no"))


def test_question_that_is_never_answered_is_given_up(tmp_path):
    """After the patience it is one sentence that names the folder and what to do.

    A FIFO that nobody writes keeps its reader for ever.
    """
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(Unanswered) as raised:
        ask("twin_harness.system.procfs:read_text", str(fifo), patience_s=0.2)
    assert (
        str(raised.value)
        == f"{fifo}: its filesystem has not answered for 0.2 s (a lost network server, or a FUSE"
        " program that hangs); name a folder on another filesystem with --twin-scratch-dir, or"
        " repair this one"
    )


def test_folder_whose_answer_is_an_error_is_not_mute(tmp_path, monkeypatch):
    """Only silence is; what is gone, or there, has answered."""
    assert not deadline.is_mute(str(tmp_path))
    assert not deadline.is_mute(str(tmp_path / "no"))
    monkeypatch.setattr(deadline, "ask", lambda *_: (_ for _ in ()).throw(Unanswered("/x")))
    assert deadline.is_mute("/x")


def test_question_that_nobody_has_an_answer_to_is_an_error(tmp_path):
    """With the last words of the process that was to ask."""
    with pytest.raises(OSError, match="ended with code 1") as raised:
        ask("twin_harness.system.procfs:no_such_function", str(tmp_path))
    assert (
        raised.value.strerror
        == f"the process that asks about {tmp_path} ended with code 1: AttributeError: module"
        " 'twin_harness.system.procfs' has no attribute 'no_such_function'"
    )


def test_working_folder_is_no_place_of_modules(tmp_path, monkeypatch):
    """A student's select.py, struct.py or json.py takes the place of nothing."""
    for name in ("select", "struct", "json", "signal", "importlib", "twin_harness"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not the real one')\n")
    monkeypatch.chdir(tmp_path)
    assert ask("twin_harness.system.storage:describe", ".")["path"] == str(tmp_path)


def test_interpreter_s_words_stand_in_one_place():
    """Whoever started one of our modules with words of his own would forget one of them."""
    words = '"-S", "-s"'
    having = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if words in path.read_text()
    }
    assert having == {"system/child.py"}


@pytest.mark.parametrize("dies", [True, False])
def test_process_that_is_given_up_warns_of_nothing(tmp_path, monkeypatch, dies):
    """It is reaped, or, where the filesystem holds it, its object says nothing when it goes."""
    started = []
    popen = subprocess.Popen

    class Held(popen):
        def __init__(self, *arguments, **settings):
            super().__init__(*arguments, **settings)
            started.append(self.pid)

        def kill(self):
            if dies:
                super().kill()

    os.mkfifo(tmp_path / "fifo")
    monkeypatch.setattr(subprocess, "Popen", Held)
    monkeypatch.setattr(deadline, "REAP_S", 10.0 if dies else 0.0)
    try:
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            with pytest.raises(Unanswered):
                ask("twin_harness.system.procfs:read_text", str(tmp_path / "fifo"), patience_s=0.1)
            gc.collect()
        assert [str(warning.message) for warning in heard] == []
    finally:
        if not dies:
            os.kill(started[0], signal.SIGKILL)
            os.waitpid(started[0], 0)
    with pytest.raises(ChildProcessError):
        os.waitpid(started[0], 0)


def test_space_is_asked_in_two_modules_alone():
    """Whoever else called statvfs would wait with the filesystem.

    Guard, logger, runner and command ask through here.
    """
    callers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if "statvfs(" in path.read_text()
    }
    assert callers == {"system/space_watch.py", "system/storage.py"}
