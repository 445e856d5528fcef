"""The plugin's state: one object in ``config.stash``, and one on each test item."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from twin_harness.gate.variant import Variant
from twin_harness.system.clock import monotonic_s
from twin_harness.system.support import lack_of_support

if TYPE_CHECKING:
    from twin_harness.errors import Undecided
    from twin_harness.gate.measures import Measure
    from twin_harness.gate.turn_work import TurnWork
    from twin_harness.gate.turns import Slice
    from twin_harness.runs.recording import Recording
    from twin_harness.schedule.model import Experiment
    from twin_harness.session.config import TwinConfig
    from twin_harness.session.seat import Seat
    from twin_harness.session.session import Session
    from twin_harness.session.status import StatusLine


@dataclass
class TestState:
    """What one test has to do with experiments.

    Attributes:
        recordings: what was recorded in it, in order.
        planned: its experiments as they were to run, also those that ended early.
        fault: what its experiment ran into during set-up; raised in the call phase.
        waits: from when to when it waited for the machine, on CLOCK_MONOTONIC.
        waited_s: how long since the last report; no part of the test's time.
        variant: which of two variants it runs under.
        pair: the number of its pair; −1 without pairs.
        position: 0 as the first run of the pair, 1 as the second.
        recorded: values for the gate, by name, each with its measure.
        turned: measures of values that are recorded in turns, by name.
        slices: the turns that were taken.
        work: who worked in whose turns.
        slices_planned: how many there were to be.
        begin_s: when it began, on CLOCK_MONOTONIC.
        stacks: by variant, what a profiler saw of it in the turns.
        faults: why a value for the gate cannot be judged, by the name it was recorded under.
        present: processes below pytest that were there when it began.
        ended: page faults of pytest's ended children when it began.
        begin_cpu_ns: CPU time of all that pytest had started by then; 0 where unknown.
        is_begun: it was set up; what is set up again is another try, with a state of its own.
        tries: how often the test was run, this time included.
        replaced: when the earlier tries that left a trial began; this one counts in their place.
        has_trial: it has left a trial.
        subtest_faults: a line for each subtest that failed.
        subtest_verdict: why the first subtest that was UNDECIDED was.
        has_tripped: the guard stopped an experiment in a subtest.
    """

    __test__ = False
    recordings: list[Recording] = field(default_factory=list)
    planned: list[Experiment] = field(default_factory=list)
    fault: Exception | None = None
    waits: list[tuple[float, float]] = field(default_factory=list)
    waited_s: float = 0.0
    variant: Variant = field(default_factory=Variant)
    pair: int = -1
    position: int = 0
    recorded: dict[str, tuple[Measure, float]] = field(default_factory=dict)
    turned: dict[str, Measure] = field(default_factory=dict)
    slices: list[Slice] = field(default_factory=list)
    work: TurnWork | None = None
    slices_planned: int = 0
    begin_s: float = field(default_factory=monotonic_s)
    stacks: dict[str, str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    present: frozenset[int] = frozenset()
    ended: int = 0
    begin_cpu_ns: int = 0
    is_begun: bool = True
    tries: int = 1
    replaced: tuple[float, ...] = ()
    has_trial: bool = False
    subtest_faults: list[str] = field(default_factory=list)
    subtest_verdict: Undecided | None = None
    has_tripped: bool = False

    def next_try(self) -> TestState:
        """Return the state of the next try of the same test: nothing of this one is left in it."""
        replaced = self.replaced
        if self.has_trial:
            replaced = (*replaced, self.begin_s)
        return TestState(
            variant=self.variant,
            pair=self.pair,
            position=self.position,
            tries=self.tries + 1,
            replaced=replaced,
        )

    def note_waits(self, waits: list[tuple[float, float]]) -> None:
        """Take up that the test waited for the machine."""
        self.waits += waits
        self.waited_s += sum(end_s - begin_s for begin_s, end_s in waits)


@dataclass
class PluginState:
    """What one pytest session has to do with experiments.

    Attributes:
        config: the options, checked.
        seat: the identity of the session, and of this process in it.
        status: the status line.
        session: open from the first use of a fixture on.
        drawn: random experiments by marker arguments, drawn once at collection.
        campaign_line: what is recorded already of the campaign that is asked for.
        chosen: what the next placeholders of an adaptive campaign run.
        undecided: (test, reason) of every UNDECIDED test.
        report: path of the EDA report, once written.
        trips: how many experiments in a row the guard has stopped.
        lost: a sentence for each worker that was lost.
        is_interrupted: Ctrl-C was pressed.
        closing_lines: what the summary says.
        declared: the measures of all gated tests that are to run.
        gate_lines: what the gate says.
        refusal: why the gate does not begin.
        pairs_begun: when each pair began, on CLOCK_MONOTONIC.
    """

    config: TwinConfig
    seat: Seat
    status: StatusLine
    session: Session | None = None
    drawn: dict[str, tuple[Experiment, ...]] = field(default_factory=dict)
    campaign_line: str = ""
    chosen: list[Experiment] = field(default_factory=list)
    undecided: list[tuple[str, str]] = field(default_factory=list)
    trips: int = 0
    lost: list[str] = field(default_factory=list)
    report: Path | None = None
    is_interrupted: bool = False
    closing_lines: list[str] = field(default_factory=list)
    declared: list[Measure] = field(default_factory=list)
    gate_lines: list[str] = field(default_factory=list)
    refusal: str = ""
    pairs_begun: dict[int, float] = field(default_factory=dict)

    def may_touch_run(self) -> bool:
        """Tell whether the run folder may be looked into.

        A session was made there, or its filesystem is one that answers: what touches a folder of a
        lost server waits for it, and cannot be ended.
        """
        folders = ("/dev/shm", os.environ.get("XDG_RUNTIME_DIR") or "/run", "/tmp")
        has_board = any(Path(folder, self.seat.board).exists() for folder in folders)
        return has_board or not self._may_fall_silent

    @cached_property
    def _may_fall_silent(self) -> bool:
        if lack_of_support("an experiment"):  # Windows and macOS, which have no mounts to read
            return False
        from twin_harness.system.mounts import may_fall_silent

        return may_fall_silent(str(self.seat.run_dir))


STATE = pytest.StashKey[PluginState]()
TEST = pytest.StashKey[TestState]()


def state_of(config: pytest.Config) -> PluginState:
    """Return the plugin's state."""
    return config.stash[STATE]


def test_state(item: pytest.Item) -> TestState:
    """Return a test's state; a new one at first."""
    return item.stash.setdefault(TEST, TestState())


test_state.__test__ = False  # type: ignore[attr-defined]  # no test, whatever its name
