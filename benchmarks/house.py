"""The house in figures, read from syntax trees: rooms, floors, circles, density.

    python benchmarks/house.py              this checkout
    python benchmarks/house.py ../older     another one beside it

A room is a package or module directly under ``twin_harness``; a floor is a step of the longest
chain of rooms that import each other; every import counts, also one for annotations or inside a
function. Conditional expressions are counted per 1,000 lines of a copy that the formatter has laid
out at 88 columns, as in most projects, so that trees with other line lengths can be compared.
"""

from __future__ import annotations

import argparse
import ast
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "twin_harness"
LONGEST_LINE, LONGEST_FILE = 100, 300
ARGS_FROM = 3  # parameters
Function = ast.FunctionDef | ast.AsyncFunctionDef
Owner = ast.ClassDef | None


def modules(root: Path) -> dict[str, Path]:
    """Return the file of each module of the package by its dotted name."""
    found = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


@cache
def _nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return the imports and conditional expressions of a file, which is parsed once."""
    kinds = (ast.Import, ast.ImportFrom, ast.IfExp)
    tree = ast.parse(path.read_text())
    return tuple(node for node in ast.walk(tree) if isinstance(node, kinds))


def imports(root: Path) -> dict[str, set[str]]:
    """Return what each module imports from the package; the root, which re-exports, is left out."""
    files = modules(root)
    graph = {}
    for name, path in files.items():
        graph[name] = {
            target
            for node in _nodes(path)
            for target in _targets(node, files)
            if target not in (name, PACKAGE)
        }
    del graph[PACKAGE]
    return graph


def _targets(node: ast.AST, files: dict[str, Path]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name in files]
    if not isinstance(node, ast.ImportFrom) or not node.module:
        return []
    found = []
    for alias in node.names:
        full = f"{node.module}.{alias.name}"
        if full in files:
            found.append(full)
        elif node.module in files:
            found.append(node.module)
    return found


def room_of(module: str) -> str:
    """Return the room that a module stands in."""
    return module.split(".")[1]


def rooms(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return which rooms each room imports."""
    found: dict[str, set[str]] = {room_of(name): set() for name in graph}
    for name, targets in graph.items():
        found[room_of(name)] |= {room_of(target) for target in targets} - {room_of(name)}
    return found


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the sets of nodes that reach each other (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in graph.get(node, ()):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for node in graph:
        if node not in index:
            visit(node)
    return found


def floors(graph: dict[str, set[str]]) -> int:
    """Return how many rooms the longest chain of imports has; there must be no circle."""

    @cache
    def height(room: str) -> int:
        return 1 + max((height(target) for target in graph[room]), default=0)

    return max(height(room) for room in graph)


def long_lines(root: Path) -> list[str]:
    """Return ``file:line`` of each line of the package that is too long."""
    return [
        f"{path.relative_to(root)}:{number}"
        for path in modules(root).values()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > LONGEST_LINE
    ]


def long_files(root: Path) -> list[str]:
    """Return the files of the package that are too long, with their length."""
    lengths = {path: path.read_text().count("\n") for path in modules(root).values()}
    return [
        f"{path.relative_to(root)} ({length})"
        for path, length in lengths.items()
        if length > LONGEST_FILE
    ]


def conditionals(root: Path) -> tuple[int, int]:
    """Return how many conditional expressions there are, and how many lie within another one."""
    count = nested = 0
    for path in modules(root).values():
        for node in _nodes(path):
            if isinstance(node, ast.IfExp):
                count += 1
                inner = [below for below in ast.walk(node) if isinstance(below, ast.IfExp)]
                nested += len(inner) > 1
    return count, nested


def without_args(root: Path) -> list[str]:
    """Return the public functions of three or more parameters whose docstring has no ``Args``.

    Left out are fixtures and hooks, whose parameters are pytest's and whose docstring is what it
    shows, and methods that a base class or a protocol of the package describes.
    """
    trees = {path: ast.parse(path.read_text()) for path in modules(root).values()}
    classes = [
        node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    ]
    return [
        f"{path.relative_to(root)}:{function.lineno} {function.name}"
        for path, tree in trees.items()
        for function, owner in _functions(tree)
        if not function.name.startswith(("_", "pytest_"))
        and _parameters(function, owner) >= ARGS_FROM
        and "Args:" not in (ast.get_docstring(function) or "")
        and not any("pytest.fixture" in ast.unparse(mark) for mark in function.decorator_list)
        and not any(_describes(above, function, owner) for above in classes if owner)
    ]


def _functions(node: ast.AST, owner: Owner = None) -> Iterator[tuple[Function, Owner]]:
    """Yield functions and methods, those inside of a function left out, with their class."""
    for below in ast.iter_child_nodes(node):
        if isinstance(below, Function):
            yield below, owner
        else:
            yield from _functions(below, below if isinstance(below, ast.ClassDef) else owner)


def _parameters(function: Function, owner: Owner) -> int:
    """Return how many parameters a function takes, a method's first one left out."""
    takes = function.args
    named = len(takes.posonlyargs) + len(takes.args) + len(takes.kwonlyargs)
    if owner and "staticmethod" not in map(ast.unparse, function.decorator_list):
        named -= 1
    return named + bool(takes.vararg) + bool(takes.kwarg)


def _describes(above: ast.ClassDef, function: Function, owner: ast.ClassDef) -> bool:
    """Tell whether a class is a base of a method's, or a protocol it follows, and has the method.

    A method is the same by name and number of parameters; a property may be an attribute there.
    """
    has, asked = (
        {
            (method.name, _parameters(method, node))
            for method, _ in _functions(node)
            if "property" not in map(ast.unparse, method.decorator_list)
        }
        for node in (owner, above)
    )
    bases = set(map(ast.unparse, owner.bases))
    is_protocol = "Protocol" in map(ast.unparse, above.bases)
    is_above = above.name in bases or (is_protocol and above is not owner and asked <= has)
    return is_above and (function.name, _parameters(function, owner)) in asked


def lines_at_88(root: Path) -> int:
    """Return the lines of the package as ``ruff format`` lays them out at 88 columns."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, PACKAGE)
        shutil.copytree(root / PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        words = ["ruff", "format", "--quiet", "--isolated", "--line-length", "88", str(copy)]
        subprocess.run(words, check=True)
        return sum(path.read_text().count("\n") for path in copy.rglob("*.py"))


def suppressions(root: Path) -> int:
    """Return how often a rule of the linter is silenced on a line, tests and scripts included."""
    listed = subprocess.run(
        ["git", "-C", str(root), "grep", "-hE", "# noqa", "--", "*.py", ":!benchmarks/house.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    return len(listed.stdout.splitlines())


def figures(root: Path) -> list[str]:
    """Return the figures of a checkout, a line each."""
    graph = imports(root)
    of_rooms = rooms(graph)
    count, nested = conditionals(root)
    lines = lines_at_88(root)
    round_rooms = circles(of_rooms)
    return [
        f"rooms                                   {len(of_rooms) + 1}",
        f"floors                                  {'-' if round_rooms else floors(of_rooms)}",
        f"arrows between rooms                    {sum(map(len, of_rooms.values()))}",
        f"circles of rooms                        {len(round_rooms)}",
        f"circles of modules                      {len(circles(graph))}",
        f"lines (88 columns)                      {lines}",
        f"lines over {LONGEST_LINE} columns                  {len(long_lines(root))}",
        f"conditional expressions per 1,000 lines {1000 * count / lines:.1f}",
        f"nested ones                             {nested}",
        f"noqa                                    {suppressions(root)}",
        f"files over {LONGEST_FILE} lines                    {len(long_files(root))}",
        f"functions that lack Args                {len(without_args(root))}",
    ]


def main() -> None:
    """Print the figures of each checkout named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("checkout", nargs="*", type=Path, default=[Path(__file__).parents[1]])
    for root in parser.parse_args().checkout:
        print(root)
        for line in figures(root):
            print(f"  {line}")


if __name__ == "__main__":
    main()
