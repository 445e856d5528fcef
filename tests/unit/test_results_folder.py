"""What people write into Allure's results folder is kept, and ours is added once.

However often sessions follow each other.
"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_harness.plugin.allure_session import CATEGORIES
from twin_harness.plugin.properties_file import escaped, escaped_key, keys_of
from twin_harness.plugin.results_folder import ResultsFolder

FACTS = {"host": "vm", "run": "R1", "a key": "x=y"}
GITHUB = {"name": "GitHub Actions", "type": "github", "buildName": "b #1", "buildUrl": "https://x"}


def add(path, facts=FACTS, executor=GITHUB):
    folder = ResultsFolder(path)
    folder.add(facts, CATEGORIES, executor)
    return folder.sentences


def content(path):
    return (
        (path / "environment.properties").read_text(),
        json.loads((path / "categories.json").read_text()),
        json.loads((path / "executor.json").read_text()),
    )


def test_empty_folder_gets_ours(tmp_path):
    """Where nobody wrote anything, environment, categories and executor are ours."""
    assert add(tmp_path) == []
    environment, categories, executor = content(tmp_path)
    assert environment == "host=vm\nrun=R1\na\\ key=x\\=y\n"
    assert categories == [dict(category) for category in CATEGORIES]
    assert executor == GITHUB


@pytest.mark.parametrize(
    "text",
    [
        "stand=stage\nhost=the lab\n",
        "! mine\n  stand : stage\nhost the lab",
        "# a=b\r\nstand=st\\\r\n   age\r\nhost = the\\\nlab\r\n",
        "stand=stage\nhost=the lab\\",
        "h\\u006fst=the lab\nstand=stage",
        "stand=stage \xe9\nhost=x",
    ],
)
def test_their_environment_stands_byte_for_byte_and_wins(tmp_path, text):
    """Their file comes first, their keys keep their values, and sessions replace ours alone."""
    (tmp_path / "environment.properties").write_bytes(text.encode("latin-1"))
    assert add(tmp_path) == []
    first = (tmp_path / "environment.properties").read_bytes().decode("latin-1")
    assert first.startswith(text)
    assert first.removeprefix(text).strip() == "run=R1\na\\ key=x\\=y"
    assert keys_of(first) == {"stand", "host", "run", "a key"}
    assert add(tmp_path, {**FACTS, "run": "R2"}) == []
    second = (tmp_path / "environment.properties").read_bytes().decode("latin-1")
    assert second == first.replace("run=R1", "run=R2")


def test_their_categories_come_first_and_keep_their_names(tmp_path):
    """Allure takes the first category that fits.

    Theirs stand before ours, and one of the same name is theirs.
    """
    theirs = [{"name": "undecided", "matchedStatuses": ["skipped"]}, {"name": "mine"}]
    (tmp_path / "categories.json").write_text(json.dumps(theirs))
    for _ in range(2):
        assert add(tmp_path) == []
        _, categories, _ = content(tmp_path)
        assert categories[:2] == theirs
        assert [category["name"] for category in categories[2:]] == [
            category["name"] for category in CATEGORIES if category["name"] != "undecided"
        ]


def test_their_executor_stays_whole(tmp_path):
    """Two builds cannot be mixed: an executor file of theirs is not touched."""
    (tmp_path / "executor.json").write_text('{"name": "Bamboo"}')
    assert add(tmp_path) == []
    assert (tmp_path / "executor.json").read_text() == '{"name": "Bamboo"}'


def test_executor_of_an_earlier_session_of_ours_is_replaced(tmp_path):
    """Ours is known again.

    The next build's stands there afterwards, and none where there is no build.
    """
    add(tmp_path)
    add(tmp_path, executor={**GITHUB, "buildName": "b #2"})
    assert content(tmp_path)[2]["buildName"] == "b #2"
    add(tmp_path, executor={})
    assert not (tmp_path / "executor.json").exists()


def test_environment_of_an_older_version_of_ours_is_replaced(tmp_path):
    """A file with our keys and no others is of a version that kept no account of what it wrote."""
    (tmp_path / "environment.properties").write_text("host=old\nrun=R0\na\\ key=z\n")
    add(tmp_path)
    assert content(tmp_path)[0] == "host=vm\nrun=R1\na\\ key=x\\=y\n"


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        (
            "categories.json",
            '[{"name": ',
            "is not valid JSON (Expecting value: line 1 column 11 (char 10))",
        ),
        ("categories.json", '{"name": "mine"}', "holds no list"),
        ("executor.json", "[]", "holds no object"),
    ],
)
def test_damaged_file_of_theirs_is_left_and_told(tmp_path, name, text, fault):
    """A file that cannot be added to is left as it is, and said; the others are written."""
    (tmp_path / name).write_text(text)
    assert add(tmp_path) == [
        (
            f"{tmp_path / name} {fault}; it is left as it is, and nothing of ours is added: repair"
            " it, or remove it"
        )
    ]
    assert (tmp_path / name).read_text() == text
    assert "run=R1" in (tmp_path / "environment.properties").read_text()


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=4))
def test_keys_that_are_escaped_are_read_again(facts):
    """Any text that is written as a key is one key, on one line of ASCII."""
    names = {name.replace("\n", " ").replace("\r", " ") for name in facts}
    text = "".join(f"{escaped_key(name)}={escaped(value)}\n" for name, value in facts.items())
    assert keys_of(text) == names
    assert text.isascii()
