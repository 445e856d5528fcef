"""The model's file: whatever is wrong with it is one sentence that names the field."""

import json

import pytest

from twin_harness.errors import InvalidInput
from twin_harness.predict.twin import Twin


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


@pytest.mark.parametrize(
    ("keys", "value", "told"),
    [
        (["parameters", "fill_cpu"], None, "parameters: 'fill_cpu' is missing"),
        (["parameters", "evil"], 1.0, "parameters: 'evil' is unknown"),
        (["parameters", "fill_cpu"], 1e9, "parameters.fill_cpu: 1e+09 is outside of 0.2 to 2"),
        (["parameters", "fill_cpu"], "1", "parameters.fill_cpu: '1' is not valid"),
        (["format"], "twin-model/3", "format 'twin-model/3' is not one this version reads"),
        (["fingerprint"], "../../etc", "fingerprint"),
        (["sets"], [], "sets"),
        (["sets", 0], [1.0], "sets[0]: 1 numbers; expected"),
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
