"""``twin score``: judge a twin by runs that it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from twin_harness.cli.observations import read_observations
from twin_harness.cli.output import OK, echo, echo_error, write_json
from twin_harness.cli.score_table import score_lines

if TYPE_CHECKING:
    import argparse

    from twin_harness.cli.commands import Commands
    from twin_harness.predict.baselines import Predictor
    from twin_harness.predict.evaluate import Evaluation
    from twin_harness.predict.observation import Observation
    from twin_harness.predict.twin import Twin


def add_score(commands: Commands) -> None:
    """Add the command."""
    command = commands.add(
        "score",
        score,
        "judge a twin by runs that it has not seen, beside eight simple predictors",
        example="example: twin score twin.json data/2026*",
    )
    command.add_argument("model", help="what twin fit has made")
    command.add_argument("run", nargs="+", help="run folders")
    text = "the runs that it was fitted to: the simple predictors learn from them"
    command.add_argument("--train", nargs="+", default=[], metavar="DIR", help=text)
    text = (
        "judge the model's design instead: divide the runs in these ways (S1 to S6,"
        " comma-separated), each with its own fit"
    )
    command.add_argument("--split", default="", metavar="LIST", help=text)
    text = (
        "a local folder with the weights of a Chronos-2 model: one more predictor, which sees those"
        " runs as its past"
    )
    command.add_argument("--foundation", metavar="DIR", help=text)


def score(arguments: argparse.Namespace) -> int:
    """Judge a model, or its design."""
    from twin_harness.predict.split_evaluation import evaluate_splits
    from twin_harness.predict.twin import Twin

    twin, observations = Twin.load(arguments.model), read_observations(arguments.run)
    more, missing = _foundation(arguments.foundation)
    if arguments.split:
        names = [name.strip() for name in arguments.split.split(",")]
        evaluations, unmade = evaluate_splits(observations, names, echo_error, more=more)
        missing += unmade
    else:
        evaluations = [_judge(twin, observations, arguments.train, more)]
    if arguments.json:
        evaluated = [evaluation.to_json() for evaluation in evaluations]
        whole = {"columns": evaluations[0].columns()} if len(evaluations) == 1 else {}
        write_json({**whole, "evaluations": evaluated, "missing": missing})
        return OK
    for evaluation in evaluations:
        echo(*score_lines(evaluation))
    for sentence in missing:
        echo_error(sentence)
    return OK


def _foundation(folder: str | None) -> tuple[list[Predictor], list[str]]:
    """Return the foundation model of a folder, or why it is left out."""
    from twin_harness.predict.foundation import FoundationModel

    if folder is None:
        return [], []
    model = FoundationModel(Path(folder))
    if lack := model.lack():
        return [], [lack]
    return [model], []


def _judge(
    twin: Twin, observations: list[Observation], train: list[str], more: list[Predictor]
) -> Evaluation:
    """Judge a model by runs that it was not fitted to.

    Args:
        twin: the model.
        observations: those runs.
        train: folders of the runs that it was fitted to.
        more: baselines beside the usual ones.
    """
    from twin_harness.predict.evaluate import evaluate
    from twin_harness.predict.held_out import check_held_out

    check_held_out(twin.file_, observations)
    plans = twin.file_.training.plans
    training = [
        observation for observation in read_observations(train) if observation.plan in plans
    ]
    if more and not training:
        echo_error(f"{more[0].name}: left out, it is shown the runs of --train DIR…; name them")
    if not training:
        echo_error(
            "without --train DIR… (the runs that the model was fitted to) there are no simple"
            " predictors beside it"
        )
    return evaluate(twin.model_, training, observations, more=more)
