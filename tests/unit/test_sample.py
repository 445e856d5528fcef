"""The committed sample is what it says.

Readable, without faults, described truly, and its report can be made.
"""

import json
import warnings
from hashlib import sha256
from pathlib import Path

import pandas as pd
import pytest

from twin_harness import load
from twin_harness.dataset.cleaning import clean
from twin_harness.dataset.validation import validate

SAMPLE = Path(__file__).parents[2] / "data" / "sample" / "20261124T232459Z-44f5cd"

pytestmark = pytest.mark.skipif(
    not SAMPLE.exists(), reason="the sample stands in the repository, not in the package"
)


def test_sample_is_loaded_in_one_line_with_and_without_ours():
    """The same rows by our loader and by pandas alone."""
    run, frame = load(SAMPLE), pd.read_parquet(SAMPLE / "system_metrics_dataset.parquet")
    assert run.status == "COMPLETE"
    assert len(run.recordings) == 16
    assert len(run.samples) == len(frame) == 1814
    assert frame["cpu_percent"].mean() == pytest.approx(run.samples["cpu_percent"].mean())


def test_sample_has_no_fault():
    """Validation finds nothing, cleaning keeps every row, and no path of a machine stands in it."""
    run = load(SAMPLE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # pandera's
        assert validate(run).empty
    frame, faults = clean(run)
    assert (len(frame), list(faults)) == (1814, [])
    assert not Path(run.machine["scratch_dir"]).is_absolute()


def test_sample_is_described_truly():
    """Sizes and checksums of the Data Package are those of the files."""
    for resource in json.loads((SAMPLE / "datapackage.json").read_text())["resources"]:
        data = (SAMPLE / resource["path"]).read_bytes()
        assert (resource["bytes"], resource["hash"]) == (
            len(data),
            f"sha256:{sha256(data).hexdigest()}",
        )
