"""What loading and recording a machine needs of its operating system.

Scenarios are written, planned and collected anywhere.
"""

from __future__ import annotations

import importlib
import os
import platform

_NAMES = ("pipe2", "posix_fallocate")  # of module os
_FILES = ("/proc/self/stat", "/proc/stat")


def missing_parts() -> list[str]:
    """Return what this system lacks to be loaded and recorded; nothing on Linux."""
    missing = []
    try:
        importlib.import_module("fcntl")  # Windows has none
    except ImportError:
        missing.append("module fcntl")
    missing += [f"os.{name}" for name in _NAMES if not hasattr(os, name)]
    missing += [path for path in _FILES if not os.path.exists(path)]
    return missing


def lack_of_support(what: str) -> str:
    """Return a sentence on why something cannot be done on this system; empty where it can.

    Args:
        what: is to be done, as the subject of the sentence.
    """
    missing = missing_parts()
    if not missing:
        return ""
    lacks = (
        f"{what} needs Linux, and this system ({platform.system()}) has no {', no '.join(missing)}"
    )
    return (
        f"{lacks}; scenarios are written and collected here (pytest --collect-only) and run on a"
        " Linux server"
    )
