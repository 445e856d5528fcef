"""``twin run --parallel N``: experiments at once, each in a process of its own.

The processes join the session as workers of pytest-xdist do: they take turns on the machine, and
those experiments overlap that have ``share`` and use other resources. Each takes the next
experiment of the file that nobody has.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twin_harness.cli.output import ABORTED, FAILED, OK
from twin_harness.errors import ExperimentAborted, ExperimentError, TwinError, Undecided
from twin_harness.schedule.model import Experiment, Schedule
from twin_harness.session.config import TwinConfig
from twin_harness.session.seat import Seat
from twin_harness.session.session import Session
from twin_harness.system.child import die_with_parent, end_child

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST_AT_ONCE = 64
_PATIENCE_S = 10.0


def run_in_parallel(
    session: Session,
    planned: Sequence[tuple[Experiment, dict[str, Any] | None]],
    at_once: int,
    warn: Callable[[str], None],
) -> tuple[int, int]:
    """Run experiments in up to ``at_once`` processes.

    Return the worst exit code, and how many were UNDECIDED.

    Args:
        session: open; the caller closes it.
        planned: each experiment with what made it.
        at_once: how many processes.
        warn: takes a sentence for each experiment that did not go as planned.
    """
    task = {
        "config": session.config.to_json(),
        "seat": session.seat.to_json(),
        "schedule": Schedule(experiments=tuple(experiment for experiment, _ in planned)).to_json(),
        "generators": [generator for _, generator in planned],
    }
    session.admission.release()
    # -P: no module of the working folder takes the place of one of ours
    words = [sys.executable, "-P", "-m", "twin_harness.cli.parallel"]
    pipe, code, undecided = subprocess.PIPE, OK, 0
    workers = [
        subprocess.Popen([*words, f"w{number}"], stdin=pipe, stdout=pipe, start_new_session=True)
        for number in range(at_once)
    ]
    try:
        for worker in workers:
            if worker.stdin:
                worker.stdin.write(json.dumps(task).encode())
                worker.stdin.close()
        for worker in workers:
            for line in worker.stdout or ():
                message = json.loads(line)
                code = max(code, message["code"])
                undecided += message["is_undecided"]
                warn(message["message"])
            if worker.wait() != OK:
                code = max(code, FAILED)
                session.lose(
                    f"a process of --parallel ended with {worker.returncode}; its experiment has"
                    " no end"
                )
    except KeyboardInterrupt:
        # they stand in sessions of their own, where no Ctrl-C arrives
        session.board.ask_load_to_stop()
        raise
    finally:
        for worker in workers:
            end_child(worker, _PATIENCE_S)
    return code, undecided


def main() -> int:
    """Be one of the processes: take experiments until none is left."""
    die_with_parent(signal.SIGINT)  # so that load stops, and what was recorded is written
    task = json.loads(sys.stdin.buffer.read())
    seat = replace(Seat(**task["seat"]), worker=sys.argv[1])
    session = Session.open(
        TwinConfig.from_json(task["config"]), seat, lambda sentence: _send(OK, sentence)
    )
    try:
        for number, experiment in enumerate(
            Schedule.from_json(task["schedule"], source="--parallel").experiments
        ):
            if session.folder.claim_turn(number):
                _run(session, experiment, task["generators"][number])
    except KeyboardInterrupt:
        pass  # the controller says so, and closes the session
    finally:
        session.leave()
    return OK


def _run(session: Session, experiment: Experiment, generator: dict[str, Any] | None) -> None:
    try:
        session.runner.run(experiment, generator)
    except ExperimentError as error:
        _send(ABORTED if isinstance(error, ExperimentAborted) else FAILED, str(error))
    except Undecided as error:
        _send(OK, f"UNDECIDED: {error}", is_undecided=True)
    except TwinError as error:
        _send(FAILED, str(error))
    finally:
        session.admission.release()


def _send(code: int, message: str, *, is_undecided: bool = False) -> None:
    line = json.dumps({"code": code, "message": message, "is_undecided": is_undecided})
    os.write(1, line.encode() + b"\n")


if __name__ == "__main__":
    raise SystemExit(main())
