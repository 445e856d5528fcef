"""Stressors that projects bring.

Found by entry point, in their own unit, and never instead of ours.
"""

import pytest

from twin_harness.errors import InvalidInput
from twin_harness.schedule import event_options
from twin_harness.schedule.builders import custom, plan
from twin_harness.schedule.model import Schedule


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a project that brings a stressor ``sockets``, and one that calls itself ``cpu``."""
    folder = tmp_path / "lab_sockets-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-sockets\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(
        "[twin_harness.stressors]\nsockets = lab_sockets:make\ncpu = lab_sockets:steal\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    event_options.custom_stressors.cache_clear()
    yield
    event_options.custom_stressors.cache_clear()


@pytest.mark.usefixtures("installed")
def test_stressor_of_a_project_is_known():
    """Its events have its own unit and options, and survive a file."""
    event = custom("sockets", 40, duration_s=5, unit="connections", port=8080)
    assert (event.unit, event.level(1.0), event.options) == ("connections", 40.0, {"port": 8080})
    experiment = plan(event)
    assert experiment.events[0].id == "sockets-0"
    assert Schedule.from_json({"experiments": [experiment.to_json()]}).experiments[0] == experiment
    assert event_options.custom_stressors() == {"sockets": "lab_sockets:make"}


def test_unknown_stressor_is_refused():
    """The message lists what there is."""
    with pytest.raises(
        InvalidInput,
        match="stressor: 'sockets' is unknown; expected one of cpu, memory, disk, command",
    ):
        custom("sockets", 40, duration_s=5)
