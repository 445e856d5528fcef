"""What the house must stay like: few rooms, no circles, lines and files that can be read."""

import sys
import textwrap
from pathlib import Path

import pytest

import twin_harness

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = Path(twin_harness.__file__).parents[1]


@pytest.fixture(scope="module")
def house():
    """The script that anyone can run by hand."""
    sys.path.insert(0, str(CHECKOUT / "benchmarks"))
    try:
        import house
    finally:
        sys.path.pop(0)
    return house


@pytest.fixture(scope="module")
def graph(house):
    """What each module imports."""
    return house.imports(PACKAGES)


def test_rooms_are_few_and_on_few_floors(house, graph):
    """A newcomer meets at most 20 doors; imports climb at most ten floors."""
    rooms = house.rooms(graph)
    assert len(rooms) + 1 <= 20  # with the root, which re-exports
    assert house.floors(rooms) <= 10


def test_nothing_imports_in_a_circle(house, graph):
    """Neither rooms nor modules, annotations and imports inside functions included."""
    assert house.circles(house.rooms(graph)) == []
    assert house.circles(graph) == []


def test_circle_is_found_where_there_is_one(house):
    """Also one that an annotation closes: every import counts."""
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}
    assert house.circles(graph) == [["a", "b", "c"]]


def test_lines_and_files_are_short(house):
    """100 columns, 300 lines, and no conditional expression within another one."""
    assert house.long_lines(PACKAGES) == []
    assert house.long_files(PACKAGES) == []
    assert house.conditionals(PACKAGES)[1] == 0


def test_parameters_are_described_where_they_are_many(house):
    """From three on; where the function overrides another, that one's description holds."""
    assert house.without_args(PACKAGES) == []


def test_function_that_lacks_args_is_found(house, tmp_path):
    """Also a class method and ``**more``; a protocol's method describes those that follow it."""
    source = """
        class Display(Protocol):
            @property
            def is_over(self): "Whether nobody looks."
            def show(self, tail, board, elapsed_s): "Show."
        class _Table:
            def show(self, tail, board, _elapsed_s): "Draw."
        class Other:
            def show(self, tail, board, elapsed_s, width): "Draw."
            @classmethod
            def of(cls, a, b): "Two."
        @pytest.fixture(name="gate")
        def fixture_gate(request, session, test): "Gate."
        def pytest_plan(config, items, session): "Plan."
        def random(n, seed, **bounds): "Draw."
        def _private(a, b, c): "Inside."
    """
    (tmp_path / "twin_harness").mkdir()
    (tmp_path / "twin_harness" / "a.py").write_text(textwrap.dedent(source))
    names = [line.split()[1] for line in house.without_args(tmp_path)]
    assert names == ["show", "show", "random"]
