"""A stream that somebody else reads.

Whatever its reader does, who writes is neither ended nor held up, and what was lost is known.
"""

import ast
import fcntl
import io
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import twin_harness
from twin_harness.cli import main, output
from twin_harness.session.status import StatusLine
from twin_harness.system.outlet import Outlet

HOME = Path(twin_harness.__file__).resolve().parent
SMALLEST_PIPE_BYTES = 4096
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pipes and /dev/full of Linux")


@pytest.fixture
def pipe():
    """A pipe of one page, as small as they come; both ends are closed afterwards."""
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, SMALLEST_PIPE_BYTES)
    yield read_end, write_end
    for descriptor in (read_end, write_end):
        with suppress(OSError):
            os.close(descriptor)


def fill(write_end):
    """Fill a pipe to the brim."""
    os.set_blocking(write_end, False)
    with suppress(BlockingIOError):
        while True:
            os.write(write_end, b"." * SMALLEST_PIPE_BYTES)
    os.set_blocking(write_end, True)


def test_a_full_pipe_holds_nobody_up(pipe):
    """Text waits here while nobody reads, and all of it comes in order once somebody does."""
    read_end, write_end = pipe
    fill(write_end)
    outlet = Outlet(write_end)
    outlet.write("one\n")
    outlet.write("two\n")
    assert not outlet.is_ready
    assert os.read(read_end, 1 << 16).strip(b".") == b""
    outlet.write("three\n")
    assert os.read(read_end, 1 << 16) == b"one\ntwo\nthree\n"
    assert (outlet.fault, outlet.lost_lines) == ("", 0)


def test_a_reader_that_reads_nothing_is_given_up_in_the_end(pipe):
    """After the patience that was given what is left counts as lost, by line."""
    _, write_end = pipe
    fill(write_end)
    outlet = Outlet(write_end)
    outlet.write("one\ntwo\nthr")
    outlet.flush(0.0)
    assert (outlet.fault, outlet.lost_lines, outlet.is_reader_gone) == (
        "its reader reads nothing",
        3,
        False,
    )


def test_a_reader_that_goes_away_is_seen_and_nothing_is_raised(pipe):
    """Before anything is written, too; and each line that came to nobody is counted."""
    read_end, write_end = pipe
    outlet = Outlet(write_end)
    outlet.write("one\n")
    assert not outlet.is_gone
    os.close(read_end)
    assert outlet.is_gone
    outlet.write("two\nthree\n")
    outlet.flush()
    assert (outlet.fault, outlet.lost_lines, outlet.is_reader_gone) == (
        "its reader went away",
        2,
        True,
    )


def test_a_descriptor_that_others_made_non_blocking_loses_nothing(pipe):
    """EAGAIN is a full pipe like any other."""
    read_end, write_end = pipe
    fill(write_end)
    os.set_blocking(write_end, False)
    outlet = Outlet(write_end)
    outlet.write("one\n")
    os.read(read_end, 1 << 16)
    outlet.flush()
    assert os.read(read_end, 1 << 16) == b"one\n"


def test_a_full_disk_is_a_fault_with_its_own_name():
    """/dev/full answers ENOSPC to every write."""
    with Path("/dev/full").open("w", encoding="utf-8") as file:
        outlet = Outlet.for_stream(file)
        outlet.write("one\n")
        assert (outlet.fault, outlet.lost_lines, outlet.is_reader_gone) == (
            "No space left on device",
            1,
            False,
        )


def test_a_stream_that_was_closed_from_the_start_takes_nothing():
    """Python's name for it is None."""
    outlet = Outlet.for_stream(None)
    outlet.write("one\n")
    assert (outlet.fault, outlet.lost_lines) == ("it is closed", 1)


@pytest.mark.parametrize("has_descriptor", [True, False])
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_every_text_goes_out_in_every_encoding(tmp_path, encoding, has_descriptor):
    """What the encoding has not is put plainly or by its number; the lines and their order stay."""
    text = "█▁ 3 × 4 – 5 °C → 日本 \udce4\n"
    path = tmp_path / "out"
    if has_descriptor:
        with path.open("w", encoding=encoding) as file:
            Outlet.for_stream(file).write(text)
        written = path.read_bytes()
    else:
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding=encoding, newline="")
        Outlet.for_stream(stream).write(text)
        written = raw.getvalue()
    assert written.count(b"\n") == 1
    assert written.startswith(b"#_ 3 ")  # in UTF-8, too, for the lone surrogate's sake
    assert written.decode(encoding).endswith("\\udce4\n")


def test_what_others_wrote_to_the_stream_comes_first(tmp_path):
    """A stream's own buffer is emptied before text goes round it."""
    with (tmp_path / "out").open("w", encoding="utf-8") as file:
        file.write("first\n")
        Outlet.for_stream(file).write("second\n")
    assert (tmp_path / "out").read_text(encoding="utf-8") == "first\nsecond\n"


def test_a_status_line_waits_for_nobody(pipe):
    """Sentences that are to stay come when there is room again.

    The thread that shows lines of the moment never blocks.
    """
    read_end, write_end = pipe
    fill(write_end)
    line = StatusLine(write_end, is_terminal=False)
    line.write_line("one")
    line.clear()
    line.close()
    os.read(read_end, 1 << 16)
    line.write_line("two")
    assert os.read(read_end, 1 << 16) == b"\ntwin: one\n\ntwin: two\n"


def test_a_status_line_outlives_its_reader(pipe):
    """Nothing is raised where stderr's reader is gone."""
    read_end, write_end = pipe
    os.close(read_end)
    line = StatusLine(write_end, is_terminal=True)
    line.write_line("one")
    line.close()


# -- the command -----------------------------------------------------------------------------------


@pytest.fixture
def stdout_to(monkeypatch):
    """Have the command write to a descriptor, or to none."""
    made = []

    def make(descriptor):
        stream = (
            None if descriptor is None else os.fdopen(os.dup(descriptor), "w", encoding="utf-8")
        )
        monkeypatch.setattr(sys, "stdout", stream)
        made.append(stream)
        return stream

    yield make
    output._outlets.clear()
    for stream in filter(None, made):
        with suppress(OSError):
            stream.close()


GONE, FULL, CLOSED = "gone", "full", "closed"
# What became of stdout; whether the command has other work; whether its output is data; the work's
# code; the command's code.
ENDINGS = [
    (GONE, False, False, 0, 141),
    (GONE, True, False, 0, 0),
    (GONE, True, True, 0, 0),
    (GONE, True, False, 1, 1),
    (GONE, False, False, 2, 2),
    (FULL, False, False, 0, 1),
    (FULL, True, False, 0, 0),
    (FULL, True, True, 0, 1),
    (FULL, True, False, 3, 3),
    (CLOSED, False, False, 0, 1),
    (CLOSED, True, False, 0, 0),
    (CLOSED, True, False, 130, 130),
]


@pytest.mark.parametrize(("end", "has_work", "is_data", "code", "ends_with"), ENDINGS)
def test_exit_code_says_what_became_of_the_output(
    pipe, stdout_to, capsys, end, has_work, is_data, code, ends_with
):
    """A load's or verdict's code stays; for a command that only prints it is 141 or 1."""
    read_end, write_end = pipe
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        stdout_to({GONE: write_end, FULL: full.fileno(), CLOSED: None}[end])
        if end == GONE:
            os.close(read_end)
        output._outlets.clear()
        output.echo("one", "two")
        assert output.finish(code, has_work=has_work, is_for_machines=is_data) == ends_with
    told = capsys.readouterr().err
    why = {GONE: "its reader went away", FULL: "No space left on device", CLOSED: "it is closed"}[
        end
    ]
    expected = (
        "" if end == GONE and not has_work else f"twin: stdout: {why}; 2 lines were not written\n"
    )
    assert told == expected


def test_a_command_that_prints_ends_quietly_without_its_reader(pipe, stdout_to, capsys, tmp_path):
    """As every tool before head does: no traceback, nothing on stderr, the exit code of SIGPIPE."""
    read_end, write_end = pipe
    stdout_to(write_end)
    os.close(read_end)
    assert main(["runs", "--data-dir", str(tmp_path)]) == 141
    assert capsys.readouterr().err == ""


def test_help_without_its_reader_ends_quietly(pipe, stdout_to, capsys):
    """What argparse writes goes the same way as everything else."""
    read_end, write_end = pipe
    stdout_to(write_end)
    os.close(read_end)
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 141
    assert capsys.readouterr().err == ""


def test_wrong_use_is_exit_code_2_with_nothing_to_write_to(stdout_to, monkeypatch):
    """Both streams closed: the code is all that can be told, and it is told."""
    stdout_to(None)
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["report", "nowhere"]) == 2
    with pytest.raises(SystemExit) as caught:
        main(["no-such-command"])
    assert caught.value.code == 2


# -- the kind -------------------------------------------------------------------------------------


OPENING = ("open", "read_text", "write_text", "fdopen")
WRITING = ("print", "write", "writelines")


@pytest.fixture(scope="module")
def calls():
    """(place, called name, call) of every call in the package that opens, reads or writes."""
    found = []
    for path in HOME.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and verb_of(node) in (*OPENING, *WRITING):
                place = f"{path.relative_to(HOME)}:{node.lineno}"
                found.append((place, ast.unparse(node.func), node))
    assert {verb_of(call) for _, _, call in found} >= {"open", "write"}
    return found


def verb_of(call):
    """The last part of what is called: ``write`` of ``sys.stdout.write``."""
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def test_nothing_goes_to_stdout_or_stderr_but_through_an_outlet(calls):
    """No print, and no write to the streams themselves, anywhere in the package."""
    streams = [
        f"sys.{name}.{verb}" for name in ("stdout", "stderr") for verb in ("write", "writelines")
    ]
    assert [place for place, name, _ in calls if name in ("print", *streams)] == []


OPENERS = (
    "os.open",
    "Board.open",
    "RunFolder.open",
    "Session.open",
    "_Session.open",
    "opener.open",
    "logger.open",
)


def test_every_text_file_is_read_and_written_in_an_encoding_of_our_own(calls):
    """The locale's is another one on the next machine.

    Each call in text mode names its encoding.
    """
    found = []
    for place, name, call in calls:
        if verb_of(call) not in OPENING or name in (*OPENERS, "read_text"):
            continue
        values = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
        is_binary = any(isinstance(value, str) and value in ("rb", "wb", "ab") for value in values)
        if not is_binary and "encoding" not in {keyword.arg for keyword in call.keywords}:
            found.append(f"{place} {ast.unparse(call)}")
    assert found == []
