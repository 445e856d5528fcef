"""A total of the machine.

What others leave is filled, no more, and nothing is caught up beyond a tenth of a second.
"""

import os
from array import array
from types import SimpleNamespace

import pytest

from twin_harness.shapes.shape import constant
from twin_harness.stress import cpu_stress
from twin_harness.stress.cpu_stress import SLOT_S, Team
from twin_harness.stress.load import Load
from twin_harness.system.group_cpu import GroupCpu

CPUS = 2


class Machine:
    """CPUs on which others do as told, and the team does what the filler says.

    Time stands still in between.
    """

    def __init__(self, monkeypatch, level_percent, duration_s=60.0):
        self.now_s = 0.0
        self.others_s, self.own_s = [0.0] * CPUS, [0.0] * CPUS
        self.spent_s = memoryview(array("d", [0.0] * CPUS))
        load = Load(constant(level_percent), 0.0, duration_s, 1 / 100, {"target": "system"})
        self.fillers = [
            cpu_stress._Filler(load, Team((0, 1), index, self.spent_s)) for index in range(CPUS)
        ]
        for filler in self.fillers:
            monkeypatch.setattr(
                filler,
                "_busy_s",
                lambda: [own + other for own, other in zip(self.own_s, self.others_s, strict=True)],
            )
        monkeypatch.setattr(cpu_stress.time, "monotonic", lambda: self.now_s)

    def run(self, for_s, others):
        """Let time pass; ``others`` are the rates of others' work on each CPU.

        Return the team's and the total share of the machine.
        """
        begin, begin_s = [*self.own_s, *self.others_s], self.now_s
        while self.now_s < begin_s + for_s:
            end_s = self.now_s + SLOT_S
            work_s = [
                filler.work_s(end_s, self.own_s[index]) for index, filler in enumerate(self.fillers)
            ]
            for index in range(CPUS):
                self.others_s[index] += others[index] * SLOT_S
                self.own_s[index] += min(work_s[index], (1.0 - others[index]) * SLOT_S)
            self.now_s = end_s
        span_s = (self.now_s - begin_s) * CPUS
        gained = [
            now - then for now, then in zip([*self.own_s, *self.others_s], begin, strict=True)
        ]
        return sum(gained[:CPUS]) / span_s, sum(gained) / span_s


@pytest.mark.parametrize("others", [(0.0, 0.0), (0.3, 0.1), (0.6, 0.6), (1.0, 0.0)])
def test_total_is_what_was_asked(monkeypatch, others):
    """Whatever others do on which CPU, the sum is the level as long as there is room."""
    machine = Machine(monkeypatch, 70.0)
    machine.run(2.0, others)
    assert machine.run(5.0, others)[1] == pytest.approx(0.70, abs=0.01)


def test_total_is_kept_beside_a_neighbour_that_changes(monkeypatch):
    """What was too much or too little is made up for: the mean over 5 s is the level."""
    machine = Machine(monkeypatch, 60.0)
    machine.run(2.0, (0.0, 0.0))
    for _ in range(5):
        begin = [*machine.own_s, *machine.others_s]
        for span_s, rate in (
            (0.8, 1.0),
            (0.2, 0.0),
            (0.1, 1.0),
            (0.9, 0.0),
            (0.4, 1.0),
            (0.8, 0.0),
            (0.8, 1.0),
            (1.0, 0.0),
        ):
            machine.run(span_s, (rate, 0.0))
        gained = sum(
            now - then for now, then in zip([*machine.own_s, *machine.others_s], begin, strict=True)
        )
        assert gained / (5.0 * CPUS) == pytest.approx(0.60, abs=0.015)


def test_load_falls_to_nothing_and_comes_back(monkeypatch):
    """Beside others that exceed the target nothing is done.

    When they go, the total is back within a second, without a burst.
    """
    machine = Machine(monkeypatch, 50.0)
    machine.run(2.0, (0.0, 0.0))
    machine.run(1.0, (0.8, 0.8))
    assert machine.run(5.0, (0.8, 0.8))[0] == pytest.approx(0.0, abs=0.001)
    machine.run(1.0, (0.1, 0.1))
    assert machine.run(1.0, (0.1, 0.1))[1] == pytest.approx(0.50, abs=0.02)
    assert machine.run(5.0, (0.1, 0.1))[1] == pytest.approx(0.50, abs=0.01)


def test_within_a_quota_the_total_is_what_the_group_used(tmp_path, monkeypatch):
    """Neighbours outside the group leave its quota alone; others in it count."""
    (tmp_path / "cpu.stat").write_text("usage_usec 3000000\nuser_usec 1\nsystem_usec 1\n")
    monkeypatch.setattr(
        cpu_stress,
        "ControlGroup",
        lambda: SimpleNamespace(cpu_use=lambda: GroupCpu.from_files(str(tmp_path / "cpu.stat"))),
    )
    load, spent_s = Load(constant(50.0), 0.0, 1.0, 0.01, {}), memoryview(array("d", [0.0, 0.0]))
    filler = cpu_stress._Filler(load, Team((0, 1), 0, spent_s, is_within_quota=True))
    assert filler._busy_s() == [1.5, 1.5]
    filler.close()
    assert cpu_stress._Filler(load, Team((0, 1), 0, spent_s))._group is None


def test_busy_time_of_few_cpus_among_many(tmp_path):
    """A reading that ends within the line of an unused CPU is as good as a whole one."""
    lines = "".join(f"cpu{number} 1{number} 0 5 900 1 0 0 0 0 0\n" for number in range(64))
    path = tmp_path / "stat"
    for cut in range(200):
        path.write_text("cpu  1 1 1 1 1 1 1 1 1 1\n" + lines + "x" * cut + "\nintr 5\n")
        filler = cpu_stress._Filler(
            Load(constant(50.0), 0.0, 1.0, 0.01, {}),
            Team((0, 1), 0, memoryview(array("d", [0.0, 0.0]))),
        )
        os.dup2(os.open(path, os.O_RDONLY), filler._stat)
        filler._size_bytes = 600 + cut
        assert filler._busy_s() == [pytest.approx(0.15), pytest.approx(0.16)]
        filler.close()
