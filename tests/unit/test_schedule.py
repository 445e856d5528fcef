"""The plan: what a file may hold, what it is refused for, and that equal plans are equal."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.drawn import DURATIONS_S, any_shape, grid
from tests.support.plans import (
    DISK_OPTIONS,
    at,
    look_hard_at,
    one_event,
    paths,
    put,
    read,
    read_or_refuse,
    refusal,
    whole_file,
)
from twin_harness.errors import InvalidInput
from twin_harness.schedule.builders import cpu, disk, memory, plan
from twin_harness.schedule.event import Event
from twin_harness.schedule.event_options import UNITS
from twin_harness.schedule.model import Experiment, Schedule
from twin_harness.shapes import shape as shapes

# Made once, as those of tests.support.drawn are.
OPTIONS = {"cpu": {"cpus": [0]}, "memory": {"pattern": "stir"}, "disk": DISK_OPTIONS}
STRESSORS, STARTS_S = st.sampled_from(list(OPTIONS)), grid(0, 100)
UNITS_OF = {stressor: st.sampled_from(UNITS[stressor]) for stressor in OPTIONS}
OPTIONS_OF = {stressor: st.sampled_from([{}, options]) for stressor, options in OPTIONS.items()}
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 _.,:/#\[\]-]{0,119}", fullmatch=True)
LEADS_S, TAILS_S, ARE_SHARED = grid(0.1, 10), grid(0, 10), st.booleans()
TOLERANCES = st.sampled_from([None, "5%", "2.5 %"])


@st.composite
def events(draw):
    stressor = draw(STRESSORS)
    return Event(
        stressor=stressor,
        start_s=draw(STARTS_S),
        duration_s=draw(DURATIONS_S),
        shape=draw(any_shape()),
        unit=draw(UNITS_OF[stressor]),
        options=draw(OPTIONS_OF[stressor]),
    )


EVENTS = st.lists(events(), max_size=4)


@st.composite
def experiments(draw):
    return plan(
        *draw(EVENTS),
        name=draw(NAMES),
        lead_s=draw(LEADS_S),
        tail_s=draw(TAILS_S),
        share=draw(ARE_SHARED),
        settle_s=draw(TAILS_S),
        tolerance=draw(TOLERANCES),
    )


# -- what comes back -------------------------------------------------------------------------------


@given(st.lists(experiments(), min_size=1, max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_schedule_survives_its_file(tmp_path, drawn):
    """Written and read again, a schedule is equal, and so is its text."""
    first = Schedule.of(*drawn)
    first.write(tmp_path / "a.json")
    second = Schedule.read(tmp_path / "a.json")
    second.write(tmp_path / "b.json")
    assert second == first
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@given(events())
def test_a_drawn_event_has_the_mean_of_its_shape(event):
    """The mean is area over duration, and lies within the extremes."""
    low, high = event.shape.extremes(event.duration_s)
    assert low - 1e-6 <= event.mean() <= high + 1e-6
    assert event.mean() == event.shape.area(event.duration_s, event.duration_s) / event.duration_s


def test_a_file_with_every_key_is_read(tmp_path):
    """The file of every key and shape is accepted and can be asked everything."""
    whole = read(tmp_path, whole_file())
    assert [event.shape.kind for event in whole.experiments[0].events[:8]] == list(shapes.SHAPES)
    assert (whole.seed, whole.generator["name"], whole.experiments[1].events) == (7, "random", ())
    look_hard_at(whole, tmp_path)


def test_defaults_are_those_of_the_format(tmp_path):
    """What a file does not say has the format's defaults."""
    found = read(tmp_path, one_event()).experiments[0]
    assert (found.lead_s, found.tail_s, found.share, found.settle_s, found.tolerance) == (
        1.0,
        1.0,
        False,
        0.0,
        None,
    )
    assert (found.events[0].unit, found.events[0].options) == ("percent", {})
    event = disk(1e6, duration_s=1)
    assert [event.option(name) for name in DISK_OPTIONS] == [
        "write",
        "sequential",
        262_144,
        True,
        4 * 1024**2,
        128 * 1024**2,
    ]
    assert memory(5, duration_s=1).option("pattern") == "hold"
    assert cpu(5, duration_s=1).option("cpus") is None


def test_the_example_of_the_format_is_read(tmp_path):
    """A whole example is a schedule, memory needing its unit."""
    text = """{"format": "twin-schedule/1", "seed": 7,
     "generator": {"name": "random", "version": "…", "arguments": {}},
     "experiments": [
       {"name": "spike over steady", "lead_s": 2.0, "tail_s": 3.0,
        "events": [
          {"id": "cpu-0",  "stressor": "cpu",    "start_s": 0, "duration_s": 20,
           "shape": {"kind": "constant", "level": 40}},
          {"id": "mem-0",  "stressor": "memory", "start_s": 5, "duration_s": 10,
           "shape": {"kind": "ramp", "from": 0, "to": 30}, "unit": "percent"},
          {"id": "disk-0", "stressor": "disk",   "start_s": 8, "duration_s": 6,
           "shape": {"kind": "constant", "level": 20e6},
           "options": {"operation": "write"}}]}]}"""
    found = read(tmp_path, text).experiments[0]
    assert [(event.id, event.unit, event.end_s) for event in found.events] == [
        ("cpu-0", "percent", 20),
        ("mem-0", "percent", 15),
        ("disk-0", "bytes_per_s", 14),
    ]
    assert (found.span_s, found.duration_s) == (20, 25)


# -- the hash --------------------------------------------------------------------------------------


@given(experiments(), st.randoms())
def test_the_hash_knows_neither_name_nor_key_order(experiment, random):
    """Another name and shuffled keys leave the hash alone."""

    def shuffled(node):
        if isinstance(node, dict):
            keys = list(node)
            random.shuffle(keys)
            return {key: shuffled(node[key]) for key in keys}
        return [shuffled(part) for part in node] if isinstance(node, list) else node

    other = Experiment.model_validate(shuffled({**experiment.to_json(), "name": "another"}))
    assert other.hash() == experiment.hash()


def test_the_hash_is_a_sha_256_that_holds_for_ever():
    """The hash of a plan is the same on every machine and in every later version."""
    assert (
        plan(cpu(50, duration_s=10)).hash()
        == plan(cpu(shapes.constant(50.0), duration_s=10.0), name="b").hash()
    )
    assert (
        plan(cpu(50, duration_s=10)).hash()
        == "30b33247eb8956e93805ffa23dce05f171af667ac1a1659e80c3bfe8444ec035"
    )


@pytest.mark.parametrize(
    "other",
    [
        plan(cpu(51, duration_s=10)),
        plan(cpu(50, duration_s=11)),
        plan(cpu(50, duration_s=10, start_s=1)),
        plan(cpu(50, duration_s=10, id="x")),
        plan(cpu(50, duration_s=10, cpus=[0])),
        plan(memory(50, duration_s=10, id="cpu-0")),
        plan(cpu(50, duration_s=10), lead_s=2),
        plan(cpu(50, duration_s=10), tail_s=2),
        plan(cpu(50, duration_s=10), share=True),
        plan(cpu(50, duration_s=10), settle_s=2),
        plan(cpu(50, duration_s=10), tolerance="5%"),
        plan(),
    ],
)
def test_the_hash_knows_everything_else(other):
    """Any difference but the name makes another hash."""
    assert other.hash() != plan(cpu(50, duration_s=10)).hash()


def test_a_trace_by_file_has_the_hash_of_its_points(tmp_path):
    """Traces are inlined, so the file's name and place do not matter."""
    (tmp_path / "load.csv").write_text("seconds,level\n0,5\n2.5,30\n")
    by_file = read(tmp_path, one_event(shape={"kind": "trace", "file": "load.csv"}))
    by_points = read(tmp_path, one_event(shape={"kind": "trace", "points": [[0, 5], [2.5, 30]]}))
    assert by_file == by_points
    assert by_file.experiments[0].hash() == by_points.experiments[0].hash()


def test_a_spelled_default_has_the_hash_of_the_default():
    """Equal plans have equal hashes, also when one of them writes its defaults down."""
    assert (
        plan(disk(1e6, duration_s=1, operation="write", direct=True)).hash()
        == plan(disk(1e6, duration_s=1)).hash()
    )


# -- what a file is refused for --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"shape": {"kind": "ramp", "from": 0, "to": 130}},
            "experiments[0].events[0].shape.to: 130 is above 100 percent",
        ),
        (
            {"shape": {"kind": "ramp", "from": -1, "to": 30}},
            "experiments[0].events[0].shape.from: -1 is below 0 percent",
        ),
        (
            {"shape": {"kind": "constant", "level": 100.5}},
            "experiments[0].events[0].shape.level: 100.5 is above 100 percent",
        ),
        (
            {"shape": {"kind": "steps", "levels": [5, 101]}},
            "experiments[0].events[0].shape.levels[1]: 101 is above 100 percent",
        ),
        (
            {"shape": {"kind": "sine", "mean": 50, "amplitude": 60, "period_s": 1}},
            "experiments[0].events[0].shape.amplitude: -10 is below 0 percent",
        ),
        (
            {"shape": {"kind": "square", "low": -5, "high": 5, "period_s": 1}},
            "experiments[0].events[0].shape.low: -5 is below 0 percent",
        ),
        (
            {
                "shape": {
                    "kind": "spikes",
                    "base": 90,
                    "height": 20,
                    "width_s": 1,
                    "rate_per_minute": 6,
                }
            },
            "experiments[0].events[0].shape.height: 110 is above 100 percent",
        ),
        (
            {
                "shape": {
                    "kind": "spikes",
                    "base": 9,
                    "height": 2,
                    "width_s": 11,
                    "rate_per_minute": 6,
                }
            },
            (
                "experiments[0].events[0].shape.width_s: 11 s is longer than the 10 s between two"
                " spikes"
            ),
        ),
        (
            {"shape": {"kind": "leak", "start": 10, "rate_per_s": 5}},
            "experiments[0].events[0].shape.rate_per_s: 110 is above 100 percent",
        ),
        (
            {"shape": {"kind": "trace", "points": [[0, 5], [1, 200]]}},
            "experiments[0].events[0].shape.points[1]: 200 is above 100 percent",
        ),
        (
            {"shape": {"kind": "trace", "points": [[0, 5], [0, 6]]}},
            "experiments[0].events[0].shape.points[1]: time 0 s does not come after 0 s",
        ),
        (
            {"shape": {"kind": "trace", "points": [[-1, 5]]}},
            (
                "experiments[0].events[0].shape.points[0]: time -1 s is before the start of the"
                " event; times begin at 0"
            ),
        ),
        (
            {"shape": {"kind": "trace"}},
            (
                "experiments[0].events[0].shape.points: expected at least one (time, level) point,"
                " or a file"
            ),
        ),
        (
            {"shape": {"kind": "saw"}},
            (
                "experiments[0].events[0].shape.kind: 'saw' is not a shape; expected one of"
                " constant, ramp, steps, sine, square, spikes, leak, trace"
            ),
        ),
        (
            {"shape": {"level": 5}},
            (
                "experiments[0].events[0].shape.kind: is missing; expected one of constant, ramp,"
                " steps, sine, square, spikes, leak, trace"
            ),
        ),
        (
            {"shape": 40},
            "experiments[0].events[0].shape: 40 is not an object; expected keys and values",
        ),
        (
            {"shape": {"kind": "constant", "level": "40"}},
            (
                "experiments[0].events[0].shape.level: '40' is not valid: input should be a valid"
                " number"
            ),
        ),
        (
            {"shape": {"kind": "constant", "level": 40, "to": 50}},
            "experiments[0].events[0].shape.to: is not a known key; expected one of kind, level",
        ),
        (
            {"shape": {"kind": "ramp", "to": 5}},
            "experiments[0].events[0].shape.from: is missing; add it",
        ),
        (
            {"shape": {"kind": "square", "low": 1, "high": 5, "period_s": 1, "duty": 1.5}},
            (
                "experiments[0].events[0].shape.duty: 1.5 is not valid: input should be less than"
                " or equal to 1"
            ),
        ),
        (
            {"shape": {"kind": "steps", "levels": []}},
            (
                "experiments[0].events[0].shape.levels: [] is not valid: list should have at least"
                " 1 item after validation, not 0"
            ),
        ),
        (
            {"duration_s": 0},
            "experiments[0].events[0].duration_s: 0 is not valid: input should be greater than 0",
        ),
        (
            {"duration_s": 604_801},
            (
                "experiments[0].events[0].duration_s: 604801 is not valid: input should be less"
                " than or equal to 604800"
            ),
        ),
        (
            {"start_s": -0.1},
            (
                "experiments[0].events[0].start_s: -0.1 is not valid: input should be greater than"
                " or equal to 0"
            ),
        ),
        (
            {"start_s": True},
            "experiments[0].events[0].start_s: True is not valid: input should be a valid number",
        ),
        (
            {"options": {"target": "system", "cpus": [0]}},
            (
                "experiments[0].events[0].options.cpus: [0] with target 'system', which is a total"
                " of the whole machine; expected one of the two"
            ),
        ),
        (
            {"stressor": "command", "options": {"argv": ["true"]}},
            (
                "experiments[0].events[0].shape: stands beside a command, which has none; expected"
                " options.argv alone"
            ),
        ),
        (
            {"stressor": "command", "shape": None},
            "experiments[0].events[0].options.argv: is missing; add it",
        ),
        (
            {"stressor": "command", "shape": None, "options": {"argv": []}},
            (
                "experiments[0].events[0].options.argv: [] is not valid: list should have at least"
                " 1 item after validation, not 0"
            ),
        ),
        (
            {"stressor": "command", "shape": None, "options": {"argv": [""]}},
            "experiments[0].events[0].options.argv[0]: is empty; expected a program",
        ),
        (
            {"stressor": "command", "shape": None, "options": {"argv": ["true"], "env": ["A=1"]}},
            (
                "experiments[0].events[0].options.env[0]: 'A=1' is not valid: string should match"
                " pattern '^[A-Za-z_][A-Za-z0-9_]{0,254}$'"
            ),
        ),
        (
            {"stressor": "gpu"},
            (
                "experiments[0].events[0].stressor: 'gpu' is unknown; expected one of cpu, memory,"
                " disk, command"
            ),
        ),
        (
            {"stressor": "memory"},
            "experiments[0].events[0].unit: is missing; expected 'percent' or 'bytes' for memory",
        ),
        (
            {"unit": "bytes"},
            "experiments[0].events[0].unit: 'bytes' does not fit cpu; expected 'percent'",
        ),
        (
            {"id": "a/b"},
            (
                "experiments[0].events[0].id: 'a/b' is not a valid name; use letters, digits and"
                " _.,:#[]- and no slash, at most 120 characters"
            ),
        ),
        (
            {"id": "-a"},
            (
                "experiments[0].events[0].id: '-a' is not a valid name; use letters, digits and"
                " _.,:#[]- and no slash, at most 120 characters"
            ),
        ),
        (
            {"colour": 1},
            (
                "experiments[0].events[0].colour: is not a known key; expected one of id, stressor,"
                " start_s, duration_s, shape, unit, options"
            ),
        ),
        (
            {"options": {"cpus": []}},
            (
                "experiments[0].events[0].options.cpus: [] is not valid: list should have at least"
                " 1 item after validation, not 0"
            ),
        ),
        (
            {"options": {"cpus": [-1]}},
            (
                "experiments[0].events[0].options.cpus[0]: -1 is not valid: input should be greater"
                " than or equal to 0"
            ),
        ),
        (
            {"options": {"direct": True}},
            (
                "experiments[0].events[0].options.direct: is not a known key; expected one of cpus,"
                " target, method"
            ),
        ),
        (
            {"options": [1]},
            "experiments[0].events[0].options: [1] is not an object; expected keys and values",
        ),
        (
            {"stressor": "disk", "options": {"block_bytes": 5000}},
            (
                "experiments[0].events[0].options.block_bytes: 5000 is not valid: input should be a"
                " multiple of 4096"
            ),
        ),
        (
            {"stressor": "disk", "options": {"block_bytes": 2097152, "file_bytes": 1048576}},
            "experiments[0].events[0].options.block_bytes: 2097152 is above file_bytes, 1048576",
        ),
        (
            {"stressor": "disk", "options": {"direct": False, "operation": "read"}},
            (
                "experiments[0].events[0].options.direct: false with operation 'read' would read"
                " the page cache, not the disk; expected true"
            ),
        ),
    ],
)
def test_a_bad_event_is_refused_by_path_and_value(tmp_path, changes, message):
    """The message names the path within the file, the value and what was expected."""
    assert refusal(tmp_path, one_event(**changes)) == message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "[] is not an object; expected keys and values"),
        (None, "None is not an object; expected keys and values"),
        ({}, "experiments: is missing; add it"),
        (
            {"experiments": []},
            (
                "experiments: [] is not valid: tuple should have at least 1 item after validation,"
                " not 0"
            ),
        ),
        (
            {"format": "twin-schedule/2", "experiments": []},
            (
                "format: 'twin-schedule/2' is not one this version reads; expected"
                " 'twin-schedule/1', or upgrade twin-harness"
            ),
        ),
        (
            {"format": 1, "experiments": []},
            (
                "format: 1 is not one this version reads; expected 'twin-schedule/1', or upgrade"
                " twin-harness"
            ),
        ),
        (
            {"experiments": [{"name": "a", "lead_s": 0, "tail_s": 0}]},
            (
                "experiments[0].events: is empty and so are lead_s and tail_s; expected an event,"
                " or quiet time to record"
            ),
        ),
        (
            {"experiments": [{"name": ""}]},
            (
                "experiments[0].name: '' is not a valid name; use letters, digits, blanks and"
                " _.,:/#[]-, at most 120 characters"
            ),
        ),
        (
            {"experiments": [{"name": "ünïcode"}]},
            (
                "experiments[0].name: 'ünïcode' is not a valid name; use letters, digits, blanks"
                " and _.,:/#[]-, at most 120 characters"
            ),
        ),
        (
            {"experiments": [{"name": "a\n"}]},
            (
                r"experiments[0].name: 'a\n' is not a valid name; use letters, digits, blanks and"
                r" _.,:/#[]-, at most 120 characters"
            ),
        ),
        (
            {"experiments": [{"tolerance": "5"}]},
            "experiments[0].tolerance: '5' is not a percentage; expected e.g. '5%', or 'none'",
        ),
        (
            {"experiments": [{"tolerance": "٥%"}]},
            "experiments[0].tolerance: '٥%' is not a percentage; expected e.g. '5%', or 'none'",
        ),
        (
            {"experiments": [{}], "seed": -1},
            "seed: -1 is not valid: input should be greater than or equal to 0",
        ),
        (
            {"experiments": [{}], "seed": 1.0},
            "seed: 1.0 is not valid: input should be a valid integer",
        ),
        (
            {"experiments": [{}], "sed": 1},
            "sed: is not a known key; expected one of format, seed, generator, experiments",
        ),
        ({"experiments": [{}, 5]}, "experiments[1]: 5 is not an object; expected keys and values"),
        (
            {"experiments": [{"lead_s": "1", "tail_s": "1"}]},
            "experiments[0].lead_s: '1' is not valid: input should be a valid number (and 1 more)",
        ),
    ],
)
def test_a_bad_file_is_refused_by_path_and_value(tmp_path, data, message):
    """Faults outside events are named the same way."""
    assert refusal(tmp_path, data) == message


def test_too_many_events_are_refused(tmp_path):
    """An experiment holds at most 1,000 events."""
    data = one_event()
    data["experiments"][0]["events"] = [
        {"stressor": "cpu", "duration_s": 1, "shape": {"kind": "constant", "level": 0}}
    ] * 1001
    assert "events" in refusal(tmp_path, data)
    data["experiments"][0]["events"].pop()
    assert len({event.id for event in read(tmp_path, data).experiments[0].events}) == 1000


@pytest.mark.parametrize(
    "path",
    [("shape",), ("experiments", 0, "shape"), ("experiments", 0, "events", 0, "options", "shape")],
)
def test_an_unknown_key_called_shape_is_refused_like_any_other(tmp_path, path):
    """The word shape where it does not belong is refused by name."""
    assert "shape: is not a known key; expected one of" in refusal(
        tmp_path, put(whole_file(), path, 1)
    )


def test_an_unknown_key_within_a_shape_is_named_whatever_it_is_called(tmp_path):
    """The key ``constant`` within a shape is refused by name."""
    message = refusal(tmp_path, one_event(shape={"kind": "constant", "level": 5, "constant": 1}))
    assert (
        message
        == "experiments[0].events[0].shape.constant: is not a known key; expected one of kind,"
        " level"
    )


@pytest.mark.parametrize(
    "path",
    [
        ("a\nb",),
        ("experiments", 0, "events", 0, "options", "a\rb"),
        ("experiments", 0, "events", 0, "shape", "a\u2028b"),
    ],
)
def test_an_unknown_key_with_a_line_break_is_refused_in_one_line(tmp_path, path):
    """Every message is one line, whatever the file calls its keys."""
    with pytest.raises(InvalidInput) as caught:
        read(tmp_path, put(whole_file(), path, 1))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "shape",
    [
        {"kind": "constant", "level_": 40},
        {"kind": "ramp", "from_": 0, "to": 5},
        {"kind": "ramp", "from": 0, "from_": 1, "to": 5},
    ],
)
def test_the_python_names_of_parameters_are_no_keys(tmp_path, shape):
    """A file says ``level`` and ``from``; the names that Python needs are unknown keys."""
    assert "_: is not a known key" in refusal(
        tmp_path, one_event(shape=shape)
    ) or "is missing; add it" in refusal(tmp_path, one_event(shape=shape))


@pytest.mark.parametrize("value", [1, 0, "yes", "true", 1.0])
def test_a_boolean_is_a_boolean(tmp_path, value):
    """Only true and false are booleans in a file."""
    assert "share" in refusal(tmp_path, put(whole_file(), ("experiments", 0, "share"), value))


def test_an_infinite_number_within_the_generator_is_refused(tmp_path):
    """A number beyond every float is refused wherever it stands."""
    refusal(tmp_path, json.dumps(one_event())[:-1] + ', "generator": {"a": 1e999}}')


def test_a_generator_that_is_read_can_be_written(tmp_path):
    """What is accepted can be written again, or is refused at once."""
    text = json.dumps(one_event())[:-1] + ', "generator": {"a": ' + "[" * 400 + "]" * 400 + "}}"
    try:
        accepted = read(tmp_path, text)
    except InvalidInput:
        return
    look_hard_at(accepted, tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": {"kind": "square", "low": 0, "high": 5, "period_s": 5e-324}},
        {"shape": {"kind": "sine", "mean": 5, "amplitude": 1, "period_s": 5e-324}},
        {
            "shape": {
                "kind": "spikes",
                "base": 0,
                "height": 5,
                "width_s": 1e-310,
                "rate_per_minute": 1e308,
            }
        },
        {
            "shape": {
                "kind": "spikes",
                "base": 0,
                "height": 5,
                "width_s": 1,
                "rate_per_minute": 5e-324,
            }
        },
        {"shape": {"kind": "trace", "points": [[0, 5], [1, 6]], "time_scale": 5e-324}},
        {"shape": {"kind": "steps", "levels": [1, 2, 3]}, "duration_s": 5e-324},
        {"shape": {"kind": "ramp", "from": 0, "to": 1e308}, "stressor": "disk"},
        {
            "shape": {"kind": "sine", "mean": 1e308, "amplitude": 1e308, "period_s": 1},
            "stressor": "memory",
            "unit": "bytes",
        },
        {
            "shape": {"kind": "leak", "start": 0, "rate_per_s": 1e305},
            "stressor": "disk",
            "duration_s": 604_800,
        },
    ],
    ids=[
        "square period",
        "sine period",
        "spike rate",
        "rare spikes",
        "time scale",
        "duration",
        "ramp of bytes",
        "sine of bytes",
        "leak of bytes",
    ],
)
def test_numbers_that_no_run_can_use_are_refused(tmp_path, changes):
    """A file is refused, or everything that a run asks of it is finite."""
    try:
        accepted = read(tmp_path, one_event(**changes))
    except InvalidInput:
        return
    look_hard_at(accepted, tmp_path)


BAD_OF_TYPE = {
    bool: ["maybe", 2, None, [], {}],
    int: ["1", None, True, [], {}, -1, 10**400, 1e308],
    float: ["1", None, True, [], {}, -1.0, 10**400],
    str: [5, True, [], {}, "\n", "é" * 200],
    list: [5, "x", True, {}, None],
    dict: [5, "x", True, None, [5]],
}
WHOLE = whole_file()
CASES = [
    (path, value)
    for path in paths(WHOLE)
    if "generator" not in path or path == ("generator",)
    for value in BAD_OF_TYPE[type(at(WHOLE, path))]
]


def is_fine(path, value):
    """Whether a value stands in the corruption table but is permitted at that place."""
    name = path[-1]
    return (
        (value is None and name in ("tolerance", "seed", "cpus"))
        or (path == ("seed",) and value == 10**400)
        or (name in ("phase", "amplitude", "height") and value == -1.0)
        or (isinstance(value, dict) and name == "options")
    )


@pytest.mark.parametrize(
    "path",
    list(dict.fromkeys(path for path, _ in CASES)),
    ids=lambda path: ".".join(map(str, path)),
)
def test_every_single_corruption_is_refused(tmp_path, path):
    """Any one value of the wrong type or range is refused in one line that names the place."""
    for value in [value for place, value in CASES if place == path and not is_fine(place, value)]:
        message = refusal(tmp_path, put(WHOLE, path, value))
        assert message.count(": ") >= 1
        assert str(path[0]) in message


@pytest.mark.parametrize(
    "path",
    [path for path in paths(whole_file()) if isinstance(path[-1], str)],
    ids=lambda path: ".".join(map(str, path)),
)
def test_a_misspelled_key_is_refused(tmp_path, path):
    """Each key under another name is refused, or named as missing.

    Keys within the generator are free.
    """
    data = whole_file()
    node = at(data, path[:-1])
    node[f"{path[-1]}x"] = node.pop(path[-1])
    if path[0] == "generator" and len(path) > 1:
        read(tmp_path, data)
    else:
        assert path[-1] in refusal(tmp_path, data)


KEYS = st.one_of(
    st.text(max_size=8), st.sampled_from(["kind", "shape", "file", "level", "events", "constant"])
)
JSON_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=8),
        st.sampled_from(["trace", "previous", "memory", "disk", "bytes", "read", "5%", "cpu-0"]),
        st.sampled_from([1e308, 5e-324, 0, -0.0, 604_800, 2**63]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=6,
)


PATHS, ACTIONS = st.sampled_from(list(paths(WHOLE))), ["replace", "remove", "add"]


@given(st.data(), PATHS, st.sampled_from(ACTIONS))
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_mutated_file_is_read_or_refused_in_one_line(tmp_path, data, path, action):
    """Whatever single node is replaced, removed or added, the file is read or refused.

    It is a schedule that can be asked everything, or InvalidInput says why in one line.
    """
    mutated = whole_file()
    node = at(mutated, path[:-1])
    if action == "replace":
        node[path[-1]] = data.draw(JSON_VALUES)
    elif action == "remove":
        del node[path[-1]]
    elif isinstance(node, dict):
        node[data.draw(KEYS)] = data.draw(JSON_VALUES)
    else:
        node.append(data.draw(JSON_VALUES))
    (tmp_path / "schedule.json").write_text(json.dumps(mutated))
    read_or_refuse(tmp_path)


@given(st.integers(0, 10_000), st.integers(0, 40), st.binary(max_size=6))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_bytes_are_read_or_refused_in_one_line(tmp_path, offset, cut, put_in):
    """Bytes lost, changed or added anywhere make a schedule or an InvalidInput of one line."""
    data = json.dumps(WHOLE).encode()
    offset %= len(data)
    (tmp_path / "schedule.json").write_bytes(data[:offset] + put_in + data[offset + cut :])
    read_or_refuse(tmp_path)


def test_a_trace_without_points_is_read_or_refused():
    """Plain data that names a trace file, checked without a folder, is refused.

    There is nothing to run.
    """
    with pytest.raises(InvalidInput, match=r"shape\.file"):
        Schedule.from_json(one_event(shape={"kind": "trace", "file": "load.csv"}))


# -- names and ids ---------------------------------------------------------------------------------


def test_events_without_ids_are_named_by_stressor():
    """Missing ids are filled in order, around those that are given."""
    named = plan(
        cpu(1, duration_s=1),
        memory(1, duration_s=1),
        cpu(1, duration_s=1, id="cpu-1"),
        cpu(1, duration_s=1),
        disk(1, duration_s=1),
    )
    assert [event.id for event in named.events] == ["cpu-0", "mem-0", "cpu-1", "cpu-2", "disk-0"]


def test_an_id_that_stands_twice_is_refused():
    """The message names the second place."""
    with pytest.raises(InvalidInput) as caught:
        plan(cpu(1, duration_s=1, id="a"), disk(1, duration_s=1, id="a"))
    assert (
        str(caught.value)
        == "plan(): events[1].id: 'a' is given twice; expected ids unique within an experiment"
    )


def test_a_name_of_120_characters_is_the_longest():
    """120 are accepted and 121 refused."""
    assert plan(name="a" * 120).name == "a" * 120
    with pytest.raises(InvalidInput, match="at most 120 characters"):
        plan(name="a" * 121)


def test_names_may_hold_slashes_and_ids_may_not():
    """Pytest's ids become experiment names, and event ids stand behind a slash."""
    assert plan(name="scenarios/test_a.py::test_b[1-x]").name == "scenarios/test_a.py::test_b[1-x]"
    with pytest.raises(InvalidInput, match=r"cpu\(\): id: 'a/b' is not a valid name"):
        cpu(1, duration_s=1, id="a/b")


def test_an_event_is_found_by_id():
    """A wrong id lists those there are."""
    experiment = plan(cpu(1, duration_s=1), name="x")
    assert experiment.event("cpu-0") is experiment.events[0]
    with pytest.raises(InvalidInput) as caught:
        experiment.event("cpu-1")
    assert str(caught.value) == "event 'cpu-1' is not in experiment 'x'; expected one of cpu-0"
    with pytest.raises(InvalidInput, match=r"expected one of none$"):
        plan().event("cpu-0")


# -- times and levels ------------------------------------------------------------------------------


def test_an_event_asks_for_nothing_outside_itself():
    """The level is 0 before the start and from the end on."""
    event = cpu(shapes.ramp(10, 20), duration_s=10)
    assert [event.level(t_s) for t_s in (-0.001, 0, 5, 9.999, 10, 11)] == pytest.approx(
        [0, 10, 15, 19.999, 0, 0]
    )


def test_durations_add_up():
    """The span ends with the last event, and lead and tail come on top."""
    experiment = plan(
        cpu(1, start_s=5, duration_s=10), disk(1, start_s=1, duration_s=3), lead_s=2, tail_s=3
    )
    assert (experiment.span_s, experiment.duration_s) == (15, 20)
    assert (plan().span_s, plan(lead_s=2, tail_s=0).duration_s) == (0, 2)


@pytest.mark.parametrize(
    ("tolerance", "percent"), [(None, None), ("5%", 5.0), ("2.5 %", 2.5), ("0%", 0.0)]
)
def test_a_tolerance_is_a_number_of_percent(tolerance, percent):
    """The tolerance is had as a number."""
    assert plan(tolerance=tolerance).tolerance_percent == percent


def test_a_plan_is_frozen():
    """Nobody changes an experiment that is planned."""
    with pytest.raises(ValueError, match="frozen"):
        plan().name = "b"
