"""Variants: how they are written, and that their values are stored nowhere."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_harness.errors import InvalidInput
from twin_harness.gate.variant import Variant, hide_variants, parse_variants
from twin_harness.session.config import TwinConfig

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True),
        TEXTS.map(str.strip),
        max_size=4,
    )
)
def test_what_is_written_is_read(environment):
    """Any variables come back as they were, commas escaped.

    Also through the configuration of a worker.
    """
    written = ",".join(f"{key}={value}".replace(",", "\\,") for key, value in environment.items())
    if "\\\\," in written.replace("\\,", "\\\\,") and any(
        value.endswith("\\") for value in environment.values()
    ):
        return  # a backslash before a comma is not written in this way
    variants = parse_variants(["base:", f"candidate:{written}"])
    assert variants[1].environ == {
        "TWIN_VARIANT": "candidate",
        "TWIN_VARIANT_FILL": "." * 31,
        **environment,
    }
    config = TwinConfig(variants=variants)
    assert TwinConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (["base:"], "expected two variants, base and candidate, but got 1"),
        (["a:", "b:", "c:"], "but got 3"),
        (["a:", "a:X=1"], "both variants are called 'a'"),
        (["a", "b:"], "expected NAME:KEY=VALUE,… but got 'a'"),
        (["a:", "b:1X=secret"], "expected NAME:KEY=VALUE,… but got 'b:1X'"),
        (["a:", "b:X=1,X=2"], "a variable of 'b' is given twice"),
        (["../x:", "b:"], "expected NAME:KEY=VALUE,…"),
    ],
)
def test_a_wrong_variant_is_one_sentence_without_values(texts, sentence):
    """Each fault names what was expected, and shows no value."""
    with pytest.raises(InvalidInput) as caught:
        parse_variants(texts)
    assert sentence in str(caught.value)
    assert "secret" not in str(caught.value)


def test_values_are_stored_nowhere():
    """What is recorded has names and hashes, and a command line has stars."""
    config = TwinConfig(variants=(Variant("a"), Variant("b", (("KEY", "s3cret"),))))
    assert "s3cret" not in json.dumps(config.to_record())
    assert "sha256:" in json.dumps(config.to_record())
    assert "s3cret" not in repr(
        config
    )  # tracebacks show arguments, and are stored in JUnit and Allure
    assert hide_variants(["-o", "twin_variant=b:KEY=s3cret"]) == ["-o", "twin_variant=***"]
    words = ["-q", "--twin-variant", "a:", "--twin-variant=b:KEY=s3cret,OTHER=x y", "tests"]
    assert hide_variants(words) == [
        "-q",
        "--twin-variant",
        "a:",
        "--twin-variant=b:KEY=***,OTHER=***",
        "tests",
    ]
