"""Kills and stops at random times.

No load, no process and no file is left, what was recorded can be read, and the next run works.
"""

import json
import os
import signal

from tests.chaos.faults import inflict, judge_dataset, slot_of
from tests.chaos.table import ROW
from twin_harness import load

NO_TAIL = """
import pytest
from twin_harness import cpu

@pytest.mark.experiment(cpu(20, duration_s=2), lead_s=0.5, tail_s=0)
def test_load(recording):
    pass
"""


def test_no_fault_leaves_anything(make_victim, chance, chaos_round, record_property, request):
    """After a signal to one process the load ends in time, and nothing is left.

    The run says what became of it, and the next one passes.
    """
    fault = slot_of(chaos_round)
    victim = make_victim(*(["-n", str(fault.workers)] if fault.workers else []))
    seen = inflict(victim, fault, chance)
    record_property(ROW, json.dumps({"number": chaos_round, **seen.row()}))
    complaints = seen.complaints()
    at = (
        f"{fault.name} {seen.moment_s:.3f} s"
        f" {'after the session began' if fault.at == 'any' else 'into the load'}"
    )
    assert not complaints, "\n".join(
        [
            at + (f", then {seen.resumed}" if seen.resumed else ""),
            *complaints,
            "the session said:",
            victim.text()[-4000:],
        ]
    )


def test_event_that_ends_after_its_experiment_is_annotated_all_the_same(make_victim):
    """Without a tail a stopped stressor is killed when the experiment is over already.

    Its event still has failed, and says so.
    """
    victim = make_victim(tests=NO_TAIL).start()
    victim.wait_for_load(["cpu"])
    os.kill(victim.by_role()["cpu"][0].pid, signal.SIGSTOP)
    code = victim.wait()
    rows = load(victim.run_folder()).folder.read_annotations()
    assert [(row.event, row.status, row.message) for row in rows] == [
        ("cpu-0", "failed", "a load process overstayed its deadline and was killed")
    ]
    assert code == 1, victim.text()[-3000:]


def test_dead_probe_is_told(make_victim):
    """A probe that died leaves its columns empty from then on.

    The run says so, and is not COMPLETE without a word.
    """
    victim = make_victim().start()
    victim.wait_for_load()
    os.kill(victim.by_role()["probe"][0].pid, signal.SIGKILL)
    assert victim.wait() is not None
    run = load(victim.run_folder())
    assert judge_dataset(run.samples).endswith("rows")
    assert any("probe" in sentence for sentence in [*run.state["partial"], *run.state["notes"]]), (
        run.state["notes"]
    )


def test_second_death_of_the_logger_is_named(make_victim):
    """A logger that is killed again and again is replaced once.

    Then experiments are refused by a sentence, and nothing is left.
    """
    again = (
        "@pytest.mark.parametrize('turn', range(3))\n@pytest.mark.experiment(lead_s=0.2,"
        " tail_s=0.2)\ndef test_it(recording, turn, psutil_logger):\n"
    )
    head = "import os\nimport time\nimport pytest\n"
    victim = make_victim(
        tests=head + again + "    os.kill(psutil_logger.pid, 9)\n    time.sleep(0.3)\n"
    ).start()
    assert victim.wait() == 1
    assert "2 passed, 1 failed" in victim.text().replace(
        "1 failed, 2 passed", "2 passed, 1 failed"
    ), victim.text()[-3000:]
    assert "HarnessFailure: the telemetry logger has died twice in this run" in victim.text()
    run = load(victim.run_folder())
    assert run.status == "PARTIAL"
    assert judge_dataset(run.samples).endswith("rows")
    assert victim.files_on_tmpfs() == []
