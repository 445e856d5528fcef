"""The experiments of a schedule file as test items, and sessions that collect those alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from twin_harness.errors import InvalidInput
from twin_harness.plugin.markers import name_of
from twin_harness.plugin.running import open_session, run_for
from twin_harness.plugin.state import state_of, test_state
from twin_harness.system import newest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from twin_harness.schedule.model import Experiment


def replay_alone(config: pytest.Config) -> None:
    """Collect the schedule file, and it alone unless paths were named on the command line."""
    named = config.invocation_params.dir / state_of(config).config.schedule
    path = str(newest.follow(named).resolve())
    is_alone = config.args_source is not pytest.Config.ArgsSource.ARGS
    if is_alone:
        config.args[:] = [path]
    else:
        config.args[:] = [*config.args, path]


def campaign_alone(config: pytest.Config) -> None:
    """Collect the campaign alone, unless paths were named on the command line."""
    folder = config.rootpath / "scenarios" / "campaign"
    if config.args_source is not pytest.Config.ArgsSource.ARGS and folder.is_dir():
        config.args[:] = [str(folder)]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScheduleFile | None:
    """Collect the experiments of the file that --twin-schedule names."""
    wanted = state_of(parent.config).config.schedule
    named = parent.config.invocation_params.dir / wanted
    if wanted and file_path == newest.follow(named).resolve():
        return ScheduleFile.from_parent(parent, path=file_path)
    return None


class ScheduleFile(pytest.File):
    """A ``schedule.json`` whose experiments are tests."""

    def collect(self) -> Iterator[ExperimentItem]:
        """Yield one item per experiment and repetition.

        Raises:
            CollectError: the file is not a valid schedule; one sentence.
        """
        from twin_harness.schedule.model import Schedule

        try:
            schedule = Schedule.read(self.path)
        except InvalidInput as error:
            raise self.CollectError(str(error)) from None
        repeat = state_of(self.config).config.repeat
        for experiment in schedule.experiments:
            for index in range(repeat):
                if repeat > 1:
                    name = f"{experiment.name}[repeat-{index}]"
                else:
                    name = experiment.name
                yield ExperimentItem.from_parent(self, name=name, experiment=experiment)


class ExperimentItem(pytest.Item):
    """One experiment of a schedule file: it passes when it ran as planned."""

    def __init__(self, *, experiment: Experiment, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.experiment = experiment

    def runtest(self) -> None:
        """Run the experiment."""
        session = open_session(self.config)
        named = self.experiment.model_copy(update={"name": name_of(self.experiment.name)})
        try:
            run_for(test_state(self), session, named)
        finally:
            session.admission.release()

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where the item stands."""
        return self.path, 0, self.name
