"""Which processes of ours are alive, as /proc tells."""

import os


def our_processes():
    """Return the command line of every load host, guard, logger and probe by pid.

    Zombies are none.
    """
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if any(word.startswith(b"twin_harness.") for word in words):
                found[int(entry)] = b" ".join(words).decode()
    return found
