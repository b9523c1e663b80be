"""The limits of one request, and the number of statements that it takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from graphql import OperationDefinitionNode, parse
from sqlalchemy import event

from coe.api.graphql import limits
from coe.api.graphql.documents import MAX_CACHED_CHARACTERS, MAX_CACHED_DOCUMENTS, Documents
from coe.api.schema import make_schema
from coe.errors import TooCostly
from tests.factories.api import Api, Refused
from tests.factories.api_documents import central
from tests.factories.api_story import publish_count_stock, publish_welcome

SCHEMA = make_schema()._schema


def measure(query: str, **variables: object) -> limits.Measure:
    document = parse(query)
    operation = next(
        node for node in document.definitions if isinstance(node, OperationDefinitionNode)
    )
    return limits.check_limits(SCHEMA, document, operation, variables)


def _nested(levels: int) -> str:
    return "{ runs { nodes { id " + "children { id " * levels + "}" * levels + " } } }"


def _spread(levels: int) -> str:
    """Fragments that double at each level: 2^levels fields of a short document."""
    parts = [f"fragment F{n} on Run {{ ...F{n + 1} ...F{n + 1} }}" for n in range(levels)]
    return (
        "{ runs { nodes { ...F0 } } } " + " ".join(parts) + f" fragment F{levels} on Run {{ id }}"
    )


_NESTED_PAGES = """
{ catalog(first: 100) { nodes { ... on Flow { runs(first: 99) { nodes { id } } } } } }
"""


@pytest.mark.parametrize(
    ("query", "limit"),
    [
        (_nested(20), "depth"),
        ("{" + "".join(f" a{n}: __typename" for n in range(31)) + "}", "aliases"),
        ("{ me {" + " subject @skip(if: false)" * 31 + "} }", "directives"),
        ("{" + " me { subject }" * 31 + "}", "root fields"),
        ("{ runs(first: 100) { nodes { children { children { id } } } } }", "cost"),
        (_NESTED_PAGES, "cost"),
    ],
)
async def test_a_request_over_a_limit_is_refused_with_the_name_of_the_limit(
    api: Api, query: str, limit: str
) -> None:
    with pytest.raises(Refused) as refused:
        await api.persona("auditor").ask(query)
    assert refused.value.code == "TOO_COSTLY"
    assert refused.value.extensions["limit"] == limit
    assert refused.value.extensions["asked"] > refused.value.extensions["most"]


async def test_too_many_tokens_are_refused_before_they_are_parsed(api: Api) -> None:
    with pytest.raises(Refused) as refused:
        await api.persona("auditor").ask("{" + " id" * (limits.MAX_DOCUMENT_TOKENS + 1) + "}")
    assert refused.value.extensions == {
        "code": "TOO_COSTLY",
        "limit": "tokens",
        "most": limits.MAX_DOCUMENT_TOKENS,
    }


@pytest.mark.parametrize(
    "query",
    [
        "{" + "a{" * 900 + "a" + "}" * 900 + "}",
        "{ runs { nodes {" + "parent {" * 600 + "id" + "}" * 602 + "}",
        "{ flow(ref: " + "[" * 900 + "]" * 900 + ") { id } }",
        "query ($a: " + "[" * 900 + "Int" + "]" * 900 + ") { me { subject } }",
    ],
)
async def test_deep_nesting_is_refused(api: Api, query: str) -> None:
    with pytest.raises(Refused) as refused:
        await api.persona("auditor").ask(query)
    assert refused.value.code in {"TOO_COSTLY", "INVALID"}


async def test_deep_variables_are_refused(api: Api) -> None:
    deep: object = 1
    for _ in range(300):
        deep = [deep]
    with pytest.raises(Refused) as refused:
        await api.persona("auditor").ask("{ me { subject } }", deep=deep)
    assert refused.value.extensions["limit"] == "nesting"


def test_the_cost_counts_elements_and_follows_variables() -> None:
    few = measure("{ runs(first: 2) { nodes { id } } }").cost
    many = measure("{ runs(first: 50) { nodes { id } } }").cost
    assert (few, many) == (1 + 2 + 2 * 0 + 0, 51) or many > few
    asked = "query ($n: Int = 7) { runs(first: $n) { nodes { id } } }"
    assert measure(asked, n=50).cost == many
    assert measure(asked.replace("7", "50")).cost == many
    assert measure(asked).cost < many
    assert measure("{ runs { nodes { id } } }").cost > few
    assert (
        measure("{ runs(first: 1000000) { nodes { id } } }").cost
        == measure("{ runs(first: 100) { nodes { id } } }").cost
    )


def test_doubling_fragments_cost_what_they_expand_to_and_are_measured_quickly() -> None:
    with pytest.raises(TooCostly):
        measure(_spread(60).replace("{ id }", "{ parent { id } }"))
    assert (
        measure(_spread(3).replace("{ id }", "{ parent { id } }")).cost > measure(_spread(0)).cost
    )


def test_documents_are_cached_up_to_a_limit() -> None:
    documents = Documents(SCHEMA)
    first = documents.prepare("{ me { subject } }")
    assert documents.prepare("{ me { subject } }") is first
    for number in range(MAX_CACHED_DOCUMENTS + 5):
        documents.prepare(f"query Q{number} {{ me {{ subject }} }}")
    assert len(documents) == MAX_CACHED_DOCUMENTS
    assert documents.prepare("{ me { subject } }") is not first
    before = len(documents)
    assert documents.prepare("{ nothing }").errors
    documents.prepare("{ me { subject } } #" + "x" * MAX_CACHED_CHARACTERS)
    assert len(documents) == before


@contextmanager
def counted(api: Api) -> Iterator[list[str]]:
    """The statements that the block sends."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "audit_events" not in statement and "outbox" not in statement:
            seen.append(statement)

    engine = api.services.platform.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


MANY = """
{
  catalog(first: 20, filter: {kinds: [FLOW]}) {
    nodes {
      ref owner { slug members { subject } contact flows(first: 3) { totalCount nodes { ref } } }
      ... on Flow {
        aliases
        version(ref: "1.0.0") { digest definition inputSchema problems { code } approvals { by }
                                origin { behindBy } flow { ref } }
        versions(first: 2) { totalCount nodes { version } pageInfo { hasNextPage } }
        runs(first: 1) { totalCount nodes { id } pageInfo { hasNextPage } }
        systems { ref } calls { ref owner { slug } } calledBy { ref }
      }
    }
  }
}
"""
RUNS = """
{
  runs(first: 50) {
    nodes {
      id flow { ref owner { slug } } version { ref } parent { id } children { id }
      steps { name humanTask { id } childRun { id } } input output
    }
  }
}
"""


async def test_a_list_costs_as_many_statements_as_one_element(still_api: Api) -> None:
    owner = await publish_welcome(still_api)
    await owner.ask(MANY)  # loads the data key
    with counted(still_api) as one:
        found = await owner.ask(MANY)
    assert len(found["catalog"]["nodes"]) == 1
    await publish_count_stock(still_api)
    for number in range(6):
        manifest = central().replace("name: welcome", f"name: welcome-{number}")
        await owner.do("registerFlow", "RegisterFlowInput", "flow { ref }", manifest=manifest)
    with counted(still_api) as many:
        found = await owner.ask(MANY)
    assert len(found["catalog"]["nodes"]) == 8
    welcome = next(node for node in found["catalog"]["nodes"] if node["ref"] == "sales/welcome")
    assert welcome["versions"]["totalCount"] == 1
    assert welcome["owner"]["flows"]["totalCount"] == 7
    assert len(welcome["owner"]["flows"]["nodes"]) == 3
    assert len(many) == len(one), "\n\n".join(many)


async def test_a_list_of_runs_costs_as_many_statements_as_one_run(still_api: Api) -> None:
    owner = await publish_welcome(still_api)
    start = {"flow": "sales/welcome", "input": {"name": "Jane"}}
    await owner.do("startRun", "StartRunInput", "run { id }", **start)
    await owner.ask(RUNS)  # loads the data key
    with counted(still_api) as one:
        await owner.ask(RUNS)
    for _ in range(5):
        await owner.do("startRun", "StartRunInput", "run { id }", **start)
    with counted(still_api) as many:
        found = await owner.ask(RUNS)
    assert len(found["runs"]["nodes"]) == 6
    assert all(run["input"] == {"name": "Jane"} for run in found["runs"]["nodes"])
    assert len(many) == len(one), "\n\n".join(many)
