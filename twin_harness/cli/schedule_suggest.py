"""``twin schedule suggest``: the experiments from which a twin would learn most."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from twin_harness import __version__
from twin_harness.cli.output import echo_error
from twin_harness.cli.schedule_file import add_out, write_schedule
from twin_harness.errors import InvalidInput
from twin_harness.quantity import duration

if TYPE_CHECKING:
    import argparse

    from twin_harness.cli.commands import Commands
    from twin_harness.predict.suggest import Enough
    from twin_harness.schedule.model import Experiment

_USUAL, _MOST = 5, 500
_SHARE = re.compile(r"([0-9]{1,2}(?:\.[0-9]{1,6})?)\s*%", re.ASCII)
_TIME = re.compile(r"([1-9][0-9]{0,3})(m|h)", re.ASCII)


def add_suggest(actions: Commands) -> None:
    """Add the action."""
    text = "the experiments that would reduce a twin's uncertainty most, the best first"
    example = "example: twin schedule suggest --model twin.json --out next.json"
    action = actions.add("suggest", suggest, text, example=example, has_json=False)
    action.add_argument("--model", required=True, metavar="FILE", help="what twin fit has made")
    action.add_argument("-n", type=int, help="how many at most (default: 5, or what is needed)")
    action.add_argument(
        "--within",
        metavar="TIME",
        help="what all may take of the machine's time, rest before and after included: 20m, 1h",
    )
    action.add_argument(
        "--until",
        metavar="SHARE",
        help="go on until so much of today's variance of predictions is left, e.g. 50%%",
    )
    action.add_argument(
        "--candidates",
        metavar="FILE",
        help="a schedule.json to choose from (default: a training campaign that is drawn anew)",
    )
    action.add_argument("--seed", type=int, default=0, help="of that campaign (default: 0)")
    add_out(action)


def suggest(arguments: argparse.Namespace) -> int:
    """Choose the experiments from which a twin would learn most.

    Raises:
        InvalidInput: the model's or the candidates' file is not valid, or a limit
            is not valid.
    """
    from twin_harness.control.adaptive import draw_candidates, usual_plans
    from twin_harness.control.campaign import draw_campaign
    from twin_harness.predict.suggest import suggest as choose
    from twin_harness.predict.twin import Twin
    from twin_harness.schedule.model import Schedule

    enough = _enough(arguments)
    twin = Twin.load(arguments.model)
    if arguments.candidates:
        candidates = Schedule.read(arguments.candidates).experiments
    else:
        drawn = draw_campaign("4h", seed=arguments.seed + 1)
        candidates = (*drawn, *draw_candidates(arguments.seed))
    echo_error(f"comparing what {len(candidates)} plans would tell; this takes some seconds")
    chosen = choose(twin.model_, candidates, usual_plans(arguments.seed), enough)
    if not chosen:
        msg = f"schedule suggest: --within {arguments.within}: expected time for one plan or more"
        raise InvalidInput(msg)
    if not arguments.candidates:  # the campaign's names would say which part of it a run belongs to
        chosen = [
            replace(one, experiment=_renamed(one.experiment, number))
            for number, one in enumerate(chosen, 1)
        ]
    for one in chosen:
        echo_error(
            f"{one.experiment.name}: after it, {duration(one.machine_s)} in all,"
            f" {100 * one.left:.0f} % of today's variance is expected to be left"
        )
    if chosen[-1].left > enough.left > 0:
        echo_error(
            f"these leave more than the {arguments.until} that --until asks for: record them, fit"
            " anew, and ask again"
        )
    generator = {
        "name": "suggest",
        "version": __version__,
        "arguments": {"n": len(chosen), "model": twin.file_.training.hash},
    }
    experiments = tuple(one.experiment for one in chosen)
    schedule = Schedule(seed=arguments.seed, generator=generator, experiments=experiments)
    return write_schedule(schedule, arguments)


def _enough(arguments: argparse.Namespace) -> Enough:
    """Return where to end.

    Raises:
        InvalidInput: one of the limits is not valid.
    """
    from twin_harness.predict.suggest import Enough as _Enough

    count, left, machine_s = arguments.n, 0.0, float("inf")
    if count is None:
        count = _USUAL if arguments.within is None and arguments.until is None else _MOST
    if not 1 <= count <= _MOST:
        msg = f"schedule suggest: expected -n from 1 to {_MOST} but got {count}"
        raise InvalidInput(msg)
    if arguments.within is not None:
        match = _TIME.fullmatch(arguments.within.strip())
        if match is None:
            msg = (
                f"schedule suggest: --within: expected e.g. 20m or 1h but got {arguments.within!r}"
            )
            raise InvalidInput(msg)
        machine_s = int(match[1]) * (3600.0 if match[2] == "h" else 60.0)
    if arguments.until is not None:
        share = _SHARE.fullmatch(arguments.until.strip())
        if share is None or not 0 < float(share[1]) < 100:
            msg = (
                "schedule suggest: --until: expected a share such as 50%, between 0 and 100, but"
                f" got {arguments.until!r}"
            )
            raise InvalidInput(msg)
        left = float(share[1]) / 100.0
    return _Enough(count, machine_s, left)


def _renamed(experiment: Experiment, number: int) -> Experiment:
    """Return an experiment named for its number and for what it loads."""
    stressors = ", ".join(dict.fromkeys(event.stressor for event in experiment.events)) or "rest"
    return experiment.model_copy(update={"name": f"suggested {number} {stressors}"})
