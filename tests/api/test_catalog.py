"""The catalog over HTTP: registered, reviewed, published, found, compared."""

from __future__ import annotations

import pytest

from tests.factories.api import Api, Refused
from tests.factories.api_documents import central, local
from tests.factories.api_story import publish_welcome

SEARCH = """
query ($search: String, $filter: CatalogFilter, $first: Int, $after: String) {
  catalog(search: $search, filter: $filter, first: $first, after: $after) {
    totalCount
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    facets { name values { value count } }
    edges { cursor score highlights node { kind ref title tags owner { slug name } lifecycle } }
    nodes { ref ... on Flow { flowKind processOwner domain dataClass } }
  }
}
"""
FLOW = """
query ($ref: String!) {
  flow(ref: $ref) {
    id kind ref title summary tags lifecycle updatedAt flowKind processOwner aliases
    owner { slug members { subject displayName roles } contact }
    version { id ref version lifecycle digest signature engine createdBy publishedAt changelog
              definition inputSchema outputSchema diagram problems { code }
              approvals { by decision comment } origin { behindBy } flow { ref } }
    draft: version(ref: "1.1.0") { ref lifecycle diff(to: "live") { unified breaking } }
    versions(first: 1) { totalCount nodes { version } pageInfo { hasNextPage endCursor } }
    systems { ref } calls { ref } calledBy { ref }
    runs { totalCount nodes { id } }
  }
}
"""


async def test_a_draft_is_saved_once_and_a_draft_with_problems_is_not(api: Api) -> None:
    owner = api.persona("sales-owner")
    made = await owner.do(
        "registerFlow",
        "RegisterFlowInput",
        "flow { ref lifecycle } version { id version digest lifecycle }",
        manifest=central(),
    )
    assert made["flow"] == {"ref": "sales/welcome", "lifecycle": "DRAFT"}
    again = await owner.do(
        "registerFlow", "RegisterFlowInput", "version { id }", manifest=central()
    )
    assert again["version"]["id"] == made["version"]["id"]
    broken = await owner.do(
        "registerFlow",
        "RegisterFlowInput",
        "flow { ref } version { id }",
        manifest=central("2.0.0").replace("greet:", "greet:\n      thne: end"),
    )
    assert broken["flow"] is None
    assert broken["version"] is None
    problem = next(each for each in broken["problems"] if each["severity"] == "ERROR")
    assert problem["line"]
    checked = await owner.ask(
        "query ($text: String!) { checkFlow(manifest: $text) { problems { code line } digest } }",
        text=central("2.0.0").replace("greet:", "greet:\n      thne: end"),
    )
    assert problem["code"] in {each["code"] for each in checked["checkFlow"]["problems"]}
    versions = await owner.ask('{ flow(ref: "sales/welcome") { versions { totalCount } } }')
    assert versions["flow"]["versions"]["totalCount"] == 1


async def test_a_version_is_reviewed_by_another_person_then_published_with_a_signature(
    api: Api,
) -> None:
    owner, lead = api.persona("sales-owner"), api.persona("coe-lead")
    await owner.do("registerFlow", "RegisterFlowInput", "version { id }", manifest=central())
    ref = "sales/welcome@1.0.0"
    await owner.do("submitForReview", "LifecycleInput", "entry { lifecycle }", ref=ref)
    with pytest.raises(Refused) as refused:
        await owner.do("review", "ReviewInput", "entry { ref }", ref=ref, approve=True, comment="x")
    assert refused.value.code == "FORBIDDEN"
    assert refused.value.extensions["permission"] == "flow:review"
    reviewed = await lead.do(
        "review",
        "ReviewInput",
        "entry { ref } version { __typename ... on FlowVersion { approvals { by decision } } }",
        ref=ref,
        approve=True,
        comment="fine",
    )
    assert reviewed["version"]["approvals"] == [{"by": "coe-lead", "decision": "APPROVED"}]
    moved = await lead.do(
        "publish",
        "LifecycleInput",
        "entry { __typename ref lifecycle } version { ... on FlowVersion { signature } }",
        ref=ref,
    )
    assert moved["entry"] == {
        "__typename": "Flow",
        "ref": "sales/welcome",
        "lifecycle": "PUBLISHED",
    }
    flow = (await owner.ask(FLOW, ref="sales/welcome"))["flow"]
    assert flow["aliases"] == {"live": "1.0.0"}
    assert flow["version"]["ref"] == ref
    assert flow["version"]["signature"] == moved["version"]["signature"]
    assert flow["version"]["inputSchema"]["examples"] == [{"name": "Jane Doe"}]
    assert flow["version"]["diagram"].startswith("flowchart")
    assert flow["version"]["origin"] is None
    assert flow["version"]["flow"] == {"ref": "sales/welcome"}
    assert {member["subject"] for member in flow["owner"]["members"]} >= {"sales-owner"}


async def test_versions_are_compared_and_paged(api: Api) -> None:
    owner = await publish_welcome(api)
    changed = central("1.1.0").replace("Hello", "Welcome")
    await owner.do("registerFlow", "RegisterFlowInput", "version { id }", manifest=changed)
    flow = (await owner.ask(FLOW, ref="sales/welcome"))["flow"]
    assert flow["draft"]["lifecycle"] == "DRAFT"
    assert "Welcome" in flow["draft"]["diff"]["unified"]
    assert flow["versions"]["nodes"] == [{"version": "1.1.0"}]
    assert flow["versions"]["totalCount"] == 2
    rest = await owner.ask(
        'query ($after: String) { flow(ref: "sales/welcome") { versions(after: $after) '
        "{ nodes { version } pageInfo { hasNextPage hasPreviousPage } } } }",
        after=flow["versions"]["pageInfo"]["endCursor"],
    )
    assert rest["flow"]["versions"] == {
        "nodes": [{"version": "1.0.0"}],
        "pageInfo": {"hasNextPage": False, "hasPreviousPage": True},
    }


async def test_search_finds_with_facets_and_highlights(api: Api) -> None:
    await publish_welcome(api)
    developer = api.persona("warehouse-developer")
    await developer.do("registerFlow", "RegisterFlowInput", "flow { ref }", manifest=local())
    found = (await api.persona("finance-lead").ask(SEARCH, search="customer"))["catalog"]
    assert [edge["node"]["ref"] for edge in found["edges"]] == ["sales/welcome"]
    assert "<mark>" in "".join(found["edges"][0]["highlights"])
    assert found["edges"][0]["node"]["owner"] == {"slug": "sales", "name": "Sales"}
    assert found["nodes"][0]["flowKind"] == "CENTRAL"
    facets = {facet["name"]: facet["values"] for facet in found["facets"]}
    assert any({"value": "sales", "count": 1} in values for values in facets.values())
    first = (await developer.ask(SEARCH, first=1))["catalog"]
    assert first["pageInfo"]["hasNextPage"]
    second = (await developer.ask(SEARCH, first=1, after=first["pageInfo"]["endCursor"]))["catalog"]
    assert second["nodes"] != first["nodes"]
    assert second["pageInfo"]["hasPreviousPage"]


@pytest.mark.parametrize(
    ("given", "path"),
    [({"first": 101}, "/first"), ({"first": -1}, "/first"), ({"after": "bm9uZQ"}, "/after")],
)
async def test_invalid_paging_is_refused(api: Api, given: dict[str, object], path: str) -> None:
    with pytest.raises(Refused) as refused:
        await api.persona("auditor").ask(SEARCH, **given)
    assert refused.value.code == "INVALID"
    assert refused.value.extensions["problems"][0]["path"] == path


async def test_an_entry_that_may_not_be_read_is_not_found(api: Api) -> None:
    owner = await publish_welcome(api, data_class="CONFIDENTIAL")
    flow = (await owner.ask(FLOW, ref="sales/welcome"))["flow"]
    outsider = api.persona("outsider")
    assert (await outsider.ask(SEARCH))["catalog"]["totalCount"] == 0
    for query, variables in (
        (FLOW, {"ref": "sales/welcome"}),
        (FLOW, {"ref": "sales/nothing"}),
        ("query ($id: ID!) { node(id: $id) { id } }", {"id": flow["id"]}),
        ("query ($id: ID!) { node(id: $id) { id } }", {"id": flow["version"]["id"]}),
        ("query ($id: ID!) { node(id: $id) { id } }", {"id": "nonsense"}),
        ("query ($id: ID!) { node(id: $id) { id } }", {"id": "eDp5"}),
    ):
        with pytest.raises(Refused) as refused:
            await outsider.ask(query, **variables)
        assert refused.value.code == "NOT_FOUND"
    team = await outsider.ask('{ team(slug: "sales") { slug name contact members { subject } } }')
    assert team["team"] == {"slug": "sales", "name": "Sales", "contact": None, "members": []}


async def test_nodes_are_found_by_their_global_ids(api: Api) -> None:
    owner = await publish_welcome(api)
    flow = (await owner.ask(FLOW, ref="sales/welcome"))["flow"]
    node = "query ($id: ID!) { node(id: $id) { __typename id ... on Flow { ref } } }"
    found = await owner.ask(node, id=flow["id"])
    assert found["node"] == {"__typename": "Flow", "id": flow["id"], "ref": "sales/welcome"}
    version = await owner.ask(node, id=flow["version"]["id"])
    assert version["node"] == {"__typename": "FlowVersion", "id": flow["version"]["id"]}
    team = await owner.ask('{ team(slug: "sales") { id flows { nodes { ref } } } }')
    assert team["team"]["flows"]["nodes"] == [{"ref": "sales/welcome"}]
    assert (await owner.ask(node, id=team["team"]["id"]))["node"]["__typename"] == "Team"


async def test_an_alias_is_set_and_a_version_deprecated(api: Api) -> None:
    owner = await publish_welcome(api)
    aliased = await owner.do(
        "setAlias",
        "SetAliasInput",
        "flow { aliases }",
        flow="sales/welcome",
        alias="canary",
        version="1.0.0",
    )
    assert aliased["flow"]["aliases"] == {"live": "1.0.0", "canary": "1.0.0"}
    ref = "sales/welcome@1.0.0"
    old = await owner.do("deprecate", "LifecycleInput", "entry { lifecycle }", ref=ref)
    assert old["entry"]["lifecycle"] == "DEPRECATED"
    with pytest.raises(Refused) as refused:
        await owner.do("publish", "LifecycleInput", "entry { ref }", ref=ref)
    assert refused.value.code == "CONFLICT"
