"""Fixtures of the real-load tests: an open session on a folder of its own."""

import pytest

from twin_harness.control.limits import parse_guard
from twin_harness.session.config import TwinConfig
from twin_harness.session.seat import Seat
from twin_harness.session.session import Session


@pytest.fixture
def open_session(tmp_path):
    """Open a session with settings; it is closed at the end whatever happened."""
    opened = []

    def make(**settings):
        settings.setdefault(
            "tolerance", "none"
        )  # what is delivered is what these tests look at themselves
        guard = parse_guard(settings.pop("guard", "memory_available=5%,disk_free=100MiB"))
        config = TwinConfig(
            has_report=False, guard=guard, data_dir=str(tmp_path / "data"), **settings
        )
        session = Session.open(config, Seat.draw(config, tmp_path, "test"))
        opened.append(session)
        return session

    yield make
    for session in opened:
        if session.board.path.exists():
            session.close()


@pytest.fixture
def session(open_session):
    """A session with default settings."""
    return open_session()
