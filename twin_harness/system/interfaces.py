"""Which network interfaces are counted: one and what it is stacked on count once.

The kernel lists them at every level, a bond beside its ports. Which of them are summed is decided
here, by sysfs; an interface that sysfs does not show (a container without /sys, a network namespace
whose sysfs is another's) is judged by its name.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twin_harness.system.procfs import read_text
from twin_harness.system.sysfs import is_virtual, link_target

if TYPE_CHECKING:
    from collections.abc import Mapping

LOOPBACKS = frozenset({"lo", "lo0", "Loopback Pseudo-Interface 1"})
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
    target = link_target(folder)
    looks_virtual = bool(_VIRTUAL_INTERFACE.match(name))
    if is_virtual(target):
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
        return frozenset(name for name, seen in self._seen.items() if not seen.is_listed)

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
            self._new = []
        else:
            chosen = self._next()
            self._new = self._new[len(chosen) :]
        present = {name: _look_at(name, self._root) for name in chosen}
        changed = {name: now for name, now in present.items() if self._seen.get(name) != now}
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
    return frozenset(name for name in listed - LOOPBACKS if not link_target(f"{root}/{name}"))


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
    is_back_end = link_target(f"{folder}/device/subsystem").endswith("/xen-backend")
    return is_back_end or bool(_REPRESENTOR.fullmatch(read_text(f"{folder}/phys_port_name")))
