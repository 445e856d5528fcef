"""The run folder goes away underneath a session."""

import shutil
import time

import pytest

from tests.chaos.faults import ALL_GONE_S, MARGIN_S
from tests.chaos.victim import gone_after_s, tracebacks


@pytest.mark.parametrize("whole", [False, True], ids=["run-folder", "data-folder"])
@pytest.mark.parametrize("workers", [0, 2], ids=["plain", "n2"])
def test_deleted_folder_ends_the_session_in_a_sentence(make_victim, chance, workers, whole):
    """A session whose run or data folder is deleted under load ends with a sentence.

    No load is left.
    """
    victim = make_victim(*(["-n", str(workers)] if workers else [])).start()
    window = victim.wait_for_load()
    time.sleep(chance.uniform(0.0, 3.0))
    folder = victim.run_folder()
    shutil.rmtree(folder.parent if whole else folder)
    code = victim.wait()
    text = victim.text()
    assert code == 1, text[-3000:]
    assert time.monotonic() < window.end_s + 30
    _, left = gone_after_s(list(victim.processes().values()), ALL_GONE_S + MARGIN_S)
    assert not left, f"left: {left}"
    assert victim.files_on_tmpfs() == []
    assert str(folder) in text or "run folder" in text, text[-3000:]
    assert not tracebacks(text), text[-6000:]
    assert not folder.exists()
    code, text = victim.run_next()
    assert code == 0, text[-2000:]
