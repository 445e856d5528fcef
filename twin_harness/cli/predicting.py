"""The twin's commands.

Fit a model, ask it what would happen, judge it by runs that it has not seen.
"""

from __future__ import annotations

from math import exp, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.cli.output import OK, complain, give, say
from twin_harness.errors import InvalidInput

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from twin_harness.predict.evaluate import Evaluation
    from twin_harness.predict.observation import Observation
    from twin_harness.predict.scores import ColumnScore
    from twin_harness.predict.simulate import Start
    from twin_harness.predict.twin import Prediction, Twin

_NO_BETTER = 0.95  # of the best simple predictor's error
_FEWEST_TIMES = 20  # ways in which it comes true, below which they tell no interval of when
_BUSY_PERCENT = 5.0  # of CPU time: more than a machine at rest takes
_SHOWN = (
    "cpu_percent",
    "memory_percent",
    "load1",
    "disk_write_bytes_per_s",
    "pressure_cpu_percent",
    "pressure_io_percent",
    "probe_wakeup_ms",
)


def add_predicting(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the commands."""
    fit_command = add(
        "fit",
        fit,
        "fit a twin of a machine from its runs",
        example="example: twin fit data/2026* -o twin.json",
    )
    fit_command.add_argument("run", nargs="+", help="run folders")
    fit_command.add_argument(
        "-o",
        "--out",
        required=True,
        metavar="FILE",
        help="the model's file; one that exists is replaced",
    )
    example = (
        "example: twin predict schedule.json --model twin.json --overload 'memory_percent > 80 for"
        " 5 s'"
    )
    predict_command = add(
        "predict",
        predict,
        "what would happen under a schedule: trajectories with bands, and overload",
        example=example,
    )
    predict_command.add_argument("schedule", help="a schedule.json")
    predict_command.add_argument(
        "--model", required=True, metavar="FILE", help="what twin fit has made"
    )
    predict_command.add_argument(
        "--now", action="store_true", help="begin with this machine as it is, not at rest"
    )
    text = (
        "tell its probability, time and binding resource: <column> [mean|p50|p95|p99] (>|<)"
        " <number> [for <number> s]; may be given again"
    )
    predict_command.add_argument(
        "--overload", action="append", default=[], metavar="CONDITION", help=text
    )
    predict_command.add_argument(
        "--figure",
        metavar="PNG",
        help="draw it: a file for each experiment, its number before the ending",
    )
    example = "example: twin score twin.json data/2026*"
    score_command = add(
        "score",
        score,
        "judge a twin by runs that it has not seen, beside eight simple predictors",
        example=example,
    )
    score_command.add_argument("model", help="what twin fit has made")
    score_command.add_argument("run", nargs="+", help="run folders")
    text = "the runs that it was fitted to: the simple predictors learn from them"
    score_command.add_argument("--train", nargs="+", default=[], metavar="DIR", help=text)
    text = (
        "judge the model's design instead: divide the runs in these ways (S1 to S6,"
        " comma-separated), each with its own fit"
    )
    score_command.add_argument("--split", default="", metavar="LIST", help=text)


def _observed(folders: list[str]) -> list[Observation]:
    from twin_harness.predict.gathering import gather
    from twin_harness.runs.run import load

    return gather([load(folder) for folder in folders], complain)


def fit(arguments: argparse.Namespace) -> int:
    """Fit a model."""
    from twin_harness.predict.gathering import CALIBRATED_FROM, without_tests
    from twin_harness.predict.parameters import NAMES
    from twin_harness.predict.twin import Twin

    twin = Twin().fit_observations(without_tests(_observed(arguments.run), complain), complain)
    twin.save(arguments.out)
    file, found = twin.file_, twin.fit_
    if arguments.json:
        give(
            file.model_dump(mode="json", exclude={"sets", "training"})
            | {"runs": file.training.runs, "plans": len(file.training.plans)}
        )
        return OK
    runs, is_calibrated = (
        file.calibration.runs,
        any(value is not None for value in file.calibration.pointwise.values()),
    )
    if runs:
        few = f"{runs} calibration runs are too few, expected 9 or more"
    else:
        few = f"bands need runs of {CALIBRATED_FROM} or more different plans"
    if is_calibrated:
        calibrated = f"calibrated by {runs}"
    else:
        calibrated = f"not calibrated: {few}"
    say(
        f"{arguments.out}: twin of machine {file.fingerprint}, fitted to {file.training.runs} runs"
        f" of {len(file.training.plans)} plans, {calibrated}"
    )
    if found is not None:
        say(
            *(
                f"  {name:<16} {found.known(name)}"
                for name in NAMES
                if name not in found.unidentified
            )
        )
    if file.parameters["background_cpu"] > _BUSY_PERCENT:
        say(
            f"background_cpu is {file.parameters['background_cpu']:.1f} %: others kept the machine"
            " busy while these runs were recorded, and the twin takes that for rest; record on a"
            " machine as quiet as the one you ask about"
        )
    for names, text in (
        (file.unidentified, "these runs do not tell"),
        (file.at_bound, "at the end of its range"),
    ):
        if names:
            say(f"{text}: {', '.join(names)}")
    return OK


def predict(arguments: argparse.Namespace) -> int:
    """Foretell every experiment of a schedule."""
    from twin_harness.predict.twin import Twin
    from twin_harness.schedule.model import Schedule

    twin, schedule = Twin.load(arguments.model), Schedule.read(arguments.schedule)
    if arguments.now:
        start = _now(twin)
    else:
        start = None
    predictions = [twin.predict(experiment, start) for experiment in schedule.experiments]
    calls = [
        [prediction.overload(condition) for condition in arguments.overload]
        for prediction in predictions
    ]
    if arguments.figure:
        _draw(predictions, Path(arguments.figure))
    if arguments.json:
        give([_data(prediction, told) for prediction, told in zip(predictions, calls, strict=True)])
        return OK
    file = twin.file_
    say(
        f"twin of machine {file.fingerprint} ({file.capacity.cpus:g} CPUs,"
        f" {file.capacity.memory_bytes / 2**30:.1f} GiB), fitted {file.created[:10]}"
    )
    for prediction, told in zip(predictions, calls, strict=True):
        say(*_lines(prediction), *(_call_line(vars(call)) for call in told))
    return OK


def _now(twin: Twin) -> Start:
    """Return this machine as it is.

    Raises:
        InvalidInput: it is not the machine that was fitted.
    """
    import psutil

    from twin_harness.control.headroom import available_memory_bytes
    from twin_harness.predict.simulate import Start
    from twin_harness.system.machine import inspect_machine

    machine = inspect_machine(Path())
    if twin.file_.fingerprint not in machine.fingerprints:
        here, fitted = machine.fingerprint, twin.file_.fingerprint
        msg = (
            f"--now: this machine is {here}, the twin is of {fitted}; leave --now out, or run it on"
            " the machine that was fitted"
        )
        raise InvalidInput(msg)
    memory_percent = 100.0 * (1.0 - available_memory_bytes(machine) / machine.memory_limit_bytes)
    return Start.of(load1=psutil.getloadavg()[0], memory_percent=memory_percent)


def _draw(predictions: list[Prediction], path: Path) -> None:
    from twin_harness.report.drawing.prediction import foretold_png

    if path.suffix not in ("", ".png"):
        msg = f"--figure: expected a file that ends in .png but got {str(path)!r}"
        raise InvalidInput(msg)

    for number, prediction in enumerate(predictions):
        if len(predictions) == 1:
            place = path
        else:
            place = path.with_name(f"{path.stem}-{number}{path.suffix or '.png'}")
        place.write_bytes(foretold_png(prediction))
        complain(f"figure {place}")


def _lines(prediction: Prediction) -> list[str]:
    import numpy as np

    from twin_harness.metrics import by_name
    from twin_harness.predict.observation import COLUMNS

    lines = [f"{prediction.experiment.name}: {len(prediction.ends_s)} s"]
    lines += [f"  extrapolating: {reason}" for reason in prediction.extrapolating]
    lines.append(f"  {'column':<24} {'mean':>10} {'peak':>10} {'at':>7}  90 % band at the peak")
    for name in _SHOWN:
        index = COLUMNS.index(name)
        values = prediction.centre[index]
        if np.isnan(values).any():
            lines.append(f"  {name:<24} this machine does not measure it")
            continue
        at = int(np.argmax(values))
        metric = by_name(name)
        if metric:
            told = metric.unit
        else:
            told = ""
        if told == "bytes/s":
            scale, unit = (1e-6, "MB/s")
        else:
            scale, unit = (1.0, {"percent": "%", "1": ""}.get(told, told))
        low, high = scale * prediction.low[index, at], scale * prediction.high[index, at]
        if np.isfinite(low):
            band = f"{low:.3g} to {high:.3g} {unit}".rstrip()
        else:
            band = "unknown (not calibrated)"
        lines.append(
            f"  {name:<24} {scale * values.mean():>10.3g} {scale * values[at]:>10.3g}"
            f" {prediction.ends_s[at]:>5.0f} s  {band}"
        )
    return lines


def _call_line(call: dict[str, Any]) -> str:
    likely = (
        f"  {call['condition']}: {100 * call['probability']:.0f} % likely (n = {call['members']}"
        " ways in which it may go)"
    )
    if call["time_s"] is None or call["probability"] * call["members"] < _FEWEST_TIMES:
        return likely
    return (
        f"{likely}, after {call['time_s']:.0f} s [{call['low_s']:.0f} … {call['high_s']:.0f}],"
        f" {call['binding']} binds"
    )


def _data(prediction: Prediction, calls: list[Any]) -> dict[str, Any]:
    from twin_harness.predict.observation import COLUMNS

    def series(values: Any) -> dict[str, list[float | None]]:
        return {
            name: [None if isnan(value) else float(f"{value:.6g}") for value in row]
            for name, row in zip(COLUMNS, values, strict=True)
        }

    return {
        "experiment": prediction.experiment.name,
        "extrapolating": list(prediction.extrapolating),
        "end_s": [float(end_s) for end_s in prediction.ends_s],
        "foretold": series(prediction.centre),
        "low": series(prediction.low),
        "high": series(prediction.high),
        "overload": [vars(call) for call in calls],
    }


def score(arguments: argparse.Namespace) -> int:
    """Judge a model, or its design."""
    from twin_harness.predict.evaluate import check_held_out, evaluate, evaluate_splits
    from twin_harness.predict.twin import Twin

    twin, observations = Twin.load(arguments.model), _observed(arguments.run)
    missing: list[str] = []
    if arguments.split:
        evaluations, missing = evaluate_splits(
            observations, [name.strip() for name in arguments.split.split(",")], complain
        )
    else:
        check_held_out(twin, observations)
        if arguments.train:
            training = [
                one for one in _observed(arguments.train) if one.plan in twin.file_.training.plans
            ]
        else:
            training = []
        if not training:
            complain(
                "without --train DIR… (the runs that the model was fitted to) there are no simple"
                " predictors beside it"
            )
        evaluations = [evaluate(twin, training, observations)]
    if arguments.json:
        give({"evaluations": [one.to_json() for one in evaluations], "missing": missing})
        return OK
    for one in evaluations:
        say(*_score_lines(one))
    for sentence in missing:
        complain(sentence)
    return OK


def _score_lines(evaluation: Evaluation) -> list[str]:
    from twin_harness.predict.evaluate import WARM
    from twin_harness.predict.observation import COLUMNS
    from twin_harness.predict.splits import SPLITS

    name, fitted = "held-out runs", ""
    if evaluation.split:
        name = f"{evaluation.split} {SPLITS[evaluation.split]}"
        fitted = f", fitted to {evaluation.train}"
    lines = [
        f"{name}: {evaluation.test} runs{fitted}, floor of {evaluation.pairs} pairs of replicates"
    ]
    lines.append(
        f"  {'column':<24} {'RMSE':>9} {'NRMSE':>7} {'as found':>9} {'× floor':>8} {'bias':>9}  "
        f" {'best baseline, its NRMSE':<28}  90 % band held"
    )
    coverage = {one.column: one for one in evaluation.coverage}
    for column in COLUMNS:
        ours, warm, best = (
            evaluation.score_of(column),
            evaluation.score_of(column, WARM),
            evaluation.best_baseline(column),
        )
        if ours is None:
            continue
        if column.endswith("bytes_per_s"):
            scale = 1e-6
        else:
            scale = 1.0
        if best:
            other = f"{best.predictor} {_plain(best.nrmse)}"
        else:
            other = ""
        held = coverage[column].pointwise
        if isnan(held):
            band = "unknown"
        else:
            band = f"{100 * held:.0f} % of seconds"
        errors = (
            f"{scale * ours.rmse:>9.3g} {_plain(ours.nrmse):>7}"
            f" {_plain(warm.nrmse) if warm else '':>9} {_plain(ours.to_floor):>8}"
        )
        if best and ours.nrmse > _NO_BETTER * best.nrmse:
            weak = "; no better than a simple predictor"
        else:
            weak = ""
        lines.append(
            f"  {column:<24} {errors} {scale * ours.bias:>+9.2g}   {other:<28} "
            f" {band}{_tail(ours)}{weak}"
        )
    lines.append(_in_short(evaluation))
    lines.append(
        "  (NRMSE: RMSE in deviations of the column, 1 is as good as its mean; as found: told load"
        " and memory before the run; "
    )
    lines.append(
        "  × floor: of what two runs of one plan differ by over √2; Brier skill: 1 is perfect, 0 as"
        " good as the share of events)"
    )
    for call in evaluation.overload:
        counts = f"{call.events} of {call.events + call.others} runs"
        if not call.is_decided:
            lines.append(
                f"  {call.condition}: came true in {counts}: UNDECIDED, expected ten that do and"
                " ten that do not"
            )
            continue
        times = f"time off by {call.time_error_s:.1f} s (limit {call.time_limit_s:.1f} s)"
        lines.append(
            f"  {call.condition}: came true in {counts}: Brier skill {call.skill:.2f}, {times},"
            f" {100 * call.false_safe:.0f} % called safe"
        )
    return lines


def _tail(one: ColumnScore) -> str:
    """Return by which factor the 95th percentile of a latency is off, in the middle of the runs.

    Nothing for other columns.
    """
    if isnan(one.log_ratio):
        return ""
    if isnan(one.log_ratio_floor):
        floor = ""
    else:
        floor = f" (a perfect model: about {exp(one.log_ratio_floor):.1f})"
    return f"; p95 off by a factor of {exp(one.log_ratio):.1f}{floor}"


def _in_short(evaluation: Evaluation) -> str:
    """Return the scores of CPU and memory as a sentence."""
    parts = []
    for column, what in (("cpu_percent", "CPU"), ("memory_percent", "memory")):
        ours, best = evaluation.score_of(column), evaluation.best_baseline(column)
        if ours is not None:
            if isnan(ours.floor):
                floor = ""
            else:
                floor = (
                    f" (a perfect model, as two runs of one plan differ, by about {ours.floor:.1f})"
                )
            if best is None:
                beside = ""
            else:
                beside = f" (the best simple predictor by {best.rmse:.1f})"
            parts.append(f"{what} by {ours.rmse:.1f} points{beside}{floor}")
    if not parts:
        return "  in short: neither CPU nor memory was measured"
    return f"  in short: of a run that it has not seen, the twin is off in {'; in '.join(parts)}"


def _plain(value: float) -> str:
    if isnan(value):
        return "–"
    return f"{value:.2f}"
