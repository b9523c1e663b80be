"""A resource name of the log finds the thing, with the relations that a subject has to it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coe.access.actor import Actor, DataClass
from coe.access.permissions import Permission
from coe.catalog import actions
from coe.db import new_id
from coe.errors import Invalid, NotFound
from coe.execution.runtime import Runtime
from coe.governance import resources
from coe.governance.access import explain_access
from coe.governance.resources import Question
from coe.work import Platform, Read
from tests.factories.catalog import central
from tests.factories.human_tasks import open_waiting, running
from tests.factories.people import AUDITOR, COE_LEAD, OUTSIDER, SALES_DEVELOPER
from tests.factories.verbs import CASES, NO_VERB

__all__ = ["running"]


async def questions(
    read: Read, name: str, subject: str, permission: Permission
) -> tuple[Question, ...]:
    theirs = replace(read, actor=Actor.of(subject))
    return (await resources.find_thing(read, name, theirs, permission)).questions


async def test_a_flow_has_its_owner_and_its_version_an_author(platform: Platform) -> None:
    async with platform.work(SALES_DEVELOPER) as work:
        await actions.register_flow(work, central(data_class="CONFIDENTIAL", systems=""))
    flow, version = "flow:sales/returns", "flow:sales/returns@1.0.0"
    pause, publish = Permission.SCHEDULE_PAUSE, Permission.FLOW_PUBLISH
    async with platform.read(COE_LEAD) as read:
        owned = await questions(read, flow, "sales-owner", pause)
        written = await questions(read, version, SALES_DEVELOPER.subject, publish)
    secret = DataClass.CONFIDENTIAL
    assert owned[-1] == Question(pause, "sales", secret, frozenset({"owner"}))
    assert written == (Question(publish, "sales", secret, frozenset({"author"})),)
    async with platform.read(OUTSIDER) as read:
        with pytest.raises(NotFound):
            await questions(read, flow, "sales-owner", pause)


async def test_teams_and_the_log_belong_to_a_team(platform: Platform) -> None:
    async with platform.read(COE_LEAD) as read:
        start, audit = Permission.RUN_START, Permission.AUDIT_READ
        assert await questions(read, "team:sales", "auditor", start) == (Question(start, "sales"),)
        assert await questions(read, "audit:log", "auditor", audit) == (Question(audit, "coe"),)


@pytest.mark.parametrize("kind", ["run", "human_task", "token"])
async def test_what_does_not_exist_is_not_found(platform: Platform, kind: str) -> None:
    async with platform.read(COE_LEAD) as read:
        permission = min(resources.PERMISSIONS_OF[kind])
        for key in (str(new_id()), "nonsense"):
            with pytest.raises(NotFound):
                await questions(read, f"{kind}:{key}", "auditor", permission)


@pytest.mark.parametrize("name", ["moon", "team:", ""])
async def test_what_is_no_resource_name_is_invalid(platform: Platform, name: str) -> None:
    async with platform.read(COE_LEAD) as read:
        with pytest.raises(Invalid):
            await questions(read, name, "auditor", Permission.RUN_START)


async def test_an_auditor_may_ask_about_a_human_task(running: Runtime) -> None:
    """He may read the run, but not what is asked."""
    platform = running.platform
    _, task = await open_waiting(running)
    name = f"human_task:{task}"
    async with platform.work(AUDITOR) as work:
        claim = Permission.HUMAN_TASK_CLAIM
        found = (await questions(work, name, "finance-approver", claim))[-1]
        asked = await explain_access(work, "finance-approver", "human_task:complete", name)
        refused = await explain_access(work, "sales-owner", "human_task:complete", name)
    assert (found.team, "candidate" in found.relations) == ("sales", True)
    assert (asked.allowed, refused.allowed) == (True, False)
    async with platform.read(OUTSIDER) as read:
        with pytest.raises(NotFound):
            await questions(read, name, "finance-approver", claim)


def test_every_permission_is_explained_on_a_kind_of_thing() -> None:
    assert CASES.keys() | NO_VERB == set(Permission)
    of_things = {
        each for kind, of in resources.PERMISSIONS_OF.items() if kind != "team" for each in of
    }
    on_teams = {permission for permission, (name, _) in CASES.items() if name.startswith("team:")}
    assert of_things | on_teams | NO_VERB == set(Permission)
