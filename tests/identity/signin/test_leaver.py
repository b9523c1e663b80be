"""Somebody is dismissed where the company keeps its people, and is out here.

The provider (npm `oidc-provider`) ends their session and calls us by its back channel, over HTTP
and with a token that it signs; then it tells us the same by SCIM. The test sends neither.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from coe.access.actor import Actor
from coe.access.permissions import Permission
from coe.access.policy_lines import Relation
from coe.errors import Unauthenticated
from coe.execution.advance import Parked, advance
from coe.human_tasks.actions import claim_task
from coe.work import RequestInfo
from tests.factories.audit_events import details_of
from tests.factories.human_tasks import task_of
from tests.factories.oidc import Provider
from tests.factories.oidc_fixtures import Open, Site
from tests.factories.runs import APPROVAL, Leaves, central, publish, runtime, start
from tests.factories.scim import DIRECTORY, Directory, hand_to_directory, token_for
from tests.factories.servers import listening

ANNA = "anna.berg"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def address(site: Site, provider: Provider) -> AsyncIterator[str]:
    """Where the application listens, as it is registered at the provider."""
    async with listening(site.app, is_started=True) as url:
        provider.register(url)
        yield url


async def test_who_is_dismissed_at_the_provider_is_out_here(
    site: Site, browser: Open, provider: Provider, address: str
) -> None:
    platform = site.platform
    await hand_to_directory(platform, "finance")
    directory = Directory(site, await token_for(platform, DIRECTORY, "scim:*"))
    account = await directory.user(ANNA, displayName="Anna Berg")
    await directory.group("finance/finance-approver", account)
    anna, bystander = browser(base=address), browser("u-greta", base=address)
    assert (await anna.sign_in()).status_code == 303
    assert (await bystander.sign_in()).status_code == 303
    bearer = await token_for(platform, ANNA, "*")
    async with runtime(platform, Leaves()) as running:
        await publish(platform, central("asks", APPROVAL))
        run = await start(platform, "sales/asks")
        assert isinstance(await advance(running, run.id), Parked)
    task = await task_of(platform, run.id)
    async with platform.work(Actor.of(ANNA)) as work:
        await claim_task(work, task)
        mine = {Relation.CLAIMANT.value, Relation.CANDIDATE.value}
        may = work.decide(Permission.HUMAN_TASK_COMPLETE, team="sales", relations=mine)
        assert may.allowed

    begun = platform.clock()
    scim = {"url": f"{address}/scim/v2/Users/{account}", "token": directory.token}
    answer = await dismissed(provider, account="u-anna", scim=scim)

    (sent,) = answer["logouts"]
    assert sent["url"] == f"{address}/auth/acme/backchannel-logout"
    assert await anna.whoami() == {"signedIn": False}
    assert (await bystander.whoami())["signedIn"], "nobody else is touched"
    assert (await anna.sign_in()).status_code == 403
    with pytest.raises(Unauthenticated):
        await platform.authenticate(bearer, RequestInfo())
    assert (
        await site.rows(f"SELECT 1 FROM access_tokens WHERE subject = '{ANNA}' AND mac IS NOT NULL")
        == []
    )
    async with platform.read(Actor.of(ANNA)) as read:
        assert not read.policy.roles(ANNA)
        gone = read.decide(Permission.HUMAN_TASK_COMPLETE, team="sales", relations=mine)
        assert not gone.allowed, "a relation gives nothing any more"
    assert await site.rows(f"SELECT state, assignee FROM human_tasks WHERE id = '{task}'") == [
        ("OPEN", None)
    ]
    ended = await site.rows(
        f"SELECT revoked_by, revoked_why FROM sessions WHERE subject = '{ANNA}'"
    )
    assert ended == [("service:sign-in", "issuer")]
    assert await site.events("access:session:close") == ["service:sign-in"]
    assert await site.events("runs:human_task:reassign") == [DIRECTORY]
    (logged,) = await details_of(platform, "access:person:suspend")
    assert len(logged["tokens"]) == 1
    assert logged["tasks"] == [{"task": str(task), "to": None}]
    rows = await site.rows(
        "SELECT max(at) FROM audit_events WHERE action IN ('access:session:close', "
        f"'access:person:suspend', 'runs:human_task:reassign') AND id > '{site.begun}'"
    )
    assert (rows[0][0] - begun).total_seconds() < 60


async def dismissed(provider: Provider, **order: Any) -> dict[str, Any]:
    """Let the administrator of the provider dismiss somebody, beside this loop that answers it."""
    answer: dict[str, Any] = await asyncio.to_thread(provider.control, dismiss=order)
    return answer
