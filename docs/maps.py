"""Maps that cannot lie: rooms, modules and public names, from the first sentences of docstrings.

    python docs/maps.py         write the map of the rooms into architecture.md

A test holds the committed map and the code equal; the other pages are made as the site is built.
"""

import ast
import functools
from pathlib import Path

import twin_harness

HOME = Path(twin_harness.__file__).parent
ARCHITECTURE = Path(__file__).with_name("architecture.md")
BEGIN, END = "<!-- rooms: made by docs/maps.py -->\n", "<!-- end of rooms -->"


@functools.cache
def first_line(path):
    """Return the first line of a module's docstring, without reading more than its syntax."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def rooms():
    """Return what stands directly under the package: name and first line, packages first."""
    packages = sorted(path.parent for path in HOME.glob("*/__init__.py"))
    modules = sorted(path for path in HOME.glob("*.py") if path.name != "__init__.py")
    return [(f"{folder.name}/", first_line(folder / "__init__.py")) for folder in packages] + [
        (path.name, first_line(path)) for path in modules
    ]


def rooms_table():
    """Return the map of the rooms as Markdown."""
    rows = [f"| `{name}` | {line} |" for name, line in rooms()]
    return "\n".join(["| room | what stands in it |", "|---|---|", *rows]) + "\n"


def committed_rooms():
    """Return the map as it stands in architecture.md."""
    text = ARCHITECTURE.read_text(encoding="utf-8")
    return text[text.index(BEGIN) + len(BEGIN) : text.index(END)]


def write_rooms():
    """Bring the map in architecture.md up to date."""
    text = ARCHITECTURE.read_text(encoding="utf-8")
    ARCHITECTURE.write_text(text.replace(committed_rooms(), rooms_table()), encoding="utf-8")


def modules_page():
    """Return the page of all modules, room by room."""
    parts = ["# Modules\n\nEach module by the first sentence of its docstring.\n"]
    for folder in sorted({path.parent for path in HOME.rglob("*.py")}):
        name = ".".join(["twin_harness", *folder.relative_to(HOME).parts])
        head = first_line(folder / "__init__.py")
        rows = [
            f"| `{path.stem}` | {first_line(path)} |"
            for path in sorted(folder.glob("*.py"))
            if not path.name.startswith("__")
        ]
        table = "\n".join(["| module | |", "|---|---|", *rows])
        parts.append(f"## {name}\n\n{head}\n\n{table}\n")
    return "\n".join(parts)


def public_names():
    """Return each public name with the full name of what it is."""
    homes = twin_harness._HOME_OF  # noqa: SLF001 - the one table of public names
    return {name: f"twin_harness.{home}.{name}" for name, home in homes.items()}


def api_page():
    """Return the page of the public Python names, which mkdocstrings fills from docstrings."""
    parts = [
        (
            "# Python API\n\n"
            "These names can be imported from `twin_harness`; everything else may change.\n"
        )
    ]
    for name, full in public_names().items():
        parts.append(
            f"## {name}\n\n::: {full}\n    options:\n      show_root_heading: false\n"
            "      show_root_toc_entry: false\n"
        )
    return "\n".join(parts)


def pages():
    """Return file name to Markdown of the pages that are made as the site is built."""
    return {"modules.md": modules_page(), "api.md": api_page()}


if __name__ == "__main__":
    write_rooms()
