"""A thing and what it is stacked on count once.

Disks, network interfaces and power zones, on a sysfs made up for each machine.
"""

from pathlib import Path

import pytest

from twin_harness.system import interfaces
from twin_harness.system.disks import counted_disks
from twin_harness.system.interfaces import InterfaceWatch, counted_interfaces, unlisted_interfaces
from twin_harness.system.power_zones import power_zones
from twin_harness.system.sysfs import is_virtual, link_target

# -- disks -----------------------------------------------------------------------------------------

PCI, VIRTUAL = "pci0000:00/0000:00:02.0", "virtual"


def block(root, **targets):
    """Make /sys/block: a link for each device, with what is below it."""
    folder = root / "block"
    folder.mkdir(parents=True)
    for name, target in targets.items():
        place, _, below = target.partition(" on ")
        real = root / "devices" / place / name
        (real / "slaves").mkdir(parents=True)
        for other in below.split():
            (real / "slaves" / other).mkdir()
        (folder / name).symlink_to(f"../devices/{place}/{name}")
    return str(folder)


DISKS = {
    "a disk with loop, ram and zram beside it": (
        {
            "vda": PCI,
            "loop0": VIRTUAL,
            "ram0": VIRTUAL,
            "zram0": VIRTUAL,
            "sr0": PCI,
            "fd0": "platform",
        },
        {"vda"},
    ),
    "LVM on RAID on two disks": (
        {
            "sda": PCI,
            "sdb": PCI,
            "md127": f"{VIRTUAL} on sda sdb",
            "md_home": f"{VIRTUAL} on sda",
            "dm-0": f"{VIRTUAL} on md127",
        },
        {"sda", "sdb"},
    ),
    "multipath by the device mapper": (
        {"sda": PCI, "sdb": PCI, "dm-0": f"{VIRTUAL} on sda sdb"},
        {"sda", "sdb"},
    ),
    "NVMe multipath: the paths count, the head does not": (
        {
            "nvme0n1": "virtual/nvme-subsystem/nvme-subsys0",
            "nvme0c0n1": f"{PCI}/nvme/nvme0",
            "nvme0c1n1": f"{PCI}/nvme/nvme1",
        },
        {"nvme0c0n1", "nvme0c1n1"},
    ),
    "NVMe without multipath": (
        {"nvme0n1": f"{PCI}/nvme/nvme0", "nvme1n1": f"{PCI}/nvme/nvme1"},
        {"nvme0n1", "nvme1n1"},
    ),
    "bcache, drbd and ZFS volumes on a disk": (
        {"sda": PCI, "bcache0": f"{VIRTUAL} on sda", "drbd0": VIRTUAL, "zd0": VIRTUAL},
        {"sda"},
    ),
    "an unknown layer on a disk": ({"sda": PCI, "emcpowera": VIRTUAL}, {"sda"}),
    "disks of the network": (
        {"nbd0": VIRTUAL, "rbd0": "rbd/0", "scinia": VIRTUAL},
        {"nbd0", "rbd0", "scinia"},
    ),
    "nothing but an unknown virtual disk": (
        {"ubiblock0_0": VIRTUAL, "loop0": VIRTUAL, "x0": f"{VIRTUAL} on ubiblock0_0"},
        {"ubiblock0_0"},
    ),
    "Xen, an SD card": (
        {"xvda": "vbd-51712/block", "mmcblk0": "platform/mmc"},
        {"xvda", "mmcblk0"},
    ),
    "an old RAID controller": ({"cciss!c0d0": PCI}, {"cciss/c0d0"}),
    "no disk": ({"loop0": VIRTUAL, "ram0": VIRTUAL}, set()),
}


@pytest.mark.parametrize(("targets", "counted"), DISKS.values(), ids=list(DISKS))
def test_a_disk_and_what_is_stacked_on_it_count_once(tmp_path, targets, counted):
    """What sysfs puts under real hardware counts, and what stands on it does not."""
    assert counted_disks(frozenset(), block(tmp_path, **targets)) == counted


NAMED = {
    "partitions": (
        "sda sda1 sda12 vdb vdb1 nvme0n1 nvme0n1p1 mmcblk0 mmcblk0p2 cciss/c0d0 cciss/c0d0p1",
        "sda vdb nvme0n1 mmcblk0 cciss/c0d0",
    ),
    "a partition without its disk, as Xen shows one": ("xvda1 xvdb", "xvda1 xvdb"),
    "layers": ("sda dm-0 md0 md0p1 loop0 loop0p1 ram0 zram0 sr0 drbd1 bcache0", "sda"),
    "multipath": ("nvme0n1 nvme0c0n1 nvme1n1", "nvme0c0n1 nvme1n1"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("listed", "counted"), NAMED.values(), ids=list(NAMED))
def test_without_sysfs_disks_are_judged_by_name(tmp_path, listed, counted):
    """A container may show /proc/diskstats and no /sys."""
    assert counted_disks(frozenset(listed.split()), str(tmp_path / "none")) == frozenset(
        counted.split()
    )


def test_this_machine_s_disks_are_no_partitions():
    """On the real machine no device is a partition of another."""
    assert not [
        name for name in counted_disks(frozenset()) if Path(f"/sys/block/{name}/partition").exists()
    ]


# -- network ---------------------------------------------------------------------------------------


def net(root, **targets):
    """Make /sys/class/net: ``pci`` or ``virtual``, then the entries of its folder.

    ``a=b`` is a file with content.
    """
    folder = root / "net"
    folder.mkdir(parents=True)
    for name, text in {"lo": "virtual", **targets}.items():
        place, *entries = text.split()
        real = (
            root
            / "devices"
            / (f"{VIRTUAL}/net" if place == "virtual" else f"{PCI}/{place}/net")
            / name
        )
        real.mkdir(parents=True)
        for entry in entries:
            file, _, content = entry.partition("=")
            (real / file).write_text(content)
        if place != "virtual":
            (real / "device").mkdir()
            bus = "xen-backend" if place == "vif" else "pci"
            (real / "device" / "subsystem").symlink_to(f"../../../bus/{bus}")
        (folder / name).symlink_to(real)
    return str(folder)


NETWORKS = {
    "a card": ({"eth0": "virtio"}, {"eth0"}),
    "a bond counts by its ports": (
        {
            "eth0": "a upper_bond0",
            "eth1": "b upper_bond0",
            "bond0": "virtual lower_eth0 lower_eth1",
        },
        {"eth0", "eth1"},
    ),
    "a bridge counts by its card": (
        {
            "eth0": "a upper_br0",
            "br0": "virtual bridge lower_eth0 lower_vnet0",
            "vnet0": "virtual tun_flags upper_br0",
        },
        {"eth0"},
    ),
    "VLANs and macvlans": (
        {
            "eth0": "a upper_eth0.10 upper_mv0",
            "eth0.10": "virtual lower_eth0",
            "mv0": "virtual lower_eth0",
        },
        {"eth0"},
    ),
    "containers": (
        {
            "eth0": "a",
            "docker0": "virtual bridge lower_veth1",
            "veth1": "virtual upper_docker0",
            "veth2": "virtual",
        },
        {"eth0"},
    ),
    "tunnels": (
        {
            "wlan0": "a",
            "tun0": "virtual tun_flags",
            "wg0": "virtual uevent=DEVTYPE=wireguard",
            "vxlan7": "virtual uevent=DEVTYPE=vxlan",
        },
        {"wlan0"},
    ),
    "mirrors and dummies": (
        {
            "eth0": "a",
            "ifb0": "virtual",
            "ifb1": "virtual",
            "dummy0": "virtual",
            "nlmon0": "virtual",
        },
        {"eth0"},
    ),
    "a failover pair counts by the upper one": (
        {"eth0": "vmbus lower_eth1", "eth1": "pci upper_eth0"},
        {"eth0"},
    ),
    "a switch chip counts by its ports": (
        {"eth0": "a upper_lan1 upper_lan2", "lan1": "b lower_eth0", "lan2": "b lower_eth0"},
        {"lan1", "lan2"},
    ),
    "a guest's end on Xen": (
        {
            "eth0": "a upper_xenbr0",
            "vif1.0": "vif upper_xenbr0",
            "xenbr0": "virtual bridge lower_eth0",
        },
        {"eth0"},
    ),
    "a card's own switch": (
        {"eth0": "a", "eth0_rep": "b phys_port_name=pf0vf1", "eth1": "c phys_port_name=p0"},
        {"eth0", "eth1"},
    ),
    "a container has one end of a virtual cable": ({"eth0": "virtual"}, {"eth0"}),
    "a container has a bridge on it": (
        {"eth0": "virtual upper_br0", "br0": "virtual bridge lower_eth0"},
        {"eth0"},
    ),
    "containers in a container": (
        {
            "eth0": "virtual",
            "docker0": "virtual bridge lower_vethab",
            "vethab": "virtual upper_docker0",
        },
        {"eth0"},
    ),
    "a container whose cable has its usual name": ({"veth7": "virtual"}, {"veth7"}),
    "OpenVZ": ({"venet0": "virtual"}, {"venet0"}),
    "no network": ({}, set()),
}


@pytest.mark.parametrize(("targets", "counted"), NETWORKS.values(), ids=list(NETWORKS))
def test_traffic_counts_once(tmp_path, targets, counted):
    """Where hardware is behind an interface it counts there.

    Without any, at the bottom of what is stacked.
    """
    root = net(tmp_path, **targets)
    assert counted_interfaces(frozenset({"lo", *targets}), root) == counted
    assert unlisted_interfaces(frozenset({"lo", *targets}), root) == frozenset()


NAMED_INTERFACES = {
    "Linux": (
        "lo eth0 eth0.10 bond0 br0 br-12ab docker0 veth1 virbr0 tun0 wg0 ifb0 dummy0 cni0 enp3s0",
        "eth0 enp3s0",
    ),
    "macOS": ("lo0 en0 en1 bridge0 utun0 utun1 awdl0 llw0 gif0 stf0", "en0 en1"),
    "nothing but virtual ones": ("lo veth7", "veth7"),
    "loopback alone": ("lo", ""),
}


@pytest.mark.parametrize(
    ("listed", "counted"), NAMED_INTERFACES.values(), ids=list(NAMED_INTERFACES)
)
def test_without_sysfs_interfaces_are_judged_by_name(tmp_path, listed, counted):
    """A network namespace may show another's sysfs, or none.

    Which they are is known, so that it can be said.
    """
    names = frozenset(listed.split())
    assert counted_interfaces(names, str(tmp_path)) == frozenset(counted.split())
    assert unlisted_interfaces(names, str(tmp_path)) == names - interfaces.LOOPBACKS


def settled(watch, listed):
    """Return what the watch counts once it has looked at all that came, and at all others."""
    watch.take(frozenset(listed))
    for _ in range(20 + len(listed)):
        watch.look()
    return watch.counted


@pytest.mark.parametrize(("targets", "counted"), NETWORKS.values(), ids=list(NETWORKS))
def test_the_watch_counts_what_one_whole_look_counts(tmp_path, targets, counted):
    """At once, one after another as they come, and again as they go."""
    root, names = net(tmp_path, **targets), ["lo", *targets]
    at_once = InterfaceWatch(root)
    at_once.take(frozenset(names))
    assert (at_once.look(is_all=True), at_once.counted) == (bool(targets), counted)
    watch = InterfaceWatch(root, most=2)
    for end in [*range(len(names) + 1), *range(len(names), -1, -1)]:
        present = frozenset(names[:end])
        assert settled(watch, present) == counted_interfaces(present, root)
        assert watch.unlisted == unlisted_interfaces(present, root)


@pytest.mark.parametrize(
    ("listed", "counted"), NAMED_INTERFACES.values(), ids=list(NAMED_INTERFACES)
)
def test_the_watch_judges_by_name_what_sysfs_does_not_show(tmp_path, listed, counted):
    """It knows which they are, as the whole look does."""
    names = frozenset(listed.split())
    watch = InterfaceWatch(str(tmp_path))
    assert settled(watch, names) == frozenset(counted.split())
    assert watch.unlisted == names - interfaces.LOOPBACKS


def test_the_watch_notices_what_is_stacked_later(tmp_path):
    """An interface that was there long before gets others below it, or its bond goes."""
    root = net(tmp_path, eth0="virtual", eth1="virtual", eth2="a", eth3="b upper_eth2")
    names = {"lo", "eth0", "eth1"}
    watch = InterfaceWatch(root)
    assert settled(watch, names) == {"eth0", "eth1"}
    (Path(root) / "eth1" / "lower_eth0").write_text("")
    assert settled(watch, names) == {"eth0"}
    assert settled(watch, names | {"eth2", "eth3"}) == {"eth2"}
    (Path(root) / "eth3" / "upper_eth2").unlink()
    assert settled(watch, names | {"eth2", "eth3"}) == {"eth2", "eth3"}


def test_a_look_of_the_watch_is_at_few_of_many_interfaces(tmp_path, monkeypatch):
    """The logger cannot wait for 300 of them, be they new, old or gone; in turn each is seen."""
    names = [f"veth{number}" for number in range(300)]
    root = net(tmp_path, eth0="a", **dict.fromkeys(names, "virtual upper_docker0"))
    seen = []
    real = interfaces._look_at
    monkeypatch.setattr(
        interfaces, "_look_at", lambda *asked: seen.append(asked[0]) or real(*asked)
    )
    watch = InterfaceWatch(root)

    def looks(count):
        found = []
        for _ in range(count):
            seen.clear()
            watch.look()
            found.append(list(seen))
        assert all(len(names) <= 4 for names in found)
        return {name for names in found for name in names}

    watch.take(frozenset({"lo", "eth0"}))
    assert looks(1) == {"eth0"}
    watch.take(frozenset({"lo", "eth0", *names}))
    assert watch.is_behind
    assert looks(75) == {*names}
    assert not watch.is_behind
    assert looks(76) == {"eth0", *names}
    watch.take(frozenset({"lo", "eth0", *names[1:], "veth300"}))
    assert looks(1) == {"veth300"}
    assert not watch.is_behind
    assert watch.counted == {"eth0"}


# -- power -----------------------------------------------------------------------------------------


def powercap(root, **zones):
    """Make /sys/class/powercap; a zone is ``name energy range``."""
    for entry, text in zones.items():
        folder = root / entry.replace("__", ":").replace("_", "-")
        folder.mkdir()
        name, *rest = text.split()
        (folder / "name").write_text(f"{name}\n")
        for file, value in zip(("energy_uj", "max_energy_range_uj"), rest, strict=False):
            (folder / file).write_text(f"{value}\n")
    return str(root)


POWERS = {
    "a laptop: psys holds the package, mmio shows it again": (
        {
            "intel_rapl__0": "package-0 1 9",
            "intel_rapl__1": "psys 1 9",
            "intel_rapl_mmio__0": "package-0 1 9",
            "intel_rapl__0__0": "core 1 9",
        },
        [("package-0", "intel-rapl:0")],
    ),
    "a server: two sockets, memory beside them": (
        {
            "intel_rapl__0": "package-0 1 9",
            "intel_rapl__1": "package-1 1 9",
            "intel_rapl__0__0": "dram 1 9",
            "intel_rapl__1__0": "dram 1 9",
        },
        [("package-0", "intel-rapl:0"), ("package-1", "intel-rapl:1")],
    ),
    "two dies a package": (
        {"intel_rapl__0": "package-0-die-0 1 9", "intel_rapl__1": "package-0-die-1 1 9"},
        [("package-0-die-0", "intel-rapl:0"), ("package-0-die-1", "intel-rapl:1")],
    ),
    "mmio alone": ({"intel_rapl_mmio__0": "package-0 1 9"}, [("package-0", "intel-rapl-mmio:0")]),
    "the platform alone": ({"intel_rapl__0": "psys 1 9"}, [("psys", "intel-rapl:0")]),
    "the control types and other zones": ({"intel_rapl": "x", "dtpm": "y", "dtpm__0": "soc"}, []),
}


@pytest.mark.parametrize(("zones", "counted"), POWERS.values(), ids=list(POWERS))
def test_a_package_s_power_counts_once(tmp_path, zones, counted):
    """Packages by their names; what holds them and what they hold are left out."""
    found = power_zones(powercap(tmp_path, **zones))
    assert [(zone.name, zone.path.split("/")[-2]) for zone in found] == counted
    assert all(zone.range_uj == 9 for zone in found)


def test_without_powercap_there_is_no_power(tmp_path):
    """A virtual machine shows none."""
    assert power_zones(str(tmp_path / "none")) == ()


# -- links of sysfs --------------------------------------------------------------------------------


def test_a_link_of_sysfs_leads_somewhere_or_nowhere(tmp_path):
    """A link gives its target, a folder (of old kernels) its path, what is not there nothing."""
    (tmp_path / "link").symlink_to("../../devices/virtual/net/lo")
    (tmp_path / "folder").mkdir()
    assert link_target(str(tmp_path / "link")) == "../../devices/virtual/net/lo"
    assert link_target(str(tmp_path / "folder")) == str(tmp_path / "folder")
    assert link_target(str(tmp_path / "no")) == ""


@pytest.mark.parametrize(
    ("target", "verdict"),
    [
        ("../../devices/virtual/net/lo", True),
        ("../../devices/pci0000:00/net/eth0", False),
        ("", False),
    ],
)
def test_a_virtual_device_stands_below_virtual(target, verdict):
    """What software alone makes has its folder below devices/virtual."""
    assert is_virtual(target) == verdict
