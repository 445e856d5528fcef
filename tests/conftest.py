"""What every test of the harness itself lives by.

The same hypothesis examples in every run, on every machine.
"""

import os

# Before numpy is loaded: threads of small matrix products wait for each other, and each worker
# would have as many as there are CPUs.
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

from hypothesis import settings  # noqa: E402 - after the environment that numpy reads once

settings.register_profile(
    "harness", derandomize=True, database=None, deadline=None, max_examples=60
)
settings.load_profile("harness")

# Here, not in tests/plugin: a deeper conftest may not name plugins when all tests are run at once.
pytest_plugins = ["pytester"]
