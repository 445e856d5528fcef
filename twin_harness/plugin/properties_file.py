"""The .properties format of Java, as Allure reads it: keys and values escaped, and read back."""

from __future__ import annotations

import re

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
    """Return a key as a .properties file holds it; a space would end it, some signs comment it."""
    return _written(text).replace(" ", "\\ ").replace("#", "\\#").replace("!", "\\!")


def _written(text: str) -> str:
    r"""Return text on one line of ASCII, without separators, by means of ``\uXXXX``."""
    line = text.replace("\\", "\\\\").replace("\n", " ").replace("\r", " ")
    line = line.replace("=", "\\=").replace(":", "\\:")
    units = line.encode("utf-16-be", "surrogatepass")
    codes = (int.from_bytes(units[index : index + 2]) for index in range(0, len(units), 2))
    return "".join(chr(code) if 0x20 <= code < 0x7F else f"\\u{code:04x}" for code in codes)


def keys_of(text: str) -> set[str]:
    """Return the keys of a .properties file."""
    keys, logical = set(), ""
    for line in lines_of(text):
        is_new = not logical
        logical += line.rstrip("\r\n").lstrip(" \t\f")
        if is_new and logical[:1] in ("", "#", "!"):
            logical = ""
            continue
        if goes_on(logical):
            logical = logical[:-1]
            continue
        keys.add(_key_of(logical))
        logical = ""
    if logical:  # the file ends where a line would go on
        keys.add(_key_of(logical))
    return keys


def _key_of(line: str) -> str:
    """Return the key of a line; it may be empty."""
    match = _KEY.match(line)
    if match is None:  # it matches the empty string
        return ""
    return _unescaped(match[1])


def lines_of(text: str) -> list[str]:
    """Return lines with their breaks: fewer characters break one than ``str.splitlines`` knows."""
    return [line for line in _LINE.findall(text) if line]


def goes_on(line: str) -> bool:
    """Tell whether the next line belongs to this one: it ends in an odd number of backslashes."""
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _unescaped(text: str) -> str:
    plain = _ESCAPE.sub(_plain_letter, text)
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _plain_letter(escape: re.Match[str]) -> str:
    """Return what an escape in a .properties file stands for."""
    letters = escape[1]
    if len(letters) > 1:
        return chr(int(letters[1:], 16))
    return _CONTROL.get(letters, letters)
