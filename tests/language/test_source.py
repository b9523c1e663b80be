from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coe.errors import Problem, Severity
from coe.language.source import Mark, Source, point, read, tokens


def test_places_are_of_keys_and_values() -> None:
    source = read("a:\n  - b: {c: 1}\n  - x\n")
    assert source.locate("/a") == Mark(1, 1)
    assert source.locate("/a/0/b") == Mark(2, 5)
    assert source.locate("/a/0/b/c") == Mark(2, 9)
    assert source.locate("/a/0/b/c", value=True) == Mark(2, 12)
    assert source.locate("/a/1") == Mark(3, 5)


def test_a_pointer_beyond_the_document_is_located_at_its_last_part() -> None:
    assert read("a:\n  b: 1\n").locate("/a/missing/more") == Mark(1, 1)
    assert read("a: 1\n").locate("/z") == Mark(1, 1)


def test_escaped_tokens_are_followed() -> None:
    source = read("'a/b': {'c~d': 1}\n")
    assert source.locate("/a~1b/c~0d", value=True) == Mark(1, 16)


@given(st.lists(st.text()))
def test_pointers_and_tokens_are_inverse(parts: list[str]) -> None:
    assert tokens(point(*parts)) == parts


def test_a_problem_has_the_position_of_its_key_or_value() -> None:
    source = read("a:\n  b: 1\n")
    problem = source.problem("OWS012", "wrong", "/a/b", value=True, help="fix it")
    assert problem == Problem("OWS012", "wrong", Severity.ERROR, "/a/b", 2, 6, "fix it")
    assert source.located(Problem("OWS010", "unknown", path="/a/b")).column == 3
    assert source.line("/a/b") == 2


def test_data_without_text_has_no_positions() -> None:
    source = Source({"a": 1})
    assert source.line("/a") is None
    assert source.problem("OWS012", "wrong", "/a").line is None
