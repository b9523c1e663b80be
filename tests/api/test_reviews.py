"""Over HTTP: drafts, tests at the submission, what is in review, and what `live` names."""

from __future__ import annotations

import pytest

from coe.settings import Settings
from tests.conftest import ROOT
from tests.factories.api import Api, Persona, Refused
from tests.factories.api_documents import central
from tests.factories.audit_events import details_of, events_of

REF = "sales/welcome@1.0.0"
TESTS = "tests: [{name: it greets, input: {name: Ada}, expect: {state: COMPLETED}}]"
REVIEWS = """
query ($filter: ReviewFilter) {
  reviews(filter: $filter) {
    totalCount
    nodes {
      comment live submittedBy unifiedDiff entry { ref } diff { breaking }
      version { ... on FlowVersion {
        ref approvalsNeeded approvalsGiven testsDigest: tests { digest }
        tests { text result { passed failed branches branchesReached cases { name passed } } }
      } }
    }
  }
}
"""
LIVE = "live version { ... on FlowVersion { ref lifecycle approvalsNeeded approvalsGiven } }"


async def register(owner: Persona, text: str, **more: str) -> str:
    saved = await owner.do(
        "registerFlow", "RegisterFlowInput", "version { ref }", manifest=text, **more
    )
    assert saved["version"], saved["problems"]
    ref: str = saved["version"]["ref"]
    return ref


class TestWithTheShippedStandards:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"content_dir": ROOT})

    async def test_reviewers_see_comment_tests_and_how_far_it_is(self, still_api: Api) -> None:
        owner, lead = still_api.persona("sales-owner"), still_api.persona("coe-lead")
        await register(owner, central())
        refused = await owner.do("submitForReview", "LifecycleInput", "entry { ref }", ref=REF)
        assert refused["entry"] is None
        assert [each["code"] for each in refused["problems"]] == ["COE060"]
        await register(owner, central(), tests=TESTS)
        sent = await owner.do("submitForReview", "LifecycleInput", LIVE, ref=REF, comment="look")
        assert sent["version"]["lifecycle"] == "IN_REVIEW", sent["problems"]
        found = await lead.ask(REVIEWS, filter={"waitingForMe": True})
        [review] = found["reviews"]["nodes"]
        assert (review["comment"], review["submittedBy"]) == ("look", "sales-owner")
        assert review["version"]["approvalsGiven"] == 0
        assert review["version"]["tests"]["text"] == TESTS
        result = review["version"]["tests"]["result"]
        assert (result["passed"], result["cases"]) == (
            True,
            [{"name": "it greets", "passed": True}],
        )
        assert "+++ tests.yaml (@1.0.0)" in review["unifiedDiff"]
        done = await lead.do("review", "ReviewInput", LIVE, ref=REF, approve=True, comment="fine")
        assert done["version"]["approvalsGiven"] == done["version"]["approvalsNeeded"] == 1
        assert (await lead.ask(REVIEWS, filter={"waitingForMe": True}))["reviews"]["nodes"] == []


async def test_a_publication_says_what_is_live_and_moves_it(still_api: Api) -> None:
    owner, lead = still_api.persona("sales-owner"), still_api.persona("coe-lead")
    for version, moving, live in (
        ("1.0.0", {}, "1.0.0"),
        ("1.1.0", {}, "1.0.0"),
        ("1.2.0", {"setLive": True}, "1.2.0"),
    ):
        ref = await register(owner, central(version))
        await owner.do("submitForReview", "LifecycleInput", LIVE, ref=ref)
        await lead.do("review", "ReviewInput", LIVE, ref=ref, approve=True, comment="fine")
        answer = await lead.do("publish", "LifecycleInput", LIVE, ref=ref, **moving)
        assert (answer["version"]["lifecycle"], answer["live"]) == ("PUBLISHED", live)
    moved = await owner.do(
        "setEntryAlias",
        "SetEntryAliasInput",
        LIVE,
        entry="sales/welcome",
        alias="live",
        version="1.1.0",
    )
    assert moved["live"] == "1.1.0"
    wrong = await owner.do("deprecate", "LifecycleInput", LIVE, ref=ref, setLive=True)
    assert wrong["problems"][0]["path"] == "/setLive"


async def test_a_draft_is_changed_and_deleted(still_api: Api) -> None:
    owner = still_api.persona("sales-owner")
    await register(owner, central())
    changed = await owner.do(
        "updateDraft",
        "UpdateDraftInput",
        "version { ... on FlowVersion { ref changelog tests { text result { passed } } } }",
        ref=REF,
        tests=TESTS,
        changelog="with tests",
    )
    assert changed["version"] == {
        "ref": REF,
        "changelog": "with tests",
        "tests": {"text": TESTS, "result": None},
    }
    bad = await owner.do("updateDraft", "UpdateDraftInput", "entry { ref }", ref=REF, tests="a: b")
    assert bad["problems"][0]["path"] == "/tests.yaml"
    gone = await owner.do("deleteDraft", "DeleteDraftInput", "deleted entry { ref }", ref=REF)
    assert (gone["deleted"], gone["entry"]) == (REF, None)
    with pytest.raises(Refused) as refused:
        await owner.do("deleteDraft", "DeleteDraftInput", "deleted", ref=REF)
    assert refused.value.code == "NOT_FOUND"


async def test_reading_a_confidential_definition_is_recorded_once_a_request(
    still_api: Api,
) -> None:
    owner, platform = still_api.persona("sales-owner"), still_api.services.platform
    refs = [
        await register(owner, central(data_class="CONFIDENTIAL")),
        await register(owner, central("1.1.0", data_class="PERSONAL")),
        await register(owner, central("1.2.0")),
    ]
    action = "catalog:definition:read_data"
    assert await events_of(platform, action) == []
    query = """query {
      flow(ref: "sales/welcome") { versions { nodes { ref %s } } }
    }"""
    await owner.ask(query % "lifecycle")
    assert await events_of(platform, action) == []
    await owner.ask(query % "definition inputSchema diagram problems { code }")
    [event] = await events_of(platform, action)
    assert (event.actor, event.resource, event.team) == ("sales-owner", "team:sales", "sales")
    assert await details_of(platform, action) == [{"versions": refs[:2]}]
    await owner.ask('query { flow(ref: "sales/welcome") { version(ref: "1.0.0") { definition } } }')
    assert (await events_of(platform, action))[-1].resource == f"flow:{refs[0]}"
    seen = len(await events_of(platform, action))
    change = 'version(ref: "1.2.0") { diff(to: "1.0.0") { breaking } }'
    await owner.ask(f'query {{ flow(ref: "sales/welcome") {{ {change} }} }}')
    assert (await events_of(platform, action))[-1].resource == f"flow:{refs[0]}"
    assert len(await events_of(platform, action)) == seen + 1
    before = await events_of(platform, action)
    await owner.do("submitForReview", "LifecycleInput", "entry { ref }", ref=refs[0])
    await owner.ask("query { reviews { nodes { comment } } }")
    assert await events_of(platform, action) == before
    await owner.ask("query { reviews { nodes { unifiedDiff } } }")
    assert len(await events_of(platform, action)) == len(before) + 1
