"""Values and schemas that validators get wrong, and those that would keep one busy for hours."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from coe.errors import Severity
from coe.language.json_schema.meta import faults
from coe.language.json_schema.validator import (
    DIALECT,
    MAX_VALUE_DEPTH,
    errors,
    matches,
)
from coe.language.json_schema.violations import violations

ENDLESS = "^(a+)+$"
TEXT = "a" * 5000 + "!"
TOO_MUCH = "/ its schema takes too much work to apply"
TOO_LARGE = "/ its schema is not matched, and the value is too large to say where"


def accepted(schema: Any, *values: Any) -> list[bool]:
    return [not errors(schema, value) for value in values]


# ---------------------------------------------------------------- numbers
def test_decimal_fractions_are_multiples_of_a_cent() -> None:
    schema = {"type": "number", "multipleOf": 0.01}
    assert accepted(schema, 19.99, 4.35, 0.07, 0.001) == [True, True, True, False]
    assert accepted({"multipleOf": 0.1}, 1.1, 0.3, 1.15) == [True, True, False]


def test_whole_numbers_are_exact_whatever_their_size() -> None:
    large = 2**64
    assert accepted({"type": "integer"}, 1.0, large, 10**300, 1.5) == [True, True, True, False]
    assert accepted({"maximum": large}, large, large + 1) == [True, False]
    assert accepted({"const": large}, large, large + 1) == [True, False]
    assert accepted({"multipleOf": 3}, 3 * large, 3 * large + 1) == [True, False]
    assert accepted({"const": 1}, 1.0, 1.5) == [True, False]
    assert accepted({"type": "number"}, float("nan"), float("inf")) == [False, False]


def test_items_are_the_same_when_json_schema_says_so() -> None:
    items: list[Any] = [{"n": [n]} for n in range(20_000)]
    unique = {"uniqueItems": True}
    assert accepted(unique, items, [*items, {"n": [1.0]}]) == [True, False]
    assert accepted(unique, [1, True, "1", None, 0, False]) == [True]


# ---------------------------------------------------------------- texts
@pytest.mark.parametrize(
    ("pattern", "right", "wrong"),
    [
        (r"^\d+$", "12", "\u0661\u0662\u0663"),
        (r"^\w+$", "hello_1", "h\u00e9llo"),
        ("^[a-z&&0-9]+$", "a&b9", "A"),
        ("^[+--/]+$", "+,-/", "0"),
        (r"^\p{L}+$", "h\u00e9llo", "1"),
        ("b+", "abc", "ac"),
    ],
)
def test_patterns_are_those_of_ecma_262(pattern: str, right: str, wrong: str) -> None:
    assert accepted({"pattern": pattern}, right, wrong) == [True, False]
    assert (matches(pattern, right), matches(pattern, wrong)) == (True, False)


@pytest.mark.parametrize("refused", ["a(?=b)c", r"(a)\1", "[", "(a{1000}){1000}", "(?i)a"])
def test_what_the_engine_cannot_do_is_refused_with_the_reason(refused: str) -> None:
    assert not matches(refused, "a")
    [fault] = faults({"pattern": refused})
    assert f"must be a regular expression (ECMA-262), but `{refused}` " in fault.message
    assert list(faults({"patternProperties": {refused: True}}))
    for schema in ({"pattern": refused}, {"patternProperties": {refused: True}}):
        assert [each.keyword for each in violations(schema, {}) or violations(schema, "a")] == [
            "schema"
        ]


def test_what_the_library_reads_otherwise_is_found_and_named_as_its_author_wrote_it() -> None:
    password = r"^(?=.*\d)(?=.*[a-z])(?!.*\s).{4,}$"
    schema = {"properties": {"word": {"pattern": password}, "pattern": {"const": {"pattern": "("}}}}
    assert violations(schema, {"word": "abc1"}) == []
    for wrong in ("abcd", "1234", "ab c1", "ab1"):
        [found] = violations(schema, {"word": wrong})
        assert (found.path, found.keyword) == ("/word", "pattern")
        assert found.message == f"must match the pattern `{password}`"
    [fault] = faults({"patternProperties": {password: True}})
    assert "is supported in `pattern` alone" in fault.message or "`pattern` alone" in fault.message


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("date", ["2024-02-29"], ["2023-02-29", "20240229"]),
        (
            "date-time",
            ["2024-01-01T00:00:00+01:00", "2024-01-01t00:00:00z", "1998-12-31T23:59:60Z"],
            ["2024-01-01T00:00:00", "2024-01-01T00:00:00+0200", "1998-12-31T23:58:60Z"],
        ),
        ("time", ["10:00:00Z", "10:00:00+02:00"], ["10:00:00", "25:00"]),
        ("duration", ["PT1S", "P1DT1H", "P1M", "P2W"], ["xx", "1s", "PT0.5S", "P1Y2W"]),
        ("email", ["a@b.example"], ["a b@c", "Ada <a@b.example>"]),
        ("uuid", ["0190b6c4-7bb8-7000-8000-000000000000"], ["x"]),
        ("uri", ["https://x.example"], ["x", "a b:c"]),
        ("ipv4", ["10.0.0.1"], ["10.0.0"]),
        ("hostname", ["a.example"], ["a..b"]),
        ("json-pointer", ["/a"], ["a"]),
        ("of-our-own", ["anything"], []),
    ],
)
def test_formats_are_asserted_of_texts(name: str, right: list[str], wrong: list[str]) -> None:
    schema = {"format": name}
    assert accepted(schema, *right, *wrong) == [True] * len(right) + [False] * len(wrong)
    assert accepted(schema, 1, None, []) == [True] * 3


def test_half_a_surrogate_pair_is_a_text_and_what_is_no_json_is_refused() -> None:
    assert accepted({"properties": {"a": {"maxLength": 1}}}, {"a": "\ud800"}) == [True]
    assert accepted({"const": "\ud800"}, "x") == [False]
    [violation] = violations({}, {"a": object()})
    assert violation.keyword == "schema"


# ---------------------------------------------------------------- objects
def test_properties_of_a_pattern_are_evaluated() -> None:
    schema = {
        "patternProperties": {"^x-": {}},
        "properties": {"a": {}},
        "unevaluatedProperties": False,
    }
    assert accepted(schema, {"x-b": 1, "a": 2}, {"b": 1}) == [True, False]


def test_references_lead_to_pointers_anchors_and_embedded_schemas() -> None:
    definition = {"type": "integer"}
    for schema in (
        {"$ref": "#/$defs/a", "$defs": {"a": definition}},
        {"$ref": "#/$defs/a~1b%25", "$defs": {"a/b%": definition}},
        {"$ref": "#n", "$defs": {"a": {"$anchor": "n", **definition}}},
        {"$dynamicRef": "#n", "$defs": {"a": {"$dynamicAnchor": "n", **definition}}},
        {"$id": "https://x.example/a", "$ref": "b", "$defs": {"b": {"$id": "b", **definition}}},
        {"$id": "https://x.example/a", "$ref": "#/$defs/b", "$defs": {"b": definition}},
    ):
        assert accepted(schema, 1, "x") == [True, False]


def test_a_schema_may_refer_to_itself_for_what_is_inside() -> None:
    tree = {
        "type": "object",
        "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}, "n": {"type": "integer"}},
    }
    value: dict[str, Any] = {"n": 1}
    for _ in range(15):
        value = {"left": value, "right": dict(value)}
    assert accepted(tree, value) == [True]
    value["left"]["left"]["n"] = "x"
    assert [str(each) for each in violations(tree, value)] == [
        "/left/left/n must be a whole number"
    ]


# ---------------------------------------------------------------- bounds of the work
def doubling(levels: int) -> dict[str, Any]:
    """A schema of a few lines whose last part is applied 2^levels times."""
    steps = {
        f"d{level}": {"allOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(levels)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**steps, f"d{levels}": {"type": "string"}}}


def doubling_at(prefix: str) -> dict[str, Any]:
    """The same parts where a reference to them begins with a prefix; `d0` is the first."""
    steps = {f"d{n}": {"allOf": [{"$ref": f"{prefix}d{n + 1}"}] * 2} for n in range(30)}
    return {**steps, "d30": {"type": "object"}}


def embedded(identifier: str, **other: Any) -> dict[str, Any]:
    """A schema resource that doubles, and one beside it of another name."""
    inner = {"$id": identifier, "$defs": doubling_at("#/$defs/"), "$ref": "#/$defs/d0"}
    harmless = dict.fromkeys(inner["$defs"], True)
    return {"$defs": {"a": inner, **other, **harmless}}


def nested(levels: int) -> Any:
    return json.loads('{"a":' * levels + "1" + "}" * levels)


def unevaluated(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"properties": {"a": {}}}
    for _ in range(levels):
        schema = {"allOf": [schema], "unevaluatedProperties": False}
    return schema


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"pattern": ENDLESS}, TEXT),
        ({"propertyNames": {"pattern": ENDLESS}}, {TEXT: 1}),
        ({"patternProperties": {ENDLESS: False}, "additionalProperties": False}, {TEXT: 1}),
    ],
)
def test_no_pattern_continues_for_ever(schema: Any, value: Any) -> None:
    assert errors(schema, value)
    assert violations(schema, value)


def test_a_reference_that_doubles_twenty_times_is_followed() -> None:
    assert accepted(doubling(20), "x") == [True]
    assert [str(each) for each in violations(doubling(20), 1)] == ["/ must be text"]


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (doubling(40), "x", TOO_MUCH),
        ({"$ref": "#"}, 1, TOO_MUCH),
        ({"allOf": [{"$ref": "#"}]}, 1, TOO_MUCH),
        ({"properties": {"a": {"allOf": [{"$ref": "#"}] * 2}}}, nested(60), TOO_MUCH),
        ({"items": {"anyOf": [{"const": n} for n in range(5000)]}}, [-1] * 5000, TOO_MUCH),
        ({"items": {"enum": list(range(9000))}}, ["x"] * 9000, TOO_MUCH),
        ({"anyOf": [{"type": "string"}] * 5000}, ["x" * 1000] * 1000, TOO_LARGE),
        ({"items": {"type": "string"}}, [0] * 500_000, TOO_LARGE),
        ({"pattern": "[01]*1[01]{3000}[^01]"}, "01" * 100_000, TOO_MUCH),
        (unevaluated(30), {"a": 1}, TOO_MUCH),
        (
            {
                "properties": {
                    "default": {"d": doubling_at("#/properties/default/d/"), "$ref": "#/d"}
                },
                "d": {"$ref": "#/properties/default/d/d0"},
            },
            {"default": {}},
            TOO_MUCH,
        ),
        ({"$ref": "urn:x:a", **embedded("urn:x:a")}, {}, TOO_MUCH),
        ({"$ref": "http://X/a", **embedded("http://x/a", b={"$id": "http://X/a"})}, {}, TOO_MUCH),
        (
            {"$ref": "http://x:80/a", **embedded("http://x/a", b={"$id": "http://x:80/a"})},
            {},
            TOO_MUCH,
        ),
        ({"$ref": "b", **embedded("./b", b={"$id": "b"})}, {}, TOO_MUCH),
        (
            {
                "$ref": "http://x/a",
                "$defs": {
                    "a": {
                        "$id": "http://x/a",
                        "$dynamicRef": "#n",
                        "$defs": {"k": {"$dynamicAnchor": "n"}},
                    },
                    "b": {"$dynamicAnchor": "n", "$ref": "#/$defs/d0"},
                    **doubling_at("#/$defs/"),
                },
            },
            {},
            TOO_MUCH,
        ),
        (
            {"dependencies": {"a": {"$ref": "#/$defs/d0"}}, "$defs": doubling_at("#/$defs/")},
            {"a": 1},
            TOO_MUCH,
        ),
        ({}, nested(900), TOO_MUCH),
        (nested(900), 1, TOO_MUCH),
    ],
)
def test_what_takes_too_much_work_is_refused(schema: Any, value: Any, expected: str) -> None:
    assert [str(each) for each in violations(schema, value)] == [expected]


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"$ref": DIALECT}, f"refers to `{DIALECT}`, which is not there"),
        ({"$ref": "#/default", "default": {}}, "refers to `#/default`, which is not there"),
        (
            {"$ref": "a", "$defs": {"a": {"$id": "a", "$schema": "http://x.example/other"}}},
            f"has a part that is not of the dialect {DIALECT}",
        ),
    ],
)
def test_what_cannot_be_counted_is_not_applied(schema: Any, reason: str) -> None:
    assert [str(each) for each in violations(schema, {})] == [f"/ its schema {reason}"]


def test_what_is_deep_and_what_is_nested_are_read_up_to_a_bound() -> None:
    assert accepted({"properties": {"a": {"$ref": "#"}}}, nested(MAX_VALUE_DEPTH - 1)) == [True]
    assert accepted(unevaluated(6), {"a": 1}, {"b": 1}) == [True, False]


def test_of_a_large_value_the_first_violation_is_found() -> None:
    row = {"properties": {"n": {"type": "integer"}, "id": {"type": "string", "maxLength": 9}}}
    rows: list[Any] = [{"n": n, "id": str(n)} for n in range(20_000)]
    assert violations({"items": row}, rows) == []
    rows[15_000]["n"] = rows[16_000]["n"] = "x"
    [violation] = violations({"items": row}, rows)
    assert str(violation) == "/15000/n must be a whole number"


# ---------------------------------------------------------------- the same on a replay
def test_the_order_of_violations_is_that_of_the_value_whatever_the_library_does() -> None:
    draw = random.Random(7)  # noqa: S311  # data of a test
    names = [f"k{n}" for n in range(40)]
    schema = {
        "properties": {name: {"type": "string", "minLength": 2} for name in names},
        "required": [*names, "z"],
        "additionalProperties": False,
    }
    value = {name: draw.choice([1, "", "ab"]) for name in draw.sample(names, 30)} | {"y": 1}
    shuffled = dict(draw.sample(list(value.items()), len(value)))
    found = [str(each) for each in violations(schema, value)]
    assert found == [str(each) for each in violations(schema, shuffled)]
    assert len(found) > 20


def test_a_pattern_that_is_refused_is_an_error_of_the_schema() -> None:
    [fault] = faults({"properties": {"a": {"pattern": "c(?<=a)b"}}})
    assert (fault.path, fault.severity) == ("/properties/a/pattern", Severity.ERROR)
