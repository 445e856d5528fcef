"""matplotlib, whatever the user's settings are.

His backend, matplotlibrc, style sheets and rcParams are neither followed nor changed.

A pytest process is shared with the tests of a project, which may draw, too. So ours is drawn with
matplotlib's defaults, which are put in place for the time of one figure. They are the process's
own, so that figures are drawn one after another.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import warnings
from contextlib import contextmanager
from functools import cache, wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_P = ParamSpec("_P")
_T = TypeVar("_T")
_VARIABLE = "MPLBACKEND"
_LEFT_ALONE = (
    "backend",
    "backend_fallback",
    "interactive",
    "toolbar",
    "webagg.",
    "date.epoch",
)  # of windows and of the process
_drawing = threading.RLock()


@contextmanager
def importing() -> Iterator[None]:
    """Import matplotlib, or what imports it, without the backend that the environment names.

    One that is not there fails the import.

    What a first import would have made of that name is made up for, so that the user's own pyplot
    finds it.
    """
    named = os.environ.pop(_VARIABLE, None)
    is_first = "matplotlib" not in sys.modules
    try:
        yield
    finally:
        if named is not None:
            os.environ[_VARIABLE] = named
    if named and is_first:
        import matplotlib as mpl

        with contextlib.suppress(ValueError):
            mpl.rcParams["backend"] = named


@cache
def _defaults() -> dict[str, object]:
    """Return matplotlib's defaults, but for those of windows and processes."""
    import matplotlib as mpl

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of settings that are on their way out
        return {
            name: mpl.rcParamsDefault[name]
            for name in mpl.rcParamsDefault
            if not name.startswith(_LEFT_ALONE)
        }


@contextmanager
def _default_settings() -> Iterator[None]:
    import matplotlib as mpl

    with _drawing:
        defaults = _defaults()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # its names are literals there
            settings = mpl.rc_context(defaults)  # type: ignore[arg-type]
            settings.__enter__()
        # What reads all settings, as a box plot does, has matplotlib look for a window system where
        # none has been chosen yet. As a plain dict, because reading this one by its name does the
        # same.
        backend = dict.__getitem__(mpl.rcParams, "backend")
        dict.__setitem__(mpl.rcParams, "backend", "agg")
        try:
            yield
        finally:
            dict.__setitem__(mpl.rcParams, "backend", backend)
            settings.__exit__(None, None, None)


def with_default_settings(draw: Callable[_P, _T]) -> Callable[_P, _T]:
    """Have a function draw with matplotlib's defaults, and put back what was there."""

    @wraps(draw)
    def draw_with_defaults(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with _default_settings():
            return draw(*args, **kwargs)

    return draw_with_defaults
