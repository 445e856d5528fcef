"""Figures are the same whatever the user's matplotlib is set to, which stays as it was."""

import json
import os
import subprocess
import sys
import threading

import matplotlib as mpl
import pytest
from matplotlib import pyplot as plt

from twin_harness import cpu, memory, plan
from twin_harness.errors import HarnessFailure
from twin_harness.report import html
from twin_harness.report.drawing.plan_picture import plan_png
from twin_harness.runs.run import load
from twin_harness.schedule.model import Schedule

SCHEDULE = Schedule.of(plan(cpu(40, duration_s=2), memory(5, duration_s=2), name="a figure"))
DRAW = """
import hashlib
import numpy as np
import pandas as pd
from twin_harness import cpu, memory, plan, Schedule

def drawn():
    from twin_harness.report.drawing import charts, load_charts
    from twin_harness.report.drawing.plan_picture import plan_png

    planned = plan(cpu(40, duration_s=2), memory(5, duration_s=2), name="a figure")
    picture = plan_png(Schedule.of(planned))
    numbers = pd.DataFrame(np.eye(3), columns=["a", "b", "c"], index=["a", "b", "c"])
    levels = {"stressor": "cpu", "level": ["10 %", "20 %"] * 6, "order": [1, 2] * 6}
    steps = pd.DataFrame({**levels, "answer": np.linspace(0.5, 1234.5, 12)})
    picture += charts.heatmap_png(numbers)
    picture += load_charts.level_png(steps, {"cpu": "lateness (ms)"})
    return hashlib.sha256(picture).hexdigest()
"""
# A process of each case, forked before matplotlib is loaded: all else is loaded once for all.
IN_PROCESSES = """
import json, os, sys, traceback
import scipy.cluster.hierarchy, scipy.stats

def told():
    figures = drawn()
    import matplotlib

    backend = dict.__getitem__(matplotlib.rcParams, "backend")
    return figures, backend if isinstance(backend, str) else "auto"

assert "matplotlib" not in sys.modules
for folder, environment in json.loads(sys.argv[1]):
    if not os.fork():
        code = 1
        try:
            os.chdir(folder)
            os.environ.update(environment)
            answer = json.dumps(told())
            with open("answer", "w") as file:
                file.write(answer)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.wait()[1] == 0, folder
"""
SETTINGS = {
    "LaTeX": "text.usetex: True",
    "backend": "backend: module://not_there.at_all",
    "figures": (
        "figure.dpi: 1000\nsavefig.dpi: 1000\nsavefig.bbox: tight\nfigure.autolayout:"
        " True\nfigure.constrained_layout.use: True\nfigure.facecolor: red"
    ),
    "fonts": "font.family: No Such Font\nfont.size: 40\nmathtext.fontset: cm\nsvg.fonttype: none",
    "lines": (
        "axes.prop_cycle: cycler('color', ['r'])\nlines.linewidth: 9\naxes.grid: True\nimage.cmap:"
        " jet\npath.sketch: 1, 100, 2\naxes.facecolor: black"
    ),
    "numbers": (
        "axes.formatter.use_locale: True\naxes.formatter.limits: -1, 1\naxes.unicode_minus:"
        " False\naxes.xmargin: 0.4"
    ),
    "nonsense": "no.such.setting: 3\nfigure.edgecolor: wide",
}


# What stands in matplotlibrc, and what in the environment.
CASES = {
    "LaTeX in Jupyter": (("LaTeX",), {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}),
    "others": (tuple(name for name in SETTINGS if name != "LaTeX"), {}),
    "svg": ((), {"MPLBACKEND": "svg"}),
}


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A hash of figures and the backend as a process of each case sees them afterwards."""
    folders = {case: tmp_path_factory.mktemp("case") for case in CASES}
    for case, (settings, _) in CASES.items():
        if settings:
            lines = "\n".join(SETTINGS[name] for name in settings)
            (folders[case] / "matplotlibrc").write_text(lines + "\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MPL")}
    cases = [(str(folders[case]), environment) for case, (_, environment) in CASES.items()]
    process = subprocess.run(
        [sys.executable, "-c", DRAW + IN_PROCESSES, json.dumps(cases)],
        check=False,
        cwd=folders["svg"],
        env=kept,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    return {case: json.loads((folder / "answer").read_text()) for case, folder in folders.items()}


@pytest.fixture(scope="module")
def usual():
    """The figures as they are here."""
    names = {}
    exec(DRAW, names)
    return names["drawn"]()


@pytest.mark.parametrize("case", ["LaTeX in Jupyter", "others"])
def test_matplotlibrc_changes_no_figure(elsewhere, usual, case):
    """LaTeX that is not there, a backend that is not there, fonts, sizes, colours, locale.

    The figures are the same bytes.
    """
    assert elsewhere[case][0] == usual


@pytest.mark.parametrize(("case", "seen"), [("LaTeX in Jupyter", "auto"), ("svg", "svg")])
def test_backend_of_the_environment_is_neither_needed_nor_lost(elsewhere, usual, case, seen):
    """Jupyter's backend, inherited by its child, is not there.

    One that is there is what the user's own pyplot finds.
    """
    figures, found = elsewhere[case]
    assert figures == usual
    assert found.lower() == seen


@pytest.fixture(scope="module")
def picture():
    """A figure as it is drawn undisturbed."""
    return plan_png(SCHEDULE)


def test_state_of_the_process_is_as_it_was(picture):
    """Settings, figures, interactive mode and backend of tests in our process are not touched."""
    with mpl.rc_context(
        {
            "font.size": 31.0,
            "text.usetex": True,
            "figure.dpi": 37.0,
            "axes.facecolor": "red",
            "interactive": True,
        }
    ):
        plt.switch_backend("svg")
        mine = plt.figure()
        before, backend = dict(mpl.rcParams), plt.get_backend()
        assert plan_png(SCHEDULE) == picture
        assert dict(mpl.rcParams) == before
        assert (plt.get_backend(), plt.get_fignums(), plt.gcf()) == (backend, [mine.number], mine)
        plt.close(mine)


def test_figures_of_several_threads_leave_the_settings_alone(picture):
    """Threads draw one after another.

    The settings that one puts back are not those of another's figure.
    """
    before, pictures = dict(mpl.rcParams), []
    threads = [
        threading.Thread(target=lambda: pictures.append(plan_png(SCHEDULE))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pictures == [picture] * 3
    assert dict(mpl.rcParams) == before


def test_figure_that_fails_puts_the_settings_back():
    """An error while drawing leaves nothing of ours in the user's settings."""
    before = dict(mpl.rcParams)
    with pytest.raises(AttributeError):
        plan_png(None)
    assert dict(mpl.rcParams) == before


def test_report_that_cannot_be_drawn_is_one_sentence(tmp_path, monkeypatch):
    """Whatever a library raises in a drawing becomes one sentence with its text's beginning."""
    monkeypatch.setattr(
        html,
        "gather_evidence",
        lambda _: (_ for _ in ()).throw(RuntimeError("latex was not found\n" + "log\n" * 500)),
    )
    folder = tmp_path / "20260101T000000Z-abcdef"
    folder.mkdir()
    (folder / "run.json").write_text('{"format": "twin-run/1", "status": "COMPLETE"}')
    with pytest.raises(HarnessFailure) as caught:
        html.write_report(load(folder), tmp_path / "report")
    assert str(caught.value).startswith(
        f"the report of {folder} cannot be drawn: RuntimeError: latex was not found log log"
    )
    assert str(caught.value).endswith(
        "; look at what is installed (pip check), else report this line"
    )
    assert len(str(caught.value)) < 600
    assert not (tmp_path / "report").exists()
