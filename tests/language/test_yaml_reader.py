from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coe.language.source import (
    MAX_BYTES,
    Mark,
    Unreadable,
    read,
)
from coe.language.yaml_reader import MAX_SLOW_CHARACTERS


def fault(text: str) -> tuple[str, int | None, int | None]:
    with pytest.raises(Unreadable) as caught:
        read(text)
    problem = caught.value.problem
    return problem.code, problem.line, problem.column


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # The core schema of YAML 1.2: what 1.1 reads as booleans, dates and numbers is text.
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("0b11", "0b11"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("-3", -3),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("18446744073709551615", 2**64 - 1),
        ("'12'", "12"),
        ("!!str 12", "12"),
        ("+", "+"),
        ("-", [None]),
        ("|\n    a\n    b", "a\nb\n"),
    ],
)
def test_a_plain_scalar_means_what_yaml_1_2_says(text: str, value: object) -> None:
    assert read(f"k: {text}\n" if text != "-" else "k:\n  -\n").data == {"k": value}


def test_the_key_on_is_text() -> None:
    assert read("on: 1\noff: 2\n").data == {"on": 1, "off": 2}


def test_a_url_in_a_flow_mapping_is_text() -> None:
    assert read("{a: https://x.example/y, b: [http://z]}").data == {
        "a": "https://x.example/y",
        "b": ["http://z"],
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: [\n", ("OWS001", 3, 1)),
        ("a: b: c\n", ("OWS001", 1, 5)),
        ("a: 1\nb: \ud800\n", ("OWS001", 2, 4)),
        ("a: \x00\n", ("OWS001", 1, 4)),
        ("a: 1\nb: ['c\x00']\n", ("OWS001", 2, 7)),
        ("%YAML 1.3\n---\na: 1\n", ("OWS001", 1, 1)),
        ("%FOO\n---\n[", ("OWS001", 3, 2)),
        ('a: "\\UFFFFFFFF"\n', ("OWS001", 1, 7)),
        ("a: *nowhere\n", ("OWS001", 1, 4)),
        ("a: 1\nb: 2\na: 3\n", ("OWS003", 3, 1)),
        ("x: {a: 1, a: 2}\n", ("OWS003", 1, 11)),
        ("", ("OWS005", 1, 1)),
        ("# only a comment\n", ("OWS005", 1, 1)),
        ("a: 1\n---\nb: 2\n", ("OWS005", 2, 1)),
        ("200: ok\n", ("OWS006", 1, 1)),
        ("[a]: b\n", ("OWS006", 1, 1)),
        ("a: .nan\n", ("OWS006", 1, 4)),
        ("a: -.inf\n", ("OWS006", 1, 4)),
        ("a: 1e999\n", ("OWS006", 1, 4)),
        ("a: !!python/name:os.system x\n", ("OWS006", 1, 4)),
        ("a: !custom {b: 1}\n", ("OWS006", 1, 4)),
        ("a: !!binary aGVsbG8=\n", ("OWS006", 1, 4)),
        ('"a\\0b": 1\n', ("OWS006", 1, 1)),
        ("a: " + "9" * 5000 + "\n", ("OWS006", 1, 4)),
        (f"a: [1, {2**64}]\n", ("OWS006", 1, 8)),
        (f"a: {-(2**63) - 1}\n", ("OWS006", 1, 4)),
        ("a: 0x10000000000000000\n", ("OWS006", 1, 4)),
        ("a: " + "x" * MAX_BYTES, ("OWS002", 1, 1)),
        ("[" * 101 + "]" * 101, ("OWS002", 1, 101)),
    ],
)
def test_what_is_no_document_is_one_located_problem(
    text: str, expected: tuple[str, int | None, int | None]
) -> None:
    assert fault(text) == expected


def test_a_hundred_thousand_open_brackets_are_refused_at_once() -> None:
    # The scanner's time grows with the square of the depth: reading all of it would take a minute.
    assert fault("[" * 100_000)[0] == "OWS002"


def test_anchors_may_be_used() -> None:
    assert read("a: &x [1, 2]\nb: *x\n").data == {"a": [1, 2], "b": [1, 2]}


def test_anchors_that_explode_are_refused() -> None:
    lines = ["a0: &a0 [" + ", ".join(["lol"] * 10) + "]"]
    lines += [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 10) + "]" for n in range(1, 12)]
    code, line, _ = fault("\n".join(lines))
    assert code == "OWS004"
    assert line is not None
    assert line < 8


def test_an_anchor_cannot_hold_itself() -> None:
    assert fault("a: &a [*a]\n")[0] == "OWS001"


@pytest.mark.parametrize(
    "text", ['{"a": "\\ud83d\\ude00"}', 'a: "\\ud83d\\ude00"', 'a: "😀"', "a: 😀"]
)
def test_an_escaped_surrogate_pair_is_one_character(text: str) -> None:
    assert read(text).data == {"a": "😀"}


@pytest.mark.parametrize("text", ['{"b": 1, "a": "\\ud83d"}', 'b: {"a": "\\ude00\\ud83d"}'])
def test_half_of_an_escaped_surrogate_pair_is_refused_where_it_stands(text: str) -> None:
    code, line, column = fault(text)
    assert (code, line, column) == ("OWS001", 1, text.index('"\\u') + 1)


def test_the_slow_parser_gets_no_large_document() -> None:
    unusual = "%OTHER\n---\na: 1\n"
    assert read(unusual).data == {"a": 1}
    assert fault(unusual + "# more\n" * (MAX_SLOW_CHARACTERS // 6))[0] == "OWS001"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('"a": 1', "OWS003"),
        (f'"b": {2**64}', "OWS006"),
        ('"b\\u0000": 1', "OWS006"),
        ('"b": ' + "[" * 101 + "]" * 101, "OWS002"),
    ],
)
def test_json_with_surrogate_pairs_has_the_same_rules(text: str, code: str) -> None:
    assert fault(f'{{"a": "\\ud83d\\ude00", {text}}}')[0] == code


def test_json_with_tabs_has_places() -> None:
    assert read('{\n\t"a":\t{"b": 1}\n}').locate("/a/b") == Mark(2, 8)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(codec="ascii", min_codepoint=32)), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text(st.characters(codec="ascii", min_codepoint=32)), _JSON, min_size=1))
def test_whatever_json_writes_is_read(data: dict[str, object]) -> None:
    assert read(json.dumps(data)).data == data
    assert read(json.dumps(data, indent=1)).data == data
