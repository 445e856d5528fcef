"""A run folder whose filesystem does not answer.

Nothing more is written there, and the sentence names it.
"""

import os
from types import SimpleNamespace

import pytest

from twin_harness.control import health as health_module
from twin_harness.control.execution import Execution
from twin_harness.control.health import DataHealth
from twin_harness.session import closing, opening
from twin_harness.session.config import TwinConfig
from twin_harness.session.seat import Seat
from twin_harness.session.session import Session
from twin_harness.system.child import readable_of, watch_process
from twin_harness.system.deadline import Unanswered
from twin_harness.system.registry import registry_path

SENTENCE = (
    "/data/run: its filesystem has not answered for 5 s (a lost network server, or a FUSE program"
    " that hangs); name a folder on another filesystem with --twin-data-dir, or repair this one"
)


class Board:
    """A board whose logger has written nothing for long."""

    def __init__(self):
        self.removed = []

    def dataset_state(self):
        return 0, 0.0, 0, (0.0, 0.0, 0.0)

    def remove_plan(self, slot):
        self.removed.append(slot)


@pytest.fixture
def site(monkeypatch):
    """A machine whose data folder is silent.

    A folder that is written to would raise.
    """
    monkeypatch.setattr(health_module.deadline, "is_mute", lambda _: True)
    site = SimpleNamespace(folder=SimpleNamespace(path="/data/run"), board=Board(), interval_s=0.1)
    site.admission = SimpleNamespace(note_load_gone=lambda **_: None)
    site.recorder = SimpleNamespace(end_experiment=lambda _: None)
    return site


def under_way(site, tripped=None):
    """An experiment under way there, and what closes its link."""
    closed = []
    link = SimpleNamespace(
        tripped=tripped,
        is_over=True,
        close=lambda: closed.append(True),
        is_clean=True,
        await_dead_load=lambda _: None,
    )
    planned = SimpleNamespace(begin_s=0.0, experiment=SimpleNamespace(name="x", events=()))
    execution = Execution(site, DataHealth(site), planned, link)
    execution._plan_slot = 3
    return execution, closed


def test_logger_that_is_held_by_it_is_no_riddle(site):
    """Not "the logger has written nothing" but the folder that does not answer.

    The sentence says which option names another.
    """
    data = DataHealth(site)
    with pytest.raises(Unanswered) as raised:
        data.check_sampling(0.0)
    assert str(raised.value) == SENTENCE
    assert data.was_mute


def test_guard_that_tripped_for_it_lets_nothing_be_written(site):
    """By default scratch is in the run folder: annotations would wait there for ever."""
    execution, _ = under_way(site, {"reason": "in other words", "is_mute": True})
    with pytest.raises(Unanswered) as raised:
        execution.account_for_lost(is_mute=False)
    assert str(raised.value) == SENTENCE


def test_load_is_ended_without_a_word_in_the_folder(site):
    """Breaking off ends host and guard and frees the board; nothing else is touched."""
    execution, closed = under_way(site)
    execution.break_off(Unanswered("/data/run", option="data-dir"))
    assert closed == [True]
    assert site.board.removed == [3]


def test_guard_that_tripped_for_anything_else_asks_nothing(site):
    """Whatever its sentence says."""
    execution, _ = under_way(
        site, {"reason": "it has not answered", "killed_s": 1.0, "clean_s": 0.9, "dead_s": 1.0}
    )
    execution.account_for_lost(is_mute=False)


# -- a session that begins or ends there -----------------------------------------------------------


@pytest.fixture
def config(tmp_path):
    return TwinConfig(has_report=False, data_dir=str(tmp_path / "data"))


@pytest.fixture
def opened(config, tmp_path):
    """A session that is open, and is closed by the test."""
    return Session.open(config, Seat.draw(config, tmp_path, "test"))


def interrupt(_):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("answer", "raised"), [(interrupt, KeyboardInterrupt), (lambda _: True, Unanswered)]
)
def test_end_on_a_mute_folder_leaves_nothing(opened, monkeypatch, answer, raised):
    """Silent, or interrupted while it is asked: logger, board and registry are gone."""
    opened.ensure_logger()
    end, stops = watch_process(opened.board.logger_pid), []

    def ask(folder):
        stops.append(opened.board.is_stopping)
        return answer(folder)

    monkeypatch.setattr(closing, "may_fall_silent", lambda _: True)
    monkeypatch.setattr(closing.deadline, "is_mute", ask)
    registry = registry_path(opened.board.path)
    assert registry.exists()
    with pytest.raises(raised):
        opened.close()
    assert stops == [True]  # before the question
    assert not opened.board.path.exists()
    assert not registry.exists()
    if end is not None:  # a kernel with pidfds
        assert readable_of([end], 10.0) == [end]
        os.close(end)


def test_local_folder_is_not_asked_about(config, tmp_path, monkeypatch):
    """Neither at the begin nor at the end: the question would take a process."""
    for module in (opening, closing):
        monkeypatch.setattr(module, "may_fall_silent", lambda _: False)
    monkeypatch.setattr(opening.deadline, "is_mute", interrupt)
    Session.open(config, Seat.draw(config, tmp_path, "test")).close()


def test_logger_that_lived_is_no_loss(opened):
    """Who lived is asked before they are asked to end."""
    opened.ensure_logger()
    opened.close()
    assert opened.folder.read_state()["status"] == "COMPLETE"


@pytest.mark.parametrize("option", ["data", "report"])
def test_session_that_begins_on_a_mute_folder_touches_nothing_there(
    config, tmp_path, monkeypatch, option
):
    """It is refused before its first touch, by the option that names another folder."""
    seat = Seat.draw(config, tmp_path, "test")
    folder = getattr(seat, f"{option}_dir")
    monkeypatch.setattr(opening, "may_fall_silent", lambda path: path == folder)
    monkeypatch.setattr(opening.deadline, "is_mute", lambda _: True)
    with pytest.raises(Unanswered) as raised:
        Session.open(config, seat)
    assert str(raised.value) == SENTENCE.replace("/data/run", folder).replace(
        "data-dir", f"{option}-dir"
    )
    assert not (tmp_path / "data").exists()
