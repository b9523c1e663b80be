"""Rows that the sealer refused: listed, settled with a reason by somebody else than they name."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import text

from coe.access.actor import Actor
from coe.audit.watch import SealingWatch
from coe.db import new_id
from coe.errors import Conflict, Forbidden, Invalid, NotFound
from coe.governance.audit_log import open_sealer, verify_log
from coe.governance.refused_rows import list_refused, settle_refused
from coe.work import Platform
from tests.factories.audit_events import events_of
from tests.factories.people import AUDITOR, COE_LEAD, SALES_OWNER

FORGED = text("""
    INSERT INTO audit_events (id, at, actor, actor_kind, action, resource, team, outcome)
    VALUES (:id, now(), :actor, 'PERSON', 'catalog:flow:publish', 'flow:a/b', 'sales', 'ALLOWED')
""")


async def forge(platform: Platform, actor: str = "sales-owner") -> UUID:
    """Write a row without a code into the log, and have the sealer refuse it."""
    row = new_id()
    async with platform.database.session() as session:
        await session.execute(FORGED, {"id": row, "actor": actor})
        await session.commit()
    await seal(platform)
    return row


async def seal(platform: Platform) -> None:
    sealer = open_sealer(platform, platform.database)
    while await sealer.seal_once():
        pass
    await sealer.close()


async def settle(platform: Platform, row: UUID, actor: Actor, reason: str = "a test row") -> None:
    async with platform.work(actor) as work:
        await settle_refused(work, row, reason=reason)
    await seal(platform)


async def alarm(platform: Platform) -> bool:
    watch = SealingWatch(60)
    async with platform.database.session() as session:
        await watch.look(session)
    return not watch.ok


async def listed(platform: Platform, *, settled: bool = False) -> list[UUID]:
    async with platform.work(AUDITOR) as work:
        return [each.id for each in (await list_refused(work, settled=settled)).items]


@pytest.mark.parametrize("who", [AUDITOR, COE_LEAD], ids=["auditor", "coe-lead"])
async def test_a_settled_row_raises_no_alarm_and_stays(platform: Platform, who: Actor) -> None:
    row = await forge(platform)
    assert await alarm(platform)
    assert not (await verify_log(platform)).ok
    assert await listed(platform) == [row]
    await settle(platform, row, who)
    assert not await alarm(platform)
    found = await verify_log(platform)
    assert found.ok
    assert [each.severity.value for each in found.problems] == ["INFO"]
    assert (await listed(platform), await listed(platform, settled=True)) == ([], [row])
    [event] = await events_of(platform, "audit:log:settle")
    assert (event.actor, event.resource) == (who.subject, f"audit:row:{row}")
    with pytest.raises(Conflict, match="settled already"):
        await settle(platform, row, who)
    await forge(platform)
    assert await alarm(platform), "another one is not settled by it"


@pytest.mark.parametrize("who", [SALES_OWNER, Actor.of("sales-lead"), Actor.of("outsider")])
async def test_others_settle_nothing(platform: Platform, who: Actor) -> None:
    row = await forge(platform)
    for key in (row, new_id()):
        with pytest.raises(Forbidden):
            await settle(platform, key, who)
    assert await alarm(platform), "a refused attempt is no settlement"


async def test_nobody_settles_a_row_that_names_them(platform: Platform) -> None:
    row = await forge(platform, AUDITOR.subject)
    for actor in (AUDITOR, Actor.of("service:probe", maker=AUDITOR.subject)):
        with pytest.raises(Forbidden):
            await settle(platform, row, actor)
    await settle(platform, row, COE_LEAD)
    assert not await alarm(platform)


async def test_what_cannot_be_settled(platform: Platform) -> None:
    row = await forge(platform)
    with pytest.raises(Invalid):
        await settle(platform, row, AUDITOR, " ")
    with pytest.raises(NotFound):
        await settle(platform, new_id(), AUDITOR)


async def test_an_event_that_somebody_set_aside_is_not_settled(platform: Platform) -> None:
    async with platform.work(AUDITOR) as work:
        await list_refused(work)
    async with platform.database.session() as session:
        await session.execute(text("UPDATE audit_events SET refused = 'NO_CODE'"))
        row = await session.scalar(text("SELECT id FROM audit_events LIMIT 1"))
        await session.commit()
    with pytest.raises(Conflict, match="set aside"):
        await settle(platform, row, COE_LEAD)
    assert await alarm(platform)


async def test_a_settlement_that_was_written_into_the_database(platform: Platform) -> None:
    row = await forge(platform)
    async with platform.database.session() as session:
        await session.execute(
            text("""
                INSERT INTO audit_events
                  (id, at, actor, actor_kind, action, resource, team, outcome)
                VALUES (gen_random_uuid(), now(), 'coe-lead', 'PERSON', 'audit:log:settle',
                  'audit:row:' || CAST(:row AS uuid), 'coe', 'ALLOWED')
            """),
            {"row": row},
        )
        await session.commit()
    await seal(platform)
    assert await alarm(platform)
    assert len(await listed(platform)) == 2
