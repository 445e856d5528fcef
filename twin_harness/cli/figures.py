"""Where the figures of a command go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path


def figure_places(path: Path, count: int) -> list[Path]:
    """Return where the figures of some experiments go.

    Args:
        path: as it was asked for.
        count: of experiments; from two on each has its number before the ending.

    Raises:
        InvalidInput: it is no PNG.
    """
    if path.suffix not in ("", ".png"):
        msg = f"--figure: expected a file that ends in .png but got {str(path)!r}"
        raise InvalidInput(msg)
    if count == 1:
        return [path]
    return [
        path.with_name(f"{path.stem}-{number}{path.suffix or '.png'}") for number in range(count)
    ]
