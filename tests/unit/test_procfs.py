"""Reading /proc, /sys and control groups.

Fake trees for what machines have, and this process for what is real.
"""

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.control_groups import Tree
from twin_harness.system import available_memory, cpu_temperature, procfs
from twin_harness.system.control_group import ControlGroup
from twin_harness.system.procfs import KeptFile, keep

MIB = 1024**2
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


# -- kept files ------------------------------------------------------------------------------------


def test_a_kept_file_is_read_anew_each_time(tmp_path):
    """The descriptor stays open and the content is always the present one."""
    path = tmp_path / "stat"
    path.write_text("1")
    kept = KeptFile(str(path))
    path.write_text("22")
    assert kept.read() == b"22"
    kept.close()


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 16, 17, 1000])
def test_a_kept_file_of_any_length_is_read_whole(tmp_path, length):
    """A content that fills the buffer makes the buffer grow until nothing is missing."""
    path = tmp_path / "stat"
    path.write_bytes(b"x" * length)
    kept = KeptFile(str(path), size_bytes=8)
    assert kept.read() == kept.read() == b"x" * length
    kept.close()


class Records:
    """``os.pread`` of files that the kernel makes record by record, as seq_read_iter does.

    A read returns whole records of at most a page, whatever was asked for; it begins at the record
    that stands at the offset.
    """

    def __init__(self, records):
        self.records = records
        self.reads = 0

    def pread(self, descriptor, size, offset):
        self.reads += 1
        at, data = 0, b""
        for record in self.records:
            if at >= offset:
                if data and len(data) + len(record) > min(size, 4096):
                    break
                data += record
            at += len(record)
        return data


@pytest.mark.parametrize("count", [0, 1, 15, 48, 112, 1000])
@pytest.mark.parametrize("length", [70, 130, 1500, 5000])
def test_a_file_of_many_records_is_read_whole(tmp_path, monkeypatch, count, length):
    """A read returns a page's worth of devices; the rest comes with those that follow."""
    path = tmp_path / "dev"
    path.write_text("")
    made = Records([b"%*d\n" % (length - 1, number) for number in range(count)])
    monkeypatch.setattr(os, "pread", made.pread)
    kept = keep(str(path), 8192, has_records=True)
    assert kept.read() == kept.read() == b"".join(made.records)
    kept.close()


@pytest.mark.parametrize(("length", "has_records"), [(900, True), (3000, False), (4000, False)])
def test_a_file_that_one_read_returns_is_read_once(tmp_path, monkeypatch, length, has_records):
    """A second read costs: of a file of one record the kernel makes all of it again."""
    path = tmp_path / "dev"
    path.write_text("")
    kept = KeptFile(str(path), 8192, has_records=has_records)
    made = Records([b"x" * 100] * (length // 100))
    monkeypatch.setattr(os, "pread", made.pread)
    assert len(kept.read()) == length
    assert made.reads == 1
    kept.close()


@pytest.mark.parametrize("path", ["/proc/cpuinfo", "/proc/kallsyms", "/proc/self/maps"])
def test_the_kernel_s_own_files_of_many_records_are_read_whole(path):
    """As many lines as whoever reads to the end finds; the kernel's symbols are megabytes."""
    kept = keep(path, has_records=True)
    if kept is None:
        pytest.skip(f"this kernel does not let {path} be read")
    lines = len(Path(path).read_bytes().splitlines())
    assert len(kept.read().splitlines()) == pytest.approx(lines, abs=5)  # memory may be mapped
    kept.close()


class Pages(io.RawIOBase):
    """An open file of children, of which the kernel hands out whole records, a page a read."""

    def __init__(self, data):
        self._data = data

    def readable(self):
        return True

    def readinto(self, buffer):
        part = self._data[: self._data.rfind(b" ", 0, min(len(buffer), 4096)) + 1]
        self._data = self._data[len(part) :]
        buffer[: len(part)] = part
        return len(part)


@pytest.mark.parametrize("count", [0, 1, 100, 2000])
def test_all_children_are_found(monkeypatch, count):
    """A process of hundreds of children has more than one read returns."""
    children = list(range(10_000, 10_000 + count))
    data = b"".join(b"%d " % child for child in children)
    monkeypatch.setattr(os, "listdir", lambda _: ["7"])
    monkeypatch.setattr(procfs, "open", lambda *_, **__: Pages(data), raising=False)
    assert procfs.children_of(7) == children


def test_a_file_that_is_not_there_is_not_kept(tmp_path):
    """A kernel without the file gives None."""
    assert keep(str(tmp_path / "no")) is None


def test_a_file_that_cannot_be_read_is_closed_again(tmp_path):
    """What opens but does not read is not kept, and nothing stays open."""
    before = len(os.listdir("/proc/self/fd"))
    assert keep(str(tmp_path)) is None
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_small_text_is_read_without_its_margins(tmp_path):
    """White space around goes, invalid UTF-8 is replaced, and a missing file is empty."""
    (tmp_path / "a").write_bytes(b" \xff42\n")
    assert procfs.read_text(tmp_path / "a") == "\ufffd42"
    assert procfs.read_text(tmp_path / "no") == ""
    assert procfs.read_text(tmp_path) == ""


# -- meminfo ---------------------------------------------------------------------------------------


def test_meminfo_is_in_bytes():
    """Lines in kB become bytes, counts without a unit stay."""
    table = procfs.read_meminfo(
        b"MemTotal:       49311904 kB\nHugePages_Total:       3\nActive(anon):     12 kB\n"
    )
    assert table == {b"MemTotal": 49311904 * 1024, b"HugePages_Total": 3, b"Active(anon)": 12288}


def test_no_meminfo_is_an_empty_table():
    """An empty file has no entries."""
    assert procfs.read_meminfo(b"") == {}


def test_this_machine_s_meminfo_is_read():
    """The real file has a total above what is available."""
    table = procfs.read_meminfo(Path("/proc/meminfo").read_bytes())
    assert table[b"MemTotal"] >= table[b"MemAvailable"] > 0
    assert table[b"MemTotal"] > 64 * MIB


# -- processes -------------------------------------------------------------------------------------


@pytest.fixture
def ended():
    """A process that has ended and was not waited for yet."""
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    yield child.pid
    child.wait()


@pytest.fixture
def gone():
    """The number of a process that is gone for good."""
    child = subprocess.Popen(["true"])
    child.wait()
    return child.pid


def test_the_cpu_clock_of_a_process_is_the_kernel_s():
    """The clock of this process lies between two readings of its own clock."""
    before_ns = time.process_time_ns()
    read_ns = procfs.process_cpu_ns(os.getpid())
    assert before_ns <= read_ns <= time.process_time_ns()


def test_an_ended_process_still_has_its_account(ended):
    """Until it is reaped its CPU clock, start and I/O account are there, and its memory is gone."""
    assert procfs.process_cpu_ns(ended) > 0
    assert procfs.start_ticks(ended) > 0
    assert procfs.resident_bytes(ended) == 0


def test_a_process_that_is_gone_has_no_account(gone):
    """After that every reading is None, no error."""
    assert procfs.process_cpu_ns(gone) is None
    assert procfs.resident_bytes(gone) is None
    assert procfs.process_io_bytes(gone) is None
    assert procfs.start_ticks(gone) is None


def test_resident_bytes_are_those_of_the_kernel():
    """Resident pages less file pages are RssAnon of /proc/self/status, about."""
    status = dict(
        line.split(":\t", 1)
        for line in Path("/proc/self/status").read_text().splitlines()
        if ":\t" in line
    )
    expected = int(status["RssAnon"].split()[0]) * 1024
    assert procfs.resident_bytes(os.getpid()) == pytest.approx(expected, rel=0.05, abs=2 * MIB)


def test_the_io_account_is_that_of_the_kernel(monkeypatch, tmp_path):
    """Read and written are the fifth and sixth lines of /proc/pid/io, bytes at block devices."""
    account = tmp_path / "io"
    account.write_text(
        "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 4096\nwrite_bytes:"
        " 1048576\ncancelled_write_bytes: 7\n"
    )
    real_open = open
    monkeypatch.setattr(
        "builtins.open",
        lambda path, *more, **named: real_open(
            account if str(path) == "/proc/7/io" else path, *more, **named
        ),
    )
    assert procfs.process_io_bytes(7) == (4096, 1048576)


def test_the_start_of_a_process_does_not_change():
    """Two readings name the same process; another process has another start or number."""
    assert procfs.start_ticks(os.getpid()) == procfs.start_ticks(os.getpid())
    assert procfs.start_ticks(os.getppid()) <= procfs.start_ticks(os.getpid())


def test_a_name_with_brackets_does_not_hide_the_start(monkeypatch, tmp_path):
    """The command name may hold blanks and closing brackets."""
    stat = tmp_path / "stat"
    stat.write_bytes(
        b"7 (a) S (b) c) S " + b" ".join(str(number).encode() for number in range(4, 53))
    )
    real_open = open
    monkeypatch.setattr(
        "builtins.open",
        lambda path, *more, **named: real_open(
            stat if str(path) == "/proc/7/stat" else path, *more, **named
        ),
    )
    assert procfs.start_ticks(7) == 22


# -- devices ---------------------------------------------------------------------------------------

# -- control groups --------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


@pytest.fixture
def v2(tree):
    tree.put("cgroup.controllers", "cpu memory")
    return tree


def test_without_groups_nothing_is_limited(tree):
    """A machine without control groups has no limits."""
    group = tree.member()
    assert (group.version, group.memory_limit_bytes(), group.cpu_quota()) == (0, None, None)


def test_a_missing_membership_is_no_group(tmp_path):
    """A kernel without cgroups has no such file."""
    assert ControlGroup(str(tmp_path), str(tmp_path / "no")).memory_limit_bytes() is None


def test_v2_limits_are_read(v2):
    """memory.max and cpu.max of the own group."""
    v2.put("app/memory.max", 512 * MIB)
    v2.put("app/cpu.max", "150000 100000")
    group = v2.member("0::/app")
    assert (group.version, group.memory_limit_bytes(), group.cpu_quota()) == (2, 512 * MIB, 1.5)


def test_v2_without_limits_has_none(v2):
    """The word max is no limit."""
    v2.put("app/memory.max", "max")
    v2.put("app/cpu.max", "max 100000")
    group = v2.member("0::/app")
    assert (group.memory_limit_bytes(), group.cpu_quota()) == (None, None)


@pytest.mark.parametrize(
    "tight", ["memory.max", "slice/memory.max", "slice/app/memory.max", "slice/app/deep/memory.max"]
)
def test_v2_the_tightest_limit_on_the_way_up_counts(v2, tight):
    """A limit on any level above binds the group."""
    for path in (
        "memory.max",
        "slice/memory.max",
        "slice/app/memory.max",
        "slice/app/deep/memory.max",
    ):
        v2.put(path, 100 * MIB if path == tight else "max" if path == "memory.max" else 900 * MIB)
    assert v2.member("0::/slice/app/deep").memory_limit_bytes() == 100 * MIB


def test_v2_the_tightest_quota_on_the_way_up_counts(v2):
    """Quotas with different periods are compared in CPUs."""
    v2.put("slice/cpu.max", "50000 100000")
    v2.put("slice/app/cpu.max", "20000 10000")
    assert v2.member("0::/slice/app").cpu_quota() == 0.5


def test_v2_a_sibling_does_not_bind(v2):
    """Limits beside the way to the root are somebody else's."""
    v2.put("slice/other/memory.max", MIB)
    v2.put("slice/app/memory.max", 900 * MIB)
    assert v2.member("0::/slice/app").memory_limit_bytes() == 900 * MIB


def test_a_container_sees_its_root_as_its_group(v2):
    """Inside a container the path of the host is not there; the root's files are the group's."""
    v2.put("memory.max", 256 * MIB)
    assert v2.member("0::/system.slice/docker-0123.scope").memory_limit_bytes() == 256 * MIB


def test_a_group_s_name_may_hold_colons_and_blanks(v2):
    """Only the first two colons of a line separate."""
    v2.put("a:b c/memory.max", MIB)
    assert v2.member("0::/a:b c").memory_limit_bytes() == MIB


def test_usage_is_that_of_the_group_whose_limit_binds(v2):
    """When the tightest limit is a parent's, the usage that counts against it is the parent's."""
    v2.put("slice/memory.max", 100 * MIB)
    v2.put("slice/memory.current", 90 * MIB)
    v2.put("slice/memory.stat", "file 1")
    v2.put("slice/app/memory.max", "max")
    v2.put("slice/app/memory.current", 5 * MIB)
    v2.put("slice/app/memory.stat", "file 1")
    group = v2.member("0::/slice/app")
    assert (group.memory_limit_bytes(), left_of(group)) == (100 * MIB, 10 * MIB)


@pytest.fixture
def v1(tree):
    tree.put("memory/memory.limit_in_bytes", 9223372036854771712)
    tree.put("memory/app/memory.limit_in_bytes", 300 * MIB)
    tree.put("memory/app/memory.usage_in_bytes", 7)
    tree.put("memory/app/memory.stat", "cache 3")
    tree.put("cpu/cpu.cfs_quota_us", -1)
    tree.put("cpu/cpu.cfs_period_us", 100000)
    tree.put("cpu/app/cpu.cfs_quota_us", 250000)
    tree.put("cpu/app/cpu.cfs_period_us", 100000)
    return tree


def test_v1_limits_are_read(v1):
    """Each controller has a hierarchy of its own, and the kernel's huge number is no limit."""
    group = v1.member(
        "12:freezer:/", "9:memory:/app", "4:cpu,cpuacct:/app", "1:name=systemd:/x", "0::/x"
    )
    assert (group.version, group.memory_limit_bytes(), group.cpu_quota()) == (1, 300 * MIB, 2.5)


def test_v1_the_root_is_unlimited(v1):
    """A quota of -1 and the largest page-aligned number are no limits."""
    group = v1.member("9:memory:/", "4:cpu,cpuacct:/")
    assert (group.memory_limit_bytes(), group.cpu_quota()) == (None, None)


def test_v1_cpuset_is_no_cpu_controller(v1):
    """Controllers are told apart by whole names."""
    assert v1.member("3:cpuset:/app").cpu_quota() is None


def test_hybrid_groups_count_as_version_1(v1):
    """Controllers that are mounted the old way are read there, whatever the unified line says."""
    assert v1.member("9:memory:/app", "0::/user.slice").version == 1


def test_v1_controllers_on_one_hierarchy_are_both_read(v1):
    """A line with memory and cpu together tells both."""
    group = v1.member("2:cpu,cpuacct,memory:/app")
    assert (group.memory_limit_bytes(), group.cpu_quota()) == (300 * MIB, 2.5)


V1_STAT = (
    "cache 5\ninactive_file {local}\nhierarchical_memory_limit {bound}\ntotal_cache"
    " 5\ntotal_inactive_file {total}\n"
)
NONE = 9223372036854771712


@pytest.mark.parametrize(
    ("stat", "expected"),
    [
        (b"inactive_file 7\ntotal_inactive_file 700\n", 700),
        (b"anon 1\ninactive_file 7\nworkingset_x 1\n", 7),
        (b"total_inactive_file 700", 700),
        (b"anon 1\nxinactive_file 3\n", 0),
        (b"", 0),
    ],
)
def test_reclaimable_pages_are_those_of_the_whole_hierarchy(stat, expected):
    """Of version 1 the total_ line, wherever it stands.

    Version 2 has one line, which is it already.
    """
    assert available_memory.inactive_file_bytes(stat) == expected


def left_of(group):
    memory = available_memory.GroupMemory(group)
    try:
        return memory.left_bytes()
    finally:
        memory.close()


def test_v1_what_a_child_has_cached_is_not_in_use_in_its_parent(v1):
    """The limit stands on the parent, the process and its page cache in the child."""
    v1.put("memory/app/memory.usage_in_bytes", 290 * MIB)
    v1.put("memory/app/memory.stat", V1_STAT.format(local=0, bound=300 * MIB, total=250 * MIB))
    v1.put("memory/app/job/memory.limit_in_bytes", NONE)
    v1.put(
        "memory/app/job/memory.stat",
        V1_STAT.format(local=250 * MIB, bound=300 * MIB, total=250 * MIB),
    )
    assert left_of(v1.member("9:memory:/app/job")) == (300 - 290 + 250) * MIB


def test_v1_a_limit_of_a_group_that_is_hidden_is_told_by_the_line(v1):
    """A container sees its own group as the root.

    ``hierarchical_memory_limit`` knows of the pod's.
    """
    v1.put("memory/memory.limit_in_bytes", 200 * MIB)
    v1.put("memory/memory.usage_in_bytes", 30 * MIB)
    v1.put("memory/memory.stat", V1_STAT.format(local=0, bound=100 * MIB, total=10 * MIB))
    group = v1.member("9:memory:/kubepods/pod1/c1")
    assert group.memory_limit_bytes() == 100 * MIB
    assert group.memory_limits()[0].name == "hierarchical_memory_limit"
    assert left_of(group) == 80 * MIB


def test_v1_a_parent_that_counts_no_children_does_not_bind(v1):
    """Kernels before 5.11: without use_hierarchy the limits above are of others."""
    v1.put("memory/app/memory.use_hierarchy", 0)
    v1.put("memory/app/job/memory.use_hierarchy", 0)
    v1.put("memory/app/job/memory.limit_in_bytes", NONE)
    assert v1.member("9:memory:/app/job").memory_limit_bytes() is None
    v1.put("memory/app/memory.use_hierarchy", 1)
    assert v1.member("9:memory:/app/job").memory_limit_bytes() == 300 * MIB


def test_v1_the_soft_limit_binds_nobody(v1):
    """It is a wish for the time when memory is short."""
    v1.put("memory/app/memory.soft_limit_in_bytes", 10 * MIB)
    assert v1.member("9:memory:/app").memory_limit_bytes() == 300 * MIB


@pytest.mark.parametrize(
    ("maximum", "high", "above", "expected"),
    [
        ("max", 100 * MIB, "max", (100 * MIB, "memory.high", "/pod/app")),
        (50 * MIB, 100 * MIB, "max", (50 * MIB, "memory.max", "/pod/app")),
        (200 * MIB, 100 * MIB, 90 * MIB, (90 * MIB, "memory.high", "/pod")),
        ("max", "max", "max", None),
    ],
)
def test_v2_where_the_kernel_throttles_is_a_limit(v2, maximum, high, above, expected):
    """``memory.high`` bounds as ``memory.max`` does, on every level.

    The tightest is told by file and group.
    """
    v2.put("pod/memory.high", above)
    v2.put("pod/app/memory.max", maximum)
    v2.put("pod/app/memory.high", high)
    group = v2.member("0::/pod/app")
    limits = [
        (limit.limit_bytes, limit.name, group.name_of(limit.folder))
        for limit in group.memory_limits()
    ]
    assert next(iter(limits), None) == expected
    assert group.memory_limit_bytes() == (expected[0] if expected else None)


def test_what_siblings_have_filled_above_is_not_left(v2):
    """A wide limit above that is nearly used up leaves less than an unused one of its own."""
    for path, limit, usage, cached in (("pod", 1000, 950, 20), ("pod/app", 500, 10, 0)):
        v2.put(f"{path}/memory.max", limit * MIB)
        v2.put(f"{path}/memory.current", usage * MIB)
        v2.put(f"{path}/memory.stat", f"anon 1\nfile 2\ninactive_file {cached * MIB}")
    group = v2.member("0::/pod/app")
    assert group.memory_limit_bytes() == 500 * MIB
    assert left_of(group) == 70 * MIB


def test_without_a_limit_nothing_is_said_to_be_left(v2):
    """Groups that bound nothing are none, and neither is one whose usage cannot be read."""
    assert left_of(v2.member("0::/app")) is None
    v2.put("app/memory.max", MIB)
    assert left_of(v2.member("0::/app")) is None


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"app/memory.swap.max": "max"}, None),
        ({"app/memory.swap.max": 0}, 0),
        ({"app/memory.swap.max": 7, "memory.swap.max": 3}, 3),
        ({"app/memory.memsw.limit_in_bytes": 500, "app/memory.limit_in_bytes": 500}, 0),
        ({"app/memory.memsw.limit_in_bytes": 900, "app/memory.limit_in_bytes": 500}, 400),
        ({"app/memory.memsw.limit_in_bytes": NONE, "app/memory.limit_in_bytes": 500}, None),
    ],
    ids=str,
)
def test_swap_is_what_the_group_may_have(v2, files, expected):
    """Both versions: of its own in version 2, what is beyond memory in version 1."""
    for name, value in files.items():
        v2.put(name, value)
    assert v2.member("0::/app").swap_limit_bytes() == expected


def test_v2_cpu_time_is_that_of_the_group_whose_quota_binds(v2):
    """The parent has the quota, so its other children's use counts."""
    v2.put("pod/cpu.max", "50000 100000")
    v2.put(
        "pod/cpu.stat",
        "usage_usec 900\nuser_usec 600\nsystem_usec 300\nnr_periods 8\nnr_throttled 3",
    )
    v2.put("pod/app/cpu.max", "max 100000")
    v2.put("pod/app/cpu.stat", "usage_usec 1\nuser_usec 1\nsystem_usec 0")
    group = v2.member("0::/pod/app")
    assert group.cpu_use().read_us() == (900, 600, 300)
    assert (group.throttled(), group.name_of(group.quota_folder())) == ((3, 8), "/pod")


ACCOUNT = {"cpuacct.usage": 5_000_000, "cpuacct.stat": "user 3\nsystem 1"}
V1_PLACES = {
    "on one mount": (("4:cpu,cpuacct:/app",), "cpu/app"),
    "mounted apart, the same group": (("4:cpu:/app", "5:cpuacct:/app"), "cpuacct/app"),
    "mounted apart, in a group below it": (("4:cpu:/app/job", "5:cpuacct:/app/job"), "cpuacct/app"),
}


@pytest.mark.parametrize(("members", "place"), V1_PLACES.values(), ids=list(V1_PLACES))
def test_v1_cpu_time_is_read_where_it_is_counted(v1, members, place):
    """Nanoseconds and clock ticks become µs."""
    v1.put("cpuacct/app/job/tasks", "")
    v1.put("cpu/app/job/tasks", "")
    for name, content in ACCOUNT.items():
        v1.put(f"{place}/{name}", content)
    tick_us = 1_000_000 // procfs.CLOCK_TICKS_PER_S
    assert v1.member(*members).cpu_use().read_us() == (5000, 3 * tick_us, tick_us)


def test_v1_a_hierarchy_of_two_controllers_is_found_by_both_names(tree):
    """Where nobody made a link for each of them."""
    tree.put("cpu,cpuacct/app/cpu.cfs_quota_us", 50000)
    tree.put("cpu,cpuacct/app/cpu.cfs_period_us", 100000)
    for name, content in ACCOUNT.items():
        tree.put(f"cpu,cpuacct/app/{name}", content)
    group = tree.member("4:cpu,cpuacct:/app")
    assert (group.cpu_quota(), group.cpu_use().read_us()[0]) == (0.5, 5000)


V1_HIDDEN = {
    "mounted apart, another group": ("4:cpu:/app", "5:cpuacct:/"),
    "mounted apart, a sibling": ("4:cpu:/app", "5:cpuacct:/other"),
    "not mounted": ("4:cpu:/app",),
    "only one of them hidden": ("4:cpu:/docker/1", "5:cpuacct:/"),
}


@pytest.mark.parametrize("members", V1_HIDDEN.values(), ids=list(V1_HIDDEN))
def test_v1_the_account_of_another_group_is_never_taken(v1, members):
    """Better none than that of the whole machine."""
    v1.put("cpu/cpu.cfs_quota_us", 50000 if "/docker" in members[0] else -1)
    for path in ("cpuacct", "cpuacct/other"):
        for name, content in ACCOUNT.items():
            v1.put(f"{path}/{name}", content)
    assert v1.member(*members).cpu_quota() is not None
    assert v1.member(*members).cpu_use() is None


def test_without_a_quota_there_is_no_group_to_ask(v1, v2):
    """Everybody else's CPU time is background then."""
    assert v1.member("4:cpu,cpuacct:/").cpu_use() is None
    assert v2.member("0::/app").cpu_use() is None


def test_an_account_that_is_gone_gives_nothing(v2):
    """A group may be removed, its file be empty, or say something else."""
    v2.put("app/cpu.max", "50000 100000")
    stat = v2.put("app/cpu.stat", "usage_usec 900")
    use = v2.member("0::/app").cpu_use()
    assert use.read_us() == (900, 0, 0)
    for content in ("", "nr_periods 4\n", "usage_usec much\n"):
        stat.write_text(content)
        assert use.read_us() is None
    stat.write_text("nr_periods 4\n")
    assert v2.member("0::/app").cpu_use() is None


@pytest.mark.parametrize(("runtime", "allowed"), [(0, False), (950000, True), (None, True)])
def test_v1_a_group_may_refuse_real_time(v1, runtime, allowed):
    """CONFIG_RT_GROUP_SCHED: a new group has no real-time budget, whatever its capabilities."""
    if runtime is not None:
        v1.put("cpu/app/cpu.rt_runtime_us", runtime)
    assert v1.member("4:cpu:/app").allows_real_time() is allowed


def test_this_process_s_group_is_read():
    """On the real machine the limits are positive or none."""
    group = ControlGroup()
    assert group.memory_limit_bytes() is None or group.memory_limit_bytes() > 0
    assert group.cpu_quota() is None or group.cpu_quota() > 0


# -- temperatures ----------------------------------------------------------------------------------


def chip(root, number, name, *sensors):
    folder = root / f"hwmon{number}"
    folder.mkdir()
    (folder / "name").write_text(f"{name}\n")
    for index, (label, millidegrees) in enumerate(sensors, 1):
        (folder / f"temp{index}_label").write_text(f"{label}\n")
        (folder / f"temp{index}_input").write_text(f"{millidegrees}\n")
    return folder


def sensors_of(root):
    return [
        (Path(path).parent.name, Path(path).name)
        for path, _ in cpu_temperature.cpu_temperature_files(str(root))
    ]


def test_a_die_counts_once_by_its_own_temperature(tmp_path):
    """Tctl, which steers fans, is up to 27 °C above Tdie.

    A chip that shows Tctl alone has no offset.
    """
    chip(tmp_path, 0, "k10temp", ("Tctl", 77000), ("Tdie", 50000), ("Tccd1", 49000))
    chip(tmp_path, 1, "k10temp", ("Tctl", 51000))
    assert sensors_of(tmp_path) == [
        ("hwmon0", "temp2_input"),
        ("hwmon0", "temp3_input"),
        ("hwmon1", "temp1_input"),
    ]


def test_the_board_counts_where_there_is_no_cpu_sensor(tmp_path):
    """The board's acpitz is often a constant 27.8 °C."""
    chip(tmp_path, 0, "acpitz", ("", 27800))
    chip(tmp_path, 1, "nvme", ("Composite", 60000))
    assert sensors_of(tmp_path) == [("hwmon0", "temp1_input")]
    chip(tmp_path, 2, "coretemp", ("Package id 0", 20000))
    assert sensors_of(tmp_path) == [("hwmon2", "temp1_input")]


@pytest.mark.parametrize(
    "said", [b"0\n", b"-128000\n", b"255500\n", b"-1\n", b"N/A\n", b"", b"150000\n"]
)
def test_what_no_cpu_can_be_is_no_temperature(said):
    """A sensor that says 0, -128 or 255.5 °C is not connected."""
    assert cpu_temperature.believable_celsius(said) != cpu_temperature.believable_celsius(said)


def test_a_cpu_s_temperature_is_in_degrees():
    """The kernel says millidegrees."""
    assert cpu_temperature.believable_celsius(b"61500\n") == 61.5


@pytest.mark.parametrize(
    "data", [b"MemAvailable:\nMemTotal: 4 kB\n", b"MemAvailable: <unknown> kB\nMemTotal: 4 kB\n"]
)
def test_a_line_of_meminfo_that_is_no_number_is_left_out(data):
    """The others are read."""
    assert procfs.read_meminfo(data) == {b"MemTotal": 4096}


@pytest.mark.parametrize("content", [b"", b"1\n", b"a b c d e f\n"])
@pytest.mark.parametrize(
    "ask", [procfs.resident_bytes, procfs.process_io_bytes, procfs.start_ticks]
)
def test_a_process_that_ends_while_it_is_asked_is_gone(monkeypatch, tmp_path, ask, content):
    """Its files are empty or cut between opening and reading."""
    (tmp_path / "file").write_bytes(content)
    monkeypatch.setattr(
        "builtins.open",
        lambda *_, **__: os.fdopen(os.open(tmp_path / "file", os.O_RDONLY), "rb", buffering=0),
    )
    assert ask(1) is None
