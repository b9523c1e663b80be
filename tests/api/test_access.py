"""Tokens, explanations and reviews over HTTP."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlmodel import col

from coe.access.token_text import TokenKind, new_token
from coe.audit.models import AuditEvent
from tests.factories.api import Api, Persona, Refused
from tests.factories.api_story import publish_welcome, with_token

ISSUE = """
mutation ($input: IssueTokenInput!) {
  issueToken(input: $input) { token id problems { code path } }
}
"""
EXPLAIN = """
query ($subject: String!, $permission: String!, $resource: String!) {
  explainAccess(subject: $subject, permission: $permission, resource: $resource) {
    allowed permission rules explanation
  }
}
"""


def _for(subject: str, *scopes: str, lasts: str = "P1D") -> dict[str, object]:
    return {"name": "test", "subject": subject, "scopes": list(scopes), "expiresIn": lasts}


async def test_an_issued_token_is_narrowed_by_its_scopes_and_can_be_revoked(api: Api) -> None:
    owner = await publish_welcome(api)
    issued = (await owner.ask(ISSUE, input=_for("sales-owner", "entry:read", "token:*")))[
        "issueToken"
    ]
    narrowed = Persona(api, issued["token"])
    assert (await narrowed.ask("{ me { subject } }"))["me"]["subject"] == "sales-owner"
    flow = await narrowed.ask('{ flow(ref: "sales/welcome") { ref } }')
    assert flow["flow"]["ref"] == "sales/welcome"
    with pytest.raises(Refused) as refused:
        await narrowed.do(
            "startRun", "StartRunInput", "run { id }", flow="sales/welcome", input={"name": "J"}
        )
    assert refused.value.code == "FORBIDDEN"
    asked = _for("sales-owner", "run:*", lasts="PT1H")
    wider = (await narrowed.ask(ISSUE, input=asked))["issueToken"]
    assert wider["token"] is None
    assert wider["problems"] == [{"code": "INPUT_TOKEN_SCOPE", "path": "/scopes/0"}]
    revoke = 'mutation ($id: ID!) { revokeToken(id: $id, reason: "done") { id token } }'
    assert (await owner.ask(revoke, id=issued["id"]))["revokeToken"]["id"] == issued["id"]
    with pytest.raises(Refused) as refused:
        await narrowed.ask("{ me { subject } }")
    assert refused.value.code == "UNAUTHENTICATED"
    with pytest.raises(Refused) as refused:
        await owner.ask(revoke, id=issued["id"])
    assert refused.value.code == "CONFLICT"


async def test_the_use_of_a_revoked_token_is_recorded(api: Api) -> None:
    owner = api.persona("sales-owner")
    issued = (await owner.ask(ISSUE, input=_for("sales-owner", "*")))["issueToken"]
    await owner.ask(
        'mutation ($id: ID!) { revokeToken(id: $id, reason: "lost") { id } }', id=issued["id"]
    )
    with pytest.raises(Refused) as refused:
        await Persona(api, issued["token"]).ask("{ me { subject } }")
    assert refused.value.code == "UNAUTHENTICATED"
    with pytest.raises(Refused) as unknown:
        await Persona(api, new_token(TokenKind.PERSON)).ask("{ me { subject } }")
    assert unknown.value.message == refused.value.message
    async with api.services.platform.database.session() as session:
        found = select(AuditEvent).where(col(AuditEvent.action) == "access:login:refuse")
        [event] = (await session.scalars(found)).all()
    assert (event.actor, event.outcome, event.team) == ("sales-owner", "DENIED", "sales")
    assert event.resource.startswith("token:")


async def test_a_narrower_token_does_not_receive_the_answer_of_a_wider_one(api: Api) -> None:
    owner = api.persona("sales-owner")
    wide = {**_for("sales-owner", "*"), "clientMutationId": "same"}
    await owner.ask(ISSUE, input=wide)
    narrow = (await owner.ask(ISSUE, input=_for("sales-owner", "token:*")))["issueToken"]
    with pytest.raises(Refused) as refused:
        await Persona(api, narrow["token"]).ask(ISSUE, input=wide)
    assert refused.value.code == "CONFLICT"


async def test_a_team_lead_issues_the_token_of_the_teams_service(api: Api) -> None:
    lead = await with_token(api, "sales-lead")
    shop = "service:web-shop"
    asked = _for(shop, "event:send", lasts="PT30M")
    issued = (await lead.ask(ISSUE, input=asked))["issueToken"]
    me = (await Persona(api, issued["token"]).ask("{ me { subject kind } }"))["me"]
    assert me == {"subject": shop, "kind": "SERVICE"}
    for asker in ("finance-lead", "coe-lead", "sales-owner"):
        with pytest.raises(Refused) as refused:
            await api.persona(asker).ask(ISSUE, input=asked)
        assert refused.value.code == "FORBIDDEN"
        assert refused.value.extensions["permission"] == "token:issue"
    hidden = 'mutation ($id: ID!) { revokeToken(id: $id, reason: "x") { id } }'
    with pytest.raises(Refused) as refused:
        await api.persona("outsider").ask(hidden, id=issued["id"])
    assert refused.value.code == "NOT_FOUND"


async def test_tokens_show_where_they_are_from_and_when_they_were_used(api: Api) -> None:
    owner = api.persona("sales-owner")
    parent = (await owner.ask(ISSUE, input=_for("sales-owner", "*") | {"team": "sales"}))[
        "issueToken"
    ]
    child = _for("sales-owner", "entry:read", lasts="PT1H")
    await Persona(api, parent["token"]).ask(ISSUE, input=child)
    await api.services.platform.token_uses.settle()
    query = """{
      tokens(team: "sales", madeBy: "sales-owner", active: true) {
        nodes { id team parentId lastUsedAt lastAddress }
      }
    }"""
    newest, oldest = (await owner.ask(query))["tokens"]["nodes"]
    assert (newest["parentId"], newest["team"], newest["lastUsedAt"]) == (
        parent["id"],
        "sales",
        None,
    )
    assert (oldest["parentId"], oldest["lastUsedAt"] is None) == (None, False)
    assert oldest["lastAddress"]
    revoke = """
    mutation ($input: RevokeTokensInput!) { revokeTokens(input: $input) { ids problems { path } } }
    """
    everything = {"subject": "sales-owner", "reason": "the laptop is lost"}
    done = (await owner.ask(revoke, input=everything))["revokeTokens"]
    assert set(done["ids"]) == {newest["id"], oldest["id"]}
    nothing = (await owner.ask(revoke, input={"reason": "lost"}))["revokeTokens"]
    assert nothing == {"ids": [], "problems": [{"path": "/subject"}]}


async def test_an_invalid_token_request_names_every_problem(api: Api) -> None:
    given = _for("sales-owner", "fly:*", lasts="P9999D")
    answer = (await api.persona("sales-owner").ask(ISSUE, input=given))["issueToken"]
    assert {problem["path"] for problem in answer["problems"]} == {"/scopes/0", "/expiresIn"}


async def test_names_that_no_line_can_show_are_refused(api: Api) -> None:
    """The form is told before a refusal, which would be about the team of nobody."""
    lead = api.persona("coe-lead")
    for subject in ("", "a\nb", "service:"):
        answer = (await api.persona("outsider").ask(ISSUE, input=_for(subject, "*")))["issueToken"]
        assert [problem["path"] for problem in answer["problems"]] == ["/subject"]
    named = _for("coe-lead", "*") | {"name": "a\x1b[31m"}
    [problem] = (await lead.do("issueToken", "IssueTokenInput", "id", **named))["problems"]
    assert "control character" in problem["message"]
    team = {"slug": "x1", "name": "a\x1b[31m\nb", "contact": "x\ty"}
    made = await lead.do("createTeam", "CreateTeamInput", "team { slug }", **team)
    assert [problem["path"] for problem in made["problems"]] == ["/name", "/contact"]
    await lead.do("createTeam", "CreateTeamInput", "team { slug }", slug="x1", name="X")
    member = {"team": "x1", "subject": "new", "roles": [], "reason": "x"}
    named = await lead.do("addMember", "MemberInput", "applied", **member, name="a\nb")
    assert named["problems"][0]["path"] == "/name"


async def test_an_invalid_duration_is_refused(api: Api) -> None:
    with pytest.raises(Refused) as refused:
        await api.persona("sales-owner").ask(ISSUE, input=_for("sales-owner", "*", lasts="P1M"))
    assert refused.value.code == "INVALID"


async def test_an_explanation_names_the_policy_lines(api: Api) -> None:
    owner = await publish_welcome(api)
    lead = api.persona("coe-lead")
    asked = {"subject": "sales-owner", "permission": "flow:review"}
    explained = (await lead.ask(EXPLAIN, **asked, resource="flow:sales/welcome@1.0.0"))[
        "explainAccess"
    ]
    assert explained["allowed"] is False
    assert "p, relation:author, *, flow:review, *, deny" in explained["rules"]
    mine = {"subject": "sales-owner", "permission": "run:start", "resource": "team:sales"}
    own = (await owner.ask(EXPLAIN, **mine))["explainAccess"]
    assert own["allowed"] is True
    assert own["rules"][0] == "p, process-owner, *, run:start, *, allow"
    with pytest.raises(Refused) as refused:
        await api.persona("warehouse-developer").ask(EXPLAIN, **mine)
    assert refused.value.extensions["permission"] == "access:explain"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"permission": "fly"}, "INVALID"),
        ({"resource": "moon"}, "INVALID"),
        ({"subject": "a,b"}, "INVALID"),
        ({"resource": "flow:sales/nothing"}, "NOT_FOUND"),
        ({"permission": "run:read", "resource": "run:1"}, "NOT_FOUND"),
        ({"resource": "run:01990000-0000-7000-8000-000000000000"}, "INVALID"),
        (
            {
                "permission": "human_task:read",
                "resource": "human_task:01990000-0000-7000-8000-000000000000",
            },
            "NOT_FOUND",
        ),
    ],
)
async def test_a_question_that_cannot_be_explained_says_why(
    api: Api, given: dict[str, str], code: str
) -> None:
    asked = {"subject": "auditor", "permission": "run:start", "resource": "team:sales", **given}
    with pytest.raises(Refused) as refused:
        await api.persona("coe-lead").ask(EXPLAIN, **asked)
    assert refused.value.code == code


async def test_a_review_lists_who_may_do_what(api: Api) -> None:
    query = '{ accessReview(team: "sales") { subject permission via resource } }'
    grants = (await api.persona("auditor").ask(query))["accessReview"]
    assert {
        "subject": "sales-owner",
        "permission": "run:start",
        "via": "p, process-owner, *, run:start, *, allow",
        "resource": "team:sales/*",
    } in grants
    with pytest.raises(Refused) as refused:
        await api.persona("warehouse-developer").ask(query)
    assert refused.value.code == "FORBIDDEN"


async def test_nobody_issues_a_token_for_another_person_or_for_the_platform(
    api: Api,
) -> None:
    for asker, subject in (
        ("finance-lead", "finance-approver"),
        ("coe-lead", "finance-approver"),
        ("coe-lead", "service:central"),
    ):
        with pytest.raises(Refused) as refused:
            await api.persona(asker).ask(ISSUE, input=_for(subject, "*"))
        assert refused.value.extensions["rule"] == "p, relation:proxy, *, token:issue, *, deny"
