"""Event, Experiment and Schedule: the plan, checked against itself.

pydantic models around the shapes. Files are untrusted: unknown and duplicate keys are refused by name, every number is finite and
bounded, and a trace file must lie in the schedule's own folder. Whether a machine can carry a plan is ``control/preflight.py``'s
question.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from twin_harness import shapes
from twin_harness.errors import InvalidInput

FORMAT = "twin-schedule/1"
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.,:/#\[\]-]{0,119}")
LONGEST_EVENT_S = 604_800
MOST_EVENTS = 1_000
LARGEST_TRACE_BYTES = 10 * 1024**2
LARGEST_SCHEDULE_BYTES = 64 * 1024**2
_SHORT = {"cpu": "cpu", "memory": "mem", "disk": "disk"}

Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Positive = Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Strict(), Field(ge=0, le=LONGEST_EVENT_S, allow_inf_nan=False)]
Fraction = Annotated[float, Strict(), Field(ge=0, le=1, allow_inf_nan=False)]
Whole = Annotated[int, Strict()]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def _refuse(path: str, message: str) -> NoReturn:
    """Refuse a value from within a pydantic validator; ``path`` is relative to the model that is checked."""
    raise PydanticCustomError("twin", "{message}", {"path": path, "message": message})


# -- shapes in a file ---------------------------------------------------------------------------------------------------------


class _Constant(_Model):
    kind: Literal["constant"]
    level_: Number = Field(alias="level")


class _Ramp(_Model):
    kind: Literal["ramp"]
    from_: Number = Field(alias="from")
    to: Number


class _Steps(_Model):
    kind: Literal["steps"]
    levels: Annotated[list[Number], Field(min_length=1, max_length=10_000)]


class _Sine(_Model):
    kind: Literal["sine"]
    mean: Number
    amplitude: Number
    period_s: Positive
    phase: Number = 0.0


class _Square(_Model):
    kind: Literal["square"]
    low: Number
    high: Number
    period_s: Positive
    duty: Fraction = 0.5


class _Spikes(_Model):
    kind: Literal["spikes"]
    base: Number
    height: Number
    width_s: Positive
    rate_per_minute: Positive
    seed: Annotated[int, Strict(), Field(ge=0, lt=2**63)] = 0

    @model_validator(mode="after")
    def _fits(self) -> _Spikes:
        if self.width_s > 60.0 / self.rate_per_minute:
            _refuse("width_s", f"{self.width_s:g} s is longer than the {60.0 / self.rate_per_minute:g} s between two spikes")
        return self


class _Leak(_Model):
    kind: Literal["leak"]
    start: Number
    rate_per_s: Number


class _Trace(_Model):
    kind: Literal["trace"]
    points: Annotated[list[tuple[Number, Number]], Field(max_length=1_000_000)] = Field(default_factory=list)
    file: str | None = None
    interpolation: Literal["linear", "previous"] = "linear"
    time_scale: Positive = 1.0
    level_scale: Number = 1.0

    @model_validator(mode="after")
    def _rises(self) -> _Trace:
        if not self.points and self.file is None:
            _refuse("points", "expected at least one (time, level) point, or a file")
        if self.points and self.points[0][0] < 0:
            _refuse("points[0]", f"time {self.points[0][0]:g} s is before the start of the event; times begin at 0")
        for index in range(1, len(self.points)):
            if self.points[index][0] <= self.points[index - 1][0]:
                _refuse(f"points[{index}]", f"time {self.points[index][0]:g} s does not come after {self.points[index - 1][0]:g} s")
        return self


_AnyShape = _Constant | _Ramp | _Steps | _Sine | _Square | _Spikes | _Leak | _Trace


def _to_shape(model: _AnyShape) -> shapes.Shape:
    return shapes.from_json(model.model_dump(by_alias=True))


def _from_shape(value: object) -> object:
    if isinstance(value, tuple(shapes.SHAPES.values())):
        return shapes.to_json(value)  # type: ignore[arg-type]  # every class in SHAPES is a Shape
    return value


if TYPE_CHECKING:
    ShapeField = shapes.Shape
else:
    ShapeField = Annotated[
        Annotated[_AnyShape, Field(discriminator="kind")],
        BeforeValidator(_from_shape),
        AfterValidator(_to_shape),
        PlainSerializer(shapes.to_json),
    ]


# -- options ------------------------------------------------------------------------------------------------------------------


class CpuOptions(_Model):
    """Options of CPU load: ``cpus``, the CPUs to load (all allowed ones unless given; levels are percent of these)."""

    cpus: Annotated[list[Annotated[int, Strict(), Field(ge=0, lt=4096)]], Field(min_length=1)] | None = None


class MemoryOptions(_Model):
    """Options of memory load: ``hold`` leaves filled pages alone, ``stir`` writes to each of them once a second."""

    pattern: Literal["hold", "stir"] = "hold"


class DiskOptions(_Model):
    """Options of disk load; direct I/O in 256 KiB blocks, sequential, unless said otherwise."""

    operation: Literal["write", "read", "mixed"] = "write"
    pattern: Literal["sequential", "random"] = "sequential"
    block_bytes: Annotated[int, Strict(), Field(ge=4096, le=16 * 1024**2, multiple_of=4096)] = 262_144
    direct: bool = True
    fsync_every_bytes: Annotated[int, Strict(), Field(ge=4096, le=1024**3)] = 4 * 1024**2
    file_bytes: Annotated[int, Strict(), Field(ge=1024**2, le=1024**4, multiple_of=4096)] = 128 * 1024**2

    @model_validator(mode="after")
    def _fits(self) -> DiskOptions:
        if self.block_bytes > self.file_bytes:
            _refuse("block_bytes", f"{self.block_bytes} is above file_bytes, {self.file_bytes}")
        if not self.direct and self.operation != "write":
            _refuse("direct", f"false with operation {self.operation!r} would read the page cache, not the disk; expected true")
        return self


_OPTIONS: dict[str, type[_Model]] = {"cpu": CpuOptions, "memory": MemoryOptions, "disk": DiskOptions}
UNITS: dict[str, tuple[str, ...]] = {"cpu": ("percent",), "memory": ("percent", "bytes"), "disk": ("bytes_per_s", "operations_per_s")}


# -- the plan -----------------------------------------------------------------------------------------------------------------


class Event(_Model):
    """One load on one resource: a shape of level over ``duration_s`` seconds, from ``start_s`` on the events' clock.

    Levels are in ``unit``: percent of the machine for cpu, percent or bytes for memory, bytes_per_s or operations_per_s for disk.
    """

    id: str = ""
    stressor: Literal["cpu", "memory", "disk"]
    start_s: NotNegative = 0.0
    duration_s: Annotated[float, Strict(), Field(gt=0, le=LONGEST_EVENT_S, allow_inf_nan=False)]
    shape: ShapeField
    unit: str = ""
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_consistent(self) -> Event:
        if self.id and (not NAME_PATTERN.fullmatch(self.id) or "/" in self.id):
            _refuse("id", f"{self.id!r} is no name; expected letters, digits and _.,:#[]- and no slash, at most 120 characters")
        self._check_unit()
        self._check_options()
        if not isinstance(self.shape, shapes.Trace) or self.shape.points:
            self._check_levels()
        return self

    def _check_unit(self) -> None:
        allowed = UNITS[self.stressor]
        if self.stressor == "memory" and not self.unit:
            _refuse("unit", "is missing; expected 'percent' or 'bytes' for memory")
        if not self.unit:
            object.__setattr__(self, "unit", allowed[0])
        if self.unit not in allowed:
            _refuse("unit", f"{self.unit!r} does not fit {self.stressor}; expected {' or '.join(map(repr, allowed))}")

    def _check_options(self) -> None:
        try:
            _OPTIONS[self.stressor].model_validate(self.options)
        except ValidationError as error:
            path, message = describe(error, _OPTIONS[self.stressor])
            _refuse(f"options.{path}" if path else "options", message)

    def _check_levels(self) -> None:
        highest = 100.0 if self.unit == "percent" else float("inf")
        for path, level in _witnesses(self.shape, self.duration_s):
            if level < 0:
                _refuse(f"shape.{path}", f"{level:g} is below 0 {self.unit}")
            if level > highest:
                _refuse(f"shape.{path}", f"{level:g} is above 100 percent")

    @property
    def end_s(self) -> float:
        """When the event ends on the events' clock."""
        return self.start_s + self.duration_s

    def level(self, t_s: float) -> float:
        """Return the planned level, in ``unit``, ``t_s`` seconds after the event's start; 0 outside it."""
        return self.shape.level(t_s, self.duration_s) if 0 <= t_s < self.duration_s else 0.0

    def mean(self) -> float:
        """Return the planned mean level over the event, in ``unit``."""
        return self.shape.area(self.duration_s, self.duration_s) / self.duration_s

    def scale(self, cpu_capacity: float, memory_limit_bytes: float) -> float:
        """Return what one unit of this event's level is in the unit of its resource's dataset column (percent, bytes, bytes/s)."""
        if self.stressor == "cpu" and (cpus := self.option("cpus")):
            return len(set(cpus)) / cpu_capacity
        if self.stressor == "memory" and self.unit == "percent":
            return memory_limit_bytes / 100.0
        return float(self.option("block_bytes")) if self.unit == "operations_per_s" else 1.0

    def resolved_options(self) -> dict[str, Any]:
        """Return every option with its default filled in."""
        return _OPTIONS[self.stressor].model_validate(self.options).model_dump()

    def option(self, name: str) -> Any:
        """Return an option, its default unless given."""
        return getattr(_OPTIONS[self.stressor].model_validate(self.options), name)


def _witnesses(shape: shapes.Shape, duration_s: float) -> list[tuple[str, float]]:
    """Return the levels that bound a shape, each with the parameter to blame."""
    direct = {"constant": {"level": "level_"}, "ramp": {"from": "from_", "to": "to"}, "square": {"low": "low", "high": "high"}}
    if shape.kind in direct:
        return [(path, getattr(shape, field)) for path, field in direct[shape.kind].items()]
    if isinstance(shape, shapes.Steps):
        return [(f"levels[{index}]", level) for index, level in enumerate(shape.levels)]
    if isinstance(shape, shapes.Trace):
        return [(f"points[{index}]", level * shape.level_scale) for index, (_, level) in enumerate(shape.points)]
    first = {"sine": "mean", "spikes": "base", "leak": "start"}[shape.kind]
    second = {"sine": "amplitude", "spikes": "height", "leak": "rate_per_s"}[shape.kind]
    low, high = shape.extremes(duration_s)
    return [(first, getattr(shape, first)), (second, low), (second, high)]


class Experiment(_Model):
    """A named set of events with quiet time around them.

    ``lead_s`` and ``tail_s`` are recorded before and after; ``settle_s`` is the longest wait before the lead for the machine to fall
    idle; ``tolerance`` (``"5%"``) fails the experiment when any event's mean delivered load is further from the plan.
    """

    name: str = "experiment"
    lead_s: NotNegative = 1.0
    tail_s: NotNegative = 1.0
    share: bool = False
    settle_s: NotNegative = 0.0
    tolerance: str | None = None
    events: Annotated[tuple[Event, ...], Field(max_length=MOST_EVENTS)] = ()

    @model_validator(mode="after")
    def _is_consistent(self) -> Experiment:
        if not NAME_PATTERN.fullmatch(self.name):
            _refuse("name", f"{self.name!r} is no name; expected letters, digits, blanks and _.,:/#[]-, at most 120 characters")
        if self.tolerance is not None and not re.fullmatch(r"[0-9]+(\.[0-9]+)?\s*%", self.tolerance):
            _refuse("tolerance", f"{self.tolerance!r} is no percent; expected e.g. '5%'")
        if not self.events and self.lead_s + self.tail_s <= 0:
            _refuse("events", "is empty and so are lead_s and tail_s; expected an event, or quiet time to record")
        object.__setattr__(self, "events", _with_ids(self.events))
        return self

    @property
    def span_s(self) -> float:
        """Seconds from the first event's clock zero to the end of the last event."""
        return max((event.end_s for event in self.events), default=0.0)

    @property
    def duration_s(self) -> float:
        """Planned seconds in all, lead and tail included."""
        return self.lead_s + self.span_s + self.tail_s

    @property
    def tolerance_percent(self) -> float | None:
        """The tolerance as a number."""
        return float(self.tolerance.rstrip("% ")) if self.tolerance else None

    def event(self, event_id: str) -> Event:
        """Return the event of that id.

        Raises:
            InvalidInput: there is none; the message lists those there are.
        """
        for event in self.events:
            if event.id == event_id:
                return event
        msg = f"event {event_id!r} is not in experiment {self.name!r}; expected one of {', '.join(e.id for e in self.events) or 'none'}"
        raise InvalidInput(msg)

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as it stands in ``schedule.json``."""
        data = self.model_dump(mode="json", by_alias=True)
        for event in data["events"]:
            if not event["options"]:
                del event["options"]
        return data

    def hash(self) -> str:
        """Return the SHA-256 of the canonical JSON without the name, traces inlined: equal plans have equal hashes."""
        data = self.to_json()
        del data["name"]
        return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _with_ids(events: tuple[Event, ...]) -> tuple[Event, ...]:
    """Name the events that have no id (``cpu-0``, ``mem-0`` …) and refuse ids that stand twice."""
    taken = {event.id for event in events if event.id}
    named, seen = [], set()
    for index, event in enumerate(events):
        event_id = event.id
        if not event_id:
            count = 0
            while (event_id := f"{_SHORT[event.stressor]}-{count}") in taken:
                count += 1
            taken.add(event_id)
        if event_id in seen:
            _refuse(f"events[{index}].id", f"{event_id!r} stands twice; expected ids unique within an experiment")
        seen.add(event_id)
        named.append(event.model_copy(update={"id": event_id}))
    return tuple(named)


class Schedule(_Model):
    """The content of a ``schedule.json``."""

    format: Literal["twin-schedule/1"] = FORMAT
    seed: Annotated[int, Strict(), Field(ge=0)] | None = None
    generator: dict[str, Any] = Field(default_factory=dict)
    experiments: Annotated[tuple[Experiment, ...], Field(min_length=1, max_length=100_000)]

    @classmethod
    def of(cls, *experiments: Experiment) -> Schedule:
        """Make a schedule of experiments."""
        return _checked(cls, {"experiments": experiments}, "Schedule.of()")

    @classmethod
    def from_json(cls, data: object, *, folder: Path | None = None, source: str = "schedule") -> Schedule:
        """Check plain data; trace files are read from within ``folder``.

        Raises:
            InvalidInput: one sentence that names the path within the data and the value.
        """
        if isinstance(data, dict) and str(data.get("format", FORMAT)) != FORMAT:
            msg = f"{source}: format: {data['format']!r} is not one this version reads; expected {FORMAT!r}, or upgrade twin-harness"
            raise InvalidInput(msg)
        if folder is not None:
            _inline_traces(data, folder, source)
        return _checked(cls, data, source)

    @classmethod
    def read(cls, path: str | Path) -> Schedule:
        """Read and check a schedule file.

        Raises:
            InvalidInput: the file is missing, too large, no JSON, or no schedule; one sentence that names path and value.
        """
        path = Path(path)
        return cls.from_json(_read_json(path), folder=path.resolve().parent, source=str(path))

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as it stands in ``schedule.json``."""
        data = self.model_dump(mode="json", by_alias=True, exclude={"experiments"})
        return {**data, "experiments": [experiment.to_json() for experiment in self.experiments]}

    def write(self, path: str | Path) -> None:
        """Write the file."""
        Path(path).write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    for key, value in pairs:
        if key in keys:
            msg = f"key {key!r} stands twice in one object; give it once"
            raise InvalidInput(msg)
        keys[key] = value
    return keys


def _no_constant(name: str) -> NoReturn:
    msg = f"{name} is no finite number; JSON numbers are finite"
    raise InvalidInput(msg)


def _read_json(path: Path) -> object:
    try:
        if path.stat().st_size > LARGEST_SCHEDULE_BYTES:
            msg = f"{path}: {path.stat().st_size} bytes is above the limit of {LARGEST_SCHEDULE_BYTES}; split the schedule"
            raise InvalidInput(msg)
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except InvalidInput as error:
        msg = str(error) if str(error).startswith(str(path)) else f"{path}: {error}"
        raise InvalidInput(msg) from None
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror}); expected a schedule.json"
    except RecursionError:
        msg = f"{path}: is nested too deeply; expected a schedule.json"
    except ValueError as error:
        msg = f"{path}: is no JSON ({error}); expected a schedule.json"
    raise InvalidInput(msg)


def _inline_traces(data: object, folder: Path, source: str) -> None:
    """Replace the ``file`` of every trace by its points; the file must be a regular one within ``folder`` after resolving links."""
    experiments = data.get("experiments") if isinstance(data, dict) else None
    for i, experiment in enumerate(experiments if isinstance(experiments, list) else []):
        events = experiment.get("events") if isinstance(experiment, dict) else None
        for k, event in enumerate(events if isinstance(events, list) else []):
            shape = event.get("shape") if isinstance(event, dict) else None
            if isinstance(shape, dict) and shape.get("kind") == "trace" and isinstance(shape.get("file"), str):
                where = f"{source}: experiments[{i}].events[{k}].shape.file"
                path = (folder / shape["file"]).resolve()
                if not path.is_relative_to(folder):
                    msg = f"{where}: {shape['file']!r} lies outside the schedule's own folder; copy it there"
                    raise InvalidInput(msg)
                shape["points"] = read_trace(path, where)
                del shape["file"]


def read_trace(path: Path, where: str) -> list[list[float]]:
    """Read a trace: CSV lines of time in s and level, a heading line allowed.

    Raises:
        InvalidInput: it is no regular file, too large, or a line is not two numbers.
    """
    if not path.is_file():
        msg = f"{where}: {path.name!r} is no regular file; expected CSV lines of seconds,level"
        raise InvalidInput(msg)
    if path.stat().st_size > LARGEST_TRACE_BYTES:
        msg = f"{where}: {path.name!r} has {path.stat().st_size} bytes; expected at most {LARGEST_TRACE_BYTES}"
        raise InvalidInput(msg)
    points = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines()):
        cells = line.split(",")
        try:
            points.append([float(cells[0]), float(cells[1])])
        except (ValueError, IndexError):
            if number == 0:
                continue
            msg = f"{where}: line {number + 1} of {path.name!r} is {line[:40]!r}; expected seconds,level"
            raise InvalidInput(msg) from None
    return points


def _checked(model: type[Any], data: object, source: str) -> Any:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        path, message = describe(error, model)
        others = sum(fault["type"] != "too_short" for fault in error.errors(include_url=False)) - 1  # a list of refused items also counts as short
        more = f" (and {others} more)" if others > 0 else ""
        msg = f"{source}: {path}: {message}{more}" if path else f"{source}: {message}{more}"
        raise InvalidInput(msg) from None


def describe(error: ValidationError, model: type[BaseModel]) -> tuple[str, str]:
    """Return path and message of the first fault of a validation."""
    fault = error.errors(include_url=False)[0]
    path = ""
    for part in fault["loc"]:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not (part in shapes.SHAPES and path.endswith("shape")):
            path += f".{part}"
    path = path.lstrip(".")
    value, kind, context = fault.get("input"), fault["type"], fault.get("ctx", {})
    if kind == "twin":
        inner = context["path"]
        joint = "" if not path or not inner or inner.startswith("[") else "."
        return f"{path}{joint}{inner}", context["message"]
    if kind == "missing":
        return path, "is missing; add it"
    if kind == "extra_forbidden":
        return path, f"is no known key; expected one of {', '.join(_known_keys(model, fault['loc']))}"
    if kind == "union_tag_invalid":
        return f"{path}.kind", f"{value.get('kind')!r} is no shape; expected one of {', '.join(shapes.SHAPES)}"  # type: ignore[union-attr]  # the tag was read from it
    if kind == "union_tag_not_found":
        return f"{path}.kind", f"is missing; expected one of {', '.join(shapes.SHAPES)}"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return path, f"{_short(value)} is no object; expected keys and values"
    return path, f"{_short(value)} is not valid: {fault['msg'][0].lower()}{fault['msg'][1:]}"


def _known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    if "shape" in location:
        kind = str(location[location.index("shape") + 1])
        return ["kind", *shapes.parameter_names(kind)]
    owner: type[BaseModel] = model
    for part in location[:-1]:
        owner = {"experiments": Experiment, "events": Event}.get(str(part), owner)  # type: ignore[assignment]  # both are models
    return list(owner.model_fields)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"  # noqa: PLR2004 - a line's worth


# -- builders -----------------------------------------------------------------------------------------------------------------


def _event(stressor: str, shape: object, start_s: float, duration_s: float, event_id: str | None, unit: str, options: dict[str, Any]) -> Event:
    if isinstance(shape, (int, float)) and not isinstance(shape, bool):
        shape = shapes.constant(float(shape))
    if not isinstance(shape, tuple(shapes.SHAPES.values())):
        msg = f"{stressor}(): expected a number or a shape such as ramp(0, 80) but got shape={_short(shape)} (type={type(shape).__name__})"
        raise InvalidInput(msg)
    if isinstance(shape, shapes.Trace) and shape.file is not None and not shape.points:
        points = read_trace(Path(shape.file), f"{stressor}(): shape.file")
        shape = shapes.trace(
            [(t_s, level) for t_s, level in points],
            interpolation=shape.interpolation,
            time_scale=shape.time_scale,
            level_scale=shape.level_scale,
        )
    data = {"id": event_id or "", "stressor": stressor, "start_s": start_s, "duration_s": duration_s, "shape": shape, "unit": unit, "options": options}
    event: Event = _checked(Event, data, f"{stressor}()")
    return event


def cpu(shape: shapes.Shape | float, *, start_s: float = 0, duration_s: float, id: str | None = None, **options: Any) -> Event:  # noqa: A002 - the key's own name; options are checked by name
    """Plan CPU load in percent of the machine; a number is a constant level. Options: see ``CpuOptions``.

    Raises:
        InvalidInput: a value is out of range, or an option unknown.
    """
    return _event("cpu", shape, start_s, duration_s, id, "percent", options)


def memory(shape: shapes.Shape | float, *, start_s: float = 0, duration_s: float, id: str | None = None, unit: str = "percent", **options: Any) -> Event:  # noqa: A002 - as for cpu
    """Plan memory load in percent of the machine's limit, or in bytes with ``unit="bytes"``. Options: see ``MemoryOptions``.

    Raises:
        InvalidInput: a value is out of range, or an option unknown.
    """
    return _event("memory", shape, start_s, duration_s, id, unit, options)


def disk(shape: shapes.Shape | float, *, start_s: float = 0, duration_s: float, id: str | None = None, unit: str = "bytes_per_s", **options: Any) -> Event:  # noqa: A002 - as for cpu
    """Plan disk load in bytes per second, or in operations with ``unit="operations_per_s"``. Options: see ``DiskOptions``.

    Raises:
        InvalidInput: a value is out of range, or an option unknown.
    """
    return _event("disk", shape, start_s, duration_s, id, unit, options)


def plan(
    *events: Event,
    name: str | None = None,
    lead_s: float = 1,
    tail_s: float = 1,
    share: bool = False,
    settle_s: float = 0,
    tolerance: str | None = None,
) -> Experiment:
    """Make an experiment of events.

    Raises:
        InvalidInput: a value is out of range, or two events have one id.
    """
    for index, event in enumerate(events):
        if not isinstance(event, Event):
            msg = f"plan(): expected events made by cpu(), memory() or disk() but got events[{index}]={_short(event)} (type={type(event).__name__})"
            raise InvalidInput(msg)
    data = {
        "name": name or "experiment",
        "lead_s": lead_s,
        "tail_s": tail_s,
        "share": share,
        "settle_s": settle_s,
        "tolerance": tolerance,
        "events": events,
    }
    experiment: Experiment = _checked(Experiment, data, "plan()")
    return experiment
