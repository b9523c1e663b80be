from __future__ import annotations

from typing import Any

import pytest

from coe.json_types import value_text
from coe.language.openapi.parameters import Parameter, path_text, query_pairs


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a b", "a b"),
        (0.00001, "0.00001"),
        (1e21, "1e+21"),
        (19.99, "19.99"),
        (7, "7"),
        (2**64, "18446744073709551616"),
        (True, "true"),
        (None, "null"),
        ({"a": [1, "b"]}, '{"a":[1,"b"]}'),
        ({"a": 2**64}, '{"a":18446744073709551616}'),
    ],
)
def test_a_value_has_one_text(value: Any, text: str) -> None:
    assert value_text(value) == text


def test_a_number_has_one_text_in_a_path_and_in_a_query() -> None:
    path = Parameter(name="rate", place="path")
    query = Parameter(name="rate", place="query")
    assert path_text(path, 0.00001) == "0.00001"
    assert list(query_pairs(query, 0.00001)) == ["rate=0.00001"]
