"""Provenance: a run that a twin predicted is known by its ``machine.json``."""

import pytest

from twin_harness.system.provenance import PREDICTED_BY, is_predicted


@pytest.mark.parametrize("key", [PREDICTED_BY, "foretold_by"])
def test_a_predicted_run_is_known_by_the_key_and_by_its_former_name(key):
    """Folders written under the former name are read as what they are."""
    assert is_predicted({key: "twin.json"})


def test_a_recorded_run_is_not_predicted():
    """Neither without the key nor with an empty one."""
    assert not is_predicted({"fingerprint": "0123456789abcdef"})
    assert not is_predicted({PREDICTED_BY: ""})
