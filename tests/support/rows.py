"""Annotation rows of any content."""

from dataclasses import fields

from hypothesis import strategies as st

from twin_harness.runs.records import AnnotationRow

NUMBERS = st.one_of(
    st.none(),
    st.integers(-(10**9), 10**9).map(lambda count: count / 1e6),
    st.integers(0, 2**50).map(float),
    st.just(0.0),
)
TEXTS = st.one_of(
    st.just(""),
    st.sampled_from(["a,b", 'say "no"', "two\nlines", "ünï ☃", " blank ", "true", "1.5"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)


@st.composite
def rows(draw):
    values = {}
    for field in fields(AnnotationRow):
        if field.type.startswith("float"):
            values[field.name] = draw(NUMBERS)
        else:
            values[field.name] = draw(st.booleans()) if field.type == "bool" else draw(TEXTS)
    values["worker"] = draw(st.sampled_from(["main", "gw0", "gw11"]))
    return AnnotationRow(**values)
