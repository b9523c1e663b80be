"""Tokens are issued and revoked by who may, and each of it is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import col

from coe.access import tokens as rows
from coe.access.actor import Actor
from coe.access.models import AccessToken
from coe.audit.models import AuditEvent
from coe.db import new_id
from coe.errors import Conflict, Forbidden, Invalid, NotFound
from coe.governance import tokens
from coe.governance.tokens import TokenFilter, TokenRequest
from coe.work import Platform
from tests.factories.people import FINANCE_LEAD, OUTSIDER, SALES_OWNER, WAREHOUSE_DEVELOPER
from tests.factories.tokens import new_token

OPERATOR = Actor.of("service:content")


def _request(subject: str = "sales-owner", *scopes: str) -> TokenRequest:
    return TokenRequest("test", subject, scopes or ("*",), timedelta(days=1))


async def _issue(platform: Platform, actor: Actor, request: TokenRequest) -> AccessToken:
    async with platform.work(actor) as work:
        _, token = await tokens.issue_token(work, request)
        return token


async def _recorded(platform: Platform, action: str) -> Sequence[tuple[str, str, str | None]]:
    """Who did it, in which team, and by which policy line."""
    async with platform.database.session() as session:
        found = await session.scalars(select(AuditEvent).where(col(AuditEvent.action) == action))
        return [(event.actor, event.team, event.rule) for event in found]


async def test_a_token_for_oneself_is_issued_under_a_policy_line(platform: Platform) -> None:
    token = await _issue(platform, SALES_OWNER, _request())
    assert token.subject == "sales-owner"
    [(actor, team, rule)] = await _recorded(platform, "access:token:issue")
    assert (actor, team) == ("sales-owner", "sales")
    assert rule is not None


async def test_the_operator_needs_no_permission(platform: Platform) -> None:
    with pytest.raises(Forbidden):
        await _issue(platform, OPERATOR, _request("coe-lead"))
    async with platform.work(OPERATOR) as work:
        bearer, _ = await tokens.issue_token_as_operator(work, _request("coe-lead"))
    async with platform.database.session() as session:
        known = await rows.authenticate(session, platform.macs, bearer)
    assert known.actor.subject == "coe-lead"
    assert ("service:content", "coe", None) in await _recorded(platform, "access:token:issue")


async def test_a_narrowed_actor_passes_on_only_its_scopes(platform: Platform) -> None:
    narrowed = replace(SALES_OWNER, scopes=frozenset({"entry:read", "token:*"}))
    issued = await _issue(platform, narrowed, _request("sales-owner", "entry:read"))
    assert issued.scopes == ["entry:read"]
    with pytest.raises(Invalid) as refused:
        await _issue(platform, narrowed, _request("sales-owner", "entry:read", "run:*"))
    assert [problem.path for problem in refused.value.problems] == ["/scopes/1"]


async def test_a_token_is_revoked_once_and_by_nobody_else(platform: Platform) -> None:
    token = await _issue(platform, SALES_OWNER, _request())
    for actor, token_id, refusal in (
        (OUTSIDER, token.id, NotFound),
        (FINANCE_LEAD, token.id, NotFound),
        (SALES_OWNER, new_id(), NotFound),
    ):
        async with platform.work(actor) as work:
            with pytest.raises(refusal):
                await tokens.revoke_token(work, token_id, "lost")
    async with platform.work(SALES_OWNER) as work:
        with pytest.raises(Invalid):
            await tokens.revoke_token(work, token.id, " ")
        await tokens.revoke_token(work, token.id, "lost")
    async with platform.work(SALES_OWNER) as work:
        with pytest.raises(Conflict):
            await tokens.revoke_token(work, token.id, "lost")


async def test_nobody_issues_a_token_for_another_person(platform: Platform) -> None:
    with pytest.raises(Forbidden) as refused:
        await _issue(platform, FINANCE_LEAD, _request("finance-approver"))
    assert refused.value.extensions["rule"] == "p, relation:proxy, *, token:issue, *, deny"
    with pytest.raises(Forbidden):
        await _issue(platform, WAREHOUSE_DEVELOPER, _request("service:worker/warehouse"))


async def test_one_sees_ones_own_tokens_and_those_that_one_may_revoke(platform: Platform) -> None:
    await _issue(platform, SALES_OWNER, _request())
    async with platform.work(OPERATOR) as work:
        for subject in ("service:web-shop", "service:central"):
            await tokens.issue_token_as_operator(work, _request(subject))

    async def seen(actor: Actor, **wanted: Any) -> list[str]:
        async with platform.read(actor) as read:
            page = await tokens.list_tokens(read, TokenFilter(**wanted))
            return [each.subject for each in page.items]

    assert await seen(SALES_OWNER) == ["sales-owner"]
    assert await seen(Actor.of("sales-lead")) == ["service:web-shop", "sales-owner"]
    assert await seen(OUTSIDER) == []
    assert await seen(SALES_OWNER, subject="service:web-shop") == []
    with pytest.raises(Invalid):
        await seen(SALES_OWNER, subject="Nobody At All")


async def test_tokens_are_paged_and_the_revoked_are_told_apart(platform: Platform) -> None:
    made = [await _issue(platform, SALES_OWNER, _request()) for _ in range(3)]
    async with platform.work(SALES_OWNER) as work:
        await tokens.revoke_token(work, made[1].id, "lost")
    async with platform.read(SALES_OWNER) as read:
        one = await tokens.list_tokens(read, first=2)
        rest = await tokens.list_tokens(read, first=2, after=one.cursors[-1])
        assert [each.id for each in (*one.items, *rest.items)] == [
            each.id for each in reversed(made)
        ]
        assert (one.has_next, one.total, rest.has_next) == (True, 3, False)
        inactive = await tokens.list_tokens(read, TokenFilter(active=False))
        assert [each.id for each in inactive.items] == [made[1].id]
        assert (await tokens.list_tokens(read, TokenFilter(active=True))).total == 2


async def test_who_is_in_no_team_sees_and_revokes_their_own_tokens(platform: Platform) -> None:
    _, token = await new_token(platform, OUTSIDER.subject)
    _, foreign = await new_token(platform, SALES_OWNER.subject)
    async with platform.work(OUTSIDER) as work:
        assert [each.id for each in (await tokens.list_tokens(work)).items] == [token.id]
        assert await tokens.revoke_token(work, token.id, "lost") == {token.id}
        with pytest.raises(NotFound):
            await tokens.revoke_token(work, foreign.id, "lost")
