"""The pytest plugin: the only place that imports pytest, xdist or allure.

Loading it costs milliseconds and imports nothing heavy; a project that uses none of its fixtures,
markers and options sees nothing.
"""

from __future__ import annotations

from twin_harness.plugin.collection import (
    pytest_generate_tests,
    pytest_make_collect_report,
)
from twin_harness.plugin.fixtures import (
    _twin_drawn,
    _twin_experiment_plan,
    _twin_pair,
    _twin_repeat,
    _twin_session,
    _twin_test,
    fixture_annotations,
    fixture_cpu_stress,
    fixture_disk_stress,
    fixture_experiment,
    fixture_experiment_plan,
    fixture_gate,
    fixture_machine,
    fixture_mem_stress,
    fixture_psutil_logger,
    fixture_recording,
    fixture_twin_model,
    fixture_variant,
    fixture_variants,
)
from twin_harness.plugin.hooks import (
    pytest_addoption,
    pytest_collection_finish,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_report_collectionfinish,
    pytest_report_teststatus,
    pytest_runtest_call,
    pytest_runtest_makereport,
    pytest_runtest_protocol,
    pytest_runtest_setup,
    pytest_runtest_teardown,
    pytest_terminal_summary,
    pytest_unconfigure,
)
from twin_harness.plugin.schedule_items import pytest_collect_file

__all__ = [
    "_twin_drawn",
    "_twin_experiment_plan",
    "_twin_pair",
    "_twin_repeat",
    "_twin_session",
    "_twin_test",
    "fixture_annotations",
    "fixture_cpu_stress",
    "fixture_disk_stress",
    "fixture_experiment",
    "fixture_experiment_plan",
    "fixture_gate",
    "fixture_machine",
    "fixture_mem_stress",
    "fixture_psutil_logger",
    "fixture_recording",
    "fixture_twin_model",
    "fixture_variant",
    "fixture_variants",
    "pytest_addoption",
    "pytest_collect_file",
    "pytest_collection_finish",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_generate_tests",
    "pytest_make_collect_report",
    "pytest_report_collectionfinish",
    "pytest_report_teststatus",
    "pytest_runtest_call",
    "pytest_runtest_makereport",
    "pytest_runtest_protocol",
    "pytest_runtest_setup",
    "pytest_runtest_teardown",
    "pytest_terminal_summary",
    "pytest_unconfigure",
]
