"""Decision tables over HTTP: checked, registered, published, evaluated by a run, replayed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from coe.demo.api import create_demo_app
from coe.engines.inline import InlineEngine
from coe.execution.open_runtime import open_runtime
from coe.settings import Settings
from coe.work import Platform
from tests.factories.api import Api, Refused
from tests.factories.api_story import publish, with_token
from tests.factories.decision_flows import ASKING, REF, level

CHECK = """
query ($text: String!) {
  checkDecision(manifest: $text) {
    digest problems { code severity line message } rules { id when then because line }
  }
}
"""
TABLE = """
query ($ref: String!) {
  decision(ref: $ref) {
    __typename id kind ref title summary tags lifecycle processOwner domain dataClass aliases
    owner { slug } calledBy { ref }
    version {
      id ref version lifecycle digest signature createdBy publishedAt definition hitPolicy inputs
      outputs default inputSchema outputSchema problems { code } approvals { by decision }
      rules { id when then because line } decision { ref }
      cases(first: 10) {
        totalCount
        nodes { decision flow path rules failed input output run { id state } }
      }
    }
    versions(first: 1) { totalCount nodes { version } pageInfo { hasNextPage endCursor } }
  }
}
"""
REPLAY = """
query ($input: ReplayDecisionInput!) {
  replayDecision(input: $input) {
    same otherRules changed failed totalCount pageInfo { hasNextPage endCursor }
    version { ref lifecycle }
    nodes {
      sameOutcome case { run { id } rules }
      before { output rules failure } after { output rules failure }
    }
  }
}
"""
START = """
mutation ($input: StartRunInput!) { startRun(input: $input) { run { id } problems { message } } }
"""
STATE = "query ($id: ID!) { run(id: $id) { state output } }"


@pytest.fixture
async def live_api(settings: Settings) -> AsyncIterator[Api]:
    platform = Platform.open(settings, name="test-engine")
    async with open_runtime(platform) as runtime:
        app = create_demo_app(settings, engine=InlineEngine(runtime))
        async with app.router.lifespan_context(app):
            yield Api(app)
    await platform.close()


async def register(api: Api, manifest: str) -> dict[str, Any]:
    developer = await with_token(api, "finance-developer")
    return await developer.do(
        "registerDecision",
        "RegisterDecisionInput",
        "decision { ref kind lifecycle } version { id ref lifecycle }",
        manifest=manifest,
    )


async def publish_level(api: Api) -> None:
    saved = await register(api, level())
    ref = saved["version"]["ref"]
    author, lead = await with_token(api, "finance-developer"), await with_token(api, "finance-lead")
    await author.do("submitForReview", "LifecycleInput", "entry { ref }", ref=ref)
    await lead.do("review", "ReviewInput", "entry { ref }", ref=ref, approve=True, comment="fine")
    moved = await lead.do(
        "publish",
        "LifecycleInput",
        "entry { __typename lifecycle } version { __typename ... on DecisionTableVersion { ref } }",
        ref=ref,
    )
    assert moved["entry"] == {"__typename": "DecisionTable", "lifecycle": "PUBLISHED"}
    assert moved["version"] == {"__typename": "DecisionTableVersion", "ref": ref}


async def run_credit(api: Api, amount: float) -> str:
    owner = api.persona("sales-owner")
    given = {"flow": "sales/credit", "input": {"customer": "Jane Doe", "amount": amount}}
    started = (await owner.ask(START, input=given))["startRun"]
    run_id: str = started["run"]["id"]
    async with asyncio.timeout(20):
        while (await owner.ask(STATE, id=run_id))["run"]["state"] not in {"COMPLETED", "FAULTED"}:
            await asyncio.sleep(0.05)
    return run_id


async def test_a_check_locates_gaps_and_saves_nothing(api: Api) -> None:
    gap = level().replace("  - {id: large, then: {level: finance}}\n", "")
    found = (await api.persona("sales-owner").ask(CHECK, text=gap))["checkDecision"]
    [problem] = found["problems"]
    assert (problem["code"], problem["severity"], problem["line"]) == ("DEC010", "ERROR", 14)
    assert found["rules"] == []
    [refused] = (await api.persona("sales-owner").ask(CHECK, text=level()))["checkDecision"][
        "problems"
    ]
    assert (refused["code"], refused["severity"]) == ("INPUT_NAMESPACE", "ERROR")
    good = (await api.persona("finance-lead").ask(CHECK, text=level()))["checkDecision"]
    assert good["problems"] == []
    assert [rule["id"] for rule in good["rules"]] == ["small", "large"]
    assert good["rules"][0]["when"] == {"amount": "<= 1000.00"}
    with pytest.raises(Refused) as unknown:
        await api.persona("sales-owner").ask(TABLE, ref=REF)
    assert unknown.value.code == "NOT_FOUND"


async def test_a_table_is_registered_once_and_refused_with_its_problems(api: Api) -> None:
    saved = await register(api, level())
    assert saved["decision"] == {"ref": REF, "kind": "DECISION", "lifecycle": "DRAFT"}
    again = await register(api, level())
    assert again["version"]["id"] == saved["version"]["id"]
    refused = await register(api, level("2.0.0").replace("first", "unique"))
    assert refused["version"] is None
    assert "DEC011" in {each["code"] for each in refused["problems"]}
    owner = api.persona("sales-owner")
    with pytest.raises(Refused) as forbidden:
        await owner.do(
            "registerDecision", "RegisterDecisionInput", "version { id }", manifest=level()
        )
    assert forbidden.value.extensions["permission"] == "decision:register"


async def test_a_published_table_is_shown_and_found(api: Api) -> None:
    await publish_level(api)
    table = (await api.persona("sales-owner").ask(TABLE, ref=REF))["decision"]
    assert (table["kind"], table["aliases"]) == ("DECISION", {"live": "1.0.0"})
    version = table["version"]
    assert version["definition"] == level()
    assert version["hitPolicy"] == "first"
    assert version["inputs"][0] == {"name": "amount", "type": "number", "minimum": 0}
    assert version["outputs"] == [{"name": "level", "type": "string", "enum": ["none", "finance"]}]
    assert version["rules"][1] == {
        "id": "large", "when": {}, "then": {"level": "finance"}, "because": None, "line": 16,
    }  # fmt: skip
    assert version["inputSchema"]["required"] == ["amount"]
    assert version["approvals"] == [{"by": "finance-lead", "decision": "APPROVED"}]
    assert version["decision"] == {"ref": REF}
    assert version["cases"] == {"totalCount": 0, "nodes": []}
    assert table["versions"]["totalCount"] == 1
    query = "query ($id: ID!) { node(id: $id) { __typename ... on DecisionTableVersion { ref } } }"
    node = (await api.persona("sales-owner").ask(query, id=version["id"]))["node"]
    assert node == {"__typename": "DecisionTableVersion", "ref": f"{REF}@1.0.0"}
    search = """
    { catalog(filter: {kinds: [DECISION]}) {
        nodes { __typename ref } facets { name values { value count } } } }
    """
    found = (await api.persona("sales-owner").ask(search))["catalog"]
    assert found["nodes"] == [{"__typename": "DecisionTable", "ref": REF}]
    explain = """
    { explainAccess(subject: "finance-lead", permission: "decision:publish",
                    resource: "decision:finance/credit-level") { allowed } }
    """
    lead = await with_token(api, "finance-lead")
    assert (await lead.ask(explain))["explainAccess"]["allowed"] is True


async def test_the_cases_of_runs_are_replayed_on_a_draft(live_api: Api) -> None:
    api = live_api
    await publish_level(api)
    owner = await publish(api, ASKING)
    small, large = await run_credit(api, 900), await run_credit(api, 1500)
    output = (await owner.ask(STATE, id=large))["run"]["output"]
    assert output["decision"] == f"{REF}@1.0.0"
    assert output["rules"] == ["large"]
    table = (await owner.ask(TABLE, ref=REF))["decision"]
    assert table["calledBy"] == [{"ref": "sales/credit"}]
    asks = await owner.ask('{ flow(ref: "sales/credit") { calls { ref } decisions { ref } } }')
    assert asks["flow"] == {"calls": [], "decisions": [{"ref": REF}]}
    cases = table["version"]["cases"]
    assert cases["totalCount"] == 2
    assert [case["run"]["id"] for case in cases["nodes"]] == [small, large]
    assert cases["nodes"][1]["input"] == {"amount": 1500, "customer": "Jane Doe"}
    assert cases["nodes"][1]["output"] == {"level": "finance"}
    await register(api, level("1.1.0", limit="2000.00"))
    found = (await owner.ask(REPLAY, input={"ref": f"{REF}@1.1.0"}))["replayDecision"]
    assert {name: found[name] for name in ("same", "otherRules", "changed", "failed")} == {
        "same": 1, "otherRules": 0, "changed": 1, "failed": 0,
    }  # fmt: skip
    [changed] = found["nodes"]
    assert changed["case"] == {"run": {"id": large}, "rules": ["large"]}
    assert changed["before"] == {
        "output": {"level": "finance"},
        "rules": ["large"],
        "failure": None,
    }
    assert changed["after"] == {"output": {"level": "none"}, "rules": ["small"], "failure": None}
    assert found["version"] == {"ref": f"{REF}@1.1.0", "lifecycle": "DRAFT"}
    lead = await with_token(api, "finance-lead")
    seen = (await lead.ask(REPLAY, input={"ref": f"{REF}@1.1.0"}))["replayDecision"]
    assert (seen["totalCount"], seen["nodes"]) == (0, [])
    hidden = (await lead.ask(TABLE, ref=REF))["decision"]["version"]["cases"]
    assert hidden["totalCount"] == 0
