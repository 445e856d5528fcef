"""Messages between processes: what the writer makes is, through JSON, what the reader takes.

Keys and types are held against the annotations of the message types.
"""

import json
import os
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints

import pytest

from twin_harness.control import guard, host_link
from twin_harness.control.host_link import HostLink
from twin_harness.control.limits import parse_guard
from twin_harness.control.site import Site
from twin_harness.control.watched_limits import limits_to_watch
from twin_harness.runs.records import PlannedExperiment
from twin_harness.schedule import builders
from twin_harness.schedule.model import Experiment
from twin_harness.stress.hosted_event import HostedEvent
from twin_harness.stress.load import Load, follow
from twin_harness.stress.stressors import Stressors
from twin_harness.system.board import Board
from twin_harness.system.clock import SystemClock
from twin_harness.system.guard_messages import (
    DeadAnswer,
    GroupLine,
    GuardAnswer,
    GuardPlan,
    GuardStart,
    TrippedAnswer,
)
from twin_harness.system.load_messages import (
    BoardPlan,
    EndedAnswer,
    HostAnswer,
    HostPlan,
    HostStart,
    ProcessLine,
    StopLine,
    ZeroLine,
)
from twin_harness.system.machine import inspect_machine
from twin_harness.system.telemetry_messages import (
    LoggerAccount,
    LoggerSettings,
    MachineFacts,
    ProbeSettings,
    TelemetryReady,
)
from twin_harness.telemetry import probe, psutil_logger
from twin_harness.telemetry.logger_account import AccountFile
from twin_harness.telemetry.planned_load import PlannedWindow
from twin_harness.telemetry.psutil_logger import Logger
from twin_harness.telemetry.start import Telemetry

EXPERIMENT = Experiment(
    name="all",
    events=(
        builders.cpu(20, duration_s=1),
        builders.memory(1, duration_s=1),
        builders.disk(1e6, duration_s=1),
        builders.command(["sleep", "9"], duration_s=1, start_s=1, env=["PATH"]),
    ),
)
OPEN_TYPES = (MachineFacts,)  # more may stand there


def fault_of(value, kind, where="message"):
    """Return what is wrong with a value, held against a type; nothing where it conforms."""
    if kind is Any:
        return ""
    if get_origin(kind) in (Union, types.UnionType):
        faults = [fault_of(value, one, where) for one in get_args(kind)]
        return "" if "" in faults else " and ".join(faults)
    if get_origin(kind) is Literal:
        return "" if value in get_args(kind) else f"{where} is {value!r}, not {get_args(kind)}"
    if get_origin(kind) is list:
        rest = [fault_of(entry, get_args(kind)[0], f"{where}[]") for entry in value]
        return next(filter(None, rest), "")
    if get_origin(kind) is dict:
        rest = [
            fault_of(entry, get_args(kind)[1], f"{where}[{key}]") for key, entry in value.items()
        ]
        return next(filter(None, rest), "")
    if hasattr(kind, "__required_keys__"):
        return fault_of_keys(value, kind, where)
    fitting = {float: (int, float), types.NoneType: type(None)}.get(kind, kind)
    is_bool = isinstance(value, bool) and kind is not bool
    return "" if isinstance(value, fitting) and not is_bool else f"{where} is {value!r}, no {kind}"


def fault_of_keys(value, kind, where):
    hints = get_type_hints(kind, include_extras=True)
    for key, hint in hints.items():
        inner = get_args(hint)[0] if get_origin(hint) is NotRequired else hint
        if key not in value and inner is hint:
            return f"{where} lacks {key}"
        if key in value and (fault := fault_of(value[key], inner, f"{where}.{key}")):
            return fault
    unknown = value.keys() - hints.keys()
    return f"{where} has unknown {unknown}" if unknown and kind not in OPEN_TYPES else ""


def received(message, kind):
    """Return a message as its reader gets it, once it conforms to its type."""
    copy = json.loads(json.dumps(message))
    assert fault_of(copy, kind) == ""
    return copy


@pytest.fixture
def board():
    made = Board.create()
    yield made
    made.close(unlink=True)


@pytest.fixture
def site(board, tmp_path):
    return Site(
        folder=None,
        board=board,
        machine=inspect_machine(tmp_path),
        guard=parse_guard("memory_available=10%,disk_free=1GiB,swap=50%"),
        recorder=None,
        interval_s=0.1,
        controller_pid=os.getpid(),
        ensure_logger=lambda: None,
        warn=lambda _: None,
        admission=None,
        all_cpus=(0, 1),
    )


@pytest.fixture
def telemetry(board, tmp_path):
    names = ("dataset", "account", "lock")
    return Telemetry(
        **{name: tmp_path / name for name in names},
        board=board.path,
        interval_s=0.1,
        controller_pid=os.getpid(),
        machine=inspect_machine(tmp_path).to_json(),
        probe_disk=True,
        probe_service="http://127.0.0.1:1/",
    )


@pytest.fixture
def sent(monkeypatch):
    """Every line that a link sends, by the pid of the process; nothing is started."""
    lines = {1001: [], 1002: []}

    def start(module, message, **_):
        pid = 1002 if "guard" in module else 1001
        lines[pid].append(message)
        return SimpleNamespace(pid=pid, stdout=None)

    monkeypatch.setattr(host_link, "start_child", start)
    monkeypatch.setattr(
        host_link, "send_line", lambda process, line: lines[process.pid].append(line)
    )
    monkeypatch.setattr(host_link, "register", lambda *_: None)
    return lines


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ({"zero_s": 1.0}, "message lacks plan_slot"),
        ({"zero_s": "1", "plan_slot": 0}, "message.zero_s is '1', no <class 'float'>"),
        ({"zero_s": 1.0, "plan_slot": 0, "x": 1}, "message has unknown {'x'}"),
        ({"zero_s": 1.0, "plan_slot": True}, "message.plan_slot is True, no <class 'int'>"),
    ],
)
def test_a_message_that_is_none_is_found(message, fault):
    """A key too few or too many and a wrong type are each named."""
    assert fault_of(message, ZeroLine) == fault


def test_plans_of_a_site_conform(site):
    """The host's plan, the guard's and the board's, of an experiment with every kind of load."""
    received(site.host_plan(EXPERIMENT), HostPlan)
    received(site.guard_limits(EXPERIMENT), GuardPlan)
    received(site.board_plan(PlannedExperiment(EXPERIMENT, 1.0, 2.0, 3.0, "main")), BoardPlan)


def test_load_host_takes_what_the_link_sends(site, sent):
    """First the plan, then zero, then stop; every event of the plan becomes loads."""
    link = HostLink.start(site.host_plan(EXPERIMENT), None, (7,))
    link.begin(5.0, 3)
    link.ask_to_stop("enough")
    first, zero, stop = sent[1001]
    plan = received(first, HostStart)
    assert (plan["locks"], plan["watch_pids"]) == ([7], [os.getpid()])
    assert received(zero, ZeroLine) == {"zero_s": 5.0, "plan_slot": 3}
    assert received(stop, StopLine)["why"] == "enough"
    makers = Stressors(plan, site.board, "mark.")
    for index, event in enumerate(plan["events"]):
        loads = list(makers.loads_of(HostedEvent(index, event), zero["zero_s"]))
        assert len(loads) == (len(plan["cpus"]) if event["stressor"] == "cpu" else 1)
        assert all(load.start_s == 5.0 + event["start_s"] for load, _ in loads)


def test_guard_takes_what_the_link_sends(site, sent):
    """First its limits, then the group to kill; the host also watches the guard."""
    HostLink.start(site.host_plan(EXPERIMENT), site.guard_limits(EXPERIMENT))
    first, group = sent[1002]
    start = received(first, GuardStart)
    assert received(group, GroupLine) == {"group": 1001}
    assert sent[1001][0]["watch_pids"] == [os.getpid(), 1002]
    limits = limits_to_watch(start)
    assert [limit.name for limit in limits] == [
        "memory_available",
        "disk_free",
        "temperature",
        "swap",
    ]
    limits[1].watch.close()


def test_logger_reads_the_plan_of_the_board(site, board):
    """What the runner publishes is what the logger and the status line read."""
    plan = site.board_plan(PlannedExperiment(EXPERIMENT, 1.0, 2.0, 3.0, "main"))
    found = board.read_plan(board.publish_plan(plan))
    assert fault_of(found, BoardPlan) == ""
    window = PlannedWindow.from_json(found)
    assert (window.name, window.begin_s, window.end_s) == ("all", 1.0, 3.0)
    assert [load.event_id for load in window.loads] == [event.id for event in EXPERIMENT.events]


def test_guard_answers_conform(monkeypatch):
    """Tripped at once, dead when nothing is left."""
    answers = []
    monkeypatch.setattr(guard, "_answer", answers.append)
    guard._trip("a reason", 1.0, 0, "", is_mute=False)
    assert [received(answer, GuardAnswer)["state"] for answer in answers] == ["tripped", "dead"]
    received(answers[0], TrippedAnswer)
    received(answers[1], DeadAnswer)


def test_host_answers_conform(site):
    """An event that never began, and one that was followed to its end."""
    plan = site.event_plans(EXPERIMENT)[0]
    skipped = HostedEvent(0, plan).answer()
    assert received(skipped, EndedAnswer)["status"] == "skipped"
    event = HostedEvent(0, plan, is_forked=True, starts_s=[1.0, 1.1], ends_s=[2.0, 2.1])
    released = {"state": "released", "at_s": 2.3, "starved_s": 0.5, "note": "n", "account": {}}
    event.take_release(released)
    answer = received(event.answer(), HostAnswer)
    assert (answer["start_s"], answer["end_s"], answer["message"]) == (1.0, 2.1, "n")
    assert answer["release_s"] == pytest.approx(0.2)


class Stressor:
    """A stressor that begins and ends at once, or fails."""

    def __init__(self, error=None):
        self._error = error

    def prepare(self):
        pass

    def follow(self, report_start):
        report_start()
        if self._error is not None:
            raise self._error

    def release(self):
        pass


@pytest.mark.parametrize(
    ("error", "states"),
    [
        (None, ["prepared", "started", "ended", "released"]),
        (OSError(5, "broken"), ["prepared", "started", "fault", "ended", "released"]),
    ],
)
def test_lines_of_a_load_process_conform(error, states):
    """Each step of its life, also where it fails."""
    read_end, write_end = os.pipe()
    try:
        follow(lambda: Stressor(error), Load(None, 0.0, 1.0, 1.0), write_end)
        lines = os.read(read_end, 1 << 16).splitlines()
    finally:
        os.close(read_end)
        os.close(write_end)
    assert [received(json.loads(line), ProcessLine)["state"] for line in lines] == states


def test_probe_takes_what_it_is_started_with(telemetry):
    """Its settings say what else it is to probe."""
    settings = received(telemetry.probe_settings(), ProbeSettings)
    assert [where for _, where in probe._further_probes(settings)] == [
        settings["machine"]["scratch_dir"],
        "http://127.0.0.1:1/",
    ]


def test_logger_takes_what_it_is_started_with_and_accounts_for_itself(telemetry, board):
    """Its settings make a logger, whose account conforms, with samples and without."""
    settings = received(telemetry.logger_settings(), LoggerSettings)
    descriptor = os.open(settings["dataset"], os.O_WRONLY | os.O_CREAT, 0o600)
    logger = Logger(settings, board, SimpleNamespace(resets=[]), descriptor, SystemClock())
    account = AccountFile(settings["account"])
    for rows in (0, 3):
        logger.rows = rows
        account.write(logger, "SCHED_OTHER", ["a note"], "")
        received(json.loads(Path(settings["account"]).read_bytes()), LoggerAccount)
    os.close(descriptor)


def test_ready_line_of_the_logger_conforms(capfd):
    """Whoever started it learns the process that samples, and its scheduling class."""
    psutil_logger._say_ready("SCHED_FIFO")
    ready = received(json.loads(capfd.readouterr().out), TelemetryReady)
    assert (ready["pid"], ready["scheduling"]) == (os.getpid(), "SCHED_FIFO")
