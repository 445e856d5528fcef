"""Turn a pydantic ValidationError into one sentence: path, value, and what was expected."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from twin_harness.errors import InvalidInput
from twin_harness.shapes import shape as shapes

if TYPE_CHECKING:
    from collections.abc import Iterator

Model = TypeVar("Model", bound=BaseModel)


def refuse(path: str, message: str) -> NoReturn:
    """Refuse a value from within a pydantic validator.

    ``path`` is relative to the model that is checked.
    """
    raise PydanticCustomError("twin", "{message}", {"path": path, "message": message})


def validated(model: type[Model], data: object, source: str) -> Model:
    """Check data against a model and return its instance.

    Args:
        model: of the schedule file.
        data: unchecked, or made of instances.
        source: what messages begin with.

    Raises:
        InvalidInput: one sentence that names ``source``, the path within the data and the value.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        path, message = describe(error, model)
        # A list whose items were refused also counts as too short: that is no fault of its own.
        others = sum(fault["type"] != "too_short" for fault in error.errors(include_url=False)) - 1
        more = f" (and {others} more)" if others > 0 else ""
        place = f"{source}: {path}" if path else source
        msg = f"{place}: {message}{more}"
        raise InvalidInput(msg) from None


def describe(error: ValidationError, model: type[BaseModel]) -> tuple[str, str]:
    """Return path and message of the first fault of a validation."""
    fault = error.errors(include_url=False)[0]
    path, value, context = _path(fault["loc"]), fault.get("input"), fault.get("ctx", {})
    if fault["type"] == "twin":
        inner = context["path"]
        has_joint = path and inner and not inner.startswith("[")
        joint = "." if has_joint else ""
        return f"{path}{joint}{inner}", context["message"]
    if fault["type"].startswith("union_tag"):
        if isinstance(value, dict) and "kind" in value:
            found = f"{short(value.get('kind'))} is not a shape"
        else:
            found = "is missing"
        return f"{path}.kind", f"{found}; expected one of {', '.join(shapes.SHAPES)}"
    if fault["type"] == "extra_forbidden":
        known = ", ".join(_known_keys(model, fault["loc"]))
        return path, f"is not a known key; expected one of {known}"
    if fault["type"] == "missing":
        return path, "is missing; add it"
    if fault["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return path, f"{short(value)} is not an object; expected keys and values"
    return path, f"{short(value)} is not valid: {fault['msg'][0].lower()}{fault['msg'][1:]}"


def _path(location: tuple[int | str, ...]) -> str:
    path, before = "", None
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not (
            before == "shape"
            and part in shapes.SHAPES
            and (path == ".shape" or path.endswith("].shape"))
        ):
            # The tag of a union stands in the location, not in the file.
            path += f".{part if part.isprintable() else ascii(part)}"
        before = part if before != "shape" else None
    return path.lstrip(".")


def _known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the object that a location lies in."""
    kind = next(
        (
            after
            for before, after in pairwise(location)
            if before == "shape" and after in shapes.SHAPES
        ),
        None,
    )
    if kind is not None:
        return ["kind", *shapes.parameter_names(str(kind))]
    owner = model
    for part in location[:-1]:
        if part in owner.model_fields:
            owner = next(_models_in(owner.model_fields[str(part)].annotation), owner)
    return list(owner.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def short(value: object) -> str:
    """Return a value's representation, cut to what a line can hold."""
    text = repr(value)
    if len(text) <= 60:
        return text
    return f"{text[:57]}…"
