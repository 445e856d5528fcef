#!/usr/bin/env bash
# Hypothesis 6.170.17: the same seed and the same strategy draw other values when the project imports one more module of its own.
#
# Most would expect: @seed(n), with no database and the generate phase alone, gives the same examples on the same version of Hypothesis and Python,
# whatever else the process has imported, so that a number in a log is enough to have an experiment again.
#
# What happens: Hypothesis reads the numbers that stand in the source of the imported modules that are neither of the standard library nor of
# site-packages, and now and then draws one of them. An import of a module that nothing uses therefore changes the examples; so does a package
# that is installed from its wheel where it was editable before (then its modules stand in site-packages). Keep the drawn plan, not the seed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check hypothesis==6.170.17
cat >limits.py <<'PY'
PORT, PAGE_BYTES, SECONDS_A_DAY = 8125, 4096, 86400
PY
cat >draw.py <<'PY'
import sys

from hypothesis import HealthCheck, Phase, given, seed, settings, strategies

if "import" in sys.argv:
    import limits  # noqa: F401

drawn = []


@seed(7)
@settings(max_examples=100, phases=[Phase.generate], database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(strategies.integers(0, 100_000))
def collect(number):
    drawn.append(number)


collect()
print(*drawn)
PY
export PYTHONHASHSEED=0
env/bin/python draw.py >alone.txt
env/bin/python draw.py >again.txt
env/bin/python draw.py import >beside.txt
same=$(env/bin/python -c 'print(sum(a == b for a, b in zip(open("alone.txt").read().split(), open("beside.txt").read().split())))')
echo "the same program twice: $(cmp -s alone.txt again.txt && echo equal || echo differs)"
echo "with the module imported: $same of 100 numbers are equal; from its source: $(tr ' ' '\n' <beside.txt | grep -cxE '8125|4096|86400')"
cmp -s alone.txt again.txt
! cmp -s alone.txt beside.txt
[ "$same" -lt 100 ]
echo "as described"
