"""Workers enrol with a one-time code, are listed, and are revoked; each of it is recorded."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select, update
from sqlmodel import col

from coe.access.actor import Actor
from coe.access.machine_models import EnrolmentCode, WorkerKey
from coe.access.models import Membership
from coe.audit.models import AuditEvent
from coe.db import new_id, utcnow
from coe.demo.api import create_demo_app
from coe.errors import (
    CoeError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from coe.identity import sign_in, workers
from coe.identity.teams.holdings import HoldingKind, holdings_of
from coe.identity.worker_identity import AccessTokens, enrol, identity_file, read_identity
from coe.settings import Settings
from coe.work import Platform, RequestInfo
from tests.factories.api import Api, Persona
from tests.factories.machines import ADDRESS, actor_of, enrolled, enrolment_code, new_identity
from tests.factories.policies import sign_policy

LEAD = Actor.of("warehouse-lead")


async def _events(platform: Platform, action: str) -> list[tuple[str, str, str]]:
    async with platform.database.session() as session:
        found = await session.scalars(select(AuditEvent).where(col(AuditEvent.action) == action))
        return [(each.actor, each.resource, each.outcome) for each in found]


async def _listed(platform: Platform, actor: Actor = LEAD, **wanted: bool) -> list[str]:
    async with platform.work(actor) as work:
        page = await workers.list_workers(work, "warehouse", **wanted)
    return [each.name for each in page.items]


async def test_a_worker_enrols_with_a_code_and_acts_for_its_team(platform: Platform) -> None:
    identity = await enrolled(platform, "warehouse", name="host 1")
    actor = await actor_of(platform, identity)
    assert (actor.subject, actor.maker) == ("service:worker/warehouse", "warehouse-lead")
    assert actor.identity == identity.credential
    assert await _listed(platform) == ["host 1"]
    resource = str(identity.credential)
    found = await _events(platform, "access:worker:enrol")
    assert found == [("service:worker/warehouse", resource, "ALLOWED")]


async def test_of_a_code_only_an_authentication_code_is_kept(platform: Platform) -> None:
    code = await enrolment_code(platform, "warehouse")
    async with platform.database.session() as session:
        row = (await session.scalars(select(EnrolmentCode))).one()
    assert code.encode() not in row.code_mac
    assert row.expires_at - row.created_at == workers.CODE_LIFE


@pytest.mark.parametrize("who", ["warehouse-developer", "finance-lead", "coe-lead", "outsider"])
async def test_only_a_lead_of_the_team_makes_a_code(platform: Platform, who: str) -> None:
    with pytest.raises(Forbidden):
        await enrolment_code(platform, "warehouse", by=who)
    assert await _events(platform, "access:worker:enrol") == [(who, "team:warehouse", "DENIED")]


async def test_a_team_without_a_worker_gets_no_code(platform: Platform) -> None:
    async with platform.work(Actor.of("service:content")) as work:
        with pytest.raises(NotFound):
            await workers.create_enrolment_code_as_operator(work, "nowhere")
        with pytest.raises(Conflict):
            await workers.create_enrolment_code_as_operator(work, "audit")


async def test_a_worker_whose_answer_was_lost_sends_the_same_again(platform: Platform) -> None:
    code, identity = await enrolment_code(platform, "warehouse"), new_identity("warehouse")
    both = [
        await workers.enrol_worker(
            platform,
            team="warehouse",
            code=code,
            proof=identity.proof(code),
            name="again",
            request=RequestInfo(),
        )
        for _ in range(2)
    ]
    assert both[0] == both[1]
    assert await _listed(platform) == ["again"]


async def test_workers_are_paged_and_the_revoked_are_told_apart(platform: Platform) -> None:
    identities = [await enrolled(platform, "warehouse", name=f"w{each}") for each in range(3)]
    async with platform.work(LEAD) as work:
        page = await workers.list_workers(work, "warehouse", first=2)
        rest = await workers.list_workers(work, "warehouse", first=2, after=page.cursors[-1])
    assert [each.name for each in (*page.items, *rest.items)] == ["w2", "w1", "w0"]
    assert (page.has_next, rest.has_next, page.total) == (True, False, 3)
    _, _, key = str(identities[0].credential).partition(":")
    async with platform.work(LEAD) as work:
        await workers.revoke_worker(work, _id(key), "sold")
    assert await _listed(platform, active=False) == ["w0"]
    assert await _listed(platform, active=True) == ["w2", "w1"]
    assert await _listed(platform, Actor.of("auditor")) == ["w2", "w1", "w0"]
    with pytest.raises(Forbidden):
        await _listed(platform, Actor.of("warehouse-developer"))


async def test_a_key_is_revoked_once_by_its_lead_with_a_reason(platform: Platform) -> None:
    identity = await enrolled(platform, "warehouse")
    key = _id(str(identity.credential).partition(":")[2])
    token = platform.machines.sign(
        "service:worker/warehouse", str(identity.credential), platform.clock()
    )
    assert await platform.authenticate(token, RequestInfo())
    for actor, reason, refusal in (
        (Actor.of("finance-lead"), "x", NotFound),
        (await actor_of(platform, identity), "x", NotFound),
        (LEAD, " ", Invalid),
    ):
        with pytest.raises(refusal):
            async with platform.work(actor) as work:
                await workers.revoke_worker(work, key, reason)
    async with platform.work(LEAD) as work:
        await workers.revoke_worker(work, key, "sold")
    with pytest.raises(Conflict):
        async with platform.work(LEAD) as work:
            await workers.revoke_worker(work, key, "sold")
    with pytest.raises(NotFound):
        async with platform.work(LEAD) as work:
            await workers.revoke_worker(work, new_id(), "sold")
    with pytest.raises(Unauthenticated):
        await platform.authenticate(token, RequestInfo())
    with pytest.raises(Unauthenticated):
        await platform.authenticate(token, RequestInfo(), connected=True)
    refused = await _events(platform, "access:login:refuse")
    assert refused == [("service:worker/warehouse", str(identity.credential), "DENIED")]


async def test_a_worker_that_has_left_the_team_may_do_nothing(platform: Platform) -> None:
    identity = await enrolled(platform, "warehouse")
    async with platform.work(Actor.of("service:content")) as work:
        member = await work.session.get(Membership, ("warehouse", "service:worker/warehouse"))
        await work.session.delete(member)
        await work.session.flush()
        await sign_policy(work.session)
    actor = await actor_of(platform, identity)
    async with platform.read(actor) as read:
        assert not read.decide("worker:connect", team="warehouse").allowed
    with pytest.raises(Conflict):
        await enrolment_code(platform, "warehouse")


async def test_a_lead_who_leaves_is_asked_about_the_workers_that_she_let_in(
    platform: Platform,
) -> None:
    await enrolled(platform, "warehouse", name="shelf")
    async with platform.work(Actor.of("coe-lead")) as work:
        found = await holdings_of(work, "warehouse-lead")
    [machine] = [each for each in found if each.kind is HoldingKind.MACHINE]
    assert machine.name == "service:worker/warehouse: shelf"
    assert (machine.as_, machine.team) == ("maker", "warehouse")


async def test_what_has_expired_is_forgotten(platform: Platform) -> None:
    await enrolment_code(platform, "warehouse")
    async with platform.database.session() as session:
        await workers.forget_expired(session, utcnow() + timedelta(hours=1))
        await sign_in.forget_spent(session, utcnow())
        await session.commit()
        assert (await session.scalars(select(EnrolmentCode))).all() == []


async def test_a_worker_enrols_and_signs_in_over_http_and_renews_its_token(
    settings: Settings, platform: Platform, tmp_path: Path
) -> None:
    app = create_demo_app(settings.model_copy(update={"loops": False}))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, client=(ADDRESS, 5))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8700") as http:
            code = await enrolment_code(platform, "warehouse")
            made = await enrol(http, tmp_path / "w", "warehouse", code=code, name="one")
            file = identity_file(tmp_path / "w", "warehouse")
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert read_identity(file) == made
            assert [each.name for each in file.parent.iterdir()] == ["warehouse.json"]
            with pytest.raises(Unauthenticated, match="ask a lead"):
                await enrol(http, tmp_path / "w", "warehouse", code=code, name="two")
            assert read_identity(file) == made
            tokens = AccessTokens(made, http)
            first = await tokens.current()
            assert await tokens.current() == first
            tokens._renew_at = 0.0
            second = await tokens.current()
            assert second != first
            me = await Persona(Api(app), second).ask("{ me { subject } }")
            assert me == {"me": {"subject": "service:worker/warehouse"}}
            tokens.forget(second)
            assert await tokens.current() not in {first, second}
            async with platform.database.session() as session:
                row = (await session.scalars(select(WorkerKey))).one()
                assert row.last_address == ADDRESS
                await session.execute(update(WorkerKey).values(revoked_at=utcnow()))
                await session.commit()
            tokens.forget(await tokens.current())
            with pytest.raises(Unauthenticated, match="it was revoked"):
                await tokens.current()
    seen = await _events(platform, "access:machine:sign_in")
    assert seen == [("service:worker/warehouse", str(made.credential), "ALLOWED")]


async def test_a_good_token_is_used_while_the_platform_is_away(tmp_path: Path) -> None:
    answers: list[httpx.Response | Exception] = [
        httpx.Response(200, json={"access_token": "a", "expires_in": 600}),
        httpx.ConnectError("gone"),
        httpx.Response(503),
    ]

    def answer(_: httpx.Request) -> httpx.Response:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async with httpx.AsyncClient(
        transport=httpx.MockTransport(answer), base_url="http://x"
    ) as http:
        identity = new_identity("warehouse")
        tokens = AccessTokens(identity, http)
        assert await tokens.current() == "a"
        tokens._renew_at = 0.0
        assert await tokens.current() == "a"
        tokens._until = 0.0
        with pytest.raises(Unavailable):
            await tokens.current()


@pytest.mark.parametrize(("status", "kept"), [(403, False), (404, False), (503, True)])
async def test_a_refused_enrolment_leaves_no_key_and_one_without_an_answer_does(
    tmp_path: Path, status: int, *, kept: bool
) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json={}))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
        with pytest.raises(CoeError):
            await enrol(http, tmp_path, "warehouse", code="coew_x", name="w")
    assert [each.name for each in (tmp_path / "workers").iterdir()] == (
        ["warehouse.enrolling.json"] if kept else []
    )


def _id(text: str) -> UUID:
    return UUID(text)
