"""Links of /sys (sysfs), which say what a device is and whether hardware is behind it."""

from __future__ import annotations

import os

_VIRTUAL = "/devices/virtual/"


def link_target(link: str) -> str:
    """Return what a link of sysfs points at; empty where there is nothing.

    Of a folder, which old kernels have in place of the link, that is its own path.
    """
    try:
        return os.readlink(link)
    except OSError:
        if os.path.isdir(link):
            return link
        return ""


def is_virtual(target: str) -> bool:
    """Tell whether a device, by what its link points at, is made by software alone."""
    return _VIRTUAL in target
