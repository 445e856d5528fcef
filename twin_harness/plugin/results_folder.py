"""Allure's environment, categories and executor.

People write these files themselves, so what we say is added to theirs.

What we added stands in a file of our own beside them, so that the next session replaces its
predecessor's words and nobody else's.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

ENVIRONMENT, CATEGORIES, EXECUTOR = "environment.properties", "categories.json", "executor.json"
WRITTEN = ".twin-harness-wrote"  # no ending that Allure's readers look at
_FORMAT = "twin-allure/1"
# java.util.Properties.load: a key ends at the first separator that no backslash precedes; a line
# goes on after an odd number of them.
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)")
_KEY = re.compile(r"((?:[^\\=: \t\f]|\\.)*)")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)")
_CONTROL = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}


def escaped(text: str) -> str:
    """Return a value as a .properties file holds it; a space at its beginning would be lost."""
    written = _written(text)
    if written.startswith(" "):
        return f"\\{written}"
    return written


def escaped_key(text: str) -> str:
    """Return a key as a .properties file holds it.

    A space would end it, and some signs make a comment at its beginning.
    """
    return _written(text).replace(" ", "\\ ").replace("#", "\\#").replace("!", "\\!")


def _written(text: str) -> str:
    r"""Return text on one line of ASCII, without separators.

    The format is Latin-1 and knows ``\uXXXX``.
    """
    line = text.replace("\\", "\\\\").replace("\n", " ").replace("\r", " ")
    line = line.replace("=", "\\=").replace(":", "\\:")
    units = line.encode("utf-16-be", "surrogatepass")
    codes = (int.from_bytes(units[index : index + 2]) for index in range(0, len(units), 2))
    return "".join(chr(code) if 0x20 <= code < 0x7F else f"\\u{code:04x}" for code in codes)


def keys_of(text: str) -> set[str]:
    """Return the keys of a .properties file."""
    keys, logical = set(), ""
    for line in _lines(text):
        is_new = not logical
        logical += line.rstrip("\r\n").lstrip(" \t\f")
        if is_new and logical[:1] in ("", "#", "!"):
            logical = ""
            continue
        if _goes_on(logical):
            logical = logical[:-1]
            continue
        # it matches the empty string
        keys.add(_unescaped(_KEY.match(logical)[1]))  # type: ignore[index]
        logical = ""
    if logical:  # the file ends where a line would go on
        keys.add(_unescaped(_KEY.match(logical)[1]))  # type: ignore[index]  # as above
    return keys


def _lines(text: str) -> list[str]:
    """Return lines with their breaks: fewer characters break one than ``str.splitlines`` knows."""
    return [line for line in _LINE.findall(text) if line]


def _goes_on(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _unescaped(text: str) -> str:
    plain = _ESCAPE.sub(
        lambda found: (
            chr(int(found[1][1:], 16)) if len(found[1]) > 1 else _CONTROL.get(found[1], found[1])
        ),
        text,
    )
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@dataclass
class ResultsFolder:
    """A results folder of Allure.

    Attributes:
        path: of the folder, which is there.
        sentences: what could not be added, and why.
        written: what we added: lines of the environment, categories, and the executor file's text.
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

        Raises:
            OSError: the folder cannot be read or written.
        """
        before = self._read_written() or self._older_versions_words(facts)
        self._add_environment(facts, before.get("environment") or [])
        self._add_categories(
            [dict(category) for category in categories], before.get("categories") or []
        )
        self._add_executor(executor, before.get("executor") or "")
        (self.path / WRITTEN).write_text(
            json.dumps({"format": _FORMAT, **self.written}), encoding="utf-8"
        )

    def _read_written(self) -> dict[str, Any]:
        """Return what an earlier session added.

        Nothing where that cannot be told, so that it is left as theirs.
        """
        try:
            data = json.loads((self.path / WRITTEN).read_bytes())
        except (OSError, ValueError):
            return {}
        if isinstance(data, dict) and data.get("format") == _FORMAT:
            return data
        return {}

    def _older_versions_words(self, facts: Mapping[str, str]) -> dict[str, Any]:
        """Return what a version of ours that kept no account has written.

        An environment of our keys and no others is its.
        """
        path = self.path / ENVIRONMENT
        if path.exists():
            text = path.read_bytes().decode("latin-1")
        else:
            text = ""
        if keys_of(text) != set(facts):
            return {}
        executor = self.path / EXECUTOR
        return {
            "environment": [line.rstrip("\r\n") for line in _lines(text)],
            "executor": (
                executor.read_text(encoding="utf-8", errors="replace") if executor.exists() else ""
            ),
        }

    def _add_environment(self, facts: Mapping[str, str], before: list[str]) -> None:
        """Keep their file byte for byte, and add our lines below for the keys that it lacks."""
        path = self.path / ENVIRONMENT
        if path.exists():
            content = path.read_bytes().decode("latin-1")
        else:
            content = ""
        kept = [line for line in _lines(content) if line.rstrip("\r\n") not in before]
        theirs = "".join(kept)
        if theirs and not theirs.endswith(("\n", "\r")):
            theirs += "\n"
        if kept and _goes_on(kept[-1].rstrip("\r\n")):
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
        if executor and is_ours:
            text = json.dumps(executor, indent=1)
        else:
            text = ""
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
            if isinstance(data, kind):
                fault = ""
            else:
                fault = f"holds no {'list' if kind is list else 'object'}"
        except ValueError as error:
            data, fault = None, f"is no JSON ({error})"
        if fault:
            self.sentences.append(
                f"{path} {fault}; it is left as it is, and nothing of ours is added: mend it, or"
                " remove it"
            )
            return None
        return data
