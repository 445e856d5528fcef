"""Who else was busy.

The differences of CPU clocks of others' processes, by the name that the kernel has for them.
"""

import os

from twin_harness.system.others import busiest, read_clocks


def test_busiest_are_others_that_used_most():
    """At most three are named, our own left out.

    Those that began meanwhile count from 0; a pid that another process has now starts anew.
    """
    before = {
        (1, 5): ("init", 1.0),
        (2, 5): ("ours", 0.0),
        (3, 5): ("idle", 2.0),
        (4, 5): ("old", 9.0),
    }
    after = {
        (1, 5): ("init", 1.5),
        (2, 5): ("ours", 8.0),
        (3, 5): ("idle", 2.0),
        (4, 7): ("new", 3.0),
        (5, 9): ("a", 0.2),
        (6, 9): ("b", 0.1),
    }
    found = busiest(before, after, {2})
    assert [(entry["name"], entry["cpu_s"]) for entry in found] == [
        ("new", 3.0),
        ("init", 0.5),
        ("a", 0.2),
    ]


def test_names_with_brackets_and_spaces_are_read(tmp_path):
    """The name stands in brackets and may hold any of them."""
    folder = tmp_path / "77"
    folder.mkdir()
    (folder / "stat").write_text(
        "77 (a) b (c)) S 1 77 77 0 -1 4194304 1 0 0 0 250 50 0 0 20 0 1 0 12345 1 1\n"
    )
    clocks = read_clocks(str(tmp_path))
    assert clocks == {(77, 12345): ("a) b (c)", 300 / os.sysconf("SC_CLK_TCK"))}


def test_this_process_is_seen():
    """The look at the real /proc holds this process."""
    assert os.getpid() in {pid for pid, _ in read_clocks()}
