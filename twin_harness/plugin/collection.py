"""The collection hooks: several items of one test, and a refusal of markers that plan nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from twin_harness.errors import InvalidInput
from twin_harness.plugin.drawing import drawing_mark, drawn_experiments, drawn_index
from twin_harness.plugin.gate_items import parametrize_pairs
from twin_harness.plugin.planned import check_item
from twin_harness.plugin.requested import DRAWN, REPEAT, requests
from twin_harness.plugin.state import state_of

if TYPE_CHECKING:
    from collections.abc import Generator


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make an item of each drawn experiment, each repetition and each pair of variants."""
    mark = drawing_mark(metafunc.definition)
    if mark is not None:
        if DRAWN not in metafunc.fixturenames:
            msg = (
                f"marker {mark.name}: nothing runs the schedules of {metafunc.definition.name};"
                " expected it to request recording"
            )
            raise pytest.Collector.CollectError(msg)
        try:
            drawn = drawn_experiments(metafunc.config, mark)
        except InvalidInput as error:
            raise pytest.Collector.CollectError(str(error)) from None
        ids = [
            experiment.name if mark.name == "campaign" else f"random-{index}"
            for index, experiment in enumerate(drawn)
        ]
        metafunc.parametrize(DRAWN, range(len(drawn)), ids=ids, indirect=True)
    parametrize_pairs(metafunc)
    repeat = state_of(metafunc.config).config.repeat
    if repeat > 1 and REPEAT in metafunc.fixturenames:
        metafunc.parametrize(
            REPEAT,
            range(repeat),
            ids=[f"repeat-{index}" for index in range(repeat)],
            indirect=True,
        )


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Refuse markers that plan nothing possible, as a collection error of one sentence."""
    report = yield
    for node in report.result or ():
        if isinstance(node, pytest.Item):
            try:
                if not (_is_marked_late(node) or _may_be_planned_late(node)):
                    check_item(node)
            except InvalidInput as error:
                return pytest.CollectReport(
                    collector.nodeid, "failed", f"{node.nodeid}: {error}", []
                )
    return report


def _is_marked_late(item: pytest.Item) -> bool:
    """Tell whether a mark that makes several items stands on this one alone.

    It fails by itself, and the others run.
    """
    return drawing_mark(item) is not None and drawn_index(item) is None


def _may_be_planned_late(item: pytest.Item) -> bool:
    """Tell whether a test that plans nothing may get its mark in a hook of the project.

    If it does not, it fails by itself.
    """
    if not requests(item, "_twin_experiment_plan"):
        return False
    if item.get_closest_marker("experiment") is not None or drawing_mark(item) is not None:
        return False
    manager = item.config.pluginmanager
    installed = {
        _package_of(getattr(plugin, "__name__", "")) for plugin, _ in manager.list_plugin_distinfo()
    } | {"_pytest"}
    hooks = item.config.hook.pytest_collection_modifyitems.get_hookimpls()
    return any(_package_of(hook.function.__module__) not in installed for hook in hooks)


def _package_of(module: str) -> str:
    return module.partition(".")[0]
