from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coe.language.canonical import canonical, digest
from coe.language.source import read


def test_layout_order_comments_and_notation_do_not_count() -> None:
    yaml = "b: [1, 2.0]  # a comment\na:\n  x: 'é'\n"
    json = '{"a":{"x":"\\u00e9"},"b":[1.0,2]}'
    assert canonical(read(yaml).data) == '{"a":{"x":"é"},"b":[1,2]}'.encode()
    assert digest(read(yaml).data) == digest(read(json).data)


def test_values_count() -> None:
    values = [None, True, 1, "1", 1.5, [], {}, [1], {"a": 1}, {"a": None}, "", "true"]
    assert len({digest(value) for value in values}) == len(values)


def test_whole_numbers_of_any_size_are_kept() -> None:
    assert canonical({"n": 10**30}) == b'{"n":1000000000000000000000000000000}'


def test_a_digest_is_stable() -> None:
    # SHA-256 of {"a":1}: digests are signed and stored, so this must never change.
    expected = "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
    assert digest({"a": 1}) == expected


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises((TypeError, ValueError)):
        canonical({"a": object()})  # type: ignore[dict-item]


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers()))
def test_key_order_never_counts(data: dict[str, int]) -> None:
    turned = dict(reversed(data.items()))
    assert digest(data) == digest(turned)  # type: ignore[arg-type]
