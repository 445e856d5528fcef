"""SIGTERM and SIGHUP belong to the command ``twin``.

Nothing beneath it sets a handler of its own.
"""

import io
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from twin_harness.cli import experiments, main
from twin_harness.session import passive as record
from twin_harness.session import session, status
from twin_harness.session.config import TwinConfig

SIGNALS = [number for number in ("SIGTERM", "SIGHUP") if hasattr(signal, number)]


def handlers():
    """Return what the signals that end a command do."""
    return [signal.getsignal(getattr(signal, name)) for name in SIGNALS]


@pytest.fixture(
    params=[signal.SIG_DFL, signal.SIG_IGN, lambda *_: None], ids=["default", "ignored", "own"]
)
def before(request):
    """What they did before, the same for each."""
    kept = {name: signal.signal(getattr(signal, name), request.param) for name in SIGNALS}
    yield request.param
    for name, handler in kept.items():
        signal.signal(getattr(signal, name), handler)


def look(seen):
    """Return what stands in a function's place and looks at the handlers."""

    def stand_in(*_arguments, **_more):
        seen.append(handlers())
        return 0, 0

    return stand_in


@pytest.fixture
def seen(tmp_path, monkeypatch):
    """What was seen while loads ran or a log was taken; neither is."""
    seen = []
    made = SimpleNamespace(
        folder=SimpleNamespace(path=tmp_path), close=lambda **_: None, report_fault=""
    )
    line = SimpleNamespace(follow=lambda _: None, close=lambda: None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(session.Session, "open", lambda *_: made)
    monkeypatch.setattr(status.StatusLine, "on", lambda _: line)
    monkeypatch.setattr(experiments, "_run_in_turn", look(seen))
    monkeypatch.setattr(record, "_record", look(seen))
    return seen


def test_parts_used_as_a_library_leave_the_handlers_alone(before, seen):
    """A caller has its own; they are as they were while it runs and afterwards."""
    experiments.run_all([(None, None)], TwinConfig(has_report=False), is_quiet=True)
    record.record(None, TwinConfig(), None, print, io.StringIO())
    assert [*seen, handlers()] == [[before] * len(SIGNALS)] * 3


@pytest.mark.parametrize("line", ["stress cpu --level 1", "run plan.json"])
def test_a_command_ends_in_order_and_leaves_the_handlers_as_they_were(before, seen, line):
    """What is ignored stays ignored while loads run, and a handler of the caller stays his."""
    Path("plan.json").write_text(
        '{"format": "twin-schedule/1", "experiments": [{"name": "rest", "lead_s": 1, "tail_s": 0,'
        ' "events": []}]}'
    )
    main(line.split())
    within = signal.default_int_handler if before == signal.SIG_DFL else before
    assert seen == [[within] * len(SIGNALS)]
    assert handlers() == [before] * len(SIGNALS)


@pytest.mark.parametrize("name", SIGNALS)
def test_a_log_is_interrupted_by_either(monkeypatch, tmp_path, capsys, name):
    """As by Ctrl-C; afterwards the signal does what it did."""
    monkeypatch.chdir(tmp_path)

    def interrupted(*_, **__):
        os.kill(os.getpid(), getattr(signal, name))

    monkeypatch.setattr(record, "_record", interrupted)
    kept = signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        assert main(["log", "--out", "metrics.csv"]) == 130
        assert signal.getsignal(getattr(signal, name)) == signal.SIG_DFL
    finally:
        signal.signal(getattr(signal, name), kept)
    assert "interrupted" in capsys.readouterr().err
