"""A schedule file from anybody: whatever stands in it, one sentence and exit 2, or a schedule.

Never a traceback, never more than it takes.
"""

import json
import random
import subprocess
import sys
import time

from twin_harness.errors import InvalidInput
from twin_harness.schedule.builders import command, cpu, disk, memory, plan
from twin_harness.schedule.model import Schedule
from twin_harness.shapes.shape import leak, ramp, sine, spikes, square, steps, trace

CASES, COMMANDS, PARTS = 1_000, 20, 4
MOST_BYTES, MOST_S = 200 * 2**20, 5.0
VALID = Schedule.of(
    plan(
        cpu(ramp(0, 80), duration_s=8),
        memory(steps([1, 2]), duration_s=5),
        disk(square(1e6, 2e6, 2), duration_s=4),
        name="one",
        tolerance="5%",
    ),
    plan(
        cpu(sine(20, 10, 2), duration_s=3),
        memory(leak(1, 0.1), duration_s=5),
        disk(spikes(1e6, 1e6, 0.5, 30), duration_s=4),
        name="two",
        settle_s=3.0,
    ),
    plan(
        cpu(trace([(0, 1), (2, 5)]), duration_s=3),
        command(["true"], duration_s=1),
        name="three",
        share=True,
    ),
).to_json()
NASTY = [
    *(
        None,
        True,
        -1,
        0,
        1e308,
        -1e308,
        2**70,
        "",
        "x" * 10_000,
        "\x00",
        "\u202e",
        "../../etc/passwd",
        "/dev/zero",
        [],
        {},
        [[]],
    ),
    *(
        {"kind": "trace", "file": "/dev/zero"},
        {"kind": "constant", "level": float("inf")},
        "NaN",
        {"kind": "steps", "levels": [1] * 20_000},
    ),
    *({"a": {"b": {"c": []}}}, "<script>", "$(reboot)", "%s%n", [1] * 5_000),
]
NASTY_TEXTS = [json.dumps(value) for value in NASTY]


def nasty(chance):
    """Return a value that nobody would want, a new one each time."""
    return json.loads(chance.choice(NASTY_TEXTS))


def places(value, path=()):
    """Return the path of every value within plain data."""
    found = [path]
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        if isinstance(inner, (dict, list)):
            found += places(inner, (*path, key))
        else:
            found.append((*path, key))
    return found


def mutated(chance):
    """Return bytes that are nearly a schedule, or nothing like one."""
    kind = chance.randrange(6)
    if kind == 0:
        return chance.randbytes(chance.randrange(2_000))
    if kind == 1:
        return b"[" * chance.randrange(200_000)
    data = json.loads(json.dumps(VALID))
    if kind == 2:
        text = bytearray(json.dumps(data).encode())
        for _ in range(chance.randrange(1, 8)):
            text[chance.randrange(len(text))] = chance.randrange(256)
        return bytes(text)
    for _ in range(chance.randrange(1, 4)):
        path = chance.choice([place for place in places(data) if place])
        owner = data
        for key in path[:-1]:
            owner = owner[key]
        change = chance.randrange(3)
        if change == 0:
            owner[path[-1]] = nasty(chance)
        elif change == 1 and isinstance(owner, dict):
            owner[chance.choice(["kind", "x", "__class__", "format", "level_"])] = nasty(chance)
        else:
            del owner[path[-1]]
    text = json.dumps(data)
    return (
        text
        if kind < 5
        else text.replace("1.0", chance.choice(["NaN", "1e999", "Infinity", "1" * 5_000]), 2)
    ).encode()


def refusal(path):
    """Return why a file is no schedule; None when it is one."""
    try:
        Schedule.read(path)
    except InvalidInput as error:
        return str(error)
    return None


def test_files_of_anybody_are_refused_in_a_sentence(tmp_path):
    """A thousand files, in this process: read, or refused by one line that names the file."""
    chance, path = random.Random(20261124), tmp_path / "schedule.json"
    refused = 0
    for number in range(CASES):
        path.write_bytes(mutated(chance))
        begin_s = time.process_time()
        if (message := refusal(path)) is not None:
            refused += 1
            assert message.startswith(str(path)), number
            assert "\n" not in message, number
            assert len(message) < 1_000, number
        assert time.process_time() - begin_s < MOST_S, number
    assert CASES / 2 < refused < CASES


# A process for each file, forked from one that has run the command on a valid file and so loaded
# all that it takes. An exception ends it as it ends any other, with Python's own traceback and exit
# code; otherwise it ends without tidying up, which would copy every page that it shares. The peak
# is that of the process's own image: ru_maxrss would count that of the one it was forked from.
SCRIPT = """
import contextlib, gc, os, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
from twin_harness.cli import main
with contextlib.redirect_stdout(sys.stderr):
    assert main(["schedule", "check", sys.argv[1]]) in (0, 1)  # 1: not for this machine
gc.freeze()
for path in sys.argv[2:]:
    if (process := os.fork()) == 0:
        for number, ending in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{path}.{ending}", os.O_WRONLY | os.O_CREAT), number)
        code = main(["schedule", "check", path])
        print(next(line.split()[1] for line in open("/proc/self/status") if "VmHWM" in line))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""


def test_command_refuses_without_a_traceback(tmp_path):
    """The same through ``twin schedule check``, under an address-space limit.

    Exit 0, 1 or 2, one line each, little memory.
    """
    paths = []
    for part in range(PARTS):
        chance = random.Random(part)
        for number in range(COMMANDS // PARTS):
            paths.append(tmp_path / f"{part}-{number}.json")
            paths[-1].write_bytes(mutated(chance))
    valid = tmp_path / "valid.json"
    valid.write_text(json.dumps(VALID))
    words = [sys.executable, "-c", SCRIPT, str(valid), *map(str, paths)]
    process = subprocess.run(
        words, capture_output=True, text=True, timeout=240, check=True, cwd=tmp_path
    )
    codes = [int(line) for line in process.stdout.split()]
    for path, code in zip(paths, codes, strict=True):
        message = path.with_name(f"{path.name}.err").read_text()
        assert code in (0, 1, 2), message
        assert "Traceback" not in message
        if code == 2:
            assert message.startswith(f"twin: {path}"), message
            assert message.count("\n") == 1
        peak = path.with_name(f"{path.name}.out").read_text().split()[-1]
        assert int(peak) * 1024 < MOST_BYTES
    assert 2 in codes
