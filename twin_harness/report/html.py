"""The report as one HTML file that needs nothing else."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import jinja2

from twin_harness import __version__
from twin_harness.errors import HarnessFailure, TwinError, in_a_line
from twin_harness.report.evidence import gather_evidence
from twin_harness.report.sections import (
    cleaning,
    correlation,
    description,
    dynamics,
    experiments,
    fidelity,
    lags,
    levels,
    neighbours,
    overview,
    prediction,
    quality,
    response,
    saturation,
    summary,
    verdicts,
)
from twin_harness.system.whole_file import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from twin_harness.report.document import Section
    from twin_harness.report.evidence import Evidence
    from twin_harness.runs.run import Run


@cache
def _template() -> jinja2.Template:
    """Return the page, loaded from inside the package so that a wheel brings it along."""
    loader = jinja2.PackageLoader("twin_harness.report", "templates")
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")


def _sections(evidence: Evidence) -> tuple[Section, ...]:
    return (
        summary.section(evidence),
        overview.section(evidence),
        *verdicts.sections(evidence),
        *prediction.sections(evidence),
        experiments.sections(evidence),
        fidelity.section(evidence),
        dynamics.section(evidence),
        description.section(evidence),
        cleaning.section(evidence),
        correlation.section(evidence),
        lags.section(evidence),
        response.section(evidence),
        saturation.section(evidence),
        levels.section(evidence),
        neighbours.section(evidence),
        quality.section(evidence),
    )


def _page(run: Run) -> str:
    """Return the page of a run."""
    evidence = gather_evidence(run)
    return _template().render(
        run_id=run.folder.run_id,
        status=run.status,
        sections=_sections(evidence),
        version=__version__,
        # not the whole path: reports are passed on
        folder=f"{run.path.parent.name}/{run.path.name}",
    )


def write_report(run: Run, target: Path) -> Path:
    """Write the EDA report of a run as ``<target>/index.html``, and return its path.

    Args:
        run: complete, partial, killed or still running.
        target: a folder; made if needed.

    Raises:
        UnreadableRun: the run was written by a newer version.
        OSError: the folder cannot be written.
        HarnessFailure: a figure could not be drawn.
    """
    try:
        text = _page(run)
    except (TwinError, OSError):
        raise
    except Exception as error:
        # Of a library, in an environment that we do not know: the file and line where it stopped
        # are in the cause.
        msg = (
            f"the report of {run.path} cannot be drawn: {in_a_line(error)}; look at what is"
            " installed (pip check), else report this line"
        )
        raise HarnessFailure(msg) from error
    target.mkdir(parents=True, exist_ok=True)
    path = target / "index.html"
    # Names from damaged files may hold lone surrogates, which UTF-8 cannot.
    write_whole(path, text.encode("utf-8", "replace").decode("utf-8"))
    return path
