"""Literal arguments that make no request (OWS064), and addresses with keys, which are none."""

from __future__ import annotations

import pytest

from coe.language.lint import NO_STANDARDS, lint
from coe.language.load import load

HEAD = "document: {dsl: 1.0.3, namespace: sales, name: ask, version: 1.0.0}\ndo:\n"


def found(task: str, code: str) -> list[tuple[str | None, str]]:
    loaded = load(f"{HEAD}  - t: {task}\n")
    assert loaded.definition is not None, loaded.problems
    problems = lint(loaded.definition, standards=NO_STANDARDS)
    return [(each.path, each.message) for each in problems if each.code == code]


@pytest.mark.parametrize(
    ("arguments", "place", "message"),
    [
        ("method: get it, endpoint: https://a.example", "/method", "`method` is not the name"),
        ("method: get, endpoint: 'ftp://a.example'", "/endpoint", "`endpoint` is not an http"),
        ("method: get, endpoint: 'https://a.example/../b'", "/endpoint", "the path of `endpoint`"),
        (
            "method: get, endpoint: https://a.example, headers: {a b: c}",
            "/headers/a b",
            "a name in `headers` is not that of a header",
        ),
        (
            "method: get, endpoint: {uri: https://a.example}, headers: {a: é}",
            "/headers/a",
            "the header `a` has characters",
        ),
    ],
)
def test_a_literal_that_makes_no_request_is_an_error(
    arguments: str, place: str, message: str
) -> None:
    [(path, text)] = found(f"{{call: http, with: {{{arguments}}}}}", "OWS064")
    assert path == f"/do/0/t/with{place}"
    assert text.startswith(message)


def test_the_address_of_a_document_is_checked_too() -> None:
    call = "{call: openapi, with: {document: {endpoint: 'file:///etc'}, operationId: a}}"
    [(path, _)] = found(call, "OWS064")
    assert path == "/do/0/t/with/document/endpoint"


@pytest.mark.parametrize(
    "arguments",
    [
        "method: get, endpoint: 'https://{host}/orders/{id}?a={b}'",
        "method: '${ .m }', endpoint: '${ .e }', headers: {a: '${ .h }'}, query: {a: 'é'}",
        "method: get, endpoint: https://a.example, headers: '${ .h }'",
    ],
)
def test_keys_and_expressions_are_left_to_the_run(arguments: str) -> None:
    assert found(f"{{call: http, with: {{{arguments}}}}}", "OWS064") == []


def test_the_addresses_of_an_event_may_have_keys() -> None:
    emit = (
        "{emit: {event: {with: {type: t, source: 'SOURCE', dataschema: 'https://a.example/{k}'}}}}"
    )
    assert found(emit.replace("SOURCE", "https://a.example/{id}"), "OWS059") == []
    assert found(emit.replace("SOURCE", "https://a.example/{id}<"), "OWS059") != []
