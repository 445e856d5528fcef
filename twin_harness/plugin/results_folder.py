"""Allure's environment, categories and executor, added to what people have written there.

What we added stands in a file of our own beside them, so that the next session replaces its
predecessor's words and nobody else's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twin_harness.plugin.properties_file import (
    escaped,
    escaped_key,
    goes_on,
    keys_of,
    lines_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

ENVIRONMENT, CATEGORIES, EXECUTOR = "environment.properties", "categories.json", "executor.json"
WRITTEN = ".twin-harness-wrote"  # no ending that Allure's readers look at
_FORMAT = "twin-allure/1"


@dataclass
class ResultsFolder:
    """A results folder of Allure.

    Attributes:
        path: of the folder, which is there.
        sentences: what could not be added, and why.
        written: what we added: the environment's lines, categories, the executor file's text.
    """

    path: Path
    sentences: list[str] = field(default_factory=list)
    written: dict[str, Any] = field(default_factory=dict)

    def add(
        self,
        facts: Mapping[str, str],
        categories: Iterable[Mapping[str, Any]],
        executor: Mapping[str, Any],
    ) -> None:
        """Add environment, categories and executor to what people have written there; theirs win.

        Args:
            facts: lines of the environment: value by key.
            categories: as Allure has them in ``categories.json``.
            executor: as Allure has it in ``executor.json``; empty where no CI service ran this.

        Raises:
            OSError: the folder cannot be read or written.
        """
        before = self._read_written() or self._read_older_version(facts)
        self._add_environment(facts, before.get("environment") or [])
        self._add_categories(
            [dict(category) for category in categories], before.get("categories") or []
        )
        self._add_executor(executor, before.get("executor") or "")
        (self.path / WRITTEN).write_text(
            json.dumps({"format": _FORMAT, **self.written}), encoding="utf-8"
        )

    def _read_written(self) -> dict[str, Any]:
        """Return what an earlier session added; nothing where its account cannot be read."""
        try:
            data = json.loads((self.path / WRITTEN).read_bytes())
        except (OSError, ValueError):
            return {}
        if isinstance(data, dict) and data.get("format") == _FORMAT:
            return data
        return {}

    def _read_older_version(self, facts: Mapping[str, str]) -> dict[str, Any]:
        """Return what a version without an account wrote: an environment of our keys alone."""
        path = self.path / ENVIRONMENT
        text = _latin_text(path)
        if keys_of(text) != set(facts):
            return {}
        executor, executor_text = self.path / EXECUTOR, ""
        if executor.exists():
            executor_text = executor.read_text(encoding="utf-8", errors="replace")
        return {
            "environment": [line.rstrip("\r\n") for line in lines_of(text)],
            "executor": executor_text,
        }

    def _add_environment(self, facts: Mapping[str, str], before: list[str]) -> None:
        """Keep their file byte for byte, and add our lines below for the keys that it lacks."""
        path = self.path / ENVIRONMENT
        kept = [line for line in lines_of(_latin_text(path)) if line.rstrip("\r\n") not in before]
        theirs = "".join(kept)
        if theirs and not theirs.endswith(("\n", "\r")):
            theirs += "\n"
        if kept and goes_on(kept[-1].rstrip("\r\n")):
            theirs += "\n"  # else our first line would be the rest of their last one
        known = keys_of(theirs)
        lines = [
            f"{escaped_key(name)}={escaped(value)}"
            for name, value in facts.items()
            if name not in known
        ]
        path.write_bytes(
            theirs.encode("latin-1") + "".join(f"{line}\n" for line in lines).encode("ascii")
        )
        self.written["environment"] = lines

    def _add_categories(self, ours: list[dict[str, Any]], before: list[Any]) -> None:
        """Append our categories to theirs.

        Allure takes the first that fits, and theirs are the closer ones.
        """
        path = self.path / CATEGORIES
        theirs = self._read_json(path, list)
        if theirs is None:
            self.written["categories"] = []
            return
        theirs = [category for category in theirs if category not in before]
        names = {category.get("name") for category in theirs if isinstance(category, dict)}
        added = [category for category in ours if category["name"] not in names]
        path.write_text(
            json.dumps([*theirs, *added], indent=1, ensure_ascii=False), encoding="utf-8"
        )
        self.written["categories"] = added

    def _add_executor(self, executor: Mapping[str, Any], before: str) -> None:
        """Write who ran this, unless they did.

        Two builds cannot be mixed, so theirs stays whole.
        """
        path = self.path / EXECUTOR
        is_ours = not path.exists() or path.read_text(encoding="utf-8", errors="replace") == before
        text = ""
        if executor and is_ours:
            text = json.dumps(executor, indent=1)
        if text:
            path.write_text(text, encoding="utf-8")
        elif is_ours:
            path.unlink(missing_ok=True)  # of another build than this session's
        else:
            self._read_json(path, dict)
        self.written["executor"] = text

    def _read_json(self, path: Path, kind: type) -> Any:
        """Return what a file of theirs holds, an empty one where there is none.

        None, and a sentence, for one that is damaged.
        """
        if not path.exists():
            return kind()
        try:
            data = json.loads(path.read_text(encoding="utf-8-sig"))
            fault = ""
            if not isinstance(data, kind):
                fault = f"holds no {'list' if kind is list else 'object'}"
        except ValueError as error:
            data, fault = None, f"is not valid JSON ({error})"
        if fault:
            self.sentences.append(
                f"{path} {fault}; it is left as it is, and nothing of ours is added: repair it,"
                " or remove it"
            )
            return None
        return data


def _latin_text(path: Path) -> str:
    """Return the text of a .properties file; empty where there is none."""
    if path.exists():
        return path.read_bytes().decode("latin-1")
    return ""
