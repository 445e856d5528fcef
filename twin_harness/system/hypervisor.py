"""Which hypervisor this machine runs on, as far as an unprivileged process can see."""

from __future__ import annotations

from twin_harness.system.procfs import read_text

_BY_VENDOR = {
    "QEMU": "qemu",
    "Amazon EC2": "aws",
    "Google": "gce",
    "Microsoft Corporation": "hyper-v",
    "VMware, Inc.": "vmware",
}


def hypervisor() -> str:
    """Return the name of the hypervisor, ``virtual`` for an unknown one; empty on bare metal."""
    vendor = read_text("/sys/class/dmi/id/sys_vendor")
    if vendor in _BY_VENDOR:
        return _BY_VENDOR[vendor]
    kind = read_text("/sys/hypervisor/type")
    if kind:
        return kind
    return "virtual" if " hypervisor" in read_text("/proc/cpuinfo") else ""
