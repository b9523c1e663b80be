"""The specification's JSON Schema accepts every document that our schema accepts."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

from coe.language.editor_schema import profile_schema
from coe.language.lint import NO_STANDARDS, lint
from coe.language.load import load_source
from coe.language.source import Source, read
from tests.factories.definitions import flow
from tests.language.test_editor_schema import _places
from tests.language.test_load import EVERY_TASK, UNSUPPORTED
from tests.language.test_standards import GOOD


def upstream() -> dict[str, Any]:
    """The specification's schema, with what is newer in the text that we follow."""
    text = (Path(__file__).parent / "upstream" / "workflow.json").read_text()
    schema: dict[str, Any] = json.loads(text)
    emit = schema["$defs"]["emitTask"]["allOf"][1]["properties"]["emit"]
    emit["properties"]["event"]["properties"]["with"]["required"] = ["type"]
    caught = schema["$defs"]["tryTask"]["allOf"][1]["properties"]["catch"]
    caught["properties"]["then"] = {"$ref": "#/$defs/flowDirective"}
    loop = schema["$defs"]["forTask"]["allOf"][1]["properties"]["for"]["properties"]
    loop["in"] = {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]}
    return schema


THEIRS = Draft202012Validator(upstream())
OURS = Draft202012Validator(profile_schema())


def _alone(text: str) -> list[Any]:
    """A document for each task of a text, and one with all that is at its top."""
    whole: Any = read(text).data
    head = {"document": whole["document"]}
    top = {key: value for key, value in whole.items() if key != "do"}
    named = {"do": [{"named": {"set": {"a": 1}}}]}
    return [top | named, *(head | {"do": [task]} for task in whole["do"])]


DOCUMENTS = [each for text in (flow(EVERY_TASK), flow(UNSUPPORTED), GOOD) for each in _alone(text)]
PLACES = [(index, at) for index, each in enumerate(DOCUMENTS) for at in _places(each)]
VALUES: list[Any] = [
    None, True, 0, -1, 1.5, "", "x", "${ .x }", "PT1S", "P1M", "https://x.example", "1.0", [], {},
    ["x"], {"x": 1}, [{"x": {"set": {"a": 1}}}], {"seconds": 1}, {"use": "x"}, {"after": "PT1S"},
]  # fmt: skip
KEYS = [
    "more", "if", "then", "input", "output", "export", "timeout", "metadata", "with", "do", "set",
    "wait", "call", "as", "when", "use", "until", "read", "format", "document", "resource", "name",
    "endpoint", "authentication", "compete", "schema", "from", "at", "each", "while", "foreach",
]  # fmt: skip


@pytest.mark.parametrize("document", DOCUMENTS)
def test_both_accept_every_task(document: Any) -> None:
    assert OURS.is_valid(document)
    assert THEIRS.is_valid(document)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(PLACES),
    st.sampled_from(["drop", "rename", "replace", "add"]),
    st.sampled_from(KEYS),
    st.sampled_from(VALUES),
)
def test_what_ours_accepts_theirs_accepts(
    place: tuple[int, tuple[Any, ...]], kind: str, key: str, value: Any
) -> None:
    index, at = place
    document = copy.deepcopy(DOCUMENTS[index])
    parent: Any = document
    for step in at[:-1]:
        parent = parent[step]
    if kind == "drop":
        del parent[at[-1]]
    elif kind == "replace":
        parent[at[-1]] = value
    elif kind == "rename" and isinstance(parent, dict):
        parent[key] = parent.pop(at[-1])
    elif isinstance(parent[at[-1]], dict):
        parent[at[-1]][key] = value
    if OURS.is_valid(document):
        errors = [error.message[:200] for error in THEIRS.iter_errors(document)]
        assert errors == []


def _keys(schema: Any) -> set[str]:
    """Every key that a schema describes, anywhere in it."""
    found: set[str] = set()
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            properties = part.get("properties")
            found |= set(properties if isinstance(properties, dict) else ())
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return found


# Keys that no definition has (the result of a process, a received message), and keys that have
# another name in the specification's text: `detail` of an error, `version` of an MCP client.
NOT_WRITTEN = {"stdout", "stderr", "correlationId", "details"}


def test_every_key_of_the_specification_is_known_here() -> None:
    assert _keys(upstream()) - _keys(profile_schema()) == NOT_WRITTEN


@pytest.mark.parametrize("document", _alone(flow(UNSUPPORTED))[1:])
def test_an_unsupported_part_loads_and_is_named(document: Any) -> None:
    definition = load_source(Source(document)).definition
    assert definition is not None
    [task] = definition.do
    [problem] = [each for each in lint(definition, standards=NO_STANDARDS) if each.code == "OWS050"]
    key = task.unsupported_key
    assert key is not None
    assert problem.message == f"`{key}` is not supported"
    assert (problem.path or "").startswith(task.pointer)
