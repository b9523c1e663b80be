from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coe.errors import Problem
from coe.json_types import JSON
from coe.templates.placeholders import MAX_REPETITIONS, Filling, paths_in

VALUES: dict[str, JSON] = {
    "params": {
        "text": "Hello",
        "quote": 'say "hi" \\(env) }',
        "number": 7,
        "yes": True,
        "no": False,
        "list": [1, 2],
        "expression": "${ $secrets.key }",
        "brace": "{ env }",
        "none": [],
        "systems": [{"name": "crm", "on": True}, {"name": "erp", "on": False}],
    },
}


def fill(document: JSON) -> tuple[JSON, list[Problem]]:
    filling = Filling(VALUES)
    return filling.fill(document), filling.problems


@pytest.mark.parametrize(
    ("document", "filled"),
    [
        ("$(params.number)", 7),
        ("$( params.yes )", True),
        ("$(params.list)", [1, 2]),
        ("up to $(params.number)", "up to 7"),
        ("$(params.text)$(params.text)", "HelloHello"),
        ("is $(params.yes)", "is true"),
        ("$$(params.text)", "$(params.text)"),
        ("costs $$5", "costs $$5"),
        ("${ .x > $(params.number) }", "${ .x > 7 }"),
        ("${ .x == $(params.text) }", '${ .x == "Hello" }'),
        ({"$(params.text)": 1}, {"Hello": 1}),
        ({"a": {"$if": "params.yes", "$then": 1, "$else": 2}}, {"a": 1}),
        ({"a": {"$if": "not params.yes", "$then": 1, "$else": 2}}, {"a": 2}),
        ({"a": {"$if": "params.no", "$then": 1}, "b": 2}, {"b": 2}),
        ({"a": {"$if": 'params.text == "Hello"', "$then": 1}}, {"a": 1}),
        ({"a": {"$if": "params.number != 7", "$then": 1}}, {}),
        ([1, {"$if": "params.yes", "$then": [2, 3]}, 4], [1, 2, 3, 4]),
        ([1, {"$if": "params.no", "$then": [2, 3]}, 4], [1, 4]),
        ([{"$if": "params.yes", "$then": {"$if": "params.no", "$then": 1, "$else": 2}}], [2]),
        ([{"$if": "params.yes", "$then": "$(params.list)"}], [1, 2]),
        ([0, {"$for": "params.list", "$do": "n$(item)"}, 9], [0, "n1", "n2", 9]),
        ([{"$for": "params.none", "$do": 1}], []),
        (
            {"a": {"$for": "params.list", "$each": "n", "$do": {"at": "$(index)", "n": "$(n)"}}},
            {"a": [{"at": 0, "n": 1}, {"at": 1, "n": 2}]},
        ),
        ([{"$for": "params.list", "$do": ["$(item)", "-"]}], [1, "-", 2, "-"]),
        (
            [
                {
                    "$for": "params.systems",
                    "$each": "system",
                    "$do": {
                        "$if": "system.on",
                        "$then": {"ask-$(system.name)": {"set": {"at": "$(index)"}}},
                    },
                }
            ],
            [{"ask-crm": {"set": {"at": 0}}}],
        ),
        (
            [
                {
                    "$for": "params.list",
                    "$each": "a",
                    "$do": {"$for": "params.list", "$each": "b", "$do": "$(a)$(b)"},
                }
            ],
            ["11", "12", "21", "22"],
        ),
        ({"plain": ["text", 1, None, 1.5, {"x": True}]},) * 2,
    ],
)
def test_what_is_put_in(document: JSON, filled: JSON) -> None:
    assert fill(document) == (filled, [])


def test_a_value_adds_nothing_to_a_program() -> None:
    program, problems = fill("${ . + $(params.quote) }")
    assert problems == []
    assert isinstance(program, str)
    literal = program.removeprefix("${ . + ").removesuffix(" }")
    assert orjson.loads(literal) == 'say "hi" \\(env) }'


@given(st.text(max_size=30))
def test_no_text_becomes_an_expression_or_leaves_its_literal(value: str) -> None:
    filling = Filling({"params": {"text": value}})
    whole, inside, program = (
        filling.fill(each)
        for each in ("$(params.text)", "$(params.text)!", "${ [$(params.text)] }")
    )
    if not filling.problems:
        assert not str(whole).strip().startswith("${")
        assert not str(inside).strip().startswith("${") or not str(inside).strip().endswith("}")
    assert orjson.loads(str(program)[3:-2]) == [value]


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ("$(params.unknown)", ""),
        ({"a": ["$(nothing)"]}, "/a/0"),
        ({"a/b": "$(params.text.more)"}, "/a~1b"),
        ("$(params.expression)", ""),
        ("$$(params.brace) $(params.brace)", None),
        ("$(not a path)", ""),
        ("open $(params.text", ""),
        ({"$if": "params.yes ==", "$then": 1}, "/$if"),
        ({"$if": "params.text == Hello", "$then": 1}, "/$if"),
        ({"$if": "params.yes", "then": 1}, ""),
        ({"$if": True, "$then": 1}, "/$if"),
        ({"$for": "params.text", "$do": 1}, "/$for"),
        ({"$for": "params.unknown", "$do": 1}, "/$for"),
        ({"$for": "not a path", "$do": 1}, "/$for"),
        ({"$for": "params.list", "$each": "params", "$do": 1}, "/$each"),
        ({"$for": "params.list", "$each": "index", "$do": 1}, "/$each"),
        ({"$for": "params.list"}, ""),
        ({"$for": "params.list", "$do": 1, "do": 2}, ""),
        ([{"$for": "params.list", "$do": "$(other)"}], "/0/$do"),
    ],
)
def test_slips_are_located(document: JSON, path: str | None) -> None:
    _, problems = fill(document)
    if path is None:
        assert problems == []
    else:
        assert problems
        assert {problem.path for problem in problems} == {path}
        assert {problem.code for problem in problems} == {"INPUT_PLACEHOLDER"}


def test_values_that_make_an_expression_of_a_text_are_refused() -> None:
    filling = Filling({"params": {"head": "${ $secrets"}})
    filling.fill("$(params.head) }")
    assert "expression" in filling.problems[0].message


def test_which_paths_are_named() -> None:
    document: JSON = {
        "a": "$(params.one) and $$(params.two)",
        "b": [{"$if": "not params.three", "$then": "${ $(params.four) }"}],
        "c": {"$for": "params.five", "$each": "each", "$do": "$(each.name)"},
    }
    expected = {"params.one", "params.three", "params.four", "params.five", "each.name"}
    assert paths_in(document) == expected


def test_repetitions_in_repetitions_have_a_bound() -> None:
    filling = Filling({"params": {"list": list(range(200))}})
    filling.fill([{"$for": "params.list", "$do": {"$for": "params.list", "$each": "b", "$do": 1}}])
    assert [problem.message for problem in filling.problems] == ["more than 10000 repetitions"]
    assert filling.repetitions <= MAX_REPETITIONS + 200
