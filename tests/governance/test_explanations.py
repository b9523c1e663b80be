"""An explanation is what the verb decides: for every permission, and every relation of an actor."""

from __future__ import annotations

from collections.abc import AsyncIterator
from copy import copy
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import func, select

from coe.access.actor import Actor, SignIn
from coe.access.decision import Decision
from coe.access.permissions import Permission
from coe.access.step_up import StepUp, StepUpLine
from coe.audit.models import AuditEvent
from coe.audit.readings import Readings
from coe.db import new_id
from coe.embedded_postgres import EmbeddedPostgres
from coe.errors import NotFound
from coe.governance import access, resources, tokens
from coe.identity.teams import people
from coe.work import Platform, RequestInfo
from tests.factories.people import (
    COE_LEAD,
    OUTSIDER,
    SALES_OWNER,
)
from tests.factories.shared import shared_settings
from tests.factories.tokens import new_token
from tests.factories.verbs import (
    CASES,
    FLOW,
    NO_VERB,
    REASON,
    TABLE,
    TEMPLATE,
    Asked,
    World,
    verb_allows,
    world_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(
    postgres: EmbeddedPostgres,
    template_database: str,
    content_folder: Path,
    keys_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("explaining")
    async with shared_settings(
        postgres, template_database, folder, content_folder, keys_folder
    ) as settings:
        platform = Platform.open(settings, name="explaining")
        yield await world_of(platform)
        await platform.close()


@pytest.mark.parametrize("permission", [each for each in Permission if each not in NO_VERB])
async def test_an_explanation_is_what_the_verb_decides(
    world: World, permission: Permission
) -> None:
    name, verb = CASES[permission]  # a new permission has a case here
    ids = {each: getattr(world, each) for each in ("run", "task", "picked", "worker", "client")}
    name = name.format(**ids, rule=world.rule, token=world.token.id, proposal=world.proposal)
    platform = world.platform
    answers: dict[str, tuple[bool, bool]] = {}
    async with platform.read(COE_LEAD) as read:
        for who, actor in world.actors.items():
            work = Asked.of(replace(read, actor=actor), permission)
            thing = await resources.find_thing(
                replace(read, actor=_asker(permission)),
                name,
                replace(read, actor=actor),
                permission,
            )
            explained = await access.answer(
                replace(read, actor=actor),
                thing,
                known=read.scope(Permission.ENTRY_READ),
                sent=True,
            )
            answers[who] = (explained.allowed, await verb_allows(work, verb, world))
    different = {who: answer for who, answer in answers.items() if answer[0] != answer[1]}
    assert different == {}
    assert {allowed for allowed, _ in answers.values()} == {True, False}


def _asker(permission: Permission) -> Actor:
    """Somebody who may read the thing."""
    return Actor.of("warehouse-lead") if permission.startswith("worker:") else COE_LEAD


async def explained(world: World, asker: Actor, *about: str, **more: str) -> Decision:
    async with world.platform.work(asker) as work:
        return await access.explain_access(work, *about, **more)


async def test_the_asker_hears_what_the_credential_gets_that_was_sent(world: World) -> None:
    name = f"run:{world.run}"
    narrow = replace(SALES_OWNER, scopes=frozenset({"access:explain", "run:read"}))
    bound = replace(SALES_OWNER, bound_to="finance")
    about = ("sales-owner", "run:cancel", name)
    assert (await explained(world, SALES_OWNER, *about)).allowed
    assert not (await explained(world, narrow, *about)).allowed
    with pytest.raises(NotFound):
        await explained(world, bound, *about)


async def test_a_credential_is_explained_as_it_counts_now(world: World) -> None:
    platform = world.platform
    _, narrow = await new_token(platform, "sales-owner", "entry:read")
    _, wide = await new_token(platform, "sales-owner")
    about = ("sales-owner", "run:start", f"flow:{FLOW}")
    lead = Actor.of("sales-lead")
    told = {
        row.id: await explained(world, lead, *about, credential=f"token:{row.id}")
        for row in (narrow, wide)
    }
    assert {key: each.allowed for key, each in told.items()} == {narrow.id: False, wide.id: True}
    async with platform.work(SALES_OWNER) as work:
        await tokens.revoke_token(work, wide.id, REASON)
    spent = await explained(world, lead, *about, credential=f"token:{wide.id}")
    assert (spent.allowed, spent.rules) == (False, ())
    assert "was revoked" in spent.explanation
    holder = ("service:worker/warehouse", "run:read_data", f"run:{world.picked}")
    by_worker = await explained(
        world, Actor.of("warehouse-lead"), *holder, credential=f"worker:{world.worker}"
    )
    assert by_worker.rules[0] == "p, relation:holder, *, run:read_data, *, allow"
    assert not (await explained(world, Actor.of("warehouse-lead"), *holder)).allowed


async def test_a_suspended_person_and_a_leaver_may_nothing(world: World) -> None:
    about = ("finance-developer", "team:request", "team:sales")
    assert (await explained(world, COE_LEAD, *about)).allowed
    for state in (people.suspend_person, people.offboard_person):
        async with world.platform.work(COE_LEAD) as work:
            await state(work, "finance-developer", reason=REASON)
        told = await explained(world, COE_LEAD, *about)
        assert (told.allowed, told.rules) == (False, ())
        assert "The account of finance-developer is" in told.explanation


async def test_an_explanation_says_that_one_has_to_sign_in_afresh(world: World) -> None:
    line = "s, sales, run:cancel, *, 5"
    async with world.platform.read(SALES_OWNER) as read:
        asks = StepUp([StepUpLine.of(line.split(", ")[1:])])
        policy = copy(read.policy)
        policy.step_up = asks  # type: ignore[misc]  # a policy never changes, but this is a copy
        fresh, stale = (
            SignIn(new_id(), "acme", read.now - timedelta(minutes=age)) for age in (1, 30)
        )
        answers = []
        for sign_in, sent in ((None, False), (None, True), (stale, True), (fresh, True)):
            theirs = replace(read, policy=policy, actor=replace(SALES_OWNER, sign_in=sign_in))
            name = f"run:{world.run}"
            thing = await resources.find_thing(theirs, name, theirs, Permission.RUN_CANCEL)
            known = read.scope(Permission.ENTRY_READ)
            answers.append(await access.answer(theirs, thing, known=known, sent=sent))
            work = Asked(
                read.platform,
                read.session,
                theirs.actor,
                policy,
                read.now,
                RequestInfo(),
                Readings(),
            )
            work.wanted = Permission.RUN_CANCEL
            if sent:
                verb = CASES[Permission.RUN_CANCEL][1]
                assert await verb_allows(work, verb, world) is answers[-1].allowed
    assert [each.allowed for each in answers] == [True, False, False, True]
    assert [line in each.explanation for each in answers] == [True, True, True, False]
    assert [line in each.rules for each in answers] == [False, True, True, False]


def _hidden(world: World) -> dict[str, tuple[str, str]]:
    """A permission and a name of each kind of thing that a stranger may not know of."""
    names = {
        "run:cancel": f"run:{world.run}",
        "human_task:claim": f"human_task:{world.task}",
        "token:revoke": f"token:{world.token.id}",
        "worker:revoke": f"worker:{world.worker}",
        "client:revoke": f"client:{world.client}",
        "trust:remove": f"trust:{world.rule}",
        "team:approve": f"proposal:{world.proposal}",
        "flow:publish": f"flow:{FLOW}",
        "decision:publish": f"decision:{TABLE}",
        "template:publish": f"template:{TEMPLATE}",
        "person:leave": "person:sales-developer",
        "run:start": "team:sales",
    }
    return {permission: (name, absent_like(name)) for permission, name in names.items()}


def absent_like(name: str) -> str:
    kind = name.partition(":")[0]
    if kind in {"flow", "decision", "template"}:
        return f"{kind}:sales/nothing-there@1.0.0"
    if kind in {"person", "team"}:
        return f"{kind}:nobody-there"
    return f"{kind}:{new_id()}"


async def test_what_is_hidden_has_the_answer_of_what_is_not_there(world: World) -> None:
    async def events() -> int:
        async with world.platform.database.session() as session:
            return int(await session.scalar(select(func.count()).select_from(AuditEvent)) or 0)

    for permission, names in _hidden(world).items():
        answers = []
        for name in names:
            before = await events()
            with pytest.raises(NotFound) as refused:
                await explained(world, OUTSIDER, "sales-owner", permission, name)
            answers.append((refused.value.message, await events() - before))
        assert answers[0] == answers[1], permission


async def test_an_asker_hears_only_of_roles_in_teams_that_she_may_read(world: World) -> None:
    bound = Actor.of("sales-lead", bound_to="sales")
    about = ("finance-lead", "run:start", f"flow:{FLOW}")
    assert "finance/lead" in (await explained(world, Actor.of("sales-lead"), *about)).explanation
    assert "finance" not in (await explained(world, bound, *about)).explanation.replace(
        "finance-lead", ""
    )
