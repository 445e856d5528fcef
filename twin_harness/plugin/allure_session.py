"""What a session adds to Allure's results: environment, categories, executor, its files."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin_harness.errors import in_a_line
from twin_harness.plugin.results_folder import CATEGORIES as CATEGORIES_FILE
from twin_harness.plugin.results_folder import ENVIRONMENT, EXECUTOR, WRITTEN, ResultsFolder

if TYPE_CHECKING:
    import pytest

    from twin_harness.runs.folder import RunFolder


# What Allure and its adaptors write into a results folder; nothing else is ever removed there.
_STALE = (
    "*-result.json",
    "*-container.json",
    "*-attachment*",
    "*-globals.json",
    "*-perf.json",
    ENVIRONMENT,
    CATEGORIES_FILE,
    EXECUTOR,
    WRITTEN,
)

CATEGORIES = (
    {
        "name": "undecided",
        "matchedStatuses": ["skipped"],
        "messageRegex": ".*(UNDECIDED|errors[.]Undecided).*",
    },
    {
        "name": "stopped by the guard",
        "matchedStatuses": ["failed", "broken"],
        "messageRegex": ".*guard: .*",
    },
    {
        "name": "load not delivered as asked",
        "matchedStatuses": ["failed", "broken"],
        "messageRegex": ".*(against a tolerance of|delivered ).*",
    },
    {
        "name": "regressed at the gate",
        "matchedStatuses": ["failed"],
        "messageRegex": ".*REGRESSED.*",
    },
    {
        "name": "infrastructure",
        "matchedStatuses": ["failed", "broken"],
        "messageRegex": ".*(HarnessFailure|its worker was lost|ExperimentFailed).*",
    },
)


def clean_once(config: pytest.Config, *, is_worker: bool) -> None:
    """Do what ``--clean-alluredir`` asks on the controller alone.

    Left to the adaptor, a worker that is restarted would wipe the others' results.
    """
    folder = getattr(config.option, "allure_report_dir", None)
    if (
        not folder
        or not getattr(config.option, "clean_alluredir", False)
        or config.option.collectonly
    ):
        return  # the adaptor cleans nothing either where tests are only collected
    config.option.clean_alluredir = False  # the adaptor looks at it after us
    if is_worker:
        return
    for pattern in _STALE:
        for path in Path(folder).glob(pattern):
            with contextlib.suppress(OSError):
                path.unlink()


def write_session(config: pytest.Config, folder: RunFolder, report: Path | None) -> list[str]:
    """Add environment, categories and executor to the user's own, where Allure is on.

    The session's files are attached, too.

    Args:
        config: pytest's, which knows Allure's results folder.
        folder: of the run.
        report: the run's HTML report; None where none was made.

    Returns:
        Sentences about what could not be written; the session itself does not fail by it.
    """
    target = getattr(config.option, "allure_report_dir", None)
    if not target or not config.pluginmanager.has_plugin("allure_listener"):
        return []
    results = ResultsFolder(Path(target))
    try:
        results.path.mkdir(parents=True, exist_ok=True)
        results.add(environment(folder), CATEGORIES, executor(dict(os.environ)))
        _attach_files(folder, report)
    except Exception as error:  # noqa: BLE001 - the adaptor may raise anything; the run stands
        results.sentences.append(f"Allure's results in {target} are not whole: {in_a_line(error)}")
    return results.sentences


def environment(folder: RunFolder) -> dict[str, str]:
    """Return what the overview shows of the machine and the run."""
    machine, state = folder.read_machine(), folder.read_state()
    versions = machine.get("versions") or {}
    return {
        "host": str(machine.get("host", "")),
        "machine": (
            f"{machine.get('cpu_capacity', '?')} CPUs, {machine.get('cpu_model', '?')},"
            f" {machine.get('memory_limit_bytes', 0) / 2**30:.1f} GiB"
        ),
        "kernel": str(machine.get("kernel", "")),
        "fingerprint": str(machine.get("fingerprint", "")),
        "run": folder.run_id,
        "status": str(state.get("status", "")),
        "seed": str(state.get("seed", "")),
        "twin-harness": str(versions.get("twin-harness", "")),
        "python": str(machine.get("python", "")),
        "logger": str(machine.get("scheduling", "")),
    }


def executor(variables: dict[str, str]) -> dict[str, Any]:
    """Return who ran this, as GitHub Actions, GitLab CI and Jenkins say; empty elsewhere."""
    if variables.get("GITHUB_ACTIONS"):
        server, repository, number = (
            variables.get(name, "")
            for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
        )
        name, kind, url = "GitHub Actions", "github", f"{server}/{repository}/actions/runs/{number}"
        order = variables.get("GITHUB_RUN_NUMBER", "")
        build = f"{variables.get('GITHUB_WORKFLOW', '')} #{order}"
    elif variables.get("GITLAB_CI"):
        name, kind, url = "GitLab CI", "gitlab", variables.get("CI_JOB_URL", "")
        order = variables.get("CI_PIPELINE_IID", "")
        build = f"{variables.get('CI_JOB_NAME', '')} #{variables.get('CI_JOB_ID', '')}"
    elif variables.get("JENKINS_URL"):
        name, kind, url = "Jenkins", "jenkins", variables.get("BUILD_URL", "")
        build, order = variables.get("BUILD_TAG", ""), variables.get("BUILD_NUMBER", "")
    else:
        return {}
    facts = {"name": name, "type": kind, "buildName": build, "buildUrl": url}
    if order.isdecimal():
        return {**facts, "buildOrder": int(order)}
    return facts


def _attach_files(folder: RunFolder, report: Path | None) -> None:
    """Attach dataset, annotations, plan and report to the session, from allure-pytest 2.16 on."""
    import allure_commons

    # allure.global_attach, by the name that imports no plugin twice
    attach: Any = getattr(allure_commons._allure, "global_attach", None)  # noqa: SLF001 - as above
    if attach is None:
        return
    files = [
        (folder.dataset, "samples", "text/csv", "csv"),
        (folder.annotations, "annotations", "text/csv", "csv"),
        (folder.schedule, "plan", "application/json", "json"),
    ]
    if report:
        files.append((report, "EDA report", "text/html", "html"))
    for path, name, kind, ending in files:
        if path.exists():
            attach.file(str(path), name=name, attachment_type=kind, extension=ending)
