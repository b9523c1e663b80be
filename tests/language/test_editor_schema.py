from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator, meta

from coe.errors import Severity
from coe.language.editor_schema import SCHEMA_FILE, profile_schema
from coe.language.lint import NO_STANDARDS, lint
from coe.language.load import load_source
from coe.language.source import Source, read
from tests.factories.definitions import flow
from tests.language.test_load import BROKEN, EVERY_TASK, UNSUPPORTED
from tests.language.test_standards import GOOD

VALIDATOR = Draft202012Validator(profile_schema())
DOCUMENTS: list[Any] = [read(text).data for text in (flow(EVERY_TASK), flow(UNSUPPORTED), GOOD)]


def test_the_published_schema_is_that_of_the_models() -> None:
    # To update: python -c "from coe.language.editor_schema import write; write()"
    assert json.loads(SCHEMA_FILE.read_text()) == profile_schema()


def test_it_is_a_schema() -> None:
    meta.validate(profile_schema())


@pytest.mark.parametrize("document", DOCUMENTS)
def test_it_takes_every_type_of_task(document: Any) -> None:
    assert VALIDATOR.is_valid(document)


@pytest.mark.parametrize("tasks", [each[0] for each in BROKEN])
def test_it_refuses_what_the_loader_refuses(tasks: str) -> None:
    assert not VALIDATOR.is_valid(read(flow(tasks)).data)


def test_every_part_has_a_description() -> None:
    undescribed = [
        name for name, part in profile_schema()["$defs"].items() if "description" not in str(part)
    ]
    assert undescribed == []


def _places(node: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children: list[Any] = []
    if isinstance(node, dict):
        children = list(node.items())
    elif isinstance(node, list):
        children = list(enumerate(node))
    return [place] * bool(place) + [
        found for key, child in children for found in _places(child, (*place, key))
    ]


MUTATIONS = st.sampled_from(
    [(index, at) for index, each in enumerate(DOCUMENTS) for at in _places(each)]
)
VALUES = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        1.5,
        "",
        "x",
        "${ .x }",
        "PT1S",
        "https://x.example",
        [],
        {},
        ["x"],
        {"x": 1},
    ]
)


@settings(max_examples=150, deadline=None)
@given(MUTATIONS, st.sampled_from(["drop", "rename", "replace", "add"]), VALUES)
def test_what_it_accepts_loads_and_what_loads_and_is_portable_it_accepts(
    mutation: tuple[int, tuple[Any, ...]], kind: str, value: Any
) -> None:
    index, place = mutation
    document = copy.deepcopy(DOCUMENTS[index])
    parent = document
    for key in place[:-1]:
        parent = parent[key]
    if kind == "drop":
        del parent[place[-1]]
    elif kind == "replace":
        parent[place[-1]] = value
    elif kind == "rename" and isinstance(parent, dict):
        parent["renamed"] = parent.pop(place[-1])
    elif isinstance(parent[place[-1]], dict):
        parent[place[-1]]["more"] = value
    loaded = load_source(Source(document))
    if VALIDATOR.is_valid(document):
        assert loaded.definition is not None, loaded.problems
    elif loaded.definition is not None and place[:2] != ("document", "metadata"):
        found = {
            problem.code
            for problem in lint(loaded.definition, standards=NO_STANDARDS)
            if problem.severity is not Severity.INFO
        }
        # What others refuse, or arguments that do not fit a function.
        assert found & {"OWS045", "OWS055"}


@pytest.mark.parametrize(
    ("task", "valid"),
    [
        (
            {"call": "humanTask:1@default", "with": {"title": "x", "candidates": {"roles": ["a"]}}},
            True,
        ),
        ({"call": "humanTask:1", "with": {"title": "x", "candidates": {"roles": ["a"]}}}, True),
        ({"call": "humanTask:1@default", "with": {"title": "x"}}, False),
        ({"call": "humanTask:1@default", "with": {"title": "x", "candidates": "${ .c }"}}, True),
        (
            {"call": "humanTask:1@default", "with": {"title": "x", "candidates": {"role": ["a"]}}},
            False,
        ),
        ({"call": "localFlow:1@default", "with": {"ref": "no ref"}}, False),
        ({"call": "localFlow:1@default", "with": {"ref": "a/b@^1", "timeout": "${ .t }"}}, True),
        ({"call": "notify:1@default", "with": {"channel": "c", "to": "t", "subject": "s"}}, False),
        ({"call": "ownFunction", "with": {"anything": 1}}, True),
    ],
)
def test_it_knows_the_arguments_of_the_functions(task: Any, *, valid: bool) -> None:
    document = copy.deepcopy(DOCUMENTS[0])
    document["do"] = [{"step": task}]
    assert VALIDATOR.is_valid(document) is valid


def test_it_knows_the_metadata() -> None:
    document = copy.deepcopy(DOCUMENTS[0])
    for metadata, valid in (
        ({"dataClass": "INTERNAL", "own": 1}, True),
        ({"dataClass": "SECRET"}, False),
        ({"tags": "one"}, False),
    ):
        document["document"]["metadata"] = metadata
        assert VALIDATOR.is_valid(document) is valid
