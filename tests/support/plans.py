"""Schedule files for tests.

One that uses everything, ways to change it, and what may come of reading it.
"""

import copy
import json
import math

import pytest

from twin_harness.errors import InvalidInput
from twin_harness.schedule.model import Schedule

EVERY_SHAPE = [
    {"kind": "constant", "level": 40.0},
    {"kind": "ramp", "from": 0.0, "to": 30.0},
    {"kind": "steps", "levels": [20.0, 50.0, 80.0]},
    {"kind": "sine", "mean": 50.0, "amplitude": 30.0, "period_s": 4.0, "phase": 0.25},
    {"kind": "square", "low": 10.0, "high": 60.0, "period_s": 4.0, "duty": 0.25},
    {
        "kind": "spikes",
        "base": 10.0,
        "height": 50.0,
        "width_s": 1.0,
        "rate_per_minute": 10.0,
        "seed": 3,
    },
    {"kind": "leak", "start": 5.0, "rate_per_s": 0.5},
    {
        "kind": "trace",
        "points": [[0.0, 5.0], [2.5, 30.0]],
        "interpolation": "previous",
        "time_scale": 2.0,
        "level_scale": 0.5,
    },
]
DISK_OPTIONS = {
    "operation": "write",
    "pattern": "random",
    "block_bytes": 4096,
    "direct": False,
    "fsync_every_bytes": 65536,
    "file_bytes": 1048576,
}


def whole_file():
    """A file that uses every key and every shape."""
    events = [
        {
            "id": f"cpu-{index}",
            "stressor": "cpu",
            "start_s": float(index),
            "duration_s": 20.0,
            "shape": shape,
            "unit": "percent",
            "options": {"cpus": [0, 1]},
        }
        for index, shape in enumerate(copy.deepcopy(EVERY_SHAPE))
    ]
    events.append(
        {
            "id": "mem-0",
            "stressor": "memory",
            "duration_s": 10.0,
            "shape": {"kind": "constant", "level": 2e9},
            "unit": "bytes",
            "options": {"pattern": "stir"},
        }
    )
    events.append(
        {
            "id": "disk-0",
            "stressor": "disk",
            "duration_s": 6.0,
            "shape": {"kind": "constant", "level": 20e6},
            "unit": "bytes_per_s",
            "options": dict(DISK_OPTIONS),
        }
    )
    experiment = {
        "name": "spike over steady",
        "lead_s": 2.0,
        "tail_s": 3.0,
        "share": True,
        "settle_s": 1.0,
        "tolerance": "5%",
        "events": events,
    }
    generator = {"name": "random", "version": "1", "arguments": {"n": 3}}
    return {
        "format": "twin-schedule/1",
        "seed": 7,
        "generator": generator,
        "experiments": [experiment, {"name": "idle"}],
    }


def read(folder, data):
    """Read ``data`` (JSON text, or what becomes it) as a schedule file."""
    path = folder / "schedule.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return Schedule.read(path)


def refusal(folder, data):
    """The message that a file is refused with, its path left out."""
    with pytest.raises(InvalidInput) as caught:
        read(folder, data)
    message = str(caught.value)
    assert "\n" not in message
    prefix = f"{folder / 'schedule.json'}: "
    assert message.startswith(prefix)
    return message.removeprefix(prefix)


def one_event(**changes):
    """A file of one event, with keys of the event changed."""
    event = {
        "id": "cpu-0",
        "stressor": "cpu",
        "start_s": 0,
        "duration_s": 20,
        "shape": {"kind": "constant", "level": 40},
        **changes,
    }
    return {"format": "twin-schedule/1", "experiments": [{"name": "a", "events": [event]}]}


def put(data, path, value):
    """``data`` with the node at ``path`` replaced; what lies beside the path is not copied."""
    changed = node = copy.copy(data)
    for part in path[:-1]:
        node[part] = copy.copy(node[part])
        node = node[part]
    node[path[-1]] = value
    return changed


def at(data, path):
    """The node at ``path``."""
    for part in path:
        data = data[part]
    return data


def paths(node, so_far=()):
    """The path of every node below ``node``."""
    pairs = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for key, value in pairs:
        yield (*so_far, key)
        yield from paths(value, (*so_far, key))


def look_hard_at(read_schedule, folder):
    """Ask an accepted schedule everything that a run asks.

    Every figure must be finite, and a copy through a file equal.
    """
    copied = folder / "copy.json"
    read_schedule.write(copied)
    assert Schedule.read(copied) == read_schedule
    for experiment in read_schedule.experiments:
        assert math.isfinite(experiment.duration_s)
        experiment.hash()
        for event in experiment.events:
            figures = [
                event.mean(),
                *event.shape.extremes(event.duration_s),
                *event.shape.discontinuities(event.duration_s),
            ]
            for share in (0.0, 0.3, 0.999, 1.0):
                figures += [
                    event.level(share * event.duration_s),
                    event.shape.area(share * event.duration_s, event.duration_s),
                ]
            assert all(map(math.isfinite, figures))


def read_or_refuse(folder):
    """Read a file of any content: it can be asked everything, or is refused in one line.

    Any other exception goes through.
    """
    try:
        accepted = Schedule.read(folder / "schedule.json")
    except InvalidInput as error:
        message = str(error)
    else:
        look_hard_at(accepted, folder)
        return
    assert len(message.splitlines()) == 1
