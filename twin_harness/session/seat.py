"""Who a process is in a session, and where the session is.

What a controller hands to its workers, as plain data.
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.system.run_id import draw_run_id

if TYPE_CHECKING:
    from twin_harness.session.config import TwinConfig

_SECRET = re.compile(
    r"(?i)((?:[\w.-]*)(?:token|secret|passw|api[-_]?key|credential)[\w.-]*[=:])\S+"
)
_SECRET_NEXT = re.compile(
    r"(?i)(--?[\w-]*(?:token|secret|passw|api[-_]?key|credential)[\w-]*\s+)\S+"
)
_USER_INFO = re.compile(r"(://)[^/\s:@]*:[^/\s@]+@")


def cut_secrets(text: str) -> str:
    """Return a command line with what looks like a secret replaced by ``***``."""
    return _USER_INFO.sub(r"\1***@", _SECRET_NEXT.sub(r"\1***", _SECRET.sub(r"\1***", text)))


@dataclass(frozen=True)
class Seat:
    """Who a process is in a session, and where the session is; plain strings and numbers.

    Attributes:
        data_dir: absolute.
        report_dir: absolute.
        run_id: of the session.
        board: name of its load board.
        controller_pid: the process that everything ends with.
        worker: our own name.
        command: the controller's command line.
    """

    data_dir: str
    report_dir: str
    run_id: str
    board: str
    controller_pid: int
    worker: str
    command: str

    @classmethod
    def draw(cls, config: TwinConfig, root: Path, command: str) -> Seat:
        """Return the controller's own seat in a new session.

        Args:
            config: names the folders of data and of reports.
            root: the folder that they lie in unless they are absolute.
            command: the controller's command line; what looks like a secret is cut out.
        """
        data_dir, report_dir = str(root / config.data_dir), str(root / config.report_dir)
        return cls(
            data_dir,
            report_dir,
            draw_run_id(),
            f"twin-harness-{secrets.token_hex(8)}.board",
            os.getpid(),
            "main",
            cut_secrets(command),
        )

    @property
    def run_dir(self) -> Path:
        """The run folder, which may not exist yet."""
        return Path(self.data_dir, self.run_id)

    @property
    def is_controller(self) -> bool:
        """Whether this process is the controller."""
        return os.getpid() == self.controller_pid

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)
