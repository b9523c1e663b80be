from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from coe.errors import Severity
from coe.language.diff import VersionDiff, diff
from coe.language.json_schema.compatibility import narrowings
from coe.language.json_schema.violations import violations
from coe.language.source import read
from tests.factories.definitions import flow

TASKS = """
- first: {set: {a: 1}}
- guard:
    try: [{call: {call: http, with: {method: get, endpoint: https://x.example}}}]
    catch: {do: [{fix: {set: {b: 1}}}]}
- last: {wait: PT1S}
"""
MORE = """
input: {schema: {document: {type: object, required: [id], properties: {id: {type: string}}}}}
output: {schema: {document: {type: object, required: [x], properties: {x: {}, y: {}}}}}
"""


def compare(old: str, new: str) -> VersionDiff:
    return diff(read(old), read(new))


def changed(old: str, new: str, *, version: str = "9.0.0") -> VersionDiff:
    text = flow(TASKS, more=MORE)
    assert old in text
    return compare(text, text.replace(old, new, 1).replace("1.0.0", version))


def codes(found: VersionDiff) -> list[tuple[str, str | None]]:
    return [(change.code, change.path) for change in found.changes]


@pytest.mark.parametrize(
    ("old", "new", "expected", "asks"),
    [
        ("{a: 1}", "{a: 2}", [("OWS913", "/do/0/first")], "minor"),
        ("PT1S}", "PT2S}", [("OWS913", "/do/2/last")], "minor"),
        ("{b: 1}", "{b: 2}", [("OWS913", "/do/1/guard/catch/do/0/fix")], "minor"),
        ("  - last: {wait: PT1S}\n", "", [("OWS912", "/do")], "minor"),
        (
            "[{fix: {set: {b: 1}}}]",
            "[{fix: {set: {b: 1}}}, {more: {set: {b: 1}}}]",
            [("OWS911", "/do/1/guard/catch/do/1/more")],
            "minor",
        ),
        (
            "catch: {do:",
            "catch: {as: e, do:",
            [("OWS913", "/do/1/guard")],
            "minor",
        ),
        (
            "required: [id],",
            "required: [id, no],",
            [("OWS901", "/input/schema/document"), ("OWS915", "/input")],
            "major",
        ),
        ("required: [id],", "required: [],", [("OWS915", "/input")], "minor"),
        (
            "required: [x],",
            "",
            [("OWS902", "/output/schema/document"), ("OWS915", "/output")],
            "major",
        ),
        (
            "properties: {x: {}, y: {}}",
            "properties: {x: {}}",
            [("OWS902", "/output/schema/document"), ("OWS915", "/output")],
            "major",
        ),
        (
            "x: {}",
            "x: {type: string}",
            [("OWS915", "/output")],
            "minor",
        ),
        (
            "- first: {set: {a: 1}}",
            "- first: {raise: {error: {type: https://x.example/no, status: 400}}}",
            [("OWS903", "/do/0/first"), ("OWS913", "/do/0/first")],
            "major",
        ),
        (
            "do:\n",
            "timeout: {after: PT1H}\ndo:\n",
            [("OWS903", "/timeout"), ("OWS915", "/timeout")],
            "major",
        ),
        ("version:", "title: New\n  version:", [], "patch"),
        ("{set: {a: 1}}", "{set: {a: 1}, metadata: {note: x}}", [], "patch"),
    ],
)
def test_a_change_is_reported_by_step_and_contract(
    old: str, new: str, expected: list[tuple[str, str]], asks: str
) -> None:
    found = changed(old, new)
    assert codes(found) == expected
    assert found.asks == asks
    assert found.breaking == (asks == "major")
    severities = {change.code: change.severity for change in found.changes}
    for code, severity in severities.items():
        assert severity is (Severity.WARNING if code < "OWS910" else Severity.INFO)


def test_steps_may_change_places() -> None:
    text = flow("- a: {wait: PT1S}\n- b: {wait: PT2S}")
    turned = flow("- b: {wait: PT2S}\n- a: {wait: PT1S}").replace("1.0.0", "1.1.0")
    assert codes(compare(text, turned)) == [("OWS914", "/do")]


def test_an_error_that_is_caught_inside_is_not_the_callers() -> None:
    raised = "{raise: {error: {type: https://x.example/no, status: 400}}}"
    assert not changed(
        "{call: http, with: {method: get, endpoint: https://x.example}}", raised
    ).breaking


def test_an_error_that_another_filter_catches_is_the_callers() -> None:
    raised = "{raise: {error: {type: https://x.example/no, status: 400}}}"
    old = flow(TASKS).replace("catch: {do:", "catch: {errors: {with: {status: 500}}, do:")
    new = old.replace("{call: http, with: {method: get, endpoint: https://x.example}}", raised)
    assert compare(old, new.replace("1.0.0", "2.0.0")).breaking


def test_old_and_new_hosts_of_an_error_type_are_one() -> None:
    tasks = "- a: {raise: {error: {type: 'https://%s/errors/timeout', status: 408}}}"
    old = flow(tasks % "serverlessworkflow.io/spec/1.0.0")
    new = flow(tasks % "open-workflow-specification.org/spec/1.0.0").replace("1.0.0'\n", "1.1.0'\n")
    assert not compare(old, new).breaking


@pytest.mark.parametrize(
    ("version", "warned"),
    [("2.0.0", False), ("1.1.0", True), ("1.0.1", True), ("1.0.0", True), ("3.0.0", False)],
)
def test_a_version_number_must_rise_by_the_due_step(version: str, warned: bool) -> None:  # noqa: FBT001
    found = changed("required: [id],", "required: [id, no],", version=version)
    assert ("OWS920" in [change.code for change in found.changes]) == warned


def test_before_one_a_minor_step_may_break() -> None:
    old = flow(TASKS, more=MORE).replace("1.0.0", "0.3.1")
    new = old.replace("required: [id]", "required: [id, no]").replace("0.3.1", "0.4.0")
    assert "OWS920" not in [change.code for change in compare(old, new).changes]


def test_nothing_changed() -> None:
    text = flow(TASKS, more=MORE)
    found = compare(text, text)
    assert (found.unified, found.breaking, found.changes, found.asks) == ("", False, (), "none")
    assert compare(text, text + "# a comment\n").asks == "none"


def test_the_unified_diff_shows_lines() -> None:
    found = changed("{a: 1}", "{a: 2}", version="1.1.0")
    assert "--- 1.0.0\n+++ 1.1.0\n" in found.unified
    assert "-  - first: {set: {a: 1}}\n+  - first: {set: {a: 2}}\n" in found.unified


def test_manifests_of_local_flows_are_compared_too() -> None:
    old = "kind: localFlow\nversion: 1.0.0\ntimeout: PT1M\n" + MORE
    new = old.replace("required: [id]", "required: [id, no]").replace("PT1M", "PT2M")
    found = compare(old, new)
    assert found.breaking
    assert [change.code for change in found.changes] == ["OWS901", "OWS915", "OWS915", "OWS920"]
    assert found.changes[-1].path == "/version"


# ---------------------------------------------------------------- narrowing
@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {"type": "string"}, [("", "type")]),
        ({"type": "number"}, {"type": "integer"}, [("", "type")]),
        ({"type": "integer"}, {"type": "number"}, []),
        ({"type": ["string", "null"]}, {"type": "string"}, [("", "type")]),
        ({"enum": ["a", "b"]}, {"enum": ["a"]}, [("", "enum")]),
        ({"enum": ["a"]}, {"enum": ["a", "b"]}, []),
        ({"const": 1}, {"enum": [1, 2]}, []),
        ({}, {"const": 1}, [("", "enum")]),
        ({"minimum": 1}, {"minimum": 2}, [("", "minimum")]),
        ({"minimum": 2}, {"minimum": 1}, []),
        ({"maxLength": 5}, {"maxLength": 4}, [("", "maxLength")]),
        ({"maxLength": 5}, {}, []),
        ({}, {"pattern": "^a"}, [("", "pattern")]),
        ({}, {"required": ["a"]}, [("/a", "required")]),
        ({"required": ["a"]}, {}, []),
        ({"properties": {"a": {}}}, {"properties": {"a": {"type": "null"}}}, [("/a", "type")]),
        (
            {"properties": {"a": {}}, "additionalProperties": False},
            {"properties": {}, "additionalProperties": False},
            [("/a", "false")],
        ),
        ({}, {"additionalProperties": False}, [("/*", "false")]),
        (
            {"additionalProperties": False},
            {"properties": {"a": {"type": "string"}}, "additionalProperties": False},
            [],
        ),
        ({"items": {}}, {"items": {"type": "string"}}, [("/*", "type")]),
        ({"anyOf": [{}]}, {"anyOf": [{"type": "string"}]}, [("", "anyOf")]),
        ({"anyOf": [{"type": "string"}]}, {}, []),
        (True, False, [("", "false")]),
        (False, True, []),
        ({}, {"minimum": 0}, [("", "minimum")]),
        ({}, {"minLength": 0}, []),
        ({"const": 1}, {"enum": [1.0, 2]}, []),
        ({}, {"const": 1, "enum": [2]}, [("", "enum")]),
        ({"prefixItems": [True], "items": False}, {"items": False}, [("", "prefixItems")]),
        (
            {"patternProperties": {"^a": True}, "additionalProperties": False},
            {"additionalProperties": False},
            [("", "patternProperties")],
        ),
        (
            {"patternProperties": {"^a": True}, "additionalProperties": False},
            {
                "patternProperties": {"^a": True},
                "additionalProperties": False,
                "properties": {"a": {"type": "string"}},
            },
            [("/a", "type")],
        ),
        ({"contains": True, "minContains": 0}, {"contains": True}, [("", "minContains")]),
        (
            {"properties": {"a": True}, "unevaluatedProperties": False},
            {"unevaluatedProperties": False},
            [("", "unevaluatedProperties")],
        ),
        (
            {"$ref": "#/$defs/a", "$defs": {"a": True}},
            {"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}},
            [("", "$ref")],
        ),
        ({"title": "a", "unevaluatedItems": False}, {"title": "b", "unevaluatedItems": False}, []),
    ],
)
def test_what_accepts_less_is_found(old: Any, new: Any, expected: list[tuple[str, str]]) -> None:
    assert [(found.path, found.keyword) for found in narrowings(old, new)] == expected


_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 4), st.sampled_from(["", "a", "ab", "abc"])
)
_DATA = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=5,
)
_TYPES = st.sampled_from(["string", "integer", "number", "boolean", "null", "object", "array"])


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=2)
    count, bound = st.integers(0, 2), st.integers(-2, 3)
    named = st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    names = st.lists(st.sampled_from("ab"), max_size=2, unique=True)
    keywords: dict[str, st.SearchStrategy[Any]] = {
        "type": _TYPES | st.lists(_TYPES, min_size=1, max_size=2, unique=True),
        "required": names,
        "properties": named,
        "patternProperties": st.dictionaries(st.sampled_from(["^a", "b$", "."]), inner, max_size=2),
        "additionalProperties": st.booleans() | inner,
        "propertyNames": st.sampled_from([{"maxLength": 0}, {"pattern": "a"}, True]),
        "unevaluatedProperties": st.booleans(),
        "dependentRequired": st.dictionaries(st.sampled_from("ab"), names, max_size=1),
        "dependentSchemas": st.dictionaries(st.sampled_from("ab"), inner, max_size=1),
        "minProperties": count,
        "maxProperties": count,
        "items": inner,
        "prefixItems": several,
        "contains": inner,
        "minContains": count,
        "maxContains": count,
        "unevaluatedItems": st.booleans(),
        "uniqueItems": st.booleans(),
        "minItems": count,
        "maxItems": count,
        "enum": st.lists(_SCALARS, min_size=1, max_size=3, unique_by=repr),
        "const": _SCALARS | st.just(1.0),
        "minimum": bound,
        "maximum": bound,
        "exclusiveMinimum": bound,
        "exclusiveMaximum": bound,
        "multipleOf": st.sampled_from([1, 2, 0.5]),
        "minLength": count,
        "maxLength": count,
        "pattern": st.sampled_from(["^a", "b"]),
        "anyOf": several,
        "allOf": several,
        "oneOf": several,
        "not": inner,
        "if": inner,
        "then": inner,
        "else": inner,
        "$ref": st.sampled_from(["#/$defs/x", "#/$defs/y"]),
    }
    chosen = st.lists(st.sampled_from(sorted(keywords)), max_size=4, unique=True)
    return chosen.flatmap(lambda keys: st.fixed_dictionaries({key: keywords[key] for key in keys}))


_PLAIN = st.sampled_from([True, False, {"type": "string"}, {"minimum": 0}, {"required": ["a"]}])
_DEFS = st.fixed_dictionaries({"x": _PLAIN, "y": _PLAIN})
_SCHEMAS = st.builds(
    lambda schema, defs: schema | {"$defs": defs}, _schemas(_PLAIN | _schemas(_PLAIN)), _DEFS
)


@st.composite
def _pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    """Two schemas that have most in common, as two versions of one have."""
    old = draw(_SCHEMAS)
    new = dict(old)
    for key in draw(st.lists(st.sampled_from(sorted(new)), max_size=2)):
        new.pop(key, None)
    new |= draw(st.just({}) | _SCHEMAS)
    new.setdefault("$defs", old["$defs"] if draw(st.booleans()) else draw(_DEFS))
    return old, new


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(_pairs(), st.lists(_DATA, min_size=1, max_size=6))
def test_what_is_not_found_to_be_narrower_accepts_no_less(
    pair: tuple[Any, Any], values: list[Any]
) -> None:
    old, new = pair
    assume(not list(narrowings(old, new)))
    for value in values:
        if not violations(old, value):
            assert not violations(new, value)
