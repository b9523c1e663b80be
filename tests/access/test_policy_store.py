"""The store: current after each change, and consistent while the policy changes."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from sqlalchemy import delete, event, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from coe.access import policy_store
from coe.access.actor import Actor
from coe.access.load import renew_version
from coe.access.models import Membership, PolicyRule, PolicyState
from coe.access.permissions import Permission
from coe.access.policy_store import PolicyStore
from coe.access.records import PolicyRecord, read_policy
from coe.db import Database
from coe.work import Platform
from tests.factories.policies import sign_policy

TEMP = Actor.of("temp")


async def set_role(database: Database, role: str) -> None:
    """Give the member `temp` of sales this one role."""
    async with database.session() as session:
        await session.execute(delete(Membership).where(Membership.subject == "temp"))
        session.add(
            Membership(team="sales", subject="temp", display_name="T", roles=[role], origin="api")
        )
        await session.flush()
        await sign_policy(session)
        await session.commit()


async def test_an_empty_installation_refuses_everything(database: Database) -> None:
    async with database.session() as session:
        await session.execute(delete(PolicyState))
        await session.execute(delete(PolicyRule))
        policy = await PolicyStore().current(session)
        for permission in Permission:
            assert not policy.decide(Actor.of("coe-lead"), permission, team="coe").allowed


async def test_a_change_counts_from_the_next_call_and_old_snapshots_stay(
    database: Database,
) -> None:
    store = PolicyStore()
    await set_role(database, "operator")
    async with database.session() as session:
        before = await store.current(session)
    assert before.decide(TEMP, Permission.RUN_START, team="sales").allowed
    await set_role(database, "lead")
    async with database.session() as session:
        after = await store.current(session)
    assert after.version != before.version
    assert before.holds("temp", "sales/operator")
    assert before.decide(TEMP, Permission.RUN_START, team="sales").rule == (
        "p, operator, *, run:start, *, allow"
    )
    assert after.decide(TEMP, Permission.RUN_START, team="sales").rule == (
        "p, lead, *, run:start, *, allow"
    )


async def test_it_costs_one_query_while_nothing_changes(database: Database) -> None:
    store = PolicyStore()
    statements: list[str] = []
    async with database.session() as session:
        first = await store.current(session)

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    async with database.session() as session:
        assert await store.current(session) is first
    event.remove(database.engine.sync_engine, "before_cursor_execute", note)
    assert len(statements) == 1


READERS = 4


async def test_decisions_beside_changes_are_each_of_one_version(database: Database) -> None:
    """A decision during a change has the old or the new answer, never a mixture."""
    store = PolicyStore()
    roles = ["operator", "lead", "process-owner", "finance-approver"]
    await set_role(database, roles[0])
    done = asyncio.Event()
    seen: Counter[str] = Counter()

    async def change() -> None:
        for turn in range(1, 16):
            await set_role(database, roles[turn % len(roles)])
            enough = seen.total() + READERS + 1  # one of them started after the change
            while seen.total() < enough:
                await asyncio.sleep(0.001)
        done.set()

    async def decide() -> None:
        while not done.is_set():
            async with database.session() as session:
                policy = await store.current(session)
            ((role, team),) = policy.roles("temp")
            assert team == "sales"
            decision = policy.decide(TEMP, Permission.RUN_START, team="sales")
            await asyncio.sleep(0)
            assert decision == policy.decide(TEMP, Permission.RUN_START, team="sales")
            if role == "finance-approver":
                assert not decision.allowed
            else:
                assert decision.rule == f"p, {role}, *, run:start, *, allow"
            seen[policy.version] += 1

    await asyncio.gather(change(), *(decide() for _ in range(READERS)))
    assert len(seen) >= 15
    async with database.session() as session:
        last = await store.current(session)
    assert last.roles("temp") == {(roles[15 % len(roles)], "sales")}


async def test_writers_at_once_each_make_a_version(database: Database) -> None:
    async with database.session() as session:
        before = await session.get(PolicyState, 1)
        assert before is not None
        number = before.version

    async def add(index: int) -> None:
        async with database.session() as session:
            session.add(
                Membership(
                    team="sales", subject=f"temp-{index}", display_name="T", roles=[], origin="api"
                )
            )
            await session.flush()
            await renew_version(session)
            await session.commit()

    await asyncio.gather(*(add(index) for index in range(8)))
    async with database.session() as session:
        after = await session.get(PolicyState, 1)
        assert after is not None
        assert after.version == number + 8
        policy = await PolicyStore().current(session)
        assert {f"temp-{index}" for index in range(8)} <= set(policy.memberships)


@pytest.mark.parametrize("model", ["", "[request_definition]\nr = sub"])
async def test_a_broken_model_refuses(database: Database, model: str) -> None:
    async with database.session() as session:
        await session.execute(update(PolicyState).values(model=model, version=99))
        policy = await PolicyStore().current(session)
        for permission in Permission:
            assert not policy.decide(Actor.of("coe-lead"), permission, team="coe").allowed


async def test_a_slow_load_beside_a_newer_version_is_no_alarm(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PolicyStore(platform.signer.public)
    has_read, may_go_on = asyncio.Event(), asyncio.Event()

    async def slowly(session: AsyncSession) -> PolicyRecord:
        record = await read_policy(session)
        has_read.set()
        await may_go_on.wait()
        return record

    async def look() -> str:
        async with platform.database.session() as session:
            return (await store.current(session)).version

    monkeypatch.setattr(policy_store, "read_policy", slowly)
    await set_role(platform.database, "operator")
    first = asyncio.create_task(look())
    await has_read.wait()
    await set_role(platform.database, "lead")
    monkeypatch.setattr(policy_store, "read_policy", read_policy)
    second = asyncio.create_task(look())
    await asyncio.wait([second], timeout=0.2)
    may_go_on.set()
    before, after = await asyncio.gather(first, second)
    assert before != after
    assert store.problem is None
    assert await look() == after


async def test_many_at_once_load_a_new_version_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, loads = PolicyStore(), 0

    async def counted(session: AsyncSession) -> PolicyRecord:
        nonlocal loads
        loads += 1
        return await read_policy(session)

    async def look() -> str:
        async with database.session() as session:
            return (await store.current(session)).version

    monkeypatch.setattr(policy_store, "read_policy", counted)
    assert len(set(await asyncio.gather(*(look() for _ in range(5))))) == 1
    assert loads == 1


async def test_an_alarm_ends_when_the_version_in_force_is_stored_again(platform: Platform) -> None:
    store = PolicyStore(platform.signer.public)
    async with platform.database.session() as earlier, platform.database.session() as later:
        await earlier.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        await earlier.execute(text("SELECT version FROM policy_state"))
        await set_role(platform.database, "operator")
        await store.current(later)
        await store.current(earlier)
        assert store.problem is not None
        await store.current(later)
        assert store.problem is None
