"""The model's file: whatever is wrong with it is one sentence that names the field."""

import json
from pathlib import Path

import numpy as np
import pytest

from twin_harness.errors import InvalidInput
from twin_harness.predict.twin import Twin
from twin_harness.schedule.builders import cpu, plan


@pytest.fixture(scope="module")
def whole(model_file):
    return json.loads(model_file.read_text())


def damaged(data, keys, value):
    copy = json.loads(json.dumps(data))
    place = copy
    for key in keys[:-1]:
        place = place[key]
    if value is None:
        del place[keys[-1]]
    else:
        place[keys[-1]] = value
    return copy


STAGE = {
    "multiplier": 1.0,
    **{name: [1.0] * 9 for name in ("below", "above", "ensemble_below", "ensemble_above")},
}


@pytest.mark.parametrize(
    ("keys", "value", "told"),
    [
        (["parameters", "fill_cpu"], None, "parameters: 'fill_cpu' is missing"),
        (["parameters", "evil"], 1.0, "parameters: 'evil' is unknown"),
        (["parameters", "fill_cpu"], 1e9, "parameters.fill_cpu: 1e+09 is outside of 0.2 to 2"),
        (["parameters", "fill_cpu"], "1", "parameters.fill_cpu: '1' is not valid"),
        (["format"], "twin-model/9", "format 'twin-model/9' is not one this version reads"),
        (["fingerprint"], "../../etc", "fingerprint"),
        (["parameter_sets"], [], "parameter_sets"),
        (["parameter_sets", 0], [1.0], "parameter_sets[0]: 1 numbers; expected"),
        (["capacity", "cpus"], 0, "capacity.cpus"),
        (["capacity", "memory_bytes"], -1, "capacity.memory_bytes"),
        (["spread", "still_load", "cpu_percent"], -1.0, "spread.still_load.cpu_percent"),
        (
            ["spread", "runs", 0, "errors", "load1"],
            [0.0],
            "spread.runs[0].errors.load1: 1 numbers; expected one for each of",
        ),
        (["spread", "runs", 0, "regimes"], "9", "spread.runs[0].regimes"),
        (["calibration", "pointwise"], {}, "calibration.pointwise"),
        (["errors"], {}, "errors: 'background_cpu' is missing"),
        (["host"], "x\n\x1b[31mfoo", "host"),
        (["calibration", "stages"], {"cpu": STAGE}, "calibration.stages: 'cpu' is not a column"),
        (["calibration", "stages"], {"load1": {**STAGE, "below": [1.0]}}, "calibration.stages"),
        (["calibration", "unforetold"], ["cpu"], "calibration.unforetold: 'cpu' is not a column"),
        (["domain", "highest", "cpu_percent"], None, "domain.highest: 'cpu_percent' is missing"),
        (["command"], "rm", "command: is not a known key"),
        (["training", "plans"], ["x"], "training.plans[0]"),
    ],
)
def test_a_damaged_model_is_refused_by_field(whole, tmp_path, keys, value, told):
    """Missing, unknown, out of range, of another type or version: the sentence names it."""
    path = tmp_path / "twin.json"
    path.write_text(json.dumps(damaged(whole, keys, value)))
    with pytest.raises(InvalidInput) as caught:
        Twin.load(path)
    assert told in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"format": "twin-model/1"}',
        '{"format": NaN}',
        "[" * 100_000,
        '{"a": 1, "a": 2}',
    ],
)
def test_what_is_no_model_is_refused(tmp_path, text):
    """No JSON, nested too deeply, keys twice: one sentence, no traceback."""
    path = tmp_path / "twin.json"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=r"twin\.json"):
        Twin.load(path)


def test_a_model_that_is_missing_or_too_large_is_refused(tmp_path):
    """A missing file is named, and what is too large is not read."""
    with pytest.raises(
        InvalidInput, match=r"cannot be read .*; expected a model that twin fit has made"
    ):
        Twin.load(tmp_path / "none.json")
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        file.truncate(5 * 1024**2)
    with pytest.raises(InvalidInput, match="expected at most"):
        Twin.load(large)


def test_a_model_is_replaced_whole(whole, tmp_path, monkeypatch):
    """When writing fails half-way the old file is still there, complete."""
    path = tmp_path / "twin.json"
    path.write_text(json.dumps(whole))
    twin = Twin.load(path)

    def torn(self, text, **_):
        with self.open("w") as file:
            file.write(text[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", torn)
    with pytest.raises(OSError, match="No space left"):
        twin.save(path)
    assert json.loads(path.read_text()) == whole


def test_a_model_of_the_format_before_is_read(whole, tmp_path):
    """It called the parameter sets ``sets``; what it predicts is the same."""
    new, old = tmp_path / "new.json", tmp_path / "old.json"
    new.write_text(json.dumps(whole))
    former = {"sets" if key == "parameter_sets" else key: value for key, value in whole.items()}
    old.write_text(json.dumps(former | {"format": "twin-model/2"}))
    experiment = plan(cpu(50, duration_s=5))
    ours, theirs = (Twin.load(path).predict(experiment) for path in (new, old))
    assert np.array_equal(ours.members, theirs.members)
    Twin.load(old).save(old)
    assert json.loads(old.read_text()) == whole
