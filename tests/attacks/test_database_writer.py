"""Attempts of somebody who can write the database, and has none of its keys."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import text

from coe.access.actor import Actor
from coe.catalog import actions as catalog
from coe.catalog.decision_tables import actions as tables
from coe.catalog.flows.contents import runnable, runnable_version
from coe.catalog.models import EntryKind
from coe.catalog.owners import is_owner
from coe.catalog.queries import find_entry
from coe.catalog.versions.earlier_publications import sign_earlier_publications
from coe.catalog.versions.signatures import NotAsPublished
from coe.crypto.row_codes import ChangedInDatabase
from coe.errors import CoeError, Conflict, Forbidden, NotFound
from coe.execution.advance import advance
from coe.execution.runtime import Runtime
from coe.runs import disclosure
from coe.runs.actions import cancel_run
from coe.schedules.event_triggers import settle
from coe.work import Platform
from tests.factories import templates as greeting
from tests.factories.audit_events import events_of
from tests.factories.catalog import central, local, published, register
from tests.factories.decision_tables import APPROVAL as TABLE
from tests.factories.events import paid, send
from tests.factories.human_tasks import complete, open_waiting, running, task_of
from tests.factories.people import (
    COE_LEAD,
    FINANCE_APPROVER,
    FINANCE_LEAD,
    SALES_OWNER,
    WAREHOUSE_DEVELOPER,
)
from tests.factories.runs import APPROVAL, publish, start
from tests.factories.runs import central as orders
from tests.factories.schedules import flow, publish_scheduled

__all__ = ["running"]

WAREHOUSE_LEAD = Actor.of("warehouse-lead")
TWO = APPROVAL.rstrip() + "\n        approvals: 2\n"
INPUT = {"orderId": "1"}
REF = "sales/returns@1.0.0"


async def write(platform: Platform, *statements: str, **values: Any) -> None:
    async with platform.database.session() as session:
        for statement in statements:
            await session.execute(text(statement), values)
        await session.commit()


LIVE = """
    INSERT INTO entry_aliases (entry_id, alias, version_id, version, set_by, set_at)
    SELECT entry_id, 'live', id, version, 'sales-owner', now() FROM entry_versions
    WHERE name = 'returns' ON CONFLICT DO NOTHING
"""
PUBLISH = """
    UPDATE entry_versions SET lifecycle = 'PUBLISHED', published_at = now(),
        published_by = 'coe-lead' WHERE name = 'returns'
"""


async def refused(platform: Platform, ref: str = REF) -> None:
    """Starting it is refused, with an audit event."""
    with pytest.raises(NotAsPublished, match="is not what was published"):
        await start(platform, ref, INPUT)
    events = await events_of(platform, "catalog:version:refuse")
    assert [(each.outcome, each.resource) for each in events] == [("DENIED", f"flow:{REF}")]


async def test_running_a_draft_by_its_lifecycle(platform: Platform) -> None:
    await register(platform, SALES_OWNER, central())
    await write(platform, PUBLISH, LIVE)
    await refused(platform, "sales/returns")


async def test_running_a_draft_with_the_publication_of_another_version(platform: Platform) -> None:
    await published(platform, SALES_OWNER, central())
    await register(platform, SALES_OWNER, central(version="1.1.0", title="Other"))
    await write(
        platform,
        """
        UPDATE entry_versions SET lifecycle = 'PUBLISHED', signature = good.signature,
            publication = good.publication
        FROM (SELECT signature, publication FROM entry_versions WHERE version = '1.0.0') AS good
        WHERE version = '1.1.0'
        """,
    )
    with pytest.raises(NotAsPublished, match="ref, digest"):
        await start(platform, "sales/returns@1.1.0", INPUT)


CHANGES = {
    "data class": "data_class = 'PUBLIC'",
    "digest": "digest = reverse(digest)",
    "signature": "signature = reverse(signature)",
    "no publication": "publication = NULL",
    "publication": "publication = replace(publication, 'coe-lead', 'coe-reviewer')",
    "no json": "publication = '}{'",
    "earlier signature": "publication = NULL, signature = 'x'",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_running_a_published_version_after_a_change_of_its(
    platform: Platform, change: str
) -> None:
    await published(platform, SALES_OWNER, central())
    await start(platform, REF, INPUT)
    await write(platform, f"UPDATE entry_versions SET {change}")
    await refused(platform)


async def test_running_another_definition_of_a_published_version(platform: Platform) -> None:
    """The sealed content of the draft before its last edit fits the row, and not the digest."""
    await register(platform, SALES_OWNER, central(title="Harmful"))
    async with platform.database.session() as session:
        old = await session.scalar(text("SELECT content_sealed FROM entry_versions"))
    await published(platform, SALES_OWNER, central())
    await write(platform, "UPDATE entry_versions SET content_sealed = :old", old=old)
    await refused(platform)


async def test_running_a_retired_version_again(platform: Platform) -> None:
    await published(platform, SALES_OWNER, central())
    await published(platform, SALES_OWNER, central(version="1.1.0", title="Other"))
    for verb in (catalog.deprecate, catalog.retire):
        async with platform.work(COE_LEAD) as work:
            if verb is catalog.deprecate:
                await catalog.set_alias(work, "sales/returns", "live", "1.1.0")
            await verb(work, REF)
    async with platform.database.session() as session:
        row = await session.scalar(text("SELECT id FROM entry_versions WHERE version = '1.0.0'"))
        await runnable_version(session, platform, row)  # runs that started before go on
    await write(platform, "UPDATE entry_versions SET lifecycle = 'PUBLISHED'")
    await refused(platform)


async def test_having_a_called_draft_run(platform: Platform) -> None:
    await register(platform, WAREHOUSE_DEVELOPER, local())
    await write(platform, "UPDATE entry_versions SET lifecycle = 'PUBLISHED'")
    async with platform.database.session() as session:
        with pytest.raises(NotAsPublished):
            await runnable(session, platform, "warehouse/pick-and-pack@1.0.0")


async def test_deciding_with_a_draft_of_a_table(platform: Platform) -> None:
    async with platform.work(FINANCE_LEAD) as work:
        saved = await tables.register_decision(work, TABLE)
    await write(platform, "UPDATE entry_versions SET lifecycle = 'PUBLISHED'")
    async with platform.database.session() as session:
        with pytest.raises(NotAsPublished):
            await tables.signed_table(session, platform, saved.version.ref)


@pytest.mark.parametrize("change", ["data_class = 'PUBLIC'", "publication = NULL"])
async def test_instantiating_a_template_after_a_change(platform: Platform, change: str) -> None:
    await greeting.published(platform)
    await write(platform, f"UPDATE entry_versions SET {change}")
    with pytest.raises(NotAsPublished):
        await greeting.instantiate(platform, SALES_OWNER)


async def in_review(platform: Platform) -> None:
    await register(platform, SALES_OWNER, central())
    async with platform.work(SALES_OWNER) as work:
        await catalog.submit_for_review(work, REF)


FORGED = """
    INSERT INTO version_approvals (id, version_id, by, at, decision, digest, signature)
    SELECT gen_random_uuid(), id, 'coe-reviewer', now(), 'APPROVED', digest, {signature}
    FROM entry_versions
"""


@pytest.mark.parametrize("signature", ["NULL", "'AAAA'", "signature"])
async def test_publishing_with_an_approval_in_the_name_of_a_reviewer(
    platform: Platform, signature: str
) -> None:
    await in_review(platform)
    await write(platform, FORGED.format(signature=signature))
    with pytest.raises(Conflict, match="0 of the 1 approvals"):
        async with platform.work(COE_LEAD) as work:
            await catalog.publish(work, REF)


async def test_publishing_with_the_approval_of_another_version(platform: Platform) -> None:
    await published(platform, SALES_OWNER, central("other"))
    await in_review(platform)
    await write(
        platform,
        """
        UPDATE version_approvals SET at = now(), version_id = v.id, digest = v.digest
        FROM entry_versions AS v WHERE v.name = 'returns'
        """,
    )
    with pytest.raises(Conflict, match="0 of the 1 approvals"):
        async with platform.work(COE_LEAD) as work:
            await catalog.publish(work, REF)


@pytest.mark.parametrize("change", ["data_class = 'PUBLIC'", "name = 'refunds'"])
async def test_having_a_changed_row_signed_by_its_publication(
    platform: Platform, change: str
) -> None:
    await in_review(platform)
    async with platform.work(COE_LEAD) as work:
        await catalog.review(work, REF, approve=True, comment="fine")
    await write(platform, f"UPDATE entry_versions SET {change}")
    with pytest.raises(CoeError):
        async with platform.work(COE_LEAD) as work:
            await catalog.publish(work, REF)


# ---------------------------------------------------------------- the upgrade
EARLIER = "UPDATE entry_versions SET publication = NULL"


async def signed_by_the_upgrade(platform: Platform) -> tuple[int, int]:
    async with platform.work(COE_LEAD) as work:
        return await sign_earlier_publications(work)


async def test_a_publication_of_an_earlier_release_is_signed(platform: Platform) -> None:
    """No attack: what the log proves runs after an upgrade."""
    await published(platform, SALES_OWNER, central())
    await write(platform, EARLIER)
    assert await signed_by_the_upgrade(platform) == (1, 0)
    run = await start(platform, REF, INPUT)
    assert run.version == "1.0.0"


async def test_having_a_draft_signed_by_the_upgrade(platform: Platform) -> None:
    await register(platform, SALES_OWNER, central())
    await write(platform, PUBLISH, LIVE)
    assert await signed_by_the_upgrade(platform) == (0, 1)
    await refused(platform)


async def test_having_a_draft_signed_by_the_upgrade_with_the_event_of_another(
    platform: Platform,
) -> None:
    await published(platform, SALES_OWNER, central())
    await register(platform, SALES_OWNER, central(version="1.1.0", title="Harmful"))
    await write(
        platform,
        EARLIER,
        PUBLISH,
        "DROP TRIGGER audit_events_refuse_update ON audit_events",
        "UPDATE audit_events SET resource = 'flow:sales/returns@1.1.0'",
    )
    assert await signed_by_the_upgrade(platform) == (0, 2)


async def test_having_a_retired_version_signed_as_published_by_the_upgrade(
    platform: Platform,
) -> None:
    await published(platform, SALES_OWNER, central())
    await published(platform, SALES_OWNER, central(version="1.1.0", title="Other"))
    async with platform.work(COE_LEAD) as work:
        await catalog.set_alias(work, "sales/returns", "live", "1.1.0")
        await catalog.deprecate(work, REF)
    async with platform.work(COE_LEAD) as work:
        await catalog.retire(work, REF)
    await write(platform, EARLIER, PUBLISH)
    assert await signed_by_the_upgrade(platform) == (2, 0)
    await refused(platform)


async def test_having_a_changed_data_class_signed_by_the_upgrade(platform: Platform) -> None:
    await published(platform, SALES_OWNER, central())
    await write(platform, EARLIER, "UPDATE entry_versions SET data_class = 'PUBLIC'")
    assert await signed_by_the_upgrade(platform) == (0, 1)


# ---------------------------------------------------------------- who asked, who approved, who owns

NAMED = {
    "requester": "UPDATE {table} SET requester = 'somebody'",
    "persons of the requester": "UPDATE {table} SET requester_persons = '{{}}'",
    "team": "UPDATE {table} SET team = 'finance'",
    "code": "UPDATE {table} SET code = NULL",
    "code of another row": "UPDATE {table} SET code = decode(repeat('00', 32), 'hex')",
}


@pytest.mark.parametrize("change", NAMED.values(), ids=NAMED)
async def test_answering_a_task_whose_requester_was_changed(running: Runtime, change: str) -> None:
    _, task_id = await open_waiting(running)
    await write(running.platform, change.format(table="human_tasks"))
    with pytest.raises((ChangedInDatabase, NotFound)):
        await complete(running.platform, task_id, FINANCE_APPROVER)


@pytest.mark.parametrize(
    "change",
    ["exclude = '{}'", "approvals_needed = 1", "data_class = 'PUBLIC'"],
)
async def test_answering_a_task_that_asks_less_of_its_approvers(
    running: Runtime, change: str
) -> None:
    _, task_id = await open_waiting(running, tasks=TWO)
    await write(running.platform, f"UPDATE human_tasks SET {change}")
    with pytest.raises(ChangedInDatabase):
        await complete(running.platform, task_id, FINANCE_APPROVER)


@pytest.mark.parametrize("what", sorted(NAMED.keys() - {"team"}))
async def test_asking_a_person_for_a_run_whose_requester_was_changed(
    running: Runtime, what: str
) -> None:
    """The task is made of the changed row, and so is none of the platform's either."""
    platform = running.platform
    await publish(platform, orders("asks", APPROVAL))
    run = await start(platform, "sales/asks")
    await write(platform, NAMED[what].format(table="runs"))
    await advance(running, run.id)
    with pytest.raises((ChangedInDatabase, NotFound)):
        await complete(platform, await task_of(platform, run.id), FINANCE_APPROVER)


async def test_ending_a_run_that_one_says_to_have_started(running: Runtime) -> None:
    run_id, _ = await open_waiting(running)
    nobody = Actor.of("warehouse-developer")
    with pytest.raises(NotFound):
        async with running.platform.work(nobody) as work:
            await cancel_run(work, run_id, reason="mine")
    await write(running.platform, "UPDATE runs SET requester = 'warehouse-developer'")
    with pytest.raises(ChangedInDatabase):
        async with running.platform.work(nobody) as work:
            await cancel_run(work, run_id, reason="mine")


@pytest.mark.parametrize(
    "change",
    ["by = 'finance-lead', persons = '{finance-lead}'", "persons = '{}'", "code = NULL"],
)
async def test_approving_twice_after_giving_the_first_approval_to_another(
    running: Runtime, change: str
) -> None:
    _, task_id = await open_waiting(running, tasks=TWO)
    await complete(running.platform, task_id, FINANCE_APPROVER)
    with pytest.raises(Forbidden):
        await complete(running.platform, task_id, FINANCE_APPROVER)
    await write(running.platform, f"UPDATE human_task_approvals SET {change}")
    with pytest.raises(ChangedInDatabase):
        await complete(running.platform, task_id, FINANCE_APPROVER)


@pytest.mark.parametrize("column", ["process_owner", "deputy"])
async def test_becoming_the_owner_of_an_entry(running: Runtime, column: str) -> None:
    platform = running.platform
    run_id, _ = await open_waiting(running)
    await write(platform, f"UPDATE entries SET {column} = 'warehouse-lead'")
    async with platform.work(WAREHOUSE_LEAD) as work:
        entry = await find_entry(work, "sales/asks", EntryKind.FLOW)
        assert entry is not None
        with pytest.raises(ChangedInDatabase):
            is_owner(work, entry)
    with pytest.raises((ChangedInDatabase, NotFound)):
        async with platform.work(WAREHOUSE_LEAD) as work:
            await cancel_run(work, run_id, reason="mine")
    async with platform.work(WAREHOUSE_LEAD) as work:
        with suppress(ChangedInDatabase):
            assert await disclosure.read_run_data(work, [run_id]) == {}


async def test_becoming_the_owner_by_the_card_of_a_version(platform: Platform) -> None:
    await register(platform, SALES_OWNER, central())
    await write(
        platform,
        """UPDATE entry_versions SET card = card || '{"process_owner": "warehouse-lead"}'""",
    )
    with pytest.raises(ChangedInDatabase):
        await published(platform, SALES_OWNER, central())


async def test_giving_an_event_to_another_sender(running: Runtime) -> None:
    """The run that it starts is none of the platform's, so nobody reads its data or answers."""
    platform = running.platform
    await publish_scheduled(platform, flow("{on: {one: {with: {type: com.example.paid}}}}"))
    [sent] = await send(platform, paid(type="com.example.paid"))
    await write(platform, "UPDATE events SET requester = 'sales-owner', requester_persons = '{}'")
    await settle(platform, sent.id)
    async with platform.database.session() as session:
        run_id = await session.scalar(text("SELECT id FROM runs"))
    async with platform.work(SALES_OWNER) as work:
        with pytest.raises(ChangedInDatabase):
            await disclosure.read_run_data(work, [run_id])
