"""A project's own stressor.

Found by its entry point, imported in the load host, led through its life like ours.
"""

from __future__ import annotations

import importlib
import sys
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from twin_harness.stress.load import Load, Stressor


def find_stressor(reference: str, path: list[str]) -> Callable[[Load], Stressor]:
    """Return what makes a stressor of a load.

    Args:
        reference: ``module:object`` of the entry point.
        path: where the project's modules are looked for, after our own.

    Raises:
        ImportError, AttributeError: there is no such module or object.
    """
    sys.path.extend(folder for folder in path if folder not in sys.path)
    module, _, names = reference.partition(":")
    # What an entry point names is taken at its word.
    maker: Callable[[Load], Stressor] = attrgetter(names)(importlib.import_module(module))
    return maker
