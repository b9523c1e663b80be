"""Attempts to learn by a check of a document what the catalog hides from whoever asks."""

from __future__ import annotations

import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from coe.access.actor import Actor
from coe.catalog import actions
from coe.catalog.decision_tables.actions import check_decision
from coe.catalog.systems import register_system
from coe.embedded_postgres import EmbeddedPostgres
from coe.errors import Forbidden, Invalid, NotFound
from coe.language.lint import Stage
from coe.review import submission
from coe.templates import actions as templates
from coe.work import Platform
from tests.factories.catalog import central, local, register
from tests.factories.decision_flows import ASKING, level, publish_table
from tests.factories.people import (
    AUDITOR,
    COE_REVIEWER,
    FINANCE_DEVELOPER,
    OUTSIDER,
    SALES_OWNER,
)
from tests.factories.shared import shared_settings
from tests.factories.templates import MANIFEST, asked
from tests.factories.templates import published as offered
from tests.factories.templates import register as save_template

# As long as each other, so that every column of a problem is the same.
HIDDEN, TABLE, LEDGER, ABSENT = "hidden", "secret", "ledger", "absent"
PRESENT = {"table": TABLE, "system": LEDGER}
NARROW = Actor.of("sales-owner", scopes=frozenset({"flow:check", "flow:register", "flow:submit"}))
BOUND = Actor.of("sales-owner", bound_to="sales")
SYSTEM = """
kind: System
namespace: finance
name: ledger
version: 1.0.0
title: Ledger
summary: Books.
dataClass: CONFIDENTIAL
"""
pytestmark = pytest.mark.asyncio(loop_scope="module")

Door = Callable[[Platform, Actor, str], Awaitable[object]]


async def check(platform: Platform, actor: Actor, text: str) -> object:
    try:
        async with platform.work(actor) as work:
            return (await actions.check_flow(work, text)).problems
    except Forbidden as refused:  # who may check in no team is told nothing
        return refused.message


async def check_for_publication(platform: Platform, actor: Actor, text: str) -> object:
    async with platform.work(actor) as work:
        return (await actions.check_flow(work, text, Stage.PUBLICATION)).problems


async def save(platform: Platform, actor: Actor, text: str) -> object:
    return (await register(platform, actor, text)).problems


async def submit(platform: Platform, actor: Actor, text: str) -> object:
    saved = await register(platform, actor, text)
    with pytest.raises(Invalid) as refused:
        async with platform.work(actor) as work:
            await actions.submit_for_review(work, saved.version.ref)
    return refused.value.problems


def naming(name: str) -> dict[str, str]:
    """Documents of sales, each naming one thing of finance."""
    wrong = central(calls=f"finance/{name}@^1").replace('"${ .orderId }"}}', "7}}")
    return {
        "flow": wrong,
        "version": central(calls=f"finance/{name}@7.0.0"),
        "alias": central(calls=f"finance/{name}@live"),
        "system": central(systems=f"finance/{name}"),
        "table": ASKING.replace("finance/credit-level", f"finance/{name}").replace(
            "name: credit\n", "name: asking\n"
        ),
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hiding(
    postgres: EmbeddedPostgres,
    template_database: str,
    content_folder: Path,
    keys_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Platform]:
    """A flow, a table, a system and a template of finance that only finance may read."""
    folder = tmp_path_factory.mktemp("hiding")
    async with shared_settings(
        postgres, template_database, folder, content_folder, keys_folder
    ) as settings:
        platform = Platform.open(settings, name="hiding")
        text = local(HIDDEN, namespace="finance", data_class="PERSONAL")
        await register(platform, FINANCE_DEVELOPER, text)
        async with platform.work(FINANCE_DEVELOPER) as work:
            await actions.publish(work, f"finance/{HIDDEN}@1.0.0")
            await register_system(work, SYSTEM)
        table = level().replace("credit-level", TABLE).replace("INTERNAL", "CONFIDENTIAL")
        await publish_table(platform, table)
        manifest = MANIFEST.replace("namespace: coe", "namespace: finance")
        manifest = manifest.replace("name: greeting", f"name: {HIDDEN}-form\ndataClass: PERSONAL")
        await offered(platform, manifest=manifest)
        yield platform
        await platform.close()


def told(found: object, name: str) -> str:
    return repr(found).replace(name, "…")


async def same(door: Door, platform: Platform, actor: Actor, kind: str) -> str:
    """What a door answers, alike for the hidden entry and for one that is not there."""
    present = PRESENT.get(kind, HIDDEN)
    first, second = [
        told(await door(platform, actor, naming(name)[kind]), name) for name in (present, ABSENT)
    ]
    assert first == second
    return first


@pytest.mark.parametrize(
    ("door", "kind"),
    [
        *[(check, kind) for kind in sorted(naming(""))],
        (check_for_publication, "flow"),
        (save, "flow"),
        *[(submit, kind) for kind in ("flow", "system", "table")],
    ],
)
async def test_naming_a_hidden_entry_in_a_document(hiding: Platform, door: Door, kind: str) -> None:
    answer = await same(door, hiding, SALES_OWNER, kind)
    assert "OWS083" if kind == "system" else "OWS052" in answer
    assert "did you mean" not in answer


@pytest.mark.parametrize("actor", [NARROW, BOUND, OUTSIDER], ids=["scopes", "team", "stranger"])
@pytest.mark.parametrize("kind", ["flow", "system"])
async def test_naming_it_with_less_than_all_of_ones_permissions(
    hiding: Platform, kind: str, actor: Actor
) -> None:
    await same(check, hiding, actor, kind)


@pytest.mark.parametrize("kind", sorted(naming("")))
async def test_who_may_read_the_entry_is_told(hiding: Platform, kind: str) -> None:
    """The attempts would prove nothing if nobody were told."""
    with pytest.raises(AssertionError):
        await same(check, hiding, COE_REVIEWER, kind)


async def test_hearing_a_hidden_name_suggested(hiding: Platform) -> None:
    for kind in naming(""):
        present = PRESENT.get(kind, HIDDEN)
        text = naming(present[:-1] + "x")[kind]
        for actor in (SALES_OWNER, OUTSIDER):
            assert present not in repr(await check(hiding, actor, text)), kind


async def test_running_a_hidden_table_in_the_tests_of_a_draft(hiding: Platform) -> None:
    text = naming(TABLE)["table"]
    tests = "tests: [{name: it answers, input: {amount: 1}, expect: {output: {level: none}}}]"
    await register(hiding, SALES_OWNER, text, tests=tests)
    async with hiding.read(SALES_OWNER) as read:
        assert await submission._tables(read, [text]) == ({}, {})
    async with hiding.read(AUDITOR) as read:
        tables, refs = await submission._tables(read, [text])
    assert list(tables) == [f"finance/{TABLE}@1.0.0"]
    assert refs


async def test_naming_a_hidden_system_in_a_table_a_system_and_a_template(hiding: Platform) -> None:
    async def table(name: str) -> object:
        text = (
            level()
            .replace("finance", "sales")
            .replace("tags:", f"systems: [finance/{name}], tags:")
        )
        async with hiding.work(SALES_OWNER) as work:
            return (await check_decision(work, text)).problems

    async def template(name: str) -> object:
        manifest = MANIFEST.replace("namespace: coe", "namespace: sales")
        manifest = manifest.replace("domain:", f"systems: [finance/{name}]\ndomain:")
        try:
            return (await save_template(hiding, SALES_OWNER, manifest=manifest)).problems
        except Invalid as invalid:
            return invalid.problems

    for door in (table, template):
        answers = [told(await door(name), name) for name in (LEDGER, ABSENT)]
        assert answers[0] == answers[1]
        assert "OWS083" in answers[0]


async def test_previewing_a_hidden_template(hiding: Platform) -> None:
    answers = []
    for name in (HIDDEN, ABSENT):
        with pytest.raises(NotFound) as refused:
            async with hiding.work(SALES_OWNER) as work:
                await templates.preview(work, asked(template=f"finance/{name}-form"))
        answers.append(told(refused.value.message, name))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("actor", [OUTSIDER, NARROW, BOUND], ids=["stranger", "scopes", "team"])
async def test_asking_a_check_for_people_roles_and_teams(hiding: Platform, actor: Actor) -> None:
    """A person, a role and a team of finance, and those that nobody has heard of."""
    asks = """
      - ask:
          call: humanTask:1@default
          with:
            title: Is it right?
            candidates: {roles: [%s]}
            exclude: [%s]
    output:
    """
    answers = []
    for team, person in (("finance", "finance-approver"), ("finence", "finance-appraver")):
        text = central(namespace=team, owner=person)
        text = text.replace(
            "output:\n", textwrap.dedent(asks % (f"{team}/lead", person)).lstrip("\n")
        )
        found = told(await check(hiding, actor, text), person).replace(team, "…")
        answers.append(found)
    assert answers[0] == answers[1]
    assert "did you mean" not in answers[0]


async def test_hearing_by_a_refusal_which_teams_there_are(hiding: Platform) -> None:
    answers = []
    for team in ("finance", "finence"):
        with pytest.raises(Forbidden) as refused:
            await register(hiding, OUTSIDER, central(namespace=team))
        answers.append(told(refused.value.message, team))
    assert answers[0] == answers[1]
