"""A resource name of the log finds the thing, with the relations that a subject has to it."""

from __future__ import annotations

import pytest

from coe.access.actor import DataClass
from coe.catalog import actions
from coe.db import new_id
from coe.errors import Invalid, NotFound
from coe.execution.runtime import Runtime
from coe.governance import resources
from coe.governance.access import explain_access
from coe.governance.resources import Resource
from coe.work import Platform
from tests.factories.catalog import central
from tests.factories.human_tasks import open_waiting, running
from tests.factories.people import AUDITOR, COE_LEAD, OUTSIDER, SALES_DEVELOPER

__all__ = ["running"]


async def test_a_flow_has_its_owner_and_its_version_an_author(platform: Platform) -> None:
    async with platform.work(SALES_DEVELOPER) as work:
        await actions.register_flow(work, central(data_class="CONFIDENTIAL", systems=""))
    flow, version = "flow:sales/returns", "flow:sales/returns@1.0.0"
    async with platform.read(COE_LEAD) as read:
        owned = await resources.find_resource(read, flow, "sales-owner")
        written = await resources.find_resource(read, version, SALES_DEVELOPER.subject)
    secret = DataClass.CONFIDENTIAL
    assert owned == Resource(flow, "sales", secret, frozenset({"owner"}))
    assert written == Resource(version, "sales", secret, frozenset({"author"}))
    async with platform.read(OUTSIDER) as read:
        with pytest.raises(NotFound):
            await resources.find_resource(read, flow, "sales-owner")


async def test_teams_and_the_log_belong_to_a_team(platform: Platform) -> None:
    async with platform.read(COE_LEAD) as read:
        assert await resources.find_resource(read, "team:sales", "auditor") == Resource(
            "team:sales", "sales"
        )
        assert await resources.find_resource(read, "audit:log", "auditor") == Resource(
            "audit:log", "coe"
        )


@pytest.mark.parametrize("kind", ["run", "human_task", "token"])
async def test_what_does_not_exist_is_not_found(platform: Platform, kind: str) -> None:
    async with platform.read(COE_LEAD) as read:
        for key in (str(new_id()), "nonsense"):
            with pytest.raises(NotFound):
                await resources.find_resource(read, f"{kind}:{key}", "auditor")


@pytest.mark.parametrize("name", ["moon", "team:", ""])
async def test_what_is_no_resource_name_is_invalid(platform: Platform, name: str) -> None:
    async with platform.read(COE_LEAD) as read:
        with pytest.raises(Invalid):
            await resources.find_resource(read, name, "auditor")


async def test_an_auditor_may_ask_about_a_human_task(running: Runtime) -> None:
    """He may read the run, but not what is asked."""
    platform = running.platform
    _, task = await open_waiting(running)
    name = f"human_task:{task}"
    async with platform.work(AUDITOR) as work:
        found = await resources.find_resource(work, name, "finance-approver")
        asked = await explain_access(work, "finance-approver", "human_task:complete", name)
        refused = await explain_access(work, "sales-owner", "human_task:complete", name)
    assert (found.team, "candidate" in found.relations) == ("sales", True)
    assert (asked.allowed, refused.allowed) == (True, False)
    async with platform.read(OUTSIDER) as read:
        with pytest.raises(NotFound):
            await resources.find_resource(read, name, "finance-approver")
