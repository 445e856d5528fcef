"""``twin schedule random`` and ``grid``: schedules that a generator makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twin_harness.cli.schedule_file import add_out, write_schedule
from twin_harness.errors import InvalidInput

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from twin_harness.cli.commands import Commands

# Of random schedules; see strategies.Bounds.
_BOUNDS: dict[str, tuple[Callable[[str], Any], str, str]] = {
    "stressors": (str, "LIST", "resources used (default: cpu,memory,disk)"),
    "shapes": (
        str,
        "LIST",
        "out of constant, ramp, steps, sine, square, spikes, leak (default: the first four)",
    ),
    "min_events": (int, "N", "events an experiment at least (default: 1)"),
    "max_events": (int, "N", "events an experiment at most (default: 3)"),
    "max_duration_s": (float, "SECONDS", "end of the last event at most (default: 8)"),
    "min_event_s": (float, "SECONDS", "length of an event at least (default: 2)"),
    "max_event_s": (float, "SECONDS", "length of an event at most"),
    "min_cpu_percent": (int, "PERCENT", "peak of a CPU event at least"),
    "max_cpu_percent": (int, "PERCENT", "level of a CPU event at most (default: 80)"),
    "min_memory_percent": (int, "PERCENT", "peak of a memory event at least"),
    "max_memory_percent": (int, "PERCENT", "level of a memory event at most (default: 5)"),
    "min_disk_bytes_per_s": (int, "BYTES", "peak of a disk event at least"),
    "max_disk_bytes_per_s": (int, "BYTES", "level of a disk event at most (default: 20000000)"),
    "lead_s": (float, "SECONDS", "quiet time before the events (default: 1)"),
    "tail_s": (float, "SECONDS", "quiet time after them (default: 1)"),
}
_LEVELS = ("cpu_percent", "memory_percent", "disk_bytes_per_s")


def add_random(actions: Commands) -> None:
    """Add the action."""
    text = "random experiments, drawn by a seed"
    example = "example: twin schedule random -n 5 --seed 1 --out random.json"
    action = actions.add("random", random, text, example=example, has_json=False)
    action.add_argument("-n", type=int, default=3, help="how many (default: 3)")
    action.add_argument("--seed", type=int, default=0, help="same seed, same schedule (default: 0)")
    action.add_argument(
        "--no-overlap",
        dest="overlap",
        action="store_false",
        default=None,
        help="one event at a time",
    )
    for name, (convert, metavar, text) in _BOUNDS.items():
        action.add_argument(f"--{name.replace('_', '-')}", type=convert, metavar=metavar, help=text)
    add_out(action)


def add_grid(actions: Commands) -> None:
    """Add the action."""
    text = "every combination of levels"
    example = "example: twin schedule grid --cpu-percent 20,50,80 --out grid.json"
    action = actions.add("grid", grid, text, example=example, has_json=False)
    for name in _LEVELS:
        action.add_argument(f"--{name.replace('_', '-')}", metavar="LEVELS", help="e.g. 20,50,80")
    action.add_argument(
        "--duration",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="length of each experiment's load (default: 10)",
    )
    add_out(action)


def random(arguments: argparse.Namespace) -> int:
    """Draw random experiments."""
    from twin_harness.control import make_schedule

    names = (*_BOUNDS, "overlap")
    bounds = {name: getattr(arguments, name) for name in names}
    bounds = {name: value for name, value in bounds.items() if value is not None}
    bounds |= {name: bounds[name].split(",") for name in ("stressors", "shapes") if name in bounds}
    return write_schedule(make_schedule.random(arguments.n, arguments.seed, **bounds), arguments)


def grid(arguments: argparse.Namespace) -> int:
    """Make every combination of levels."""
    from twin_harness.control import make_schedule

    levels = [_numbers(getattr(arguments, name), name) for name in _LEVELS]
    return write_schedule(make_schedule.grid(*levels, duration_s=arguments.duration), arguments)


def _numbers(text: str | None, name: str) -> tuple[float, ...]:
    if not text:
        return ()
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        msg = (
            f"schedule grid: --{name.replace('_', '-')}: expected numbers such as 20,50,80 but got"
            f" {text!r}"
        )
        raise InvalidInput(msg) from None
