"""Processes of this machine, as /proc shows them: by command line, and by environment."""

import os
from pathlib import Path


def _entries(name):
    """Yield pid and content of a file of every process that lives and may be read."""
    for entry in filter(str.isdecimal, os.listdir("/proc")):
        try:
            content = Path(f"/proc/{entry}/{name}").read_bytes()
        except OSError:
            continue
        yield int(entry), content


def command_words():
    """Return the words of every process's command line by pid; a zombie has none."""
    return {pid: content.split(b"\0") for pid, content in _entries("cmdline")}


def our_processes():
    """Return the command line of every load host, guard, logger and probe by pid."""
    return {
        pid: b" ".join(words).decode()
        for pid, words in command_words().items()
        if any(word.startswith(b"twin_harness.") for word in words)
    }


def pids_with(variable, value):
    """Return the processes in whose environment a variable has a value; a zombie has none."""
    wanted = f"{variable}={value}\0".encode()
    return [pid for pid, content in _entries("environ") if wanted in content + b"\0"]
