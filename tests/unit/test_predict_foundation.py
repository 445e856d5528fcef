"""A foundation model as a baseline: what it is shown, and why it is left out."""

import sys
import types

import numpy as np
import pytest

from tests.support.simulated_machine import campaign, observed, without
from twin_harness.predict import foundation
from twin_harness.predict.evaluate import evaluate
from twin_harness.predict.foundation import FoundationModel
from twin_harness.predict.observation import COLUMNS
from twin_harness.predict.twin import Twin

QUANTILES = [0.1, 0.5, 0.9]


@pytest.fixture
def library(monkeypatch, tmp_path):
    """Stands in for chronos: keeps what it is asked, and forecasts the mean of each column."""
    asked = []

    class Pipeline:
        quantiles = QUANTILES

        @classmethod
        def from_pretrained(cls, folder, **options):
            asked.append((folder, options))
            return cls()

        def predict(self, inputs, prediction_length):
            asked.append((inputs, prediction_length))
            return [
                np.tile(
                    np.nanmean(one["target"], axis=1)[:, np.newaxis, np.newaxis]
                    * np.array([0.5, 1.0, 2.0])[:, np.newaxis],
                    (1, 1, prediction_length),
                )
                for one in inputs
            ]

    module = types.ModuleType("chronos")
    module.Chronos2Pipeline = Pipeline
    module.__spec__ = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "chronos", module)
    monkeypatch.setattr(foundation, "find_spec", lambda _: module.__spec__)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    return tmp_path, asked


def test_the_runs_are_its_past_and_the_plan_what_it_knows_of_the_future(library):
    """Channels that never change are left out; weights come from files that hold no code."""
    folder, asked = library
    runs = [without(one, "probe_cpu_ms") for one in observed(campaign("10m")[:4])]
    model = FoundationModel(folder)
    assert not model.lack()
    found = model.fit(runs[:3], runs[0].capacity).predict(
        [runs[3].demand], np.full((1, len(COLUMNS)), np.nan)
    )
    (where, options), (inputs, seconds) = asked
    assert where == str(folder)
    assert options["local_files_only"]
    assert options["use_safetensors"]
    assert seconds == runs[3].demand.seconds == found.shape[2]
    past_s = sum(one.demand.seconds for one in runs[:3])
    assert inputs[0]["target"].shape == (len(COLUMNS) - 1, past_s)
    assert set(inputs[0]["past_covariates"]) == set(inputs[0]["future_covariates"])
    assert "read_bytes_per_s" not in inputs[0]["past_covariates"]
    assert all(len(row) == past_s for row in inputs[0]["past_covariates"].values())
    assert np.isnan(found[:, COLUMNS.index("probe_cpu_ms")]).all()
    measured = np.concatenate([one.column("cpu_percent") for one in runs[:3]])
    assert found[0, COLUMNS.index("cpu_percent")] == pytest.approx(measured.mean())


@pytest.mark.usefixtures("quick_boosting")
def test_it_is_scored_beside_the_others(library):
    """With its skill, by the same code."""
    runs = observed(campaign("10m"), seed=5)
    twin = Twin(starts=1).fit_observations(runs[:6])
    found = evaluate(twin.model_, runs[:6], runs[6:], more=[FoundationModel(library[0])])
    theirs = found.score_of("cpu_percent", FoundationModel.name)
    assert theirs.nrmse > found.score_of("cpu_percent").nrmse
    assert found.skills[FoundationModel.name]["cpu_percent"][0] > 0


def test_without_library_or_weights_it_is_left_out_by_name(monkeypatch, library):
    """The sentence says what to install, or what the folder should hold."""
    folder, _ = library
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"")
    assert "there are no weights in" in FoundationModel(folder).lack()
    monkeypatch.setattr(foundation, "find_spec", lambda _: None)
    assert "pip install chronos-forecasting" in FoundationModel(folder).lack()
