from __future__ import annotations

from typing import Any

import pytest

from coe.decisions.load import load_decision
from coe.json_types import InexactNumber, NotJson, read_json, read_whole_number, value_text
from coe.language.load import load
from coe.language.openapi.parameters import Parameter, path_text, query_pairs
from coe.testing.suite_format import read_suite


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


@pytest.mark.parametrize("digits", [str(2**64), str(-(2**63) - 1), "1" * 300])
def test_a_whole_number_that_would_be_rounded_is_refused(digits: str) -> None:
    with pytest.raises(InexactNumber):
        read_json(b'{"a": [' + digits.encode() + b"]}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            b'{"a":\n  18446744073709551616}',
            "rounded: write it as text (line 2, column 3)",
        ),
        (b'{"a": ' + b"9" * 400 + b"}", "would be rounded: write it as text (line 1, column 7)"),
        ('{"\u00e4": 18446744073709551616}'.encode(), "(line 1, column 7)"),
        (b'{"a": "\\ud83d"}', "Half of a surrogate pair is not a character (line 1, column 8)"),
        (b'{"a": "\\udc00"}', "Half of a surrogate pair is not a character (line 1, column 8)"),
        (b'"\xed\xa0\x80"', "It is not JSON: it is not UTF-8"),
        (b"1e400", "A number is too large (line 1, column 1)"),
        (b"[" * 2000 + b"]" * 2000, "It is nested too deep"),
        (b"{\n,}", "It is not JSON: "),
        (b" ", "It is not JSON: it is empty"),
    ],
)
def test_what_cannot_be_read_is_named_and_located(text: bytes, message: str) -> None:
    with pytest.raises(NotJson) as refused:
        read_json(text)
    assert message in str(refused.value)
    if message.startswith("It is not JSON: ") and b"\n" in text:
        assert "line 2, column 1" in str(refused.value)


def test_a_byte_order_mark_is_ignored() -> None:
    assert read_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


def test_a_computed_number_is_refused_only_with_digits_that_would_be_lost() -> None:
    for digits, value in (("100000000000000000000", 1e20), ("18446744073709552000", 2.0**64)):
        assert read_json(digits.encode(), computed=True) == value
    for digits in ("18446744073709551616", "18446744073709551617", "123456789012345678901"):
        with pytest.raises(InexactNumber):
            read_json(digits.encode(), computed=True)


@pytest.mark.parametrize("digits", [str(2**64), str(-(2**63) - 1), "9" * 5000])
def test_digits_of_another_text_are_refused_alike(digits: str) -> None:
    with pytest.raises(InexactNumber):
        read_whole_number(digits)
    assert read_whole_number("0xffffffffffffffff", 16) == 2**64 - 1


def test_what_a_file_holds_is_refused_alike() -> None:
    """Else a test in a file would pass with a number that a server refuses or rounds."""
    number = 2**64
    flow = load(f"do:\n  - keep: {{set: {{id: {number}}}}}\n")
    _, problems = read_suite(f"tests:\n  - {{name: large, input: {{id: {number}}}}}\n")
    table = load_decision(f"rules:\n  - {{id: large, then: {{id: {number}}}}}\n")
    for (problem,), line in ((flow.problems, 2), (problems, 2), (table.problems, 2)):
        assert (problem.code, problem.line) == ("OWS006", line)
        assert problem.message.startswith("a whole number of more than 64 bits")


def test_a_deep_value_with_a_long_number_is_read() -> None:
    text = b"[" * 1000 + b"1234567890123456789" + b"]" * 1000
    value: Any = read_json(text)
    for _ in range(1000):
        [value] = value
    assert value == 1234567890123456789


def test_other_long_digits_are_read() -> None:
    text = b'{"a": [18446744073709551615, -9223372036854775808, "18446744073709551616", 1e30]}'
    value = read_json(text)
    assert value == {"a": [2**64 - 1, -(2**63), "18446744073709551616", 1e30]}
    digits = "9" * 30
    for other in (f"0.{digits}", f"-{digits}.5", f"{digits}e2", f"1e-{digits}", f'"\\"{digits}"'):
        read_json(other.encode())
    with pytest.raises(ValueError, match="unexpected"):
        read_json(b"{")
