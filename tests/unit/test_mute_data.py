"""A run folder whose filesystem does not answer: nothing more is written there, and the sentence names it."""

from types import SimpleNamespace

import pytest

from twin_harness.control import runner as runner_module
from twin_harness.control.runner import ServerRunner
from twin_harness.deadline import Unanswered

SENTENCE = (
    "/data/run: its filesystem has not answered for 5 s (a lost network server, or a FUSE program that hangs); "
    "name a folder on another one with --twin-data-dir, or have it answer"
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
def server(monkeypatch):
    """A runner on a machine whose data folder is silent; a folder that is written to would raise."""
    monkeypatch.setattr(runner_module.deadline, "is_mute", lambda _: True)
    return ServerRunner(SimpleNamespace(folder=SimpleNamespace(path="/data/run"), board=Board(), interval_s=0.1))


def running(tripped=None):
    closed = []
    link = SimpleNamespace(
        tripped=tripped,
        is_over=True,
        close=lambda: closed.append(True),
        await_dead_load=lambda _: None,
    )
    return SimpleNamespace(planned=SimpleNamespace(begin_s=0.0), link=link, plan_slot=3, closed=closed, waiting={})


def test_logger_that_is_held_by_it_is_no_riddle(server):
    """Not "the logger has written nothing" but the folder that does not answer, and the option that names another."""
    with pytest.raises(Unanswered) as raised:
        server._check_sampling(running())
    assert str(raised.value) == SENTENCE


def test_guard_that_tripped_for_it_lets_nothing_be_written(server):
    """By default scratch is in the run folder: annotations would wait there for ever."""
    with pytest.raises(Unanswered) as raised:
        server._account_for_lost(running({"reason": "disk_free cannot be read in /data/run/scratch: it has not answered for 5 s"}), is_mute=False)
    assert str(raised.value) == SENTENCE


def test_load_is_ended_without_a_word_in_the_folder(server):
    """Breaking off ends host and guard and frees the board; nothing else is touched."""
    under_way = running()
    server._break_off(under_way, Unanswered("/data/run", option="data-dir"))
    assert under_way.closed == [True]
    assert server._site.board.removed == [3]
