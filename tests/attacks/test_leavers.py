"""What somebody tries to keep who is in no team any more."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, text, update
from sqlmodel import col

from coe import content
from coe.access.actor import Actor, DataClass
from coe.access.machines import RefusedCredential, check_credential, find_credential
from coe.access.models import Membership, PersonState
from coe.access.permissions import Permission
from coe.access.policy_lines import RELATION_PREFIX, Effect, Relation
from coe.bootstrap import CONTENT
from coe.catalog.models import EntryKind
from coe.catalog.queries import find_entry, find_version
from coe.errors import Conflict, Forbidden, NotFound, Unauthenticated
from coe.execution.runtime import Runtime
from coe.governance import access, tokens
from coe.governance.tokens import TokenRequest
from coe.human_tasks import actions as human_tasks
from coe.human_tasks.queries import inbox, task
from coe.identity.registrations import (
    ClientRequest,
    TrustRequest,
    add_trust_rule,
    create_client,
)
from coe.identity.team_lifecycle.offboarding import retire_team
from coe.identity.teams import people
from coe.identity.teams.holdings import HoldingKind, holdings_of
from coe.identity.teams.loading import load_policy_and_settle
from coe.identity.worker_identity import WorkerIdentity
from coe.identity.workers import WrongCode, create_enrolment_code_as_operator, enrol_worker
from coe.runs import actions, disclosure
from coe.runs.queries import run as read_run
from coe.runs.tables import RUNS, TASKS
from coe.runs.task_models import HumanTaskState
from coe.work import Platform, RequestInfo
from tests.conftest import ROOT
from tests.factories.audit_events import details_of, events_of
from tests.factories.human_tasks import open_waiting, running
from tests.factories.machines import enrolled, enrolment_code, new_identity
from tests.factories.people import COE_LEAD, FINANCE_APPROVER, FINANCE_LEAD, SALES_OWNER
from tests.factories.policies import shipped, sign_policy
from tests.factories.tokens import new_token

__all__ = ["running"]

Verb = Callable[..., Awaitable[Any]]
LEAVER = Actor.of("left-long-ago")
POLICY = shipped()
ENDS_OWN = {
    (Permission.SESSION_REVOKE, "relation:self"),
    (Permission.TOKEN_REVOKE, "relation:self"),
}
GIVING = [
    (permission, line.subject.removeprefix(RELATION_PREFIX))
    for permission in Permission
    for line in POLICY.lines(permission)
    if line.effect is Effect.ALLOW and line.subject.startswith(RELATION_PREFIX)
    if (permission, line.subject) not in ENDS_OWN
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
        await sign_policy(session)
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


async def files_without(platform: Platform, folder: Path, *subjects: str) -> None:
    """Load the shipped access files without these people and services."""
    root = content.root(ROOT)
    for part in ("catalog", "policies"):
        shutil.copytree(root / part, folder / part)
    for file in (folder / "catalog" / "teams").glob("*.yaml"):
        lines = file.read_text().splitlines()
        for subject in subjects:
            if f"  - subject: {subject}" in lines:
                at = lines.index(f"  - subject: {subject}")
                del lines[at : at + 3]
        if lines[-1] == "services:":
            lines.pop()
        file.write_text("\n".join(lines) + "\n")
    async with platform.work(CONTENT) as work:
        await load_policy_and_settle(work, folder)


async def token_of(platform: Platform, actor: Actor, subject: str | None = None) -> str:
    request = TokenRequest("laptop", subject or actor.subject, ["*"], timedelta(days=30))
    async with platform.work(actor) as work:
        return (await tokens.issue_token(work, request))[0]


async def test_using_a_token_after_the_files_name_one_no_more(
    platform: Platform, tmp_path: Path
) -> None:
    bearer = await token_of(platform, SALES_OWNER)
    assert (await platform.authenticate(bearer, RequestInfo())).subject == SALES_OWNER.subject
    await files_without(platform, tmp_path, SALES_OWNER.subject)
    with pytest.raises(Unauthenticated):
        await platform.authenticate(bearer, RequestInfo())


async def test_keeping_a_task_by_leaving(running: Runtime, tmp_path: Path) -> None:
    _, task_id = await open_waiting(running)
    platform = running.platform
    async with platform.work(FINANCE_APPROVER) as work:
        await human_tasks.claim_task(work, task_id)
    await files_without(platform, tmp_path, FINANCE_APPROVER.subject)
    async with platform.read(FINANCE_LEAD) as read:
        found = await task(read, task_id)
    assert found is not None
    assert (found.state, found.assignee) == (HumanTaskState.OPEN, None)
    events = await events_of(platform, "runs:human_task:reassign")
    assert [event.resource for event in events] == [f"human_task:{task_id}"]
    left = await events_of(platform, "access:person:leave")
    assert [event.resource for event in left] == [f"person:{FINANCE_APPROVER.subject}"]


async def test_leaving_a_task_that_nobody_else_may_decide(running: Runtime, tmp_path: Path) -> None:
    _, task_id = await open_waiting(running)
    platform = running.platform
    subjects = (FINANCE_APPROVER.subject, FINANCE_LEAD.subject)
    await files_without(platform, tmp_path, *subjects)
    async with platform.read(Actor.of("sales-lead")) as read:
        found = await task(read, task_id)
    assert found is not None
    assert found.state is HumanTaskState.ESCALATED
    assert "sales/lead" in found.candidate_roles


async def test_using_a_token_while_suspended_and_having_it_again_after(
    platform: Platform,
) -> None:
    bearer = await token_of(platform, SALES_OWNER)
    async with platform.work(COE_LEAD) as work:
        await people.suspend_person(work, SALES_OWNER.subject, reason="an inquiry")
    with pytest.raises(Unauthenticated):
        await platform.authenticate(bearer, RequestInfo())
    async with platform.read(SALES_OWNER) as read:
        assert read.policy.roles(SALES_OWNER.subject) == frozenset(), "also where a session lasts"
    async with platform.work(COE_LEAD) as work:
        await people.activate_person(work, SALES_OWNER.subject, reason="it is over")
    assert await platform.authenticate(bearer, RequestInfo())
    async with platform.read(SALES_OWNER) as read:
        assert read.policy.roles(SALES_OWNER.subject) == {("process-owner", "sales")}


async def test_coming_back_after_one_has_left_for_good(platform: Platform, tmp_path: Path) -> None:
    bearer = await token_of(platform, SALES_OWNER)
    async with platform.work(COE_LEAD) as work:
        gone = await people.offboard_person(work, SALES_OWNER.subject, reason="the contract ended")
    assert (gone.state, gone.teams) == (PersonState.LEFT, ())
    with pytest.raises(Unauthenticated):
        await platform.authenticate(bearer, RequestInfo())
    await files_without(platform, tmp_path)
    async with platform.read(SALES_OWNER) as read:
        assert read.policy.teams(SALES_OWNER.subject) == frozenset(), "the files still name them"
    async with platform.work(COE_LEAD) as work:
        with pytest.raises(Conflict):
            await people.activate_person(work, SALES_OWNER.subject, reason="come back")


@pytest.mark.parametrize("verb", [people.suspend_person, people.offboard_person])
async def test_locking_out_others_or_oneself(platform: Platform, verb: Verb) -> None:
    for actor, subject in (
        (Actor.of("sales-lead"), "coe-lead"),
        (Actor.of("sales-lead"), "sales-developer"),
        (COE_LEAD, COE_LEAD.subject),
    ):
        async with platform.work(actor) as work:
            with pytest.raises(Forbidden):
                await verb(work, subject, reason="mine")


async def test_hiding_what_one_owned(running: Runtime) -> None:
    run_id, _ = await open_waiting(running)
    platform = running.platform
    async with platform.database.session() as session:
        await session.execute(update(RUNS).values(requester=SALES_OWNER.subject))
        await session.commit()
    await new_token(platform, "service:ledger", created_by=FINANCE_LEAD.subject, team="finance")
    async with platform.work(COE_LEAD) as work:
        await people.offboard_person(work, SALES_OWNER.subject, reason="left")
    async with platform.work(Actor.of("sales-owner")) as work:
        with pytest.raises(Forbidden):
            await holdings_of(work, SALES_OWNER.subject)
    async with platform.work(COE_LEAD) as work:
        found = [
            (each.kind, each.name, each.as_) for each in await holdings_of(work, "sales-owner")
        ]
    assert (HoldingKind.RUN, str(run_id), "requester") in found
    assert (HoldingKind.ENTRY, "sales/asks", "process owner") in found
    async with platform.work(FINANCE_LEAD) as work:
        assert await holdings_of(work, SALES_OWNER.subject) == [], "only of one's own team"
        mine = [each.kind for each in await holdings_of(work, FINANCE_LEAD.subject)]
    assert mine == [HoldingKind.TOKEN]


WORKER = "service:worker/warehouse"
WAREHOUSE_LEAD = Actor.of("warehouse-lead")
MACHINE: dict[str, Any] = {
    "team": "warehouse",
    "name": "shop",
    "scopes": ["event:send"],
    "lifetime": timedelta(days=1),
}


async def machines_of_the_warehouse(platform: Platform) -> tuple[WorkerIdentity, str, set[str]]:
    """A worker with its key, an unused code, and the credentials of all machines of the team."""
    identity = await enrolled(platform, "warehouse")
    code = await enrolment_code(platform, "warehouse")
    async with platform.work(WAREHOUSE_LEAD) as work:
        _, client = await create_client(work, ClientRequest(**MACHINE))
        issuer = platform.settings.ci_issuers[0]
        given = MACHINE | {"name": "ci", "issuer": issuer, "audience": "coe", "subject": "repo:a/b"}
        rule = await add_trust_rule(work, TrustRequest(**given))
    machines = {str(identity.credential), f"client:{client.id}", f"trust:{rule.id}"}
    return identity, code, machines


async def refused(platform: Platform, machines: set[str]) -> set[str]:
    """Those of the credentials that are refused."""
    found = set()
    async with platform.database.session() as session:
        for name in machines:
            row = await find_credential(session, name)
            assert row is not None
            try:
                check_credential(platform.machines, row, platform.clock())
            except RefusedCredential:
                found.add(name)
    return found


async def enrol(platform: Platform, code: str) -> None:
    """Use a code."""
    identity = new_identity("warehouse")
    await enrol_worker(
        platform,
        team="warehouse",
        code=code,
        proof=identity.proof(code),
        name="late",
        request=RequestInfo(),
    )


@pytest.mark.parametrize("leaves", ["worker", "team"])
async def test_using_the_machines_of_a_team_after_it_or_its_worker_has_left(
    platform: Platform, tmp_path: Path, leaves: str
) -> None:
    identity, code, machines = await machines_of_the_warehouse(platform)
    assert await refused(platform, machines) == set()
    if leaves == "worker":
        await files_without(platform, tmp_path, WORKER)
        gone = {str(identity.credential)}
        (event,) = await details_of(platform, "access:person:leave")
    else:
        async with platform.work(COE_LEAD) as work:
            await retire_team(work, "warehouse", reason="merged")
        gone = machines
        (event,) = await details_of(platform, "access:team:retire")
    assert await refused(platform, machines) == gone
    assert set(event["machines"]) == gone
    with pytest.raises(WrongCode):
        await enrol(platform, code)
    async with platform.database.session() as session:
        for table in ("worker_keys", "machine_clients", "trust_rules"):
            await session.execute(text(f"UPDATE {table} SET revoked_at = NULL"))
        await session.commit()
    assert await refused(platform, machines) == gone, "the end is taken back in the database"


async def test_letting_a_machine_into_a_team_that_is_retired(platform: Platform) -> None:
    async with platform.work(COE_LEAD) as work:
        await retire_team(work, "warehouse", reason="merged")
    for act in (
        lambda work: create_client(work, ClientRequest(**MACHINE)),
        lambda work: create_enrolment_code_as_operator(work, "warehouse"),
    ):
        with pytest.raises((Conflict, Forbidden)):
            async with platform.work(CONTENT) as work:
                await act(work)
