"""``twin schedule suggest``: the experiments from which a twin would learn most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness import __version__
from twin_harness.cli.output import echo_error
from twin_harness.cli.schedule_file import add_out, write_schedule
from twin_harness.errors import InvalidInput

if TYPE_CHECKING:
    import argparse

    from twin_harness.cli.commands import Commands
    from twin_harness.schedule.model import Experiment


def add_suggest(actions: Commands) -> None:
    """Add the action."""
    text = "the experiments that would reduce a twin's uncertainty most, the best first"
    example = "example: twin schedule suggest --model twin.json --out next.json"
    action = actions.add("suggest", suggest, text, example=example, has_json=False)
    action.add_argument("--model", required=True, metavar="FILE", help="what twin fit has made")
    action.add_argument("-n", type=int, default=5, help="how many (default: 5)")
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
        InvalidInput: the model's or the candidates' file is not valid, or fewer than one experiment
            is asked for.
    """
    from twin_harness.control.campaign import draw_campaign, role_of
    from twin_harness.predict.suggest import suggest as choose
    from twin_harness.predict.twin import Twin
    from twin_harness.schedule.model import Schedule

    if arguments.n < 1:
        msg = f"schedule suggest: expected -n of 1 or more but got {arguments.n}"
        raise InvalidInput(msg)
    twin = Twin.load(arguments.model)
    campaign = draw_campaign("4h", seed=arguments.seed + 1)
    candidates = campaign
    if arguments.candidates:
        candidates = Schedule.read(arguments.candidates).experiments
    horizon = [experiment for experiment in campaign if role_of(experiment.name) == "calibrate"]
    chosen = choose(twin.model_, candidates, horizon, arguments.n)
    if not arguments.candidates:  # the campaign's names would say which part of it a run belongs to
        chosen = [
            (_renamed(experiment, number), left)
            for number, (experiment, left) in enumerate(chosen, 1)
        ]
    for experiment, left in chosen:
        echo_error(
            f"{experiment.name}: after it {100 * left:.0f} % of today's variance is expected to be"
            " left"
        )
    generator = {
        "name": "suggest",
        "version": __version__,
        "arguments": {"n": arguments.n, "model": twin.file_.training.hash},
    }
    experiments = tuple(experiment for experiment, _ in chosen)
    schedule = Schedule(seed=arguments.seed, generator=generator, experiments=experiments)
    return write_schedule(schedule, arguments)


def _renamed(experiment: Experiment, number: int) -> Experiment:
    """Return an experiment named for its number and for what it loads."""
    stressors = ", ".join(dict.fromkeys(event.stressor for event in experiment.events)) or "rest"
    return experiment.model_copy(update={"name": f"suggested {number} {stressors}"})
