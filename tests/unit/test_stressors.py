"""Whatever lists stressors or resources lists all of them: what is forgotten is named here."""

import pandas as pd
import pytest

import twin_harness
from twin_harness.metrics import RESOURCE_COLUMNS, by_name
from twin_harness.report.drawing.canvas import COLOUR_OF
from twin_harness.report.drawing.panels import ACTIVE_LOADS
from twin_harness.report.drawing.timelines import _resource_panels
from twin_harness.report.sections import dynamics, experiments, fidelity, levels
from twin_harness.runs.frames import _SUMMED
from twin_harness.schedule import builders
from twin_harness.schedule.event_options import OPTIONS, UNITS
from twin_harness.system.board_layout import KINDS
from twin_harness.telemetry.load_account import Account

# Places that hold every stressor of ours, and places that hold those with columns of their own.
OF_A_STRESSOR = {
    "system/board_layout.py: KINDS": KINDS,
    "schedule/event_options.py: UNITS": UNITS,
    "schedule/builders.py": vars(builders),
    "__init__.py: _HOME_OF": twin_harness.__all__,
}
OF_A_RESOURCE = {
    "report/drawing/canvas.py: COLOUR_OF": COLOUR_OF,
    "report/drawing/panels.py: ACTIVE_LOADS": ACTIVE_LOADS,
    "report/drawing/timelines.py: _resource_panels": [
        panel.stressor for panel in _resource_panels("", {}, pd.DataFrame())
    ],
    "report/sections/dynamics.py: _RESPONSE_OF": dynamics._RESPONSE_OF,
    "report/sections/experiments.py: _RESPONSE_OF": experiments._RESPONSE_OF,
    "report/sections/fidelity.py: _PANEL_OF": fidelity._PANEL_OF,
    "report/sections/levels.py: _PANELS": levels._PANELS,
    "telemetry/load_account.py: Account": [
        name.removesuffix("_requested") for name in Account._fields if "_requested" in name
    ],
}


@pytest.mark.parametrize("place", OF_A_STRESSOR)
def test_every_stressor_stands_there(place):
    """One that is missing fails in use: the load host dies, or it cannot be planned."""
    assert [name for name in OPTIONS if name not in OF_A_STRESSOR[place]] == []


@pytest.mark.parametrize("place", OF_A_RESOURCE)
def test_every_resource_stands_there(place):
    """One that is missing is not drawn, or its report cannot be."""
    assert [name for name in RESOURCE_COLUMNS if name not in OF_A_RESOURCE[place]] == []


def test_loads_in_bytes_are_summed_over_the_parts_of_a_machine():
    """A percent is a mean over parts; bytes and bytes per second add up."""
    in_bytes = [
        name
        for pair in RESOURCE_COLUMNS.values()
        for name in pair
        if by_name(name).unit in ("bytes", "bytes/s")
    ]
    assert sorted(_SUMMED) == sorted(in_bytes)
