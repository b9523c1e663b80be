"""What somebody tries to keep who is in no team any more."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import delete, update
from sqlmodel import col

from coe.access.actor import Actor, DataClass
from coe.access.load import renew_version
from coe.access.models import Membership
from coe.access.permissions import Permission
from coe.access.policy_lines import RELATION_PREFIX, Effect, Relation
from coe.catalog.models import EntryKind
from coe.catalog.queries import find_entry, find_version
from coe.errors import Forbidden, NotFound
from coe.execution.runtime import Runtime
from coe.governance import access, tokens
from coe.governance.tokens import TokenRequest
from coe.human_tasks import actions as human_tasks
from coe.human_tasks.queries import inbox
from coe.runs import actions, disclosure
from coe.runs.queries import run as read_run
from coe.runs.tables import RUNS, TASKS
from coe.work import Platform
from tests.factories.human_tasks import open_waiting, running
from tests.factories.people import SALES_OWNER
from tests.factories.policies import shipped

__all__ = ["running"]

LEAVER = Actor.of("left-long-ago")
POLICY = shipped()
GIVING = [
    (permission, line.subject.removeprefix(RELATION_PREFIX))
    for permission in Permission
    for line in POLICY.lines(permission)
    if line.effect is Effect.ALLOW and line.subject.startswith(RELATION_PREFIX)
]


@pytest.mark.parametrize(("permission", "relation"), GIVING)
def test_a_relation_gives_a_leaver_nothing(permission: Permission, relation: str) -> None:
    related = {"team": "sales", "data_class": DataClass.PERSONAL, "relations": {relation}}
    assert not POLICY.decide(LEAVER, permission, **related).allowed
    assert POLICY.scope(LEAVER, permission, relations={relation}).teams == {}
    assert not POLICY.scope(LEAVER, permission, relations={relation}).allows(
        "sales", DataClass.PERSONAL
    )
    gives = [
        line
        for line in POLICY.matching(LEAVER, permission, **related)
        if line.effect is Effect.ALLOW
    ]
    assert gives == []
    everything = set(Relation)
    assert not POLICY.decide(
        LEAVER,
        permission,
        team="sales",
        data_class=DataClass.PERSONAL,
        relations=everything,
    ).allowed


def test_a_relation_excludes_a_leaver_who_is_allowed_otherwise() -> None:
    run = Actor.of("run:0190f3a1-0000-7000-8000-000000000000")
    denied = POLICY.decide(
        run, Permission.HUMAN_TASK_CLAIM, team="sales", relations={Relation.REQUESTER}
    )
    assert denied.rule is not None
    assert denied.rule.endswith("deny")


async def leave(platform: Platform, subject: str) -> None:
    """Take a subject out of every team."""
    async with platform.database.session() as session:
        await session.execute(delete(Membership).where(col(Membership.subject) == subject))
        await renew_version(session)
        await session.commit()


@pytest.fixture
async def left(running: Runtime) -> tuple[Platform, UUID, UUID]:
    """A run and its claimed task; who owns, wrote, started and claimed all of it has left."""
    run_id, task_id = await open_waiting(running)
    platform = running.platform
    async with platform.database.session() as session:
        subject = SALES_OWNER.subject
        await session.execute(update(RUNS).values(requester=subject, data_class="PERSONAL"))
        await session.execute(
            update(TASKS).values(requester=subject, assignee=subject, data_class="PERSONAL")
        )
        await session.commit()
    async with platform.read(SALES_OWNER) as read:
        assert await read_run(read, run_id) is not None
        assert (await inbox(read)).total == 1
    await leave(platform, SALES_OWNER.subject)
    return platform, run_id, task_id


async def test_reading_runs_that_one_started(left: tuple[Platform, UUID, UUID]) -> None:
    platform, run_id, _ = left
    async with platform.read(SALES_OWNER) as read:
        assert await read_run(read, run_id) is None
    async with platform.work(SALES_OWNER) as work:
        assert await disclosure.read_run_data(work, [run_id]) == {}
    async with platform.work(SALES_OWNER) as work:
        with pytest.raises(NotFound):
            await actions.cancel_run(work, run_id, reason="mine")


async def test_reading_and_answering_tasks_that_one_has(
    left: tuple[Platform, UUID, UUID],
) -> None:
    platform, _, task_id = left
    async with platform.read(SALES_OWNER) as read:
        assert (await inbox(read)).total == 0
    async with platform.work(SALES_OWNER) as work:
        assert await disclosure.read_task_data(work, [task_id]) == {}
    for verb in (human_tasks.claim_task, human_tasks.release_task):
        async with platform.work(SALES_OWNER) as work:
            with pytest.raises(NotFound):
                await verb(work, task_id)


async def test_reading_entries_that_one_owns_and_wrote(
    left: tuple[Platform, UUID, UUID],
) -> None:
    platform, _, _ = left
    async with platform.read(SALES_OWNER) as read:
        assert await find_entry(read, "sales/asks", EntryKind.FLOW) is None
        assert await find_version(read, "sales/asks@1.0.0", EntryKind.FLOW) is None


async def test_issuing_oneself_a_token_for_a_year(platform: Platform) -> None:
    await leave(platform, SALES_OWNER.subject)
    request = TokenRequest("kept", SALES_OWNER.subject, ["*"], timedelta(days=365))
    async with platform.work(SALES_OWNER) as work:
        with pytest.raises(Forbidden):
            await tokens.issue_token(work, request)
    async with platform.read(SALES_OWNER) as read:
        assert (await tokens.list_tokens(read)).total == 0


async def test_asking_what_one_may_still_do(left: tuple[Platform, UUID, UUID]) -> None:
    platform, run_id, _ = left
    async with platform.work(SALES_OWNER) as work:
        with pytest.raises(NotFound):
            await access.explain_access(work, SALES_OWNER.subject, "run:read", f"run:{run_id}")
