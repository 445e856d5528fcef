"""Which devices are counted: a thing and what it is stacked on count once.

The kernel lists disks, network interfaces and power zones at every level: a partition beside its
disk, a bond beside its ports, the platform's energy beside the package's. Which of them are summed
is decided here, by sysfs; a device that sysfs does not show (a container without /sys, a network
namespace whose sysfs is another's) is judged by its name.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twin_harness.system.procfs import read_text

if TYPE_CHECKING:
    from collections.abc import Mapping

LOOPBACKS = frozenset({"lo", "lo0", "Loopback Pseudo-Interface 1"})
_VIRTUAL = "/devices/virtual/"
# nbd and ScaleIO stand under virtual/, and below them is the network: no other device of this
# machine counts what goes through them.
_REMOTE_DISK = re.compile(r"nbd\d+|scini\w+")
# Files, memory, what is made of other disks, and drives whose medium is changed.
_STACKED_DISK = re.compile(r"loop|ram|zram|dm-|md|bcache|drbd|zd\d|sr\d|fd\d")
_NVME_PATH = re.compile(r"nvme(\d+)c\d+n(\d+)")
# Bridges, bonds, tunnels and the ends of virtual cables, as the tools that make them call them; a
# dot or @ is a VLAN's.
_VIRTUAL_INTERFACE = re.compile(
    r"(veth|docker|br-|br\d|bridge|virbr|bond|team|dummy|ifb|tun|tap|wg|vlan|vnet|vmnet|vboxnet"
    r"|cali|flannel|cni|cilium|lxc|lxd|mac(vlan|vtap)|ipvlan|vxlan|geneve|gre|erspan|sit\d|ip6tnl"
    r"|tunl|ip6?_vti|ip6gre|nlmon|kube-|nodelocaldns|ovs-|ovn|podman"
    r"|tailscale|zt|utun|awdl|llw|gif|stf)|.*[.@]"
)
_GOES = 10  # in which a watch looks at each interface again, unless they are too many
_TUNNELS = frozenset({"DEVTYPE=wireguard", "DEVTYPE=vxlan", "DEVTYPE=geneve"})
# A port of a switch on the card itself (devlink): what goes through it is counted by the card, or
# by the guest's function.
_REPRESENTOR = re.compile(r"(c\d+)?pf\d+(vf|sf)\d+")


def counted_disks(listed: frozenset[str], root: str = "/sys/block") -> frozenset[str]:
    """Return the block devices that are whole and stacked on no other of this machine.

    Of NVMe multipath the paths count, and not the head. Where everything is virtual, what is not
    known to be stacked counts.

    Args:
        listed: the names of /proc/diskstats; they alone are judged where there is no sysfs.
        root: of sysfs.
    """
    try:
        names = {name: _target(f"{root}/{name}") for name in os.listdir(root)}
    except OSError:
        return _disks_by_name(listed)
    whole: set[str] = set()
    virtual: set[str] = set()
    for name, target in names.items():
        if _STACKED_DISK.match(name):
            continue
        if _VIRTUAL not in target or _REMOTE_DISK.fullmatch(name):
            whole.add(name.replace("!", "/"))
        elif not _is_stacked(f"{root}/{name}"):
            virtual.add(name.replace("!", "/"))
    return frozenset(_without_heads(whole or virtual))


def _is_stacked(folder: str) -> bool:
    """Tell whether a block device has others below it, which dm, md and bcache link."""
    try:
        return bool(os.listdir(f"{folder}/slaves"))
    except OSError:
        return False


def _disks_by_name(listed: frozenset[str]) -> frozenset[str]:
    """Judge by names.

    A partition is called like another device and a number, after a ``p`` where that ends in a
    digit.
    """
    whole = set()
    for name in listed:
        disk = re.sub(r"(?<=\d)p\d+$|(?<=[a-z])\d+$", "", name)
        if not _STACKED_DISK.match(name) and (disk == name or disk not in listed):
            whole.add(name)
    return frozenset(_without_heads(whole))


def _without_heads(names: set[str]) -> set[str]:
    heads = {f"nvme{path[1]}n{path[2]}" for name in names if (path := _NVME_PATH.fullmatch(name))}
    return names - heads


def counted_interfaces(listed: frozenset[str], root: str = "/sys/class/net") -> frozenset[str]:
    """Return the network interfaces whose counters are summed.

    Those with hardware behind them; of two such that are stacked (a failover pair, the ports of a
    switch chip) the upper one, which counts for both. A machine without any (a container) has those
    that are stacked on no other.

    Args:
        listed: the names of /proc/net/dev.
        root: of sysfs; an interface that it does not show is judged by its name.
    """
    return _counted({name: _look_at(name, root) for name in listed - LOOPBACKS})


@dataclass(frozen=True, slots=True)
class _Interface:
    """What sysfs shows of one interface.

    Attributes:
        layer: "physical" with hardware behind it, "named" and "bottom" without and stacked on no
            other (the latter called like a virtual one), "" where another counts for it.
        uppers: the names of those stacked on it.
        is_inner_port: whether it is a guest's end in this machine.
        is_listed: whether sysfs shows it; else it is judged by its name.
    """

    layer: str
    uppers: frozenset[str] = frozenset()
    is_inner_port: bool = False
    is_listed: bool = True


def _look_at(name: str, root: str) -> _Interface:
    folder = f"{root}/{name}"
    target = _target(folder)
    looks_virtual = bool(_VIRTUAL_INTERFACE.match(name))
    if target and _VIRTUAL in target:
        if _has_below(folder):
            return _Interface("")
        return _Interface("bottom" if looks_virtual else "named")
    if not target and looks_virtual:
        return _Interface("bottom", is_listed=False)
    uppers = frozenset(_uppers(folder))
    return _Interface("physical", uppers, _is_inner_port(folder), bool(target))


def _counted(interfaces: Mapping[str, _Interface]) -> frozenset[str]:
    """Return those that count of all that are there."""
    layers: dict[str, set[str]] = {"physical": set(), "named": set(), "bottom": set(), "": set()}
    for name, interface in interfaces.items():
        layers[interface.layer].add(name)
    physical = layers["physical"]
    counted = {
        name
        for name in physical
        if not interfaces[name].uppers & physical and not interfaces[name].is_inner_port
    }
    return frozenset(counted or physical or layers["named"] or layers["bottom"])


class InterfaceWatch:
    """Which interfaces count, kept up to date by a few looks at a time.

    One look at an interface takes tens of microseconds, and a machine of containers has hundreds:
    what was seen of each is kept. Those that come are looked at first, the others in turn, for they
    may be stacked anew.

    Args:
        root: of sysfs.
        most: how many are looked at in one go.
    """

    def __init__(self, root: str = "/sys/class/net", most: int = 4) -> None:
        self._root = root
        self._most = most
        self._seen: dict[str, _Interface] = {}
        self._new: list[str] = []
        self._turn: list[str] = []
        self._due = 0  # in tenths of an interface
        self._has_gone = False
        self.counted: frozenset[str] = frozenset()

    @property
    def is_behind(self) -> bool:
        """Whether some have come and were not looked at yet."""
        return bool(self._new)

    @property
    def unlisted(self) -> frozenset[str]:
        """The interfaces that sysfs does not show: they are judged by their names."""
        return frozenset(name for name, found in self._seen.items() if not found.is_listed)

    def take(self, listed: frozenset[str]) -> None:
        """Take up which are there: the names of /proc/net/dev."""
        names = listed - LOOPBACKS
        gone = self._seen.keys() - names
        for name in gone:
            del self._seen[name]
        self._has_gone = self._has_gone or bool(gone)
        self._new = sorted(names - self._seen.keys())

    def look(self, *, is_all: bool = False) -> bool:
        """Look at the next few, and return whether something is otherwise than before.

        Args:
            is_all: look at all of them now.
        """
        if is_all:
            chosen = sorted({*self._new, *self._seen})
        else:
            chosen = self._next()
        if not is_all:
            self._new = self._new[len(chosen) :]
        else:
            self._new = []
        found = {name: _look_at(name, self._root) for name in chosen}
        changed = {name: now for name, now in found.items() if self._seen.get(name) != now}
        if not changed and not self._has_gone:
            return False
        self._seen.update(changed)
        self._has_gone = False
        self.counted = _counted(self._seen)
        return True

    def _next(self) -> list[str]:
        """Return those that are new, else of the others so many that ten goes meet each."""
        if self._new:
            return self._new[: self._most]
        if not self._turn:
            self._turn = list(self._seen)
        self._due += len(self._seen)
        count = min(self._most, self._due // _GOES)
        self._due = min(self._due - count * _GOES, _GOES)
        chosen, self._turn = self._turn[:count], self._turn[count:]
        return [name for name in chosen if name in self._seen]


def unlisted_interfaces(listed: frozenset[str], root: str = "/sys/class/net") -> frozenset[str]:
    """Return the interfaces that sysfs does not show: they are judged by their names."""
    return frozenset(name for name in listed - LOOPBACKS if not _target(f"{root}/{name}"))


def _has_below(folder: str) -> bool:
    """Tell whether an interface carries what another of this machine counts too.

    Stacked, a bridge, or a tunnel.
    """
    try:
        entries = os.listdir(folder)
    except OSError:
        return False
    if {"tun_flags", "bridge"} & {*entries} or any(entry.startswith("lower_") for entry in entries):
        return True
    return bool(_TUNNELS & {*read_text(f"{folder}/uevent").split()})


def _uppers(folder: str) -> set[str]:
    try:
        return {
            entry.removeprefix("upper_")
            for entry in os.listdir(folder)
            if entry.startswith("upper_")
        }
    except OSError:
        return set()


def _is_inner_port(folder: str) -> bool:
    """Tell whether an interface with hardware behind it is a guest's end in this machine.

    A Xen back end, a representor.
    """
    is_back_end = _target(f"{folder}/device/subsystem").endswith("/xen-backend")
    return is_back_end or bool(_REPRESENTOR.fullmatch(read_text(f"{folder}/phys_port_name")))


def _target(link: str) -> str:
    """Return what a link of sysfs points at; the path itself of a folder, as old kernels have it.

    Nothing where nothing is.
    """
    try:
        return os.readlink(link)
    except OSError:
        if os.path.isdir(link):
            return link
        return ""


@dataclass(frozen=True, slots=True)
class PowerZone:
    """An energy counter of powercap (power/powercap/powercap.rst).

    Attributes:
        name: as the kernel names the domain: package-0, psys.
        path: the file with the energy in µJ.
        range_uj: where the counter begins again at 0; 0 where the kernel does not say.
    """

    name: str
    path: str
    range_uj: int


def power_zones(root: str = "/sys/class/powercap") -> tuple[PowerZone, ...]:
    """Return the zones whose powers are summed: each CPU package once, else the platform (psys).

    psys holds the packages, intel-rapl-mmio shows a package again, and core and uncore are parts of
    one (Intel SDM 3B, RAPL). Memory (dram) is beside the package and not counted: clients show
    none, and a sum of machines with and without would be two quantities.
    """
    try:
        entries = sorted(os.listdir(root))
    except OSError:
        return ()
    zones: dict[str, PowerZone] = {}
    for entry in sorted(entries, key=lambda entry: ("mmio" in entry, entry)):
        name = read_text(f"{root}/{entry}/name")
        if entry.count(":") == 1 and name not in zones:
            text = read_text(f"{root}/{entry}/max_energy_range_uj")
            zones[name] = PowerZone(
                name, f"{root}/{entry}/energy_uj", int(text) if text.isdecimal() else 0
            )
    packages = tuple(zone for name, zone in sorted(zones.items()) if name.startswith("package"))
    return packages or tuple(zone for name, zone in zones.items() if name == "psys")
