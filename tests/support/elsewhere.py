"""Run code in an interpreter that lacks the modules and names that Windows or macOS lack.

    python elsewhere.py windows|macos FOLDER CODE [windows|macos FOLDER CODE ...]

Each runs in a process and a folder of its own, and leaves ``.stdout``, ``.stderr`` and ``.code``
beside it. Libraries of others are loaded beforehand, once for all: they have code of their own for
these systems, by ``sys.platform``, which stays as it is.
"""

import contextlib
import io
import os
import platform
import signal
import sys
import traceback
from importlib import import_module
from unittest import mock

UNIX_MODULES = {"fcntl", "resource", "termios", "pwd", "grp"}
LINUX_NAMES = {"pipe2", "posix_fallocate", "posix_fadvise", "copy_file_range", "O_DIRECT", "O_PATH"}
LINUX_PREFIXES = ("sched_", "SCHED_", "pidfd_", "eventfd", "memfd_", "splice")
UNIX_NAMES = {
    *(
        "fork",
        "setsid",
        "killpg",
        "getpgid",
        "getpgrp",
        "setpgid",
        "nice",
        "setpriority",
        "getpriority",
        "getloadavg",
        "sysconf",
    ),
    *(
        "getuid",
        "geteuid",
        "getgid",
        "getegid",
        "pread",
        "pwrite",
        "statvfs",
        "fchmod",
        "mkfifo",
        "uname",
        "waitid",
        "sync",
        "fdatasync",
    ),
    *("O_CLOEXEC", "O_NOFOLLOW", "O_DIRECTORY", "O_NONBLOCK", "O_DSYNC"),
}
UNIX_SIGNALS = {
    "SIGKILL",
    "SIGSTOP",
    "SIGCONT",
    "SIGCHLD",
    "SIGXCPU",
    "SIGPIPE",
    "SIGHUP",
    "SIGUSR1",
    "SIGUSR2",
    "SIGALRM",
    "pthread_sigmask",
}
LINUX_FOLDERS = ("/proc", "/sys", "/dev/shm", "/run")


class Blocked:
    """Finds nothing of what is not there."""

    def find_spec(self, name, path=None, target=None):
        if name in UNIX_MODULES:
            msg = f"No module named {name!r}"
            raise ModuleNotFoundError(msg, name=name)


def hidden(function):
    """Return a function on paths that finds none of Linux's folders."""

    def call(path=".", *arguments, **keywords):
        if isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(LINUX_FOLDERS):
            raise FileNotFoundError(2, "No such file or directory", os.fspath(path))
        return function(path, *arguments, **keywords)

    return call


def go(system):
    """Take away what the system lacks."""
    names = {name for name in dir(os) if name.startswith(LINUX_PREFIXES)} | LINUX_NAMES
    if system == "windows":
        names |= UNIX_NAMES
        sys.meta_path.insert(0, Blocked())
        for module in UNIX_MODULES:
            sys.modules.pop(module, None)
        for name in UNIX_SIGNALS:
            delattr(signal, name)
    for name in names:
        if hasattr(os, name):
            delattr(os, name)
    exists = os.path.exists
    os.path.exists = lambda path: not str(path).startswith(LINUX_FOLDERS) and exists(path)
    os.path.isdir = mock.Mock(
        side_effect=lambda path, isdir=os.path.isdir: (
            not str(path).startswith(LINUX_FOLDERS) and isdir(path)
        )
    )
    os.open, os.listdir, io.open = hidden(os.open), hidden(os.listdir), hidden(io.open)
    platform.system = lambda: {"windows": "Windows", "macos": "Darwin"}[system]


def run(system, folder, code, leave=os._exit):
    """Run code in a folder, its output beside it, and end this process."""
    os.chdir(folder)
    for number, name in ((1, "stdout"), (2, "stderr")):
        descriptor = os.open(f"{folder}.{name}", os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(descriptor, number)
    result = os.open(f"{folder}.code", os.O_WRONLY | os.O_CREAT, 0o600)
    ended_with = 1
    try:
        go(system)
        exec(code, {"__name__": "elsewhere"})
        ended_with = 0
    except SystemExit as request:
        ended_with = request.code or 0
    except Exception:  # noqa: BLE001 - whatever it is ends this process, and is shown
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(result, str(int(ended_with)).encode())
        leave(0)


if __name__ == "__main__":
    for library in (
        "_pytest.pytester",
        "xdist.plugin",
        "allure_pytest.plugin",
        "hypothesis",
        "numpy",
        "pydantic",
        "platformdirs",
    ):
        with contextlib.suppress(ImportError):
            import_module(library)
    import_module("_pytest.tmpdir").get_user_id = lambda: None  # it asks sys.platform
    words = iter(sys.argv[1:])
    for each in zip(words, words, words, strict=True):
        if not os.fork():
            run(*each)
        os.wait()
