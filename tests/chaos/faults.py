"""What is done to a session, what must become of it, and how one round of it goes."""

import contextlib
import os
import signal
import time
from dataclasses import dataclass, field

import pandas as pd

from tests.chaos.victim import BOARDS, STRESSORS, gone_after_s, sleep_until, tracebacks
from twin_harness import load
from twin_harness.errors import TwinError
from twin_harness.system import reaper

LOAD_GONE_S = (
    0.5  # after a kill, or after the event's deadline where the session is merely slowed down
)
ALL_GONE_S = 1.0
# The bounds above are the harness's. On two CPUs that other sessions use too, a process that is to
# be scheduled, to be killed and to give 64 MiB back may wait some hundred ms for its turn; so much
# later is still right, and the table says the worst that was seen.
MARGIN_S = 0.5
# an xdist worker outlives its controller by 5 s (execnet waits), which no plugin can change
WORKER_OUTLIVES_S = 7.0
ENDS_S = 300.0  # the tests after the fault wait for the machine as well
EVENTS = ["cpu-0", "disk-0", "mem-0"]
KILL_S = 0.1  # a stopped stressor is killed 0.5 s after its deadline, and takes a moment to be gone
# about what a session takes that need not wait for the machine: a moment in its start, its load or
# its end
ANY_S = 9.0


@dataclass(frozen=True)
class Fault:
    """A signal to one process of a session.

    Attributes:
        signal: SIGKILL, SIGSTOP or SIGINT; sent ``times`` times.
        role: controller, worker, logger, probe, guard, host, cpu, memory or disk; ``asker of``
            logger or guard asks the filesystem for it.
        workers: of pytest-xdist, 0 without it.
        at: ``load`` is a moment under load, ``any`` one from the first on.
        statuses, codes: what the run's status and pytest's exit code may be.
        says: what the run's own words must hold: a message of an event, or a reason for PARTIAL.
    """

    signal: str
    role: str
    statuses: tuple = ("COMPLETE",)
    codes: tuple = (1,)
    says: str = ""
    workers: int = 0
    at: str = "load"
    times: int = 1

    @property
    def name(self):
        more = [f"-n {self.workers}"] if self.workers else []
        more += ["any moment"] if self.at == "any" else []
        return (
            f"{self.signal}{' twice' if self.times > 1 else ''}"
            f" {self.role}{' (' + ', '.join(more) + ')' if more else ''}"
        )

    @property
    def slug(self):
        return self.name.translate(str.maketrans({" ": "-", "(": None, ")": None, ",": None}))

    @property
    def must_end_load(self):
        """Whether the load has to end with the fault, rather than at its deadline."""
        return self.signal == "SIGINT" or (
            self.signal == "SIGKILL" and self.role not in ("logger", "asker of logger", "probe")
        )

    @property
    def patience_s(self):
        """How long after that its last load process may still be there."""
        return LOAD_GONE_S + (
            KILL_S if self.signal == "SIGSTOP" and self.role in STRESSORS else 0.0
        )

    @property
    def may_leave_files(self):
        """Whether the fault is the death of the one process that removes board and registry."""
        return self.role == "controller" and (self.signal == "SIGKILL" or self.times > 1)


KILLED = ("PARTIAL",)
ANY = ("PARTIAL", "COMPLETE", "")  # killed before there was a run, under way, or when it was over
# The first ten are those of a short run; the rest follow in a longer one.
FAULTS = (
    Fault(
        "SIGKILL", "controller", KILLED, (-9,), says="its session was killed before it could finish"
    ),
    Fault(
        "SIGKILL",
        "worker",
        ("PARTIAL",),
        says="experiment 'test_load' was lost with its worker gw",
        workers=2,
    ),
    Fault("SIGKILL", "logger", ("PARTIAL",), says="the telemetry logger"),
    Fault("SIGKILL", "guard", says="its guard died"),
    Fault("SIGKILL", "host", says="its load host died"),
    Fault("SIGKILL", "cpu", says="a load process died of SIGKILL"),
    Fault("SIGKILL", "memory", says="a load process died of SIGKILL"),
    Fault("SIGKILL", "disk", says="a load process died of SIGKILL"),
    Fault("SIGSTOP", "logger", ("PARTIAL",), says="the telemetry logger"),
    Fault("SIGSTOP", "cpu", says="overstayed its deadline and was killed"),
    Fault("SIGSTOP", "host", says="host"),
    Fault(
        "SIGKILL",
        "controller",
        KILLED,
        (-9,),
        says="its session was killed before it could finish",
        workers=2,
    ),
    Fault("SIGSTOP", "controller", ("COMPLETE",), (0,)),
    Fault("SIGSTOP", "worker", ("COMPLETE",), (0,), workers=2),
    Fault("SIGSTOP", "guard", ("COMPLETE",), (0, 1)),
    Fault("SIGSTOP", "memory", says="overstayed its deadline and was killed"),
    Fault("SIGSTOP", "disk", says="overstayed its deadline and was killed"),
    Fault("SIGKILL", "probe", ("COMPLETE", "PARTIAL"), (0,)),
    Fault("SIGSTOP", "probe", ("COMPLETE", "PARTIAL"), (0,)),
    Fault("SIGKILL", "controller", ANY, (-9, 0), at="any"),
    Fault("SIGKILL", "controller", ANY, (-9, 0), workers=2, at="any"),
    Fault("SIGINT", "controller", ("ABORTED",), (2,), says="interrupted"),
    Fault("SIGINT", "controller", ("ABORTED", "PARTIAL"), (2, -2), times=2),
    Fault("SIGINT", "controller", ("ABORTED",), (2,), says="interrupted", workers=2),
    Fault("SIGKILL", "asker of logger", codes=(0,)),
    Fault("SIGKILL", "asker of guard", says="disk_free cannot be read"),
)


@dataclass
class Round:
    """What was seen in one round.

    Attributes:
        load_left: load processes that still lived 0.5 s (``patience_s``) after the load had to end;
            load_gone_s: when the last one ended.
        processes_left: processes of the session 1 s after its end (for a killed controller: after
            the kill).
        files_left: what stood on tmpfs and in scratch after that; files_after_next: after the next
            session.
        workings: names in the run folder that a finished run has not.
        dataset: ``N rows``, ``none`` or ``empty`` before the first, or what is wrong with it.
            annotated: its events with a row, in order of name.
        words: messages of events and reasons for PARTIAL. next_code: of the next run in the
            project.
    """

    fault: Fault
    moment_s: float | None = None
    resumed: str = ""
    load_left: int = 0
    load_gone_s: float = 0.0
    processes_left: list = field(default_factory=list)
    workers_left: list = field(default_factory=list)
    files_left: list = field(default_factory=list)
    files_after_next: list = field(default_factory=list)
    workings: list = field(default_factory=list)
    code: int | None = None
    status: str = ""
    is_killed: bool = False
    dataset: str = "none"
    annotated: list = field(default_factory=list)
    words: str = ""
    traces: list = field(default_factory=list)
    next_code: int | None = None
    next_text: str = ""

    @property
    def may_leave_files(self):
        """Whether board and registry may stay until the next session.

        The one process that would remove them is dead.
        """
        return self.fault.may_leave_files or (
            self.fault.role == "controller" and self.resumed == "SIGKILL"
        )

    def row(self):
        """Return the round as plain data for the table."""
        left = self.files_after_next if self.may_leave_files else [*self.files_left, *self.workings]
        return {
            "fault": self.fault.name,
            "load_left": self.load_left,
            "load_gone_s": round(self.load_gone_s, 3),
            "processes_left": len(self.processes_left) + len(self.workers_left),
            "files_left": left,
            "dataset": "readable" if self.dataset.endswith("rows") else self.dataset,
            "status": self.status or "none",
            "next": "passed" if self.next_code == 0 else f"exit {self.next_code}",
            "faults": self.complaints(),
        }

    def complaints(self):
        """Return a sentence for each thing that is not as it must be."""
        fault, found = self.fault, []
        if self.load_gone_s > fault.patience_s + MARGIN_S:
            found.append(f"load lived {self.load_gone_s:.2f} s longer than it may")
        if self.processes_left:
            found.append(f"left after {ALL_GONE_S:g} s: {self.processes_left}")
        if self.workers_left:
            found.append(f"left after {WORKER_OUTLIVES_S:g} s: {self.workers_left}")
        if self.files_left and not self.may_leave_files:
            found.append(f"files left: {self.files_left}")
        if self.files_after_next:
            found.append(f"files left after the next session: {self.files_after_next}")
        if self.workings and not self.is_killed:
            found.append(f"workings left in the run folder: {self.workings}")
        is_early = fault.at == "any" and self.dataset in (
            "none",
            "empty",
        )  # killed before the logger's first row
        if not self.dataset.endswith("rows") and not is_early:
            found.append(f"dataset: {self.dataset}")
        found += self._wrong_ends()
        if self.traces:
            found.append(f"a traceback instead of a sentence: {self.traces[0]}")
        if self.next_code != 0:
            found.append(f"the next run ended with {self.next_code}: {self.next_text[-600:]}")
        return found

    def _wrong_ends(self):
        fault, found = self.fault, []
        statuses, codes, says = fault.statuses, fault.codes, fault.says
        if self.resumed == "SIGKILL":
            statuses, codes = (
                (KILLED, (-9,)) if fault.role == "controller" else (("PARTIAL",), (1,))
            )
        if self.status not in statuses:
            found.append(f"status {self.status!r}, expected one of {statuses}")
        if self.code not in codes:
            found.append(f"exit code {self.code}, expected one of {codes}")
        if says and says not in self.words:
            found.append(f"nothing says {says!r}: {self.words!r}")
        is_whole = self.annotated == EVENTS or (
            fault.times > 1 and self.annotated == sorted(set(self.annotated))
        )  # twice Ctrl-C leaves at once
        if not self.is_killed and not is_whole and fault.at == "load":
            found.append(f"annotated events {self.annotated}, expected each of {EVENTS} once")
        return found


def inflict(victim, fault, chance):
    """Start a session, do the fault to it at a moment of ``chance``, and return what was seen."""
    seen = Round(fault)
    victim.start()
    if fault.at == "any":
        _kill_at_any_moment(victim, seen, chance)
    else:
        _harm_under_load(victim, seen, chance)
    _look_at_the_end(victim, seen)
    _look_at_the_folder(victim, seen)
    if (
        seen.may_leave_files and chance.random() < 0.5
    ):  # as `twin clean` does; else the next session finds it
        reaper.reap(BOARDS)
        seen.files_after_next = victim.files_on_tmpfs() + victim.scratch_files()
    seen.next_code, seen.next_text = victim.run_next()
    seen.files_after_next = sorted(
        {*seen.files_after_next, *victim.files_on_tmpfs(), *victim.scratch_files()}
    )
    return seen


def _kill_at_any_moment(victim, seen, chance):
    seen.moment_s = chance.uniform(0.0, ANY_S)
    sleep_until(victim.started_s + seen.moment_s)
    load_processes = victim.loads()
    with contextlib.suppress(ProcessLookupError):
        os.kill(victim.process.pid, signal.SIGKILL)
    _measure_load(seen, load_processes, time.monotonic())


def _harm_under_load(victim, seen, chance):
    fault, window = seen.fault, victim.wait_for_load()
    moment_s = chance.uniform(time.monotonic(), window.end_s - 1.5)
    seen.moment_s = moment_s - window.zero_s
    sleep_until(moment_s)
    roles, load_processes = victim.by_role(), victim.loads()
    victims = (
        [victim.runner_of_load()]
        if fault.role == "worker"
        else [process.pid for process in roles[fault.role]]
    )
    victim_pid = chance.choice(victims)
    for turn in range(fault.times):
        if turn:
            time.sleep(chance.uniform(0.0, 0.5))
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim_pid, getattr(signal, fault.signal))
    _measure_load(seen, load_processes, time.monotonic() if fault.must_end_load else window.end_s)
    if fault.signal == "SIGSTOP" and fault.role in ("controller", "worker"):
        seen.resumed = chance.choice(["SIGCONT", "SIGKILL"])
        os.kill(victim_pid, getattr(signal, seen.resumed))


def _measure_load(seen, load_processes, must_end_s):
    """Wait for load processes to end, and note how long after ``must_end_s`` that is."""
    sleep_until(must_end_s - 0.1)
    _, left = gone_after_s(
        load_processes, max(0.0, must_end_s - time.monotonic()) + seen.fault.patience_s
    )
    seen.load_left = len(left)
    if left:
        gone_after_s(left, 5.0)
    seen.load_gone_s = max(0.0, time.monotonic() - must_end_s) if load_processes else 0.0


def _look_at_the_end(victim, seen):
    """Wait for the session's end, and see what is left a second later."""
    killed = seen.fault.role == "controller" and "SIGKILL" in (seen.fault.signal, seen.resumed)
    seen.code = victim.wait(10.0 if killed else ENDS_S)
    if seen.code is None:
        seen.words = f"the session did not end within {ENDS_S:g} s"
        return
    ended_s = time.monotonic()
    sleep_until(ended_s + ALL_GONE_S)
    left = victim.processes()
    if left:  # as above: a busy machine may be late
        sleep_until(ended_s + ALL_GONE_S + MARGIN_S)
        left = {pid: process for pid, process in left.items() if process.is_alive()}
    workers = {
        pid
        for pid, process in left.items()
        if "twin_harness." not in process.command and seen.fault.workers and killed
    }
    seen.processes_left = [process.command for pid, process in left.items() if pid not in workers]
    if workers:
        sleep_until(ended_s + WORKER_OUTLIVES_S)
        seen.workers_left = [process.command for process in victim.processes().values()]
    seen.files_left = victim.files_on_tmpfs() + victim.scratch_files()


def _look_at_the_folder(victim, seen):
    folder = victim.run_folder()
    text = victim.text()
    # A killed or twice interrupted controller has nobody to phrase anything.
    seen.traces = [] if seen.may_leave_files or seen.resumed == "SIGKILL" else tracebacks(text)
    if folder is None:
        return
    run = load(folder)
    seen.status, seen.is_killed = run.status, run.is_killed
    seen.workings = victim.workings(folder)
    try:
        seen.dataset = judge_dataset(run.samples)
    except TwinError as error:
        seen.dataset = (
            f"unreadable: {error}" if (folder / "system_metrics_dataset.csv").exists() else "none"
        )
    rows = [row for row in run.folder.read_annotations() if row.experiment == "test_load"]
    seen.annotated = sorted(row.event for row in rows)
    seen.words = (
        " | ".join([*run.losses, *(row.message for row in rows if row.message)]) or seen.words
    )


def judge_dataset(samples):
    """Return ``N rows``, ``empty``, or what is wrong with a dataset.

    Its clock must rise strictly, and no rate may be negative.
    """
    clock = samples["monotonic_s"]
    if not len(clock):
        return "empty"
    if clock.isna().any():
        return "rows without a clock"
    if not (clock.is_monotonic_increasing and clock.is_unique):
        return "the clock does not rise strictly"
    rates = samples[[name for name in samples.columns if name.endswith("_per_s")]].apply(
        pd.to_numeric
    )
    negative = rates.columns[(rates < 0).any()]
    return f"negative: {list(negative)}" if len(negative) else f"{len(clock)} rows"


def slot_of(number):
    """Return the fault of a round: all in turn."""
    return FAULTS[number % len(FAULTS)]


assert {fault.role for fault in FAULTS} >= {
    "controller",
    "worker",
    "logger",
    "probe",
    "guard",
    "asker of logger",
    "asker of guard",
    "host",
    *STRESSORS,
}
