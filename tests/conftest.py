"""What every test of the harness itself lives by.

The same hypothesis examples in every run, on every machine; and who of several workers runs what.
"""

import fcntl
import os
from pathlib import Path

# Before numpy is loaded: threads of small matrix products wait for each other, and each worker
# would have as many as there are CPUs.
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import pytest  # noqa: E402 - after the environment that numpy reads once
from hypothesis import settings  # noqa: E402 - as above

settings.register_profile(
    "harness", derandomize=True, database=None, deadline=None, max_examples=60
)
settings.load_profile("harness")

# Here, not in tests/plugin: a deeper conftest may not name plugins when all tests are run at once.
pytest_plugins = ["pytester", "tests.support.projects"]
SESSIONS = ("foreign", "plugin", "real")  # whose tests take turns on the machine
# Modules whose tests share what takes seconds to make: one worker makes it, and runs all of them.
SHARED = {
    "test_cli_predicting": "predicting",
    "test_elsewhere": "elsewhere",
    "test_house": "house",
    "test_matplotlib_settings": "figures",
    "test_packed_run": "packed",
    "test_predict_background": "campaign",
    "test_predict_fit": "campaign",
    "test_predict_others": "second",
    "test_predict_stages": "campaign",
    "test_predict_transfer": "campaign",
    "test_predict_uncertainty": "campaign",
    "test_report": "report",
    "test_report_numbers": "numbers",
}


def pytest_configure(config):
    """Name the mark of tests that ``tox run -e foreign`` runs, beside those in its folder."""
    line = "by_workers: a session with workers of pytest-xdist, each a process that loads pandas"
    config.addinivalue_line("markers", line)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Order the tests for workers.

    What takes turns on the machine is spread among the unit tests, so that workers have something
    to do meanwhile.
    """
    if not config.pluginmanager.hasplugin("xdist"):
        return
    sessions = [item for item in items if item.path.parent.name in SESSIONS]
    others = [item for item in items if item.path.parent.name not in SESSIONS]
    others.sort(key=lambda item: item.path.stem not in SHARED)  # what one worker runs takes longest
    places = [(index / max(1, len(sessions)), item) for index, item in enumerate(sessions)]
    places += [(index / max(1, len(others)), item) for index, item in enumerate(others)]
    items[:] = [item for _, item in sorted(places, key=lambda place: place[0])]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give one worker all tests that share a costly fixture.

    Marks of ``xdist_group`` do not: xdist 3.8 writes them to ``item._nodeid``, which pytest 9.2 no
    longer reads.
    """
    from xdist.scheduler import LoadScopeScheduling

    class SharedFixtures(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return SHARED.get(Path(nodeid.partition("::")[0]).stem, nodeid)

    config.option.loadscopereorder = False  # the order of the collection
    return SharedFixtures(config, log)


@pytest.fixture(scope="session")
def model_file(tmp_path_factory, request):
    """A twin fitted to a made-up campaign of ten minutes: its file, made once for all workers."""
    folder = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        folder = folder.parent
    path = folder / "twin.json"
    with (folder / "twin.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            from tests.support.simulated_machine import campaign, observed
            from twin_harness.predict.twin import Twin

            Twin(starts=1).fit_observations(observed(campaign("10m"))).save(path)
    return path
