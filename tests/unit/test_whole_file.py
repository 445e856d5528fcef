"""Files that are whole at any moment."""

from pathlib import Path

import pytest

from twin_harness import Schedule, cpu, plan
from twin_harness.system.whole_file import write_whole


def names_in(folder):
    return [path.name for path in folder.iterdir()]


def test_old_content_gives_way_to_new(tmp_path):
    """A file is replaced, and no draft is left beside it."""
    path = tmp_path / "a.json"
    for text in ("old", "new"):
        write_whole(path, text)
    assert path.read_text() == "new"
    assert names_in(tmp_path) == ["a.json"]


@pytest.mark.parametrize("reason", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_interrupted_writing_leaves_the_old_content(tmp_path, monkeypatch, reason):
    """Neither Ctrl-C nor a full disk tears the file, and the draft is removed."""
    path = tmp_path / "a.json"
    path.write_text("old")

    def torn(self, text, **_):
        self.write_bytes(text.encode()[:1])
        raise reason

    monkeypatch.setattr(Path, "write_text", torn)
    with pytest.raises(type(reason)):
        write_whole(path, "new")
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["a.json"]


def test_refusal_names_the_file_itself(tmp_path):
    """Where the folder is missing, the error names the file that was asked for, not its draft."""
    path = tmp_path / "none" / "a.json"
    with pytest.raises(FileNotFoundError) as raised:
        write_whole(path, "new")
    assert raised.value.filename == str(path)


def test_schedule_is_written_whole_through_a_link(tmp_path, monkeypatch):
    """A schedule that is written over keeps its link, and is never torn."""
    path, link = tmp_path / "a.json", tmp_path / "link.json"
    link.symlink_to(path)
    schedule = Schedule.of(plan(cpu(10, duration_s=2)))
    schedule.write(link)
    assert link.is_symlink()
    assert Schedule.read(path) == schedule
    before = path.read_bytes()

    def torn(self, text, **_):
        self.write_bytes(text.encode()[:1])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", torn)
    with pytest.raises(KeyboardInterrupt):
        schedule.write(link)
    assert path.read_bytes() == before


def test_schedule_is_written_to_what_is_no_file():
    """A device takes a schedule in place."""
    Schedule.of(plan(cpu(10, duration_s=2))).write("/dev/null")
    assert not Path("/dev/null").is_file()
