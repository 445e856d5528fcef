"""Where a candidate spends more: stacks that are read, functions that are named, the picture."""

import os
import xml.etree.ElementTree as ET
from collections import Counter

import numpy as np
import pytest

from twin_harness.gate.advice import place_sentences
from twin_harness.gate.declaration import declare
from twin_harness.gate.judging import Evidence, judge_pairs
from twin_harness.gate.outputs import markdown
from twin_harness.gate.places import find_places, parse_stacks
from twin_harness.gate.profile_files import (
    profile_name,
    profile_text,
    read_profiles,
    with_places,
)
from twin_harness.gate.verdict import Judgement
from twin_harness.report.drawing.flames import flame_svg
from twin_harness.report.sections.places import place_blocks


def sampled(more, rng, samples=400, functions=40):
    """Stacks of a service with so many equal functions, of which one does ``more`` in all."""
    shares = np.full(functions, 1.0 / functions)
    shares[7] += more
    drawn = rng.multinomial(samples, shares / shares.sum())
    return Counter(
        {("main (a.py:1)", f"f{index} (b.py:{index})"): int(n) for index, n in enumerate(drawn)}
    )


def test_five_percent_in_one_of_forty_functions_is_named_first():
    """In nine of ten sessions of 12 pairs; of two equal variants none in nineteen of twenty."""
    rng = np.random.default_rng(8)
    named = [
        find_places([(sampled(0, rng), sampled(0.05, rng)) for _ in range(12)]).found
        for _ in range(20)
    ]
    assert sum(bool(one) and one[0]["function"] == "f7 (b.py:7)" for one in named) >= 18
    equal = [
        find_places([(sampled(0, rng), sampled(0, rng)) for _ in range(12)]).found
        for _ in range(100)
    ]
    assert sum(bool(one) for one in equal) <= 5


def test_so_few_pairs_look_at_few_functions():
    """As many as the smallest p passes Holm for; of six pairs none."""
    rng = np.random.default_rng(8)
    pairs = [(sampled(0, rng), sampled(0.5, rng)) for _ in range(12)]
    assert [find_places(pairs[:count]).looked_at for count in (6, 7, 8, 12)] == [0, 1, 2, 8]
    assert find_places([]).pairs == 0


PINNED = "twin_harness/gate/pinned.py"


@pytest.mark.parametrize(
    ("stack", "kept"),
    [
        (f"main ({PINNED}:38);measured ({PINNED}:30);f (a.py:1);g (a.py:2)", 2),
        (f"<module> ({PINNED}:1);main ({PINNED}:38);measured ({PINNED}:30)", 0),
        (f"<module> ({PINNED}:1);main ({PINNED}:38)", 0),
        (f"main ({PINNED}:38);main.<locals>.answer ({PINNED}:45);dumps (json/__init__.py:183)", 0),
        (f"main ({PINNED}:38);decode (codecs.py:319)", 0),
        ("main (a/pinned.py:1);measured (pinned.py:2)", 2),
    ],
)
def test_a_process_of_ours_is_not_the_variants(stack, kept):
    """Of a pinned function what is below it counts: waiting for a turn is no function's share."""
    found = parse_stacks(f"{stack} 7\n")
    assert [len(frames) for frames in found] == [kept][: bool(kept)]
    assert not any(PINNED in frame for frames in found for frame in frames)


def test_names_with_control_characters_are_shown_without(tmp_path):
    """The picture is well-formed XML whatever a function is called; so is a folder no profile."""
    stacks = parse_stacks("main (a.py:1);\x1b[31mf\x08 (b.py:2) 7\n")
    ET.fromstring(flame_svg(stacks, stacks, "of\x1b a test"))
    (tmp_path / profile_name("test_a", 2, 0)).mkdir()
    assert read_profiles(tmp_path) == {}


def test_lines_that_are_no_stacks_are_skipped():
    """The root that says which process it was, too."""
    text = "process 12:python;main (a.py:1);work (a.py:9) 7\nmain (a.py:1) 2\nnonsense\n x\n;; y\n"
    assert parse_stacks(text) == {("main (a.py:1)", "work (a.py:9)"): 7, ("main (a.py:1)",): 2}


@pytest.fixture
def folder(tmp_path):
    """What twelve pairs leave in a run folder, with names as hostile as names can be."""
    rng = np.random.default_rng(3)
    for pair in range(12):
        for side, more in enumerate((0.0, 0.2)):
            lines = [
                f"main (a.py:1);<script>alert(1)</script>{frames[1]} {count}"
                for frames, count in sampled(more, rng, functions=8).items()
            ]
            path = tmp_path / profile_name("test_a.py::test_x", pair, side)
            path.write_text(profile_text("test_a.py::test_x", "\n".join(lines)))
    return tmp_path


def judgement(change=1.2):
    """A judgement of the test, of which the measure regressed; or not."""
    measure = declare("test_a.py::test_x", "ms", better="lower", interleave="0.2s")
    values = np.exp(np.random.default_rng(1).normal(0, 0.005, 12))
    evidence = Evidence(measure, tuple(values), tuple(change * values[::-1]))
    return Judgement(judge_pairs([evidence]), "paired")


def test_files_are_read_back_and_named_in_every_output(folder):
    """In the terminal's lines, in Markdown, in gate.json and in the report."""
    found = with_places(judgement(), folder)
    assert "f7 (b.py:7)" in found.to_json()["verdicts"][0]["places"][0]["function"]
    assert "f7 (b.py:7)" in place_sentences(found)[0]
    assert "<script>" not in markdown(found)
    drawing, table = place_blocks(folder, found.to_json())[1:]
    assert drawing.svg.count("<rect") >= 8
    assert table.rows[0][0].text.endswith("f7 (b.py:7)")


def test_no_function_is_named_where_nothing_regressed(folder):
    """A share that grows may only be another's that fell."""
    found = with_places(judgement(1.0), folder)
    assert found.places == {"test_a.py::test_x": ()}
    assert place_blocks(folder, found.to_json())[2].rows == ()


@pytest.mark.parametrize("kind", ["pipe", "link", "zero", "digits"])
def test_files_of_others_harm_nothing(folder, tmp_path, kind):
    """A pipe is not waited for, a link not followed, and counts that are none are skipped."""
    path = folder / profile_name("test_a.py::test_x", 3, 0)
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/etc/hostname")
    else:
        count = {"zero": "0", "digits": "9" * 5000}[kind]
        path.write_text(profile_text("test_a.py::test_x", f"main {count}\nmain ²\n"))
    assert len(read_profiles(folder)["test_a.py::test_x"].pairs) == 12
    assert with_places(judgement(), folder).places["test_a.py::test_x"]


def test_pictures_hold_names_as_text(folder):
    """Whatever a function is called; the picture is well-formed, and within its width."""
    svg = flame_svg(*read_profiles(folder)["test_a.py::test_x"].pooled(), "<title>&")
    assert "<script>" not in svg
    root = ET.fromstring(svg)
    boxes = [one for one in root.iter() if one.tag == "rect"]
    assert all(float(one.get("x")) + float(one.get("width")) <= 961 for one in boxes)
    assert flame_svg({}, {}, "nothing") == ""


def test_what_could_not_be_sampled_is_a_doubt(tmp_path):
    """Its reason once, however many pairs; without any file it says what would be sampled."""
    for pair in range(3):
        for side in (0, 1):
            path = tmp_path / profile_name("t", pair, side)
            path.write_text(profile_text("t", "# fault: py-spy: Permission denied\n"))
    (tmp_path / "profile-x-y-z.txt").write_text("what is not ours is left out")
    doubts = with_places(judgement(), tmp_path).doubts
    assert doubts == ("t: profile: py-spy: Permission denied",)
    assert "no test took turns" in with_places(judgement(), tmp_path / "none").doubts[0]
