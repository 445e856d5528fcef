#!/usr/bin/env bash
# allure-pytest 2.16.2 with pytest 9.2.0: one skipped subtest makes Allure call the whole, passed test "skipped".
#
# Most would expect: pytest says "passed" of the test and "skipped" of the one subtest; Allure shows the test as passed, perhaps with the
# skipped subtest as a step. Skipped tests are left out of Allure's success rate, so a status decides whether a test counts.
#
# What happens: there is one Allure result, with status "skipped" and the subtest's reason, although two subtests and the test itself passed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check pytest==9.2.0 allure-pytest==2.16.2
cat >test_it.py <<'PY'
import pytest


def test_with_three_parts(subtests):
    for part in range(3):
        with subtests.test(part=part):
            if part == 1:
                pytest.skip("not on this machine")
PY
env/bin/python -m pytest -p no:cacheprovider -q -rA --alluredir=results test_it.py >output.txt
status=$(env/bin/python -c 'import glob, json; print(*(json.load(open(name))["status"] for name in glob.glob("results/*-result.json")))')
grep '^PASSED' output.txt
echo "Allure's status: $status"
grep -q '^PASSED test_it.py::test_with_three_parts' output.txt
[ "$status" = skipped ]
echo "as described"
