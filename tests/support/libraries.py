"""What sessions in this process load, before the first of them.

Pytester takes out of ``sys.modules`` what a run in this process has added, and libraries made of C
do not stand being loaded twice.
"""

import pandas as pd  # noqa: F401 - loaded once and for all
import pyarrow.parquet  # noqa: F401 - loaded once and for all
import scipy.optimize  # noqa: F401 - loaded once and for all

import twin_harness.control.campaign
import twin_harness.predict.twin
import twin_harness.strategies  # noqa: F401 - loaded once and for all
