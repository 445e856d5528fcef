"""Where each file of a run lies: a run folder is made, opened, and asked for its paths."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from twin_harness.errors import InvalidInput, UnreadableRun
from twin_harness.system import newest
from twin_harness.system.run_id import draw_run_id

DATASET, PARQUET = "system_metrics_dataset.csv", "system_metrics_dataset.parquet"
_IGNORE = "# written by twin-harness: outputs of runs\n*\n"


class RunPaths:
    """A run folder; make one with ``create`` or ``open``.

    Attributes:
        path: the folder.
        run_id: its name.
        warns: whether damaged rows are warned of. Readers of a folder by hand are; a session says
            them in its notes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run_id = path.name
        self.warns = False

    @classmethod
    def create(cls, data_dir: Path, run_id: str = "") -> Self:
        """Make ``<data_dir>/<run-id>`` (mode 0700) and point ``latest`` at it.

        Raises:
            InvalidInput: the data folder cannot be made or written.
        """
        try:
            make_output_folder(data_dir)
            path = data_dir / (run_id or draw_run_id())
            path.mkdir(mode=0o700)
        except OSError as error:
            msg = (
                f"data folder {str(data_dir)!r} cannot be written ({error.strerror}); name another"
                " one with --twin-data-dir"
            )
            raise InvalidInput(msg) from None
        try:
            newest.set_latest(path)
        except OSError as error:
            path.rmdir()
            msg = (
                f"data folder {str(data_dir)!r}: its link to the newest run, latest, cannot be"
                f" written ({error.strerror}); move what bears that name, or name another folder"
                " with --twin-data-dir"
            )
            raise InvalidInput(msg) from None
        return cls(path)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open an existing run folder, ``latest`` included.

        Raises:
            UnreadableRun: there is no such folder, or it is not the folder of a run.
        """
        try:
            folder = newest.follow(path).resolve()
        except (OSError, RuntimeError):  # a link to itself
            folder = Path(path, "nowhere")
        if not folder.is_dir():
            msg = f"{path}: is not a folder; expected the folder of a run, such as data/latest"
            raise UnreadableRun(msg)
        if not any((folder / name).exists() for name in ("run.json", DATASET, PARQUET)):
            msg = (
                f"{path}: holds neither run.json nor system_metrics_dataset.csv or .parquet;"
                " expected the folder of a run, such as data/latest"
            )
            raise UnreadableRun(msg)
        return cls(folder)

    @property
    def dataset(self) -> Path:
        """The live CSV of the logger."""
        return self.path / DATASET

    @property
    def parquet(self) -> Path:
        """The samples cleaned and typed, at the end."""
        return self.path / PARQUET

    @property
    def is_packed(self) -> bool:
        """Whether the run keeps its samples as Parquet alone: packed away, or its CSV is lost."""
        return self.parquet.exists() and not self.dataset.exists()

    @property
    def annotations(self) -> Path:
        """The merged annotations."""
        return self.path / "annotations.csv"

    @property
    def schedule(self) -> Path:
        """Every experiment as planned."""
        return self.path / "schedule.json"

    @property
    def logger_lock(self) -> Path:
        """Held by the living logger."""
        return self.path / "logger.lock"

    def part_lock(self, partition: str) -> Path:
        """Held by the worker that a part of the machine belongs to, and by its load."""
        return self.path / f"part.{partition}.lock"

    @property
    def logger_account(self) -> Path:
        """What the logger says of itself, until it stands in ``run.json``."""
        return self.path / "logger.json"

    def scratch(self) -> Path:
        """Make and return the scratch folder of this run."""
        path = self.path / "scratch"
        path.mkdir(mode=0o700, exist_ok=True)
        return path


def make_output_folder(path: Path) -> None:
    """Make a folder for outputs; one that is new ignores itself in git."""
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    (path / ".gitignore").write_text(_IGNORE, encoding="utf-8")
