"""An id is taken in each form in which it is shown; a filter is understood or refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from coe.api.graphql.ids import split, to_global
from tests.factories.api import Api, Persona, Refused
from tests.factories.api_story import publish_welcome

NODE = """
query ($id: ID!) {
  node(id: $id) {
    __typename
    ... on Run { version { ref } }
    ... on Flow { ref }
    ... on FlowVersion { ref }
  }
}
"""


async def _start(owner: Persona) -> str:
    given = {"flow": "sales/welcome", "input": {"name": "Jane Doe"}}
    made = await owner.do("startRun", "StartRunInput", "run { id }", **given)
    run: str = made["run"]["id"]
    return run


async def test_a_node_is_found_by_every_form_of_its_id(api: Api) -> None:
    owner = await publish_welcome(api)
    run = await _start(owner)
    key = split(run)[1]
    for form in (run, key, key.upper(), f"run:{key}"):
        assert (await owner.ask(NODE, id=form))["node"]["__typename"] == "Run", form
        assert (await owner.ask("query ($id: ID!) { run(id: $id) { state } }", id=form))["run"]
    for form, kind in {
        "sales/welcome": "Flow",
        "flow:sales/welcome": "Flow",
        "sales/welcome@1.0.0": "FlowVersion",
        "sales/welcome@live": "FlowVersion",
    }.items():
        assert (await owner.ask(NODE, id=form))["node"]["__typename"] == kind, form


@pytest.mark.parametrize("form", ["", "x", "sales/nothing", "template:sales/welcome", "run:1",
                                  to_global("Nothing", "1"), "0" * 400])  # fmt: skip
async def test_what_is_no_id_is_not_found(api: Api, form: str) -> None:
    owner = await publish_welcome(api)
    with pytest.raises(Refused) as refused:
        await owner.ask(NODE, id=form)
    assert refused.value.code == "NOT_FOUND"


async def test_what_does_not_exist_is_named(api: Api) -> None:
    owner = await publish_welcome(api)
    key = "01a204ad-a69e-70a2-985e-cb36c368b5b1"
    reason = f'{{run: "{key}", reason: "no"}}'
    for query, argument, value in (
        ("query ($ref: String!) { flow(ref: $ref) { ref } }", "ref", "sales/nothing"),
        (f'{{ one: run(id: "{key}") {{ state }} }}', "id", key),
        (f"mutation {{ cancelRun(input: {reason}) {{ run {{ id }} }} }}", "run", key),
        ("query ($ref: String!) { teams { slug } template(ref: $ref) { ref } }", "ref", "coe/x"),
    ):
        with pytest.raises(Refused) as refused:
            await owner.ask(query, **({"ref": value} if "$ref" in query else {}))
        wanted = f"`{argument}` '{value}' does not exist, or you may not read it."
        assert (refused.value.code, refused.value.message) == ("NOT_FOUND", wanted)


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ('runs(filter: {flows: ["sales/welcom"]}) { totalCount }', "/filter/flows/0"),
        ('inbox(filter: {flows: ["sales/welcom"]}) { totalCount }', "/filter/flows/0"),
        ('reviews(filter: {entries: ["sales/welcom"]}) { totalCount }', "/filter/entries/0"),
    ],
)
async def test_a_filter_by_what_does_not_exist_says_so(api: Api, query: str, path: str) -> None:
    owner = await publish_welcome(api)
    with pytest.raises(Refused) as refused:
        await owner.ask(f"{{ {query} }}")
    [problem] = refused.value.extensions["problems"]
    assert problem["path"] == path
    assert "there is no" in problem["message"]
    assert "did you mean `sales/welcome`?" in problem["message"]
    empty = query.replace("sales/welcom", "sales/welcome")
    found = await owner.ask(f"{{ {empty} }}")
    assert [each["totalCount"] for each in found.values()] == [0]


async def test_a_run_keeps_the_trace_of_its_caller(api: Api) -> None:
    owner = await publish_welcome(api)
    trace = "0af7651916cd43dd8448eb211c80319c"
    query = "mutation ($input: StartRunInput!) { startRun(input: $input) { run { traceId } } }"
    body = {
        "query": query,
        "variables": {"input": {"flow": "sales/welcome", "input": {"name": "Ada"}}},
    }
    for header, kept in (
        (f"00-{trace}-b7ad6b7169203331-01", trace),
        (f"cc-{trace}-b7ad6b7169203331-01-what-the-future-will-be-like", trace),
        (f"ff-{trace}-b7ad6b7169203331-01", None),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", None),
        (f"00-{trace}-{'0' * 16}-01", None),
        ("nonsense", None),
    ):
        async with api.client(owner.token) as client:
            answer = await client.post("/graphql", json=body, headers={"traceparent": header})
        assert answer.json()["data"]["startRun"]["run"]["traceId"] == kept, header


async def test_a_filter_of_runs_is_understood_or_refused(api: Api) -> None:
    owner = await publish_welcome(api)
    await _start(owner)
    query = "query ($filter: RunFilter) { runs(filter: $filter) { totalCount } }"

    async def count(**wanted: Any) -> int:
        found: int = (await owner.ask(query, filter=wanted))["runs"]["totalCount"]
        return found

    assert await count(flows=["sales/welcome"]) == await count(flows=["flow:sales/welcome"]) == 1
    wrong: list[dict[str, Any]] = [
        {"flows": ["welcome"]},
        {"flows": ["sales/welcome@1.0.0"]},
        {"flows": ["template:sales/welcome"]},
        {"startedAfter": "2026-02-01T00:00:00Z", "startedBefore": "2026-01-01T00:00:00Z"},
    ]
    for wanted in wrong:
        with pytest.raises(Refused) as refused:
            await count(**wanted)
        assert refused.value.code == "INVALID"
        [problem] = refused.value.extensions["problems"]
        assert problem["path"].startswith("/filter/")


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("query ($filter: HumanTaskFilter) { inbox(filter: $filter) { totalCount } }",
         {"flows": ["welcome"]}),
        ("query ($filter: CatalogFilter) { catalog(filter: $filter) { totalCount } }",
         {"systems": ["erp"]}),
        ("query ($filter: CatalogFilter) { catalog(filter: $filter) { totalCount } }",
         {"owners": ["The Sales"]}),
        ("query ($filter: AuditFilter) { auditLog(filter: $filter) { totalCount } }",
         {"actions": ["run:cancle"]}),
    ],
)  # fmt: skip
async def test_every_filter_is_located(api: Api, query: str, wanted: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        await api.persona("auditor").ask(query, filter=wanted)
    assert refused.value.code == "INVALID"
    assert refused.value.extensions["problems"][0]["path"].startswith("/filter/")


async def test_the_log_is_read_by_ref_and_by_id(api: Api) -> None:
    owner = await publish_welcome(api)
    run = await _start(owner)
    auditor = api.persona("auditor")
    query = "query ($filter: AuditFilter) { auditLog(filter: $filter) { nodes { action } } }"
    await owner.do("cancelRun", "RunInput", "run { id }", run=split(run)[1], reason="no more")
    for about in ("sales/welcome", run, split(run)[1]):
        for _ in range(100):
            found = await auditor.ask(
                query, filter={"resources": [about], "actions": ["run:cancel"]}
            )
            if found["auditLog"]["nodes"]:
                break
            await asyncio.sleep(0.1)
        assert found["auditLog"]["nodes"], about
