"""``twin clean --keep N`` and ``--older AGE``: old run folders go, each with its report.

What goes is a folder that bears a run id and holds the ``run.json`` of that run; never the newest,
never one whose session lives, never through a link. A folder is renamed to ``.<run-id>.removed``
first, so that no reader meets half a run; what an interrupted removal left is finished by the next.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import stat
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from twin_harness.errors import InvalidInput, UnreadableRun
from twin_harness.quantity import count, quantity
from twin_harness.runs.folder import RunFolder
from twin_harness.system import newest
from twin_harness.system.clock import utc_s
from twin_harness.system.procfs import start_ticks
from twin_harness.system.run_id import RUN_ID

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([hdw])")
_UNIT_S = {"h": 3_600.0, "d": 86_400.0, "w": 7 * 86_400.0}
_REMOVED = re.compile(rf"\.({RUN_ID.pattern})\.removed")


@dataclass
class Removal:
    """Folders that go together.

    Attributes:
        run: id of the run.
        folders: the run's own, and its report's where there is one; or what an interrupted removal
            left.
        size_bytes: of all files in them.
        experiments: how many the run holds; None where that is not known any more.
        age_s: since the run began.
    """

    run: str
    folders: list[Path]
    size_bytes: int
    experiments: int | None
    age_s: float

    @property
    def line(self) -> str:
        """What goes, for people."""
        content = "left by an interrupted removal"
        if self.experiments is not None:
            content = count(self.experiments, "experiment")
        places = " and ".join(f"{folder}/" for folder in self.folders)
        return (
            f"{places}  {quantity(self.size_bytes, 'bytes')}, {content},"
            f" began {age_text(self.age_s)} ago"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        folders = [str(folder) for folder in self.folders]
        return {
            "run": self.run,
            "folders": folders,
            "bytes": self.size_bytes,
            "experiments": self.experiments,
        }

    def carry_out(self) -> None:
        """Remove the folders.

        Raises:
            OSError: one cannot be removed; what is left of it bears the name that the next removal
                looks for.
        """
        for folder in self.folders:
            doomed = folder
            if not _REMOVED.fullmatch(folder.name):
                doomed = folder.rename(folder.with_name(f".{folder.name}.removed"))
            shutil.rmtree(doomed)  # by descriptors; links are removed, not followed


@dataclass
class Selection:
    """What goes, and what was asked for and stays.

    Attributes:
        removals: what goes, the oldest first.
        kept: why something stays that is beyond the limit, by folder.
    """

    removals: list[Removal] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)


def parse_keep(text: str | None) -> int:
    """Return how many of the newest runs stay; 0 when nothing is said.

    Raises:
        InvalidInput: it is not a whole number of 1 or more.
    """
    if text is None:
        return 0
    if not text.isdecimal() or int(text) < 1:
        msg = (
            f"clean: --keep: expected a whole number of 1 or more but got {text!r}; the newest run"
            " always stays"
        )
        raise InvalidInput(msg)
    return int(text)


def parse_age(text: str | None) -> float:
    """Return an age in seconds; 0 when nothing is said.

    Raises:
        InvalidInput: it is not a valid age, or 0.
    """
    if text is None:
        return 0.0
    match = _AGE.fullmatch(text.strip())
    if match is None or float(match[1]) == 0.0:
        msg = (
            "clean: --older: expected an age in hours, days or weeks above 0, such as 12h, 30d or"
            f" 2w, but got {text!r}"
        )
        raise InvalidInput(msg)
    return float(match[1]) * _UNIT_S[match[2]]


def age_text(age_s: float) -> str:
    """Return an age for people: in days, in hours below two."""
    hours = max(age_s, 0.0) / _UNIT_S["h"]
    if hours < 48:
        return f"{hours:.0f} h"
    return f"{hours / 24:.0f} d"


def select(
    data_dir: Path, report_dir: Path, keep: int, older_s: float, now: datetime | None = None
) -> Selection:
    """Return what goes: runs beyond the ``keep`` newest, 1 at least, and older than ``older_s``.

    Args:
        data_dir: the folder of runs.
        report_dir: the folder of their reports.
        keep: how many of the newest runs stay.
        older_s: only runs of more than this age go; 0 asks for no age.
        now: the moment, in UTC, up to which ages are counted; None is the present one.
    """
    now = now or datetime.fromtimestamp(utc_s(), UTC)
    selection = Selection()
    for folder in (data_dir, report_dir):
        for path in _folders(folder, _REMOVED):
            size_bytes = _size_bytes(path, selection)
            if size_bytes is not None:
                run = path.name[1 : -len(".removed")]
                selection.removals.append(Removal(run, [path], size_bytes, None, _age_s(run, now)))
    runs = [path for path in _folders(data_dir, RUN_ID) if _is_run(path, selection)]
    latest = newest.latest_name(data_dir)
    for path in runs[: -max(keep, 1)]:
        age_s = _age_s(path.name, now)
        if older_s and age_s <= older_s:
            continue
        if path.name == latest:
            selection.kept[str(path)] = "latest leads to it"
            continue
        removal = _removal_of(path, report_dir, age_s, selection)
        if removal is not None:
            selection.removals.append(removal)
    return selection


def _folders(folder: Path, pattern: re.Pattern[str]) -> Iterator[Path]:
    """Yield the folders of a name in a folder, in its order, links left out."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if pattern.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            yield path


def _is_run(path: Path, selection: Selection) -> bool:
    """Tell whether a folder with the name of a run is one, and note why not."""
    try:
        is_link = (path / "run.json").is_symlink()
        state = {} if is_link else RunFolder(path).read_state()
    except UnreadableRun as error:
        selection.kept[str(path)] = str(error)
        return False
    if state.get("run") != path.name:
        selection.kept[str(path)] = "it holds no run.json of the run that it is named for"
        return False
    return True


def _removal_of(path: Path, report_dir: Path, age_s: float, selection: Selection) -> Removal | None:
    """Return how a run goes, or note why it stays."""
    folder = RunFolder(path)
    state = folder.read_state()
    if reason := _why_running(state, str(folder.read_machine().get("host") or "")):
        selection.kept[str(path)] = reason
        return None
    report = report_dir / path.name
    places = [path, *([report] if report.is_dir() and not report.is_symlink() else [])]
    sizes = [_size_bytes(place, selection) for place in places]
    if None in sizes:
        return None
    return Removal(
        path.name,
        places,
        sum(size or 0 for size in sizes),
        len(state.get("experiments") or ()),
        age_s,
    )


def _why_running(state: dict[str, Any], host: str) -> str:
    """Return why a run is not over; empty when it is."""
    if state.get("status") == "RUNNING" and host and host != platform.node():
        return f"it says that it runs on {host}, which cannot be looked up from here"
    pid, born = state.get("controller_pid"), state.get("controller_start_ticks")
    if isinstance(pid, int) and born is not None and start_ticks(pid) == born:
        return "its session still runs"
    return ""


def _age_s(run: str, now: datetime) -> float:
    try:
        begun = datetime.strptime(run[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:  # six digits, and no time
        return 0.0
    return (now - begun).total_seconds()


def _size_bytes(folder: Path, selection: Selection) -> int | None:
    """Return the size of all files in a folder.

    None, with the reason noted, when another filesystem is mounted in it.
    """
    device, size_bytes = folder.lstat().st_dev, 0
    for place, _, names in os.walk(folder):
        if os.lstat(place).st_dev != device:
            selection.kept[str(folder)] = f"another filesystem is mounted at {place}"
            return None
        for name in names:
            status = os.lstat(f"{place}/{name}")
            size_bytes += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return size_bytes
