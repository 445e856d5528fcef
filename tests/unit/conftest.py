"""What several unit tests share: a twin that takes seconds to fit, and a baseline that does not."""

import pytest


@pytest.fixture
def quick_boosting(monkeypatch):
    """Gradient boosting of a few trees: most of the time of an evaluation is theirs.

    For tests that do not ask how good it is.
    """
    monkeypatch.setattr("twin_harness.predict.autoregressive._ROUNDS", 4)


@pytest.fixture(scope="session")
def campaign_runs():
    """The runs of a made-up campaign of an hour."""
    from tests.support.simulated_machine import campaign, observed

    return observed(campaign("1h", max_disk_bytes_per_s=350_000_000))


@pytest.fixture(scope="session")
def campaign_twin(campaign_runs):
    """A twin fitted to that campaign, but for its tests."""
    from twin_harness.predict.gathering import without_tests
    from twin_harness.predict.twin import Twin

    return Twin(starts=1).fit_observations(without_tests(campaign_runs))
