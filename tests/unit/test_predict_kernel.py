"""The kernel's load averages.

What /proc showed for seven minutes of this and that, told again from what it is made of.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from twin_harness.predict.kernel import FIXED_POINT, LOAD_DECAYS, keep_of

RECORDED = pd.read_csv(Path(__file__).with_name("proc_averages.csv"))
ROUNDING = 0.005  # /proc/loadavg has two decimals


def load_updates():
    """Return the rows at which the kernel had just updated the load averages.

    Every five seconds.
    """
    changed = np.flatnonzero(np.diff(RECORDED["load1"].to_numpy()) != 0) + 1
    first = int(changed[0])
    return RECORDED.iloc[first::5].reset_index(drop=True)


def test_load_averages_of_five_and_fifteen_minutes_follow_from_that_of_one():
    """load1 tells how many tasks the kernel counted at each update, a whole number.

    Load5 and load15 move by the same count.
    """
    rows = load_updates()
    keep = LOAD_DECAYS["load1"] / FIXED_POINT
    before, after = rows["load1"].to_numpy()[:-1], rows["load1"].to_numpy()[1:]
    counted = (after - keep * before) / (1.0 - keep)
    most = ROUNDING * (1.0 + keep) / (1.0 - keep)  # 0.12 of a task
    assert len(counted) > 60
    assert np.abs(counted - np.round(counted)).max() <= most + 0.01
    for name in ("load5", "load15"):
        decay = LOAD_DECAYS[name] / FIXED_POINT
        told = decay * rows[name].to_numpy()[:-1] + (1.0 - decay) * np.round(counted)
        assert np.abs(told - rows[name].to_numpy()[1:]).max() <= 2 * ROUNDING + 0.003, name


def test_what_remains_after_a_step_is_a_power_of_the_decay():
    """Two steps of half a period are one of a whole."""
    assert keep_of(1677.0, 2.0, 1.0) ** 2 == pytest.approx(1677.0 / 2048.0)
