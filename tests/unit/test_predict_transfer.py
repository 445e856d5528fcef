"""A model of one machine made one of another: by few runs, with its lineage, or refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.support.simulated_machine import campaign, observed, true_parameters
from twin_harness.cli import main
from twin_harness.control.probe_plan import probe_plan
from twin_harness.errors import InvalidInput
from twin_harness.predict.model_file import read_model
from twin_harness.predict.observation import COLUMNS, padded
from twin_harness.predict.parameters import NAMES
from twin_harness.predict.prior import Prior
from twin_harness.predict.scale import in_units
from twin_harness.predict.transfer import WIDENED_BY, transfer

OTHER = "fedcba9876543210"
# A machine that fills memory at half of the speed, and costs more.
CHANGED = true_parameters(
    fill_fresh=3e8, fill_warm=1.5e9, write_bandwidth=2e8, memory_idle=12.0, load_idle=0.4
)


@pytest.fixture(scope="module")
def probe():
    """The probe, as the other machine would record it."""
    return observed(probe_plan(), seed=5, parameters=CHANGED, fingerprint=OTHER)


@pytest.fixture(scope="module")
def transferred(campaign_twin, probe):
    return transfer(campaign_twin, probe)


def error_of(twin, runs):
    """Root mean square error by column, in units."""
    centre = in_units(twin.model_.free_run([one.demand for one in runs]).centre)
    errors = np.sqrt(np.nanmean((centre - padded(runs)) ** 2, axis=(0, 2)))
    return dict(zip(COLUMNS, errors, strict=True))


def test_two_minutes_are_enough_for_another_machine(campaign_twin, transferred, campaign_runs):
    """Plans that neither has seen: half of the error of the model as it was, or less."""
    plans = [one for one in campaign("1h", max_disk_bytes_per_s=350_000_000) if "test" in one.name]
    runs = observed(plans[:8], seed=9, parameters=CHANGED, fingerprint=OTHER)
    before, after = error_of(campaign_twin, runs), error_of(transferred, runs)
    assert after["memory_percent"] < 0.5 * before["memory_percent"]
    assert after["cpu_percent"] < before["cpu_percent"]
    found = transferred.file_.parameters["fill_fresh"]
    assert found == pytest.approx(3e8, rel=0.15)


def test_a_model_tells_where_it_comes_from(campaign_twin, transferred, tmp_path):
    """Which model, and what is still that one's; the file keeps it."""
    transferred.save(tmp_path / "there.json")
    lineage = read_model(tmp_path / "there.json").lineage
    assert lineage.fingerprint == campaign_twin.file_.fingerprint
    assert lineage.training_hash == campaign_twin.file_.training.hash
    assert "read_bandwidth" in lineage.at_prior  # the probe reads nothing
    assert "fill_fresh" not in lineage.at_prior
    assert transferred.file_.fingerprint == OTHER
    data = json.loads((tmp_path / "there.json").read_text())
    data["lineage"]["fingerprint"] = OTHER
    (tmp_path / "edited.json").write_text(json.dumps(data))
    with pytest.raises(InvalidInput, match=r"lineage\.fingerprint"):
        read_model(tmp_path / "edited.json")


def test_what_the_probe_does_not_tell_stays_as_uncertain_as_it_was(campaign_twin, transferred):
    """At the prior in the middle, and as wide as machines differ."""
    index = NAMES.index("read_bandwidth")
    old = campaign_twin.file_.parameters["read_bandwidth"]
    assert transferred.model_.parameters[index] == pytest.approx(old, rel=0.05)
    assert np.std(np.log(transferred.model_.spread.parameter_sets[:, index])) > 0.4
    assert transferred.model_.calibration.pointwise == pytest.approx(
        np.full(len(COLUMNS), WIDENED_BY)
    )


def test_a_prior_says_nothing_of_what_its_model_did_not_know():
    """An error that is not known is the weak prior's; a small one adds to how machines differ."""
    errors = np.zeros(len(NAMES))
    errors[0] = np.nan
    prior, weak = Prior.of_machine(true_parameters(), errors), Prior.weak()
    assert (prior.centre[0], prior.widths[0]) == (weak.centre[0], weak.widths[0])
    assert np.all(prior.widths[1:] < weak.widths[1:])


def test_what_cannot_be_transferred_is_one_sentence(campaign_twin, campaign_runs, probe):
    """The machine itself, too few runs, two machines, a probe beside others."""
    for runs, says in (
        (campaign_runs[:8], "the machine that the model is of already"),
        (probe[:2], "2 runs of the new machine are too few"),
        ([*probe, *campaign_runs[:2]], "the runs are of 2 machines"),
    ):
        with pytest.raises(InvalidInput, match=says):
            transfer(campaign_twin, runs)
    busy = [replace(one, others_cpu_percent=np.full(one.demand.seconds, 45.0)) for one in probe]
    with pytest.raises(InvalidInput, match=r"others used 45 % of the CPUs during 'probe cpu stair"):
        transfer(campaign_twin, busy)


def test_the_command_wants_runs_or_a_probe(campaign_twin, tmp_path, capsys):
    """One of them, and says so."""
    campaign_twin.save(tmp_path / "twin.json")
    words = ["transfer", str(tmp_path / "twin.json"), "-o", str(tmp_path / "there.json")]
    assert main(words) == 2
    assert "expected the run folders of the new machine or --probe" in capsys.readouterr().err
    assert main([*words[:2], "data/nowhere", "--probe", *words[2:]]) == 2
    assert "but got both" in capsys.readouterr().err


def test_the_probe_takes_two_minutes():
    """And asks for every channel that tells a machine's size."""
    plans = probe_plan()
    assert sum(one.duration_s for one in plans) < 120
    assert {event.stressor for one in plans for event in one.events} == {"cpu", "memory", "disk"}
