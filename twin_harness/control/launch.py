"""Start and end of an experiment's load host and guard, known to the board and the admission."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin_harness.control.host_link import HostLink

if TYPE_CHECKING:
    from twin_harness.control.site import Site
    from twin_harness.schedule.model import Experiment


def launch(site: Site, experiment: Experiment) -> HostLink:
    """Start the load host of an experiment, and its guard, and wait until they are ready.

    Raises:
        HarnessFailure: one of them could not be started, or did not become ready.
    """
    link = _open(site, experiment)
    try:
        for pid in link.pids:
            site.board.claim_process(pid, "harness", plan=site.machine.part_number)
        link.await_ready()
    except BaseException:
        close(site, link)
        raise
    return link


def _open(site: Site, experiment: Experiment) -> HostLink:
    site.admission.note_load()
    try:
        limits = site.guard_limits(experiment) if experiment.events else None
        return HostLink.start(site.host_plan(experiment), limits, site.admission.descriptors)
    except BaseException:
        site.admission.note_load_gone(is_clean=False)
        raise


def close(site: Site, link: HostLink) -> None:
    """End load host and guard; no load is left afterwards."""
    try:
        link.close()
    finally:
        site.admission.note_load_gone(is_clean=link.is_clean)
