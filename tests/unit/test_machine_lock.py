"""The machine's locks.

Taken in turn, shared by resource, let go by any death, and never found by following a link.
"""

import ctypes
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from twin_harness.errors import HarnessFailure
from twin_harness.system import lock_holders, machine_lock
from twin_harness.system.child import child_environment
from twin_harness.system.machine_lock import (
    MACHINE,
    MachineLock,
    find_lock_place,
    lock_folders,
    open_lock,
)

PATIENCE_S = 20.0
# Waits, takes, holds for a moment, lets go; says each in one line of a file that all share.
# ``again`` takes it anew at once, so many times.
TAKER = """
import os, sys, time
from twin_harness.system.machine_lock import MachineLock
folder, name, again, hold_s, *resources = sys.argv[1:]
log = os.open(os.path.join(folder, "log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
say = lambda word: os.write(log, f"{word} {name}\\n".encode())
lock = MachineLock([folder], on_wait=lambda _: say("waits"))
for _ in range(1 + int(again)):
    lock.take(shared_resources=resources or None)
    say("takes")
    if hold_s == "stdin":
        sys.stdin.read(1)
    else:
        time.sleep(float(hold_s))
    say("leaves")
    lock.release()
"""


class Takers:
    """Processes that take the machine, and what they said in which order."""

    def __init__(self, folder):
        self.folder = folder
        self._processes = {}

    def start(self, name, *, again=0, hold_s=0.0, resources=()):
        command = [
            sys.executable,
            "-S",
            "-s",
            "-c",
            TAKER,
            str(self.folder),
            name,
            str(again),
            str(hold_s),
            *resources,
        ]
        self._processes[name] = subprocess.Popen(
            command, env=child_environment(), stdin=subprocess.PIPE, bufsize=0
        )
        return self._processes[name]

    def said(self, word=""):
        log = self.folder / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line.partition(" ")[2] if word else line for line in lines if line.startswith(word)]

    def wait_for(self, fact):
        deadline_s = time.monotonic() + PATIENCE_S
        while not fact():
            assert time.monotonic() < deadline_s, self.said()
            time.sleep(0.002)

    def wait_until_waiting(self, name):
        """Wait until a process stands in the kernel's queue, not only on its way there."""
        self.wait_for(lambda: self.is_blocked(self._processes[name].pid))

    @staticmethod
    def is_blocked(pid):
        with open("/proc/locks") as file:
            return any("->" in line and f" {pid} " in line for line in file)

    def wait_for_all(self):
        for process in self._processes.values():
            assert process.wait(PATIENCE_S) == 0

    def end(self):
        for process in self._processes.values():
            process.kill()
            process.wait()
            process.stdin.close()


@pytest.fixture
def takers(tmp_path):
    if not os.path.exists("/proc/locks"):
        pytest.skip("the kernel does not tell who waits for a lock: no /proc/locks")
    takers = Takers(tmp_path)
    yield takers
    takers.end()


@pytest.fixture
def lock(tmp_path):
    lock = MachineLock([str(tmp_path)])
    yield lock
    lock.release()


def test_four_waiters_are_served_in_the_order_in_which_they_came(takers, lock):
    """Who came first is served first, one at a time."""
    lock.take()
    names = ["first", "second", "third", "fourth"]
    for name in names:
        takers.start(name, hold_s=0.01)
        takers.wait_until_waiting(name)
    assert takers.said("takes") == []
    lock.release()
    takers.wait_for_all()
    assert takers.said("takes") == names
    rest = [line for line in takers.said() if not line.startswith("waits")]
    assert rest == [f"{word} {name}" for name in names for word in ("takes", "leaves")]


def test_releaser_that_wants_it_again_stands_behind_those_who_wait(takers):
    """A holder that retakes at once, again and again, starves none of four waiters.

    It overtakes none, either.
    """
    holder = takers.start("holder", again=50, hold_s="stdin")
    takers.wait_for(lambda: takers.said("takes") == ["holder"])
    names = ["first", "second", "third", "fourth"]
    for name in names:
        takers.start(name, hold_s=0.005)
        takers.wait_until_waiting(name)
    holder.stdin.write(b"x" * 51)
    takers.wait_for_all()
    order = takers.said("takes")
    # The one at the turnstile is next in any case. The others stand at the turnstile itself, where
    # the kernel wakes the first of them; the holder may slip in once while that one wakes, and then
    # waits behind it like everybody else.
    assert order[:2] == ["holder", "first"]
    assert [name for name in order if name != "holder"] == names
    served = [order.index(name) for name in names]
    assert all(served[index] - index <= 2 + index for index in range(4)), order
    assert order.count("holder") == 51


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_lock_is_free_after_any_death_of_its_holder(takers, lock, number):
    """The kernel lets go for who dies: the next one takes it, with nothing to clean up."""
    holder = takers.start("holder", hold_s="stdin")
    takers.wait_for(lambda: takers.said("takes") == ["holder"])
    holder.send_signal(number)
    holder.wait(PATIENCE_S)
    lock.take()
    assert lock.is_held


def test_death_of_a_waiter_at_the_turnstile_lets_the_others_pass(takers, lock):
    """A waiter that is killed holds nobody up."""
    lock.take()
    for name in ("first", "second"):
        takers.start(name)
        takers.wait_until_waiting(name)
    killed = takers._processes.pop("first")
    killed.kill()
    killed.wait()
    killed.stdin.close()
    lock.release()
    takers.wait_for_all()
    assert takers.said("takes") == ["second"]


def test_lock_is_held_while_a_process_that_inherited_it_lives(takers, lock):
    """Load keeps the machine even when its runner has let go."""
    lock.take()
    load = subprocess.Popen(["sleep", "60"], pass_fds=lock.descriptors)
    try:
        lock.release()
        takers.start("next")
        takers.wait_until_waiting("next")
        assert takers.said("takes") == []
    finally:
        load.kill()
        load.wait()
    takers.wait_for_all()
    assert takers.said("takes") == ["next"]


def test_sharers_of_other_resources_run_at_once(takers):
    """Two that share hold together where resources differ, and take turns where not."""
    takers.start("cpu", hold_s="stdin", resources=["cpu"])
    takers.wait_for(lambda: takers.said("takes") == ["cpu"])
    takers.start("disk", hold_s="stdin", resources=["disk"])
    takers.wait_for(lambda: takers.said("takes") == ["cpu", "disk"])
    takers.start("both", resources=["disk", "memory"])
    takers.wait_until_waiting("both")
    takers._processes["disk"].stdin.write(b"x")
    takers.wait_for(lambda: "leaves both" in takers.said())
    takers._processes["cpu"].stdin.write(b"x")
    takers.wait_for_all()


def test_who_wants_the_machine_alone_waits_for_sharers(takers, lock):
    """An exclusive taker waits for a sharer, and a sharer that comes later stands behind it."""
    lock.take(shared_resources=["cpu"])
    takers.start("alone", hold_s=0.01)
    takers.wait_until_waiting("alone")
    takers.start("sharer", resources=["disk"])
    takers.wait_until_waiting("sharer")
    assert takers.said("takes") == []
    lock.release()
    takers.wait_for_all()
    assert takers.said("takes") == ["alone", "sharer"]


def test_waiting_is_told_before_it_begins(takers, tmp_path):
    """``on_wait`` is called by who has to wait, and by nobody else."""
    told = []
    free = MachineLock([str(tmp_path)], on_wait=lambda _: told.append("free"))
    free.take()
    assert told == []
    takers.start("waiter")
    takers.wait_until_waiting("waiter")
    assert takers.said() == ["waits waiter"]
    free.release()
    takers.wait_for_all()


def test_taking_twice_is_taking_once(lock):
    """Who holds the machine takes it again at no cost, and lets go once."""
    lock.take()
    descriptors = lock.descriptors
    lock.take()
    assert lock.descriptors == descriptors
    lock.release()
    assert not lock.is_held


@pytest.mark.parametrize("kind", ["link", "dangling", "folder", "pipe"])
def test_what_is_no_plain_file_is_passed_over(tmp_path, kind):
    """A link, a folder or a pipe under the lock's name is not opened.

    The next place is taken, and what it points at is left alone.
    """
    bad, good, target = tmp_path / "bad", tmp_path / "good", tmp_path / "target"
    bad.mkdir()
    good.mkdir()
    name = bad / "twin-harness.machine.lock"
    if kind in ("link", "dangling"):
        name.symlink_to(target)
        if kind == "link":
            target.write_text("not ours")
    elif kind == "folder":
        name.mkdir()
    else:
        os.mkfifo(name)
    lock = open_lock("machine", [str(bad), str(good)])
    try:
        assert os.path.realpath(f"/proc/self/fd/{lock.descriptor}") == str(good / name.name)
    finally:
        lock.close()
    assert (target.read_text() if kind == "link" else target.exists()) == (
        "not ours" if kind == "link" else False
    )


def test_no_place_for_a_lock_is_said(tmp_path):
    """Where every place is bad the sentence names them all, and what to do."""
    (tmp_path / "twin-harness.machine.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(
        HarnessFailure,
        match=r"no lock for this machine: expected one of .* to be writable; set XDG_RUNTIME_DIR",
    ):
        open_lock("machine", [str(tmp_path), str(tmp_path / "missing")])


def test_failed_taking_leaves_nothing_held(tmp_path):
    """When the machine's own file cannot be had the turnstile is free again."""
    (tmp_path / "twin-harness.machine.lock").mkdir()
    lock = MachineLock([str(tmp_path)])
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(HarnessFailure):
        lock.take()
    assert not lock.is_held
    assert set(os.listdir("/proc/self/fd")) == before


def test_lock_files_are_never_written(lock, tmp_path):
    """What a lock file holds does not matter: it stays empty, and can be removed."""
    lock.take(shared_resources=["cpu", "memory"])
    names = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert names == {
        f"twin-harness.{name}.lock": 0 for name in ("turnstile", "machine", "cpu", "memory")
    }


@pytest.fixture
def machine_folders(tmp_path, monkeypatch):
    """A machine whose lock folders are made up.

    Returns what makes one, given its mode (None: it is missing).
    """
    names = [tmp_path / name for name in ("run-lock", "var-lock", "shm", "tmp")]
    monkeypatch.setattr(machine_lock, "_PUBLIC_FOLDERS", tuple(map(str, names)))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)

    def make(*modes):
        for folder, mode in zip(names, modes, strict=True):
            if mode is not None:
                folder.mkdir()
                folder.chmod(mode)
        return [str(folder) for folder in names]

    return make


@pytest.mark.parametrize(
    ("modes", "place"),
    [
        ((0o1777, 0o1777, 0o1777, 0o1777), "run-lock"),  # Debian
        (
            (None, None, 0o1777, 0o1777),
            "shm",
        ),  # Alpine's image: /run is empty, and /var/lock points into it
        ((0o755, None, 0o1777, 0o1777), "shm"),  # Fedora: root alone may write there
        ((0o777, None, None, 0o1777), "tmp"),  # anybody may remove anybody's file there
    ],
    ids=["debian", "alpine", "fedora", "not-sticky"],
)
def test_the_folder_is_one_that_every_user_comes_to(machine_folders, modes, place):
    """The choice looks at the folder, not at who asks.

    Root, who may write everywhere, comes to the same one.
    """
    machine_folders(*modes)
    found = find_lock_place()
    assert os.path.basename(found.folder) == place
    assert found.is_for_all_users


def test_a_folder_of_one_s_own_is_the_last_choice_and_said(machine_folders, tmp_path, monkeypatch):
    """Without a folder of everybody's, one's own serves, and one knows that it is apart."""
    own = tmp_path / "own"
    own.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(own))
    folders = machine_folders(None, None, None, None)
    assert lock_folders() == (*folders, str(own))
    found = find_lock_place()
    assert found.folder == str(own)
    assert not found.is_for_all_users


def test_a_strict_umask_keeps_nobody_out(tmp_path):
    """A lock file is readable by all whatever the maker's umask; else others made another one."""
    before = os.umask(0o077)
    try:
        lock = open_lock(MACHINE, [str(tmp_path)])
    finally:
        os.umask(before)
    assert os.stat(lock.path).st_mode & 0o777 == 0o644
    lock.close()


@pytest.mark.parametrize("kind", ["linked", "filled"])
def test_a_file_that_may_be_another_one_s_secret_stays_private(tmp_path, kind):
    """What has a second name or holds something may have been linked there by somebody else.

    Its mode is left alone.
    """
    secret = tmp_path / "twin-harness.machine.lock"
    secret.touch(mode=0o600)
    if kind == "linked":
        os.link(secret, tmp_path / "other")
    else:
        secret.write_text("secret")
    lock = open_lock(MACHINE, [str(tmp_path)])
    lock.close()
    assert secret.stat().st_mode & 0o777 == 0o600


def test_a_lock_that_cannot_be_read_is_not_passed_over(tmp_path, monkeypatch):
    """In another folder one would meet nobody: who owns the file has to let others read it."""
    bad, good = tmp_path / "bad", tmp_path / "good"
    for folder in (bad, good):
        folder.mkdir()
    (bad / "twin-harness.machine.lock").touch()

    def refuse(path, *rest, **more):
        if str(path).startswith(str(bad)):
            raise PermissionError(13, "Permission denied")
        return real(path, *rest, **more)

    real = os.open
    monkeypatch.setattr(os, "open", refuse)
    wanted = "belongs to another user and cannot be read; have its owner or root run: chmod a+r "
    with pytest.raises(HarnessFailure, match=re.escape(wanted)):
        open_lock(MACHINE, [str(bad), str(good)])


def test_who_waits_is_told_who_has_the_machine(takers, tmp_path):
    """Pid and command of the holder, also of a waiter at the turnstile, now and again."""
    holder = takers.start("holder", hold_s="stdin")
    takers.wait_for(lambda: takers.said("takes") == ["holder"])
    said = []

    def tell(text):
        said.append(text)
        if len(said) == 3:
            holder.stdin.write(b"x")

    lock = MachineLock([str(tmp_path)], on_wait=tell)
    before, lock_holders.AGAIN_EVERY_S = lock_holders.AGAIN_EVERY_S, 0.02
    try:
        lock.take()
    finally:
        lock_holders.AGAIN_EVERY_S = before
    lock.release()
    assert said[0] == said[1] == said[2]
    assert said[0].startswith(f" (process {holder.pid}, {sys.executable}")
    assert len(said[0]) < 120


def test_nobody_waits_for_himself(tmp_path, monkeypatch):
    """A process that itself holds the machine in another session is told so, and never waits."""
    monkeypatch.setattr(lock_holders, "_FORK_PATIENCE_S", 0.0)
    first, second = (MachineLock([str(tmp_path)]) for _ in range(2))
    first.take()
    with pytest.raises(HarnessFailure) as failure:
        second.take()
    assert (
        str(failure.value)
        == f"the machine is held by this process itself (process {os.getpid()}), in another session"
        " or test of it that has not ended; run experiments through this test's own fixtures"
    )
    first.release()


def test_nobody_waits_for_a_fork_of_his_own(tmp_path, monkeypatch):
    """A process that a C library forked keeps what it inherited: it is named, and not waited for.

    Load of ours would be, as it ends by its plan.
    """
    monkeypatch.setattr(lock_holders, "_FORK_PATIENCE_S", 0.0)
    lock = MachineLock([str(tmp_path)])
    lock.take()
    libc = ctypes.CDLL(None)
    pid = libc.fork()
    if pid == 0:
        libc.pause()
        os._exit(0)
    lock.release()
    try:
        with pytest.raises(HarnessFailure) as failure:
            lock.take()
        assert lock_holders.Waiting(str)._our_holders() == []
        monkeypatch.setattr(lock_holders, "_OUR_LOAD", "py")
        waiting = lock_holders.Waiting(str)
        waiting._path = str(tmp_path / "twin-harness.machine.lock")
        assert [holder.pid for holder in lock_holders.holders_of(waiting._path)] == [pid]
        assert waiting._our_holders() == []
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert str(failure.value).startswith(
        f"the machine is held by a fork of this process (process {pid}, "
    )
    assert str(failure.value).endswith(
        "made while a test had the machine; end it before the next test begins, or start it with"
        " subprocess"
    )


def test_a_child_that_took_the_machine_itself_is_waited_for(takers, tmp_path, monkeypatch):
    """A run that a test has started in a process of its own ends by itself."""
    monkeypatch.setattr(lock_holders, "_FORK_PATIENCE_S", -1.0)
    holder = takers.start("holder", hold_s="stdin")
    takers.wait_for(lambda: takers.said("takes") == ["holder"])
    lock = MachineLock([str(tmp_path)], on_wait=lambda _: holder.stdin.write(b"x"))
    lock.take()
    lock.release()


def test_a_file_of_the_same_name_in_another_mount_namespace_is_another_file(tmp_path, monkeypatch):
    """A container's lock of the same path is none of ours.

    Whoever is named as holder may be ended by who reads it.
    """
    lock = MachineLock([str(tmp_path)])
    lock.take()
    path = str(tmp_path / "twin-harness.machine.lock")
    assert [holder.pid for holder in lock_holders.holders_of(path)] == [os.getpid()]
    monkeypatch.setattr(lock_holders, "_mounts_of", str)
    monkeypatch.setattr(lock_holders, "_holders_by_inode", lambda _: [])
    assert lock_holders.holders_of(path) == []
    lock.release()
