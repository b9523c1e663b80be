"""What somebody tries with a token, or with the table of tokens, to get more than was given."""

from __future__ import annotations

import ast
import hmac
import inspect
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select, text, update
from sqlmodel import col

from coe.access import tokens
from coe.access.actor import Actor
from coe.access.models import AccessToken, Team
from coe.access.permissions import Permission
from coe.access.token_text import TokenKind, checksum, is_token, new_token
from coe.catalog.models import EntryKind
from coe.catalog.queries import find_entry
from coe.crypto import mac as mac_module
from coe.crypto.mac import MacKeys, MacPurpose, create_keys
from coe.db import new_id
from coe.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from coe.governance import tokens as verbs
from coe.governance.tokens import TokenFilter, TokenRequest
from coe.work import Platform, RequestInfo
from tests.factories import tokens as made
from tests.factories.catalog import central, published
from tests.factories.people import FINANCE_LEAD, OUTSIDER, SALES_OWNER
from tests.factories.policies import sign_policy

ABOUT = RequestInfo(address="192.0.2.7")
SALES_LEAD = Actor.of("sales-lead")
SHOP = "service:web-shop"
DAY = timedelta(days=1)


async def enter(platform: Platform, bearer: str) -> Actor:
    return await platform.authenticate(bearer, ABOUT)


async def issue(
    platform: Platform,
    actor: Actor,
    subject: str,
    *scopes: str,
    lasts: timedelta = DAY,
    team: str | None = None,
) -> tuple[str, AccessToken]:
    request = TokenRequest("more", subject, scopes or ("*",), lasts, team)
    async with platform.work(actor) as work:
        return await verbs.issue_token(work, request)


async def line_of_three(platform: Platform) -> list[tuple[str, AccessToken]]:
    """A token, one that was issued with it, and one that was issued with that."""
    line = [await issue(platform, SALES_OWNER, "sales-owner", lasts=DAY)]
    for hours in (3, 2):
        actor = await enter(platform, line[-1][0])
        line.append(await issue(platform, actor, "sales-owner", lasts=timedelta(hours=hours)))
    return line


async def refused(platform: Platform, bearer: str) -> bool:
    try:
        await enter(platform, bearer)
    except Unauthenticated:
        return True
    return False


# ---------------------------------------------------------------- a token that breeds


@pytest.mark.parametrize("lasts", [timedelta(days=365), timedelta(minutes=6)])
async def test_a_token_of_five_minutes_issues_one_that_outlives_it(
    platform: Platform, lasts: timedelta
) -> None:
    bearer, _ = await made.new_token(platform, "sales-owner", lasts=timedelta(minutes=5))
    actor = await enter(platform, bearer)
    with pytest.raises(Invalid) as caught:
        await issue(platform, actor, "sales-owner", lasts=lasts)
    assert [problem.path for problem in caught.value.problems] == ["/expiresIn"]


async def test_a_token_of_more_than_a_year_is_issued(platform: Platform) -> None:
    with pytest.raises(Invalid):
        await issue(platform, SALES_OWNER, "sales-owner", lasts=timedelta(days=366))


@pytest.mark.parametrize("scope", ["*", "run:*", "entry:*", "run:start"])
async def test_a_narrow_token_issues_a_wider_one(platform: Platform, scope: str) -> None:
    bearer = await made.bearer_of(platform, "sales-owner", "entry:read", "token:issue")
    actor = await enter(platform, bearer)
    with pytest.raises(Invalid):
        await issue(platform, actor, "sales-owner", scope, lasts=timedelta(minutes=5))


async def test_a_token_without_the_scope_issues_one(platform: Platform) -> None:
    actor = await enter(platform, await made.bearer_of(platform, "sales-owner", "entry:read"))
    with pytest.raises(Forbidden):
        await issue(platform, actor, "sales-owner", "entry:read", lasts=timedelta(minutes=5))


async def test_a_grandchild_is_used_after_the_revocation(platform: Platform) -> None:
    line = await line_of_three(platform)
    async with platform.work(SALES_OWNER) as work:
        assert len(await verbs.revoke_token(work, line[0][1].id, "lost")) == 3
    assert all([await refused(platform, bearer) for bearer, _ in line])


@pytest.mark.parametrize("values", ["revoked_at = now(), mac = NULL", "expires_at = now()"])
async def test_a_grandchild_is_used_whose_first_parent_alone_has_ended(
    platform: Platform, values: str
) -> None:
    """Its own row says nothing of it: a crash, or a race, between the two."""
    line = await line_of_three(platform)
    async with platform.database.session() as session:
        statement = text(f"UPDATE access_tokens SET {values} WHERE id = :id")
        await session.execute(statement, {"id": line[0][1].id})
        await session.commit()
    assert all([await refused(platform, bearer) for bearer, _ in line])


async def test_a_revoked_token_issues_one_in_a_request_that_was_let_in_before(
    platform: Platform,
) -> None:
    bearer, row = await issue(platform, SALES_OWNER, "sales-owner")
    actor = await enter(platform, bearer)
    async with platform.work(SALES_OWNER) as work:
        await verbs.revoke_token(work, row.id, "lost")
    with pytest.raises(Conflict):
        await issue(platform, actor, "sales-owner", lasts=timedelta(minutes=1))


async def test_a_line_of_tokens_is_without_end(platform: Platform) -> None:
    actor, hour = SALES_OWNER, timedelta(hours=1)
    for parents in range(tokens.MAX_PARENTS + 1):
        lasts = hour - timedelta(minutes=parents)
        bearer, _ = await issue(platform, actor, "sales-owner", lasts=lasts)
        actor = await enter(platform, bearer)
    with pytest.raises(Invalid) as caught:
        await issue(platform, actor, "sales-owner", lasts=hour / 2)
    assert [problem.code for problem in caught.value.problems] == ["INPUT_TOKEN_PARENT"]


# ---------------------------------------------------------------- a token for a service


async def test_a_lead_issues_a_token_for_the_service_of_another_team(platform: Platform) -> None:
    for lead in (FINANCE_LEAD, Actor.of("coe-lead"), Actor.of("warehouse-lead")):
        with pytest.raises(Forbidden):
            await issue(platform, lead, SHOP, "event:send")


async def test_a_service_gets_what_its_lead_may_not_do(platform: Platform) -> None:
    async with platform.database.session() as session:
        await session.execute(
            text("UPDATE memberships SET roles = '{developer}' WHERE subject = :shop"),
            {"shop": SHOP},
        )
        await sign_policy(session)
        await session.commit()
    with pytest.raises(Invalid) as caught:
        await issue(platform, SALES_LEAD, SHOP, "*")
    assert "flow:register" in caught.value.problems[0].message
    bearer, _ = await issue(platform, SALES_LEAD, SHOP, "event:send")
    assert (await enter(platform, bearer)).scopes == {"event:send"}


async def test_a_service_of_two_teams_uses_its_token_in_the_other(platform: Platform) -> None:
    async with platform.database.session() as session:
        await session.execute(
            text(
                "INSERT INTO memberships (team, subject, display_name, roles, origin) "
                "VALUES ('finance', :shop, 'x', '{event-source}', 'content')"
            ),
            {"shop": SHOP},
        )
        await sign_policy(session)
        await session.commit()
    bearer, row = await issue(platform, SALES_LEAD, SHOP, "event:send")
    assert row.team == "sales"
    async with platform.read(await enter(platform, bearer)) as read:
        assert read.decide(Permission.EVENT_SEND, team="sales").allowed
        assert not read.decide(Permission.EVENT_SEND, team="finance").allowed
        assert not read.scope(Permission.EVENT_SEND).allows("finance")


async def test_a_token_of_one_team_is_used_for_another(platform: Platform) -> None:
    await published(platform, SALES_OWNER, central())
    bearer, _ = await issue(platform, SALES_OWNER, "sales-owner", team="sales")
    outside = Actor.of("finance-lead", bound_to="finance")
    async with platform.read(await enter(platform, bearer)) as read:
        assert await find_entry(read, "sales/returns", EntryKind.FLOW) is not None
        for permission in Permission:
            assert not read.decide(permission, team="finance").allowed
            scope = read.scope(permission)
            assert not scope.elsewhere
            assert set(scope.teams) <= {"sales"}
    async with platform.read(FINANCE_LEAD) as read:
        assert await find_entry(read, "sales/returns", EntryKind.FLOW) is not None
    async with platform.read(outside) as read:
        assert await find_entry(read, "sales/returns", EntryKind.FLOW) is None


@pytest.mark.parametrize("team", ["finance", "no-team", None])
async def test_a_token_of_one_team_issues_one_for_another_or_for_all(
    platform: Platform, team: str | None
) -> None:
    bearer, _ = await issue(platform, SALES_OWNER, "sales-owner", team="sales")
    actor = await enter(platform, bearer)
    if team is None:
        _, row = await issue(platform, actor, "sales-owner", lasts=timedelta(hours=1))
        assert row.team == "sales"
        return
    with pytest.raises(Invalid):
        await issue(platform, actor, "sales-owner", lasts=timedelta(hours=1), team=team)


# ---------------------------------------------------------------- the database without the key


async def forged(platform: Platform, **values: Any) -> str:
    """Write a row as somebody who can write the table, but does not have the key."""
    bearer = new_token(TokenKind.PERSON)
    keys = MacKeys(platform.settings.data_dir / "guessed")
    create_keys(keys.path)
    new = tokens.NewToken(
        name="forged",
        subject="coe-lead",
        scopes=["*"],
        expires_at=platform.clock() + DAY,
        created_by="coe-lead",
    )
    async with platform.database.session() as session:
        _, row = await tokens.issue(session, keys, new)
        row.token_hash = keys.code(MacPurpose.ACCESS_TOKEN, b"text", bearer.encode())
        for name, value in values.items():
            setattr(row, name, value)
        await session.commit()
    return bearer


async def test_a_row_is_written_with_a_key_of_ones_own(platform: Platform) -> None:
    assert await refused(platform, await forged(platform))


async def test_a_row_is_written_with_the_plain_hash(platform: Platform) -> None:
    bearer = new_token(TokenKind.PERSON)
    async with platform.database.session() as session:
        digest = (await session.execute(text("SELECT sha256(:t)"), {"t": bearer.encode()})).scalar()
        _, own = await made.new_token(platform, "sales-owner")
        row = dict(own.model_dump()) | {"id": new_id(), "token_hash": digest}
        await session.execute(insert(AccessToken).values(**row))
        await session.commit()
    assert await refused(platform, bearer)


WIDER = {
    "subject": "coe-lead",
    "scopes": ["*"],
    "team": None,
    "maker": None,
    "kind": "SERVICE",
    "created_by": "coe-lead",
    "parent_id": None,
    "id": UUID(int=7),
}


@pytest.mark.parametrize("column", [*WIDER, "expires_at"])
async def test_the_row_of_ones_own_token_is_changed(platform: Platform, column: str) -> None:
    _, parent = await made.new_token(platform, "sales-owner")
    bearer, row = await made.new_token(
        platform,
        SHOP,
        "event:send",
        team="sales",
        maker="sales-lead",
        parent=parent,
        created_by="sales-lead",
    )
    await enter(platform, bearer)
    longer = row.expires_at + DAY
    async with platform.database.session() as session:
        values = {"expires_at": longer} if column == "expires_at" else {column: WIDER[column]}
        if column == "kind":
            values = {"kind": "PERSON"}
        await session.execute(
            update(AccessToken).where(col(AccessToken.id) == row.id).values(**values)
        )
        await session.commit()
    assert await refused(platform, bearer)


async def test_the_code_of_another_row_is_copied(platform: Platform) -> None:
    bearer, row = await made.new_token(platform, "sales-owner", "entry:read")
    _, wide = await made.new_token(platform, "sales-owner")
    async with platform.database.session() as session:
        mine = update(AccessToken).where(col(AccessToken.id) == row.id)
        await session.execute(mine.values(scopes=wide.scopes, mac=wide.mac))
        await session.commit()
    assert await refused(platform, bearer)


async def test_a_revocation_is_taken_back_in_the_table(platform: Platform) -> None:
    bearer, row = await issue(platform, SALES_OWNER, "sales-owner")
    async with platform.work(SALES_OWNER) as work:
        await verbs.revoke_token(work, row.id, "lost")
    async with platform.database.session() as session:
        await session.execute(update(AccessToken).values(revoked_at=None))
        await session.commit()
    assert await refused(platform, bearer)


async def test_a_parent_is_removed_from_the_line_in_the_table(platform: Platform) -> None:
    line = await line_of_three(platform)
    async with platform.work(SALES_OWNER) as work:
        await verbs.revoke_token(work, line[0][1].id, "lost")
    async with platform.database.session() as session:
        await session.execute(update(AccessToken).values(revoked_at=None, parent_id=None))
        await session.commit()
    assert all([await refused(platform, bearer) for bearer, _ in line])


async def test_a_line_of_parents_is_made_a_circle(platform: Platform) -> None:
    (first, top), (second, below), _ = await line_of_three(platform)
    async with platform.database.session() as session:
        found = update(AccessToken).where(col(AccessToken.id) == top.id)
        await session.execute(found.values(parent_id=below.id))
        await session.commit()
    assert await refused(platform, first)
    assert await refused(platform, second)


# ---------------------------------------------------------------- the text of a token


async def test_a_text_of_another_form_reaches_no_query(platform: Platform) -> None:
    bearer = await made.bearer_of(platform, "sales-owner")
    start, _, check = bearer.rpartition("_")
    altered = start[:-1] + ("A" if start[-1] != "A" else "B")
    attempts = [
        "",
        bearer[:-1],
        bearer + "A",
        bearer + "\n",
        bearer.upper(),
        bearer.replace("_pat_", "_svc_"),
        f"{altered}_{check}",
        f"{start}_{check[::-1]}" if check != check[::-1] else f"{start}_000000",
        f"{start}",
        "coe_" + "a" * 43,
        "\ud800",
        "ä" + bearer[1:],
    ]

    class NoQuery:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

    for attempt in attempts:
        assert not is_token(attempt)
        with pytest.raises(Unauthenticated):
            await tokens.authenticate(NoQuery(), platform.macs, attempt)  # type: ignore[arg-type]
    assert await refused(platform, f"{altered}_{checksum(altered)}")


async def test_the_time_that_a_refusal_takes_is_measured(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By construction: a text is only the message of a code, and codes are compared constantly."""
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    line = await line_of_three(platform)
    comparing = SimpleNamespace(digest=hmac.digest, compare_digest=compare)
    monkeypatch.setattr(mac_module, "hmac", comparing)
    await enter(platform, line[-1][0])
    assert {one for one, _ in compared} == {row.mac for _, row in line}
    assert not {ast.Compare, ast.In} & _nodes(tokens.authenticate)


def _nodes(function: Callable[..., object]) -> set[type]:
    """The kinds of nodes in a function that could compare a text."""
    tree = ast.parse(inspect.getsource(function))
    found = [each for each in ast.walk(tree) if isinstance(each, ast.Compare)]
    texts = ("bearer", "token_hash")
    return {type(each) for each in found if any(name in ast.dump(each) for name in texts)}


# ---------------------------------------------------------------- the doors about tokens


async def test_somebody_elses_tokens_are_listed_or_revoked(platform: Platform) -> None:
    _, row = await issue(platform, SALES_OWNER, "sales-owner")
    for stranger in (OUTSIDER, FINANCE_LEAD, Actor.of("sales-developer")):
        for wanted in (
            TokenFilter(subject="sales-owner"),
            TokenFilter(team="sales"),
            TokenFilter(made_by="sales-owner"),
        ):
            async with platform.read(stranger) as read:
                assert (await verbs.list_tokens(read, wanted)).items == ()
            async with platform.work(stranger) as work:
                assert await verbs.revoke_tokens(work, wanted, "mine now") == frozenset()
        async with platform.work(stranger) as work:
            with pytest.raises(NotFound):
                await verbs.revoke_token(work, row.id, "mine now")
    async with platform.work(SALES_OWNER) as work:
        with pytest.raises(Invalid):
            await verbs.revoke_tokens(work, TokenFilter(active=True), "everything")


async def test_a_leaver_goes_on_with_a_token_that_the_lead_cannot_see(platform: Platform) -> None:
    """She made one for the team's service, and one of her own that is bound to the team."""
    shop, _ = await issue(platform, SALES_LEAD, SHOP, "event:send")
    own, _ = await issue(platform, SALES_LEAD, "sales-lead", team="sales")
    async with platform.database.session() as session:
        await session.execute(text("DELETE FROM memberships WHERE subject = 'sales-lead'"))
        await session.execute(
            text("UPDATE memberships SET roles = '{lead}' WHERE subject = 'sales-owner'")
        )
        await sign_policy(session)
        await session.commit()
        assert await session.get(Team, "sales")
    wanted = TokenFilter(team="sales", made_by="sales-lead")
    async with platform.read(SALES_OWNER) as read:
        listed = await verbs.list_tokens(read, wanted)
        assert {each.subject for each in listed.items} == {SHOP, "sales-lead"}
    async with platform.work(SALES_OWNER) as work:
        assert len(await verbs.revoke_tokens(work, wanted, "she has left")) == 2
    for bearer in (shop, own):
        assert await refused(platform, bearer)


async def test_the_last_use_is_hidden_or_slows_every_request(platform: Platform) -> None:
    bearer, row = await made.new_token(platform, "sales-owner")

    async def last() -> tuple[Any, str | None]:
        await platform.token_uses.settle()
        async with platform.database.session() as session:
            found = await session.execute(
                select(AccessToken.last_used_at, AccessToken.last_address).where(
                    col(AccessToken.id) == row.id
                )
            )
            return tuple(found.one())  # type: ignore[return-value]  # a row of two

    assert await last() == (None, None)
    now = platform.clock()
    platform.clock = lambda: now
    await enter(platform, bearer)
    assert await last() == (now, "192.0.2.7")
    for seconds, noted in ((59, now), (60, now + timedelta(seconds=60))):
        platform.clock = lambda at=now + timedelta(seconds=seconds): at  # type: ignore[misc]
        await enter(platform, bearer)
        assert (await last())[0] == noted
