"""Labelled bars above a timeline: when each event or experiment was active."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twin_harness.report.drawing.canvas import INK, QUIET, SMALL_PT, plain
from twin_harness.report.drawing.matplotlib_settings import importing

with importing():
    from matplotlib.patches import Rectangle

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LANES = 8
_CHARACTER_OF_WIDTH = 0.0085  # of the strip's width, at the small size


@dataclass(frozen=True)
class Band:
    """One bar.

    Attributes:
        begin_s: where it begins.
        end_s: where it ends.
        label: what stands in it.
        colour: of the bar.
        is_certain: False for one that was planned and of which nothing more is known.
    """

    begin_s: float
    end_s: float
    label: str
    colour: str
    is_certain: bool = True


@dataclass
class Bands:
    """The bars of a timeline, put into lanes so that neither bars nor labels overlap.

    Attributes:
        begin_s: where the timeline begins.
        end_s: where it ends.
        bars: in the order in which they are put into lanes.
    """

    begin_s: float
    end_s: float
    bars: list[Band] = field(default_factory=list)

    def lane_numbers(self) -> list[int]:
        """Return the lane of each bar."""
        character_s = (self.end_s - self.begin_s) * _CHARACTER_OF_WIDTH
        widths_s = [character_s * (len(bar.label) + 1) if bar.label else 0.0 for bar in self.bars]
        return lanes(
            [
                (bar.begin_s, max(bar.end_s, bar.begin_s + width_s))
                for bar, width_s in zip(self.bars, widths_s, strict=True)
            ]
        )

    @property
    def shown_lanes(self) -> int:
        """How many lanes are drawn."""
        return max(1, min(max(self.lane_numbers(), default=0) + 1, MOST_LANES))

    @property
    def hidden(self) -> int:
        """How many bars find no lane."""
        return sum(lane >= MOST_LANES for lane in self.lane_numbers())

    def draw(self, axes: Axes) -> None:
        """Draw the bars, one lane a unit of y, downwards."""
        for bar, lane in zip(self.bars, self.lane_numbers(), strict=True):
            if lane >= MOST_LANES:
                continue
            face: dict[str, Any] = {"color": bar.colour, "alpha": 0.28, "linewidth": 0}
            if not bar.is_certain:
                face = {
                    "facecolor": "none",
                    "edgecolor": bar.colour,
                    "linestyle": (0, (2, 2)),
                    "linewidth": 1.0,
                }
            axes.add_patch(
                Rectangle((bar.begin_s, lane + 0.1), max(bar.end_s - bar.begin_s, 0.0), 0.8, **face)
            )
            axes.plot(
                [bar.begin_s, bar.begin_s], [lane + 0.1, lane + 0.9], color=bar.colour, linewidth=2
            )
            axes.text(
                bar.begin_s,
                lane + 0.52,
                plain(f" {bar.label}"),
                fontsize=SMALL_PT,
                color=INK,
                va="center",
                clip_on=True,
            )
        axes.set_ylim(self.shown_lanes, 0)
        axes.set_yticks([])
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color(QUIET)
        axes.tick_params(labelbottom=False, length=0)


def lanes(spans: list[tuple[float, float]]) -> list[int]:
    """Return a lane for each (begin, end) so that spans in one lane do not overlap.

    Few lanes, in order of begin.
    """
    ends: list[float] = []
    found = [0] * len(spans)
    for index in sorted(range(len(spans)), key=lambda i: spans[i]):
        begin, end = spans[index]
        lane = next(
            (number for number, busy_until in enumerate(ends) if busy_until <= begin), len(ends)
        )
        if lane == len(ends):
            ends.append(end)
        else:
            ends[lane] = end
        found[index] = lane
    return found
