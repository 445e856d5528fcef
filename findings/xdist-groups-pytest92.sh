#!/usr/bin/env bash
# pytest-xdist 3.8.0 with pytest 9.2.0: @pytest.mark.xdist_group and --dist loadgroup no longer keep tests on one worker, and nothing says so.
#
# Most would expect: of ten tests with the mark xdist_group("one") all run on the same worker of two, as they do with pytest 9.0.2, or an
# error or a warning where the two versions do not go together (pytest-xdist 3.8.0 asks for pytest >= 7).
#
# What happens: a worker writes the group's name to item._nodeid, and the controller sorts by what follows "@" in the node ids that it is told. In
# pytest 9.2 a node's id is made of another attribute, so that the name is written where nobody reads it: the ids lack "@one", the marked tests are
# spread over both workers, and a fixture that is meant to be made once is made on each. Exit code 0 and the same number of passed tests either way.
# Until xdist mends it, a scheduler of one's own (pytest_xdist_make_scheduler, a LoadScopeScheduling whose _split_scope names the group) does.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >test_group.py <<'PY'
import os
import time

import pytest


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(10))
def test_it(number):
    time.sleep(0.1)
    with open("workers.txt", "a") as file:
        file.write(os.environ["PYTEST_XDIST_WORKER"] + "\n")
PY
# workers VERSION: how many workers ran the group, under a version of pytest.
workers() {
    python3 -m venv "env-$1"
    "env-$1/bin/pip" install --quiet --disable-pip-version-check "pytest==$1" pytest-xdist==3.8.0
    : >workers.txt
    "env-$1/bin/python" -m pytest -q -p no:cacheprovider -n 2 --dist loadgroup >"output-$1.txt"
    grep -q "10 passed" "output-$1.txt"
    sort -u workers.txt | grep -c .
}
before=$(workers 9.0.2)
now=$(workers 9.2.0)
echo "workers that ran the group of ten: pytest 9.0.2: $before; pytest 9.2.0: $now"
[ "$before" -eq 1 ]
[ "$now" -eq 2 ]
echo "as described"
