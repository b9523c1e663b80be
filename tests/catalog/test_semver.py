from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coe.catalog.refs import read_ref
from coe.catalog.semver import bump, is_alias, parse_range, parse_version, precedence

# Semantic Versioning 2.0.0, section 11.4.
ORDERED = [
    "0.9.9",
    "1.0.0-1",
    "1.0.0-2",
    "1.0.0-10",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.1",
    "1.2.0",
    "1.10.0",
    "2.0.0",
    "10.0.0",
]


def _key(text: str) -> str:
    version = parse_version(text)
    assert version is not None
    assert str(version) == text
    return precedence(version)


def test_precedence_is_that_of_the_specification() -> None:
    for lower, higher in itertools.pairwise(ORDERED):
        assert _key(lower) < _key(higher), (lower, higher)


@given(st.tuples(*[st.integers(0, 999_999_999)] * 3), st.tuples(*[st.integers(0, 999_999_999)] * 3))
def test_releases_sort_as_their_numbers(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    first, second = (_key(".".join(map(str, each))) for each in (one, other))
    assert (first < second) == (one < other)


@pytest.mark.parametrize(
    "text", ["1", "1.2", "01.2.3", "1.2.3+build", "1.2.3-", "1.2.3-01", "v1.2.3", " 1.2.3"]
)
def test_what_is_no_exact_version(text: str) -> None:
    assert parse_version(text) is None


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("^1.2", ["1.2.0", "1.9.9"], ["1.1.9", "2.0.0", "1.3.0-rc.1"]),
        ("^0.2.3", ["0.2.3", "0.2.9"], ["0.3.0", "0.2.2"]),
        ("^0.0.3", ["0.0.3"], ["0.0.4"]),
        ("^0", ["0.0.1", "0.9.0"], ["1.0.0"]),
        ("~1.4.1", ["1.4.1", "1.4.9"], ["1.5.0", "1.4.0"]),
        ("~1", ["1.0.0", "1.9.0"], ["2.0.0"]),
        ("1.x", ["1.0.0", "1.7.3"], ["2.0.0", "0.9.0"]),
        ("1.2.*", ["1.2.9"], ["1.3.0"]),
        ("1.2", ["1.2.0", "1.2.9"], ["1.3.0"]),
        ("*", ["0.0.1", "9.9.9"], ["1.0.0-rc.1"]),
        (">=1.2 <2", ["1.2.0", "1.99.0"], ["2.0.0", "1.1.9"]),
        (">1.2", ["1.3.0"], ["1.2.9"]),
        ("<=1.2", ["1.2.9", "0.1.0"], ["1.3.0"]),
        ("=1.2.3", ["1.2.3"], ["1.2.4"]),
    ],
)
def test_ranges(text: str, inside: list[str], outside: list[str]) -> None:
    bounds = parse_range(text)
    assert bounds is not None
    for each in (*inside, *outside):
        version = parse_version(each)
        assert version is not None
        assert bounds.contains(version) is (each in inside), each


@pytest.mark.parametrize("text", ["", "live", "1.2.3.4", "^", ">=", "1 || 2", "^1.2-rc"])
def test_what_is_no_range(text: str) -> None:
    assert parse_range(text) is None


def test_an_alias_is_neither_a_version_nor_a_range() -> None:
    assert is_alias("live")
    assert is_alias("canary-2")
    assert not any(is_alias(text) for text in ("1.0.0", "x", "Live", "", "a b", "^1"))


@pytest.mark.parametrize(
    ("text", "step", "after"),
    [
        ("1.4.2", "major", "2.0.0"),
        ("1.4.2", "minor", "1.5.0"),
        ("1.4.2", "patch", "1.4.3"),
        ("0.4.2", "major", "0.5.0"),
    ],
)
def test_the_next_version(text: str, step: str, after: str) -> None:
    version = parse_version(text)
    assert version is not None
    assert str(bump(version, step)) == after


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("sales/order-to-cash", None),
        ("sales/order-to-cash@1.4.0", "1.4.0"),
        ("sales/order-to-cash@^1.2", "^1.2"),
        ("sales/order-to-cash@>=1 <2", ">=1 <2"),
        ("sales/order-to-cash@live", "live"),
    ],
)
def test_refs(text: str, selector: str | None) -> None:
    ref = read_ref(text)
    assert ref is not None
    assert (ref.entry, ref.selector, str(ref)) == ("sales/order-to-cash", selector, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sales",
        "sales/",
        "Sales/a",
        "sales/a@",
        "sales/a@@1",
        "sales/a/b",
        "sales/a@Nope",
        "a/b@1 y",
    ],
)
def test_what_is_no_ref(text: str) -> None:
    assert read_ref(text) is None
