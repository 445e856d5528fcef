"""Whether what an experiment depends on works: samples come, the guard sees, the folder answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.errors import HarnessFailure
from twin_harness.system import deadline
from twin_harness.system.clock import monotonic_s, sleep_s
from twin_harness.system.deadline import Unanswered

if TYPE_CHECKING:
    from twin_harness.control.host_link import HostLink
    from twin_harness.control.site import Site

_ROW_PATIENCE_S = 3.0
_POLL_S = 0.05
_GUARD_EVERY_S = 0.5


class DataHealth:
    """The data of a session: its run folder, and the logger that writes there.

    Args:
        site: the session's folder, board and interval.

    Attributes:
        was_mute: the run folder did not answer when it was last asked.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self.was_mute = False

    @property
    def _patience_s(self) -> float:
        return _ROW_PATIENCE_S + 2 * self._site.interval_s

    def check_folder(self) -> None:
        """Go on only while the run folder answers: what writes there would wait until it does.

        Raises:
            Unanswered: it does not.
        """
        folder = str(self._site.folder.path)
        if deadline.is_mute(folder):
            self.was_mute = True
            raise Unanswered(folder, option="data-dir")

    def check_sampling(self, begin_s: float) -> None:
        """Go on only while samples come, of an experiment that begins then.

        Raises:
            HarnessFailure: the logger has written nothing for seconds.
        """
        silent_s = monotonic_s() - max(self._site.board.dataset_state()[1], begin_s)
        if silent_s > self._patience_s:
            self.check_folder()
            msg = (
                f"the telemetry logger has written nothing for {silent_s:.1f} s; the experiment was"
                " ended, look at the logger's message on stderr"
            )
            raise HarnessFailure(msg)

    def await_rows(self, until_s: float) -> None:
        """Wait until the dataset reaches an instant.

        A logger that has died meanwhile is not waited for.

        Raises:
            HarnessFailure: no sample came.
        """
        deadline_s = max(monotonic_s(), until_s) + self._patience_s
        while self._site.board.dataset_state()[1] < until_s:
            if monotonic_s() > deadline_s:
                msg = (
                    f"the telemetry logger has written nothing for {self._patience_s:.1f} s; the"
                    " run is PARTIAL, look at its stderr above"
                )
                raise HarnessFailure(msg)
            sleep_s(min(_POLL_S, self._site.interval_s / 2))


class GuardHealth:
    """The guard of one experiment: whether it runs, or is suspended."""

    def __init__(self, link: HostLink) -> None:
        self._link = link
        self._due_s = 0.0
        self._was_stopped = False

    def check(self) -> None:
        """Go on only while the guard sees; it is looked at twice a second.

        Raises:
            HarnessFailure: it was found stopped twice, by a signal or a debugger: nobody watches
                memory and disk then.
        """
        now_s = monotonic_s()
        if now_s < self._due_s:
            return
        self._due_s = now_s + _GUARD_EVERY_S
        was_stopped, self._was_stopped = self._was_stopped, self._link.is_guard_stopped
        if was_stopped and self._was_stopped:
            msg = (
                f"the guard (process {self._link.guard_pid}) is stopped, by a signal or a debugger,"
                " so nothing watches memory and disk; the load was ended, continue the process or"
                " begin again"
            )
            raise HarnessFailure(msg)
