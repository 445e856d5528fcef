"""Runs every command and every code block of the documentation, page by page, and builds the site.

What is shown there works.

    python docs/check.py [PAGE ...]

A block ```` ```python title="name.py" ```` is written to that file, any other ```` ```python ````
block is run; of ```` ```console ```` every line that begins with ``$ `` is run, in one folder a
page. Comments after a block: ``<!-- skip: reason -->`` leaves it out by name, ``<!-- exit: 0 or 1
-->`` allows these exit codes, ``<!-- compare: words -->`` looks for the block's output lines that
hold one of the words, numbers aside, in the real output.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DOCS = Path(__file__).resolve().parent
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```\n((?:<!--.*?-->\n)*)", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"[+-]?\d[\d.,:TZa-f-]*")
KINDS = {"console", "python", "yaml", "json", "toml", "text", "ini", "csv"}


def note_of(comments, name):
    """Return what a comment says, or None."""
    found = re.search(rf"<!-- {name}: (.*?) -->", comments)
    return found.group(1) if found else None


def run_line(line, folder, environment, allowed):
    """Run a command; return its output, and what was wrong."""
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    output = done.stdout + done.stderr
    return output, (
        ""
        if done.returncode in allowed
        else f"exit code {done.returncode} of `{line}`:\n{output[-2000:]}"
    )


def plain(text):
    """Return text with numbers and runs of blanks made alike."""
    return re.sub(r"\s+", " ", NUMBER.sub("#", text)).strip()


def check_block(kind, title, body, comments, folder, environment):
    """Run one block and return what was wrong with it; empty when nothing was."""
    if kind not in KINDS:
        return f"a block of unknown kind {kind!r}; expected one of {', '.join(sorted(KINDS))}"
    if kind == "python":
        name = re.search(r'title="([^"]+)"', title)
        path = Path(folder, name.group(1) if name else "block.py")
        path.write_text(body)
        return "" if name else run_line(f"python {path.name}", folder, environment, {0})[1]
    if kind != "console":
        return ""
    allowed = {int(code) for code in (note_of(comments, "exit") or "0").split(" or ")}
    outputs = []
    for line in body.splitlines():
        if line.startswith("$ "):
            output, fault = run_line(line[2:], folder, environment, allowed)
            if fault:
                return fault
            outputs.append(plain(output))
    words = (note_of(comments, "compare") or "").split()
    shown = [
        plain(line)
        for line in body.splitlines()
        if not line.startswith("$ ") and any(word in line for word in words)
    ]
    missing = [line for line in shown if not any(line in output for output in outputs)]
    return (
        f"the output no longer holds the line {missing[0]!r}; it was {outputs[-1][-1500:]}"
        if missing
        else ""
    )


def check_page(path):
    """Run a page's blocks in a folder of their own.

    Return how many ran, how many were skipped by name, and what was wrong.
    """
    ran, skipped, faults = 0, [], []
    text = path.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(
        prefix="twin-docs-", dir=os.environ.get("TWIN_DOCS_SCRATCH")
    ) as folder:
        binaries = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {
            **os.environ,
            "PATH": binaries,
            "PYTEST_ADDOPTS": "-p no:cacheprovider",
            "COLUMNS": "120",
        }
        for kind, title, body, comments in BLOCK.findall(text):
            if (reason := note_of(comments, "skip")) is not None:
                skipped.append(reason)
                continue
            fault = check_block(kind, title, body, comments, folder, environment)
            ran += kind in ("python", "console")
            if fault:
                faults.append(fault)
                break
    return ran, skipped, faults


def main():
    pages = [Path(name) for name in sys.argv[1:]] or sorted(
        path for path in DOCS.rglob("*.md") if "reference" not in path.parts
    )
    pages += [] if sys.argv[1:] else [DOCS.parent / "README.md"]
    status = 0
    for path in pages:
        begin_s = time.monotonic()
        ran, skipped, faults = check_page(path)
        status |= bool(faults)
        state = "FAILED" if faults else "ok"
        print(
            f"{state:<6} {path.resolve().relative_to(DOCS.parent)}  {ran} blocks,"
            f" {time.monotonic() - begin_s:.0f} s",
            flush=True,
        )
        for reason in skipped:
            print(f"       skipped: {reason}")
        for fault in faults:
            print(f"       {fault}")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
