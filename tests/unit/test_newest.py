"""``latest`` leads to one run, whatever the filesystem has, and for data and report to the same."""

import errno
import os
import signal
from pathlib import Path

import pytest

from twin_harness import load
from twin_harness.errors import InvalidInput
from twin_harness.runs.folder import RunFolder
from twin_harness.schedule import model as schedule
from twin_harness.session.config import TwinConfig
from twin_harness.session.seat import Seat
from twin_harness.session.session import Session
from twin_harness.system import newest
from twin_harness.system.run_id import RUN_ID, draw_run_id

PLAN = (
    '{"format": "twin-schedule/1", "experiments": [{"name": "rest", "lead_s": 1, "tail_s": 0,'
    ' "events": []}]}'
)
WITHOUT_LINKS = [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES]


def refuse(number):
    """Return a symlink() that fails."""

    def symlink(*_arguments, **_more):
        raise OSError(number, os.strerror(number))

    return symlink


@pytest.fixture(params=[0, *WITHOUT_LINKS], ids=lambda number: errno.errorcode.get(number, "links"))
def has_links(request, monkeypatch):
    """Whether the filesystem has symbolic links; where it has none, each way to say so."""
    if request.param:
        monkeypatch.setattr(os, "symlink", refuse(request.param))
    return not request.param


def test_every_reader_finds_the_newest_run(tmp_path, has_links):
    """A run is opened and loaded, and its plan read, by way of latest: of a link or of a file."""
    for _ in range(2):
        folder = RunFolder.create(tmp_path)
        folder.write_state({"status": "COMPLETE"})
        folder.schedule.write_text(PLAN, encoding="utf-8")
    latest = tmp_path / "latest"
    assert latest.is_symlink() == has_links
    assert (tmp_path / "latest.txt").is_file() != has_links
    assert newest.latest_name(tmp_path) == folder.run_id
    assert RunFolder.open(latest).path == folder.path
    assert load(latest).path == folder.path
    assert load(str(latest / "..") + "/latest").path == folder.path
    assert schedule.Schedule.read(latest / "schedule.json").experiments[0].name == "rest"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".latest")] == []


def test_a_link_and_a_file_never_stand_side_by_side(tmp_path, monkeypatch):
    """A folder that comes to a filesystem with links, or leaves one, has the newer form alone."""
    runs = [tmp_path / f"20260730T10000{number}Z-0123ab" for number in range(3)]
    for run in runs:
        run.mkdir()
    assert newest.set_latest(runs[0])
    monkeypatch.setattr(os, "symlink", refuse(errno.EPERM))
    assert not newest.set_latest(runs[1])
    assert newest.latest_name(tmp_path) == runs[1].name
    assert not os.path.lexists(tmp_path / "latest")
    monkeypatch.undo()
    assert newest.set_latest(runs[2])
    assert newest.latest_name(tmp_path) == runs[2].name
    assert not (tmp_path / "latest.txt").exists()


@pytest.mark.parametrize("text", ["", "..", "a/b", "x" * 300, "\udce4"])
def test_a_file_that_names_no_folder_leads_nowhere(tmp_path, text):
    """What somebody else wrote there is not followed out of the folder."""
    (tmp_path / "latest.txt").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert newest.latest_name(tmp_path) == ""
    assert newest.follow(tmp_path / "latest" / "run.json") == tmp_path / "latest" / "run.json"


def test_what_is_not_ours_is_not_taken_away(tmp_path):
    """A folder of that name stays."""
    (tmp_path / "latest").mkdir()
    assert newest.remove_latest(tmp_path) == ""
    assert (tmp_path / "latest").is_dir()
    assert newest.remove_latest(tmp_path / "nowhere") == ""


RUN = "20260730T100000Z-0123ab"
STRANGE = [
    "",
    "notes of my own\n",
    f"{RUN} was the best\n",
    f"{RUN}\nbuy milk\n",
    f"\n{RUN}\n",
    f"{RUN}\n\n",
    f"{RUN}/..",
    "\udce4",
]


@pytest.mark.parametrize("text", STRANGE)
def test_a_text_file_that_somebody_else_wrote_stays_as_it_is(tmp_path, monkeypatch, text):
    """With links it stands beside ours; without, the run is refused and the file is named."""
    file, written = tmp_path / "latest.txt", text.encode("utf-8", "surrogateescape")
    file.write_bytes(written)
    newest.remove_latest(tmp_path)
    assert file.read_bytes() == written
    assert newest.set_latest(tmp_path / RUN)
    assert newest.remove_latest(tmp_path) == RUN
    assert file.read_bytes() == written
    monkeypatch.setattr(os, "symlink", refuse(errno.EPERM))
    reason = "latest.txt is there already and was not written by twin-harness"
    with pytest.raises(InvalidInput) as caught:
        RunFolder.create(tmp_path)
    assert f"cannot be written ({reason}); move what bears that name" in str(caught.value)
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_bytes() == written


@pytest.mark.parametrize("text", [RUN, f"{RUN}\n", f"{RUN}\r\n"])
def test_a_text_file_of_ours_goes(tmp_path, text):
    """Also one that an editor or a copy gave other line ends."""
    (tmp_path / "latest.txt").write_bytes(text.encode())
    assert newest.remove_latest(tmp_path) == RUN
    assert list(tmp_path.iterdir()) == []


def test_there_is_one_form_of_a_run_id():
    """What is ours is told by the form that run folders have, and that is drawn for them."""
    assert RUN_ID.fullmatch(draw_run_id())


def test_a_link_in_the_place_of_the_text_file_stays(tmp_path):
    """We never make one there, whatever stands in what it leads to."""
    (tmp_path / "mine").write_text(f"{RUN}\n")
    (tmp_path / "latest.txt").symlink_to("mine")
    assert newest.set_latest(tmp_path / RUN)
    assert newest.remove_latest(tmp_path) == RUN
    assert (tmp_path / "latest.txt").is_symlink()


@pytest.mark.parametrize("number", [0, errno.EPERM])
def test_a_file_in_the_place_of_the_link_stays(tmp_path, monkeypatch, number):
    """It is no link, so it is not ours."""
    (tmp_path / "latest").write_text("mine")
    if number:
        monkeypatch.setattr(os, "symlink", refuse(number))
        assert not newest.set_latest(tmp_path / RUN)
    else:
        with pytest.raises(FileExistsError, match="latest is there already and was not written"):
            newest.set_latest(tmp_path / RUN)
    assert newest.remove_latest(tmp_path) == ""
    assert (tmp_path / "latest").read_text() == "mine"


@pytest.mark.parametrize(
    ("number", "reason"),
    [(errno.ENOSPC, "No space left on device"), (errno.EROFS, "Read-only file system")],
)
def test_a_link_that_cannot_be_made_is_refused_for_its_own_reason(
    tmp_path, monkeypatch, number, reason
):
    """The data folder itself was written: the message names the link, and nothing is left."""
    monkeypatch.setattr(os, "symlink", refuse(number))
    with pytest.raises(InvalidInput) as caught:
        RunFolder.create(tmp_path)
    expected = f"its link to the newest run, latest, cannot be written ({reason}); move what bears"
    assert expected in str(caught.value)
    assert list(tmp_path.iterdir()) == []


# -- data and report ------------------------------------------------------------------------------


@pytest.fixture
def open_session(tmp_path):
    """Open a session that samples nothing but has a dataset; what is open at the end is closed."""
    opened = []

    def make(**settings):
        config = TwinConfig(**{"has_report": True, **settings})
        session = Session.open(config, Seat.draw(config, tmp_path, "test"), told.append)
        opened.append(session)
        session.folder.dataset.write_text("time,monotonic_s\n", encoding="utf-8")
        return session

    told = make.told = []
    yield make
    for session in opened:
        if session.board.path.exists():
            session.board.close(unlink=True)


def draw(run, target):
    """Draw a report, in no time."""
    target.mkdir(parents=True)
    (target / "index.html").write_text("<html>", encoding="utf-8")
    return target / "index.html"


def raise_interrupt(run, target):
    """Be interrupted while drawing."""
    raise KeyboardInterrupt


def raise_fault(run, target):
    """Fail as a library with settings of its own does."""
    msg = "No module named\n 'matplotlib_inline'"
    raise ModuleNotFoundError(msg)


def latest_of(folder):
    return Path(folder, "latest").resolve().name if Path(folder, "latest").exists() else ""


def test_both_latest_lead_to_the_same_run(open_session, monkeypatch, tmp_path):
    """As long as a run has no report, no report is the latest, the one before neither."""
    monkeypatch.setattr("twin_harness.report.html.write_report", draw)
    first = open_session()
    report = first.close()
    assert report == tmp_path / "reports" / first.folder.run_id / "index.html"
    assert latest_of(tmp_path / "reports") == latest_of(tmp_path / "data") == first.folder.run_id
    second = open_session(has_report=False)
    assert latest_of(tmp_path / "reports") == ""  # from its first moment: it may be killed
    assert second.close() is None
    assert latest_of(tmp_path / "reports") == ""
    assert latest_of(tmp_path / "data") == second.folder.run_id
    assert report.exists()


def test_a_run_that_ends_after_a_newer_one_has_begun_is_not_the_latest(
    open_session, monkeypatch, tmp_path
):
    """Two sessions at once in one project: the link follows the newer run alone."""
    monkeypatch.setattr("twin_harness.report.html.write_report", draw)
    older, newer = open_session(), open_session()
    assert older.close() is not None
    assert latest_of(tmp_path / "reports") == ""
    newer.close()
    assert latest_of(tmp_path / "reports") == latest_of(tmp_path / "data") == newer.folder.run_id


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (raise_interrupt, "interrupted"),
        (raise_fault, "ModuleNotFoundError: No module named 'matplotlib_inline'"),
    ],
    ids=["Ctrl-C", "fault"],
)
def test_a_report_that_is_not_drawn_costs_the_report_alone(
    open_session, monkeypatch, tmp_path, fault, why
):
    """The run is closed and whole.

    One sentence, in run.json too, says why and what draws it later.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("twin_harness.report.html.write_report", fault)
    session = open_session()
    assert session.close() is None
    run = f"data/{session.folder.run_id}"
    sentence = f"no report of this run ({why}): `twin report {run}` draws it"
    assert open_session.told[-1] == sentence
    assert session.folder.read_state()["notes"][-1] == sentence
    assert session.folder.read_state()["end"]
    assert session.report_fault == why
    assert latest_of(tmp_path / "reports") == ""
    assert not session.board.path.exists()


@pytest.fixture
def interruptible():
    """SIGINT raises, as on a terminal: whoever a shell starts in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_waits_until_the_files_are_written(open_session, monkeypatch, tmp_path):
    """It leaves the report out, and no file of the run."""
    session = open_session()
    merge = session.folder.merge

    def merge_interrupted(seed):
        os.kill(os.getpid(), 2)
        merge(seed)

    monkeypatch.setattr(session.folder, "merge", merge_interrupted)
    monkeypatch.setattr("twin_harness.report.html.write_report", draw)
    assert session.close() is None
    assert session.report_fault == "interrupted"
    assert session.folder.annotations.exists()
    assert session.folder.read_state()["status"] != "RUNNING"


def test_a_run_without_links_says_so(open_session, monkeypatch, tmp_path):
    """The note names the file that stands for the link."""
    monkeypatch.setattr(os, "symlink", refuse(errno.EPERM))
    session = open_session(has_report=False)
    session.close()
    (note,) = [text for text in session.folder.read_state()["notes"] if "symbolic" in text]
    assert (
        note
        == f"{tmp_path}/data is on a filesystem without symbolic links: the file latest.txt there"
        " names the newest run, and twin, pytest and load() understand data/latest all the same"
    )
    assert load(tmp_path / "data" / "latest").path == session.folder.path
