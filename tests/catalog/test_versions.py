from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import text

from coe.access.policy_lines import Relation
from coe.catalog import actions, queries
from coe.catalog.flows import contents
from coe.catalog.flows.contents import runnable_version
from coe.catalog.models import EntryKind
from coe.catalog.records import EntryRecord
from coe.catalog.systems import register_system
from coe.db import new_id
from coe.errors import Conflict, Invalid, NotFound
from coe.work import Platform
from tests.factories.catalog import SECRET, central, local, published, register
from tests.factories.people import COE_LEAD, OUTSIDER, SALES_OWNER, WAREHOUSE_DEVELOPER

VERSIONS = ("1.0.0", "1.2.0", "1.10.0", "2.0.0")


@pytest.fixture
async def entry(platform: Platform) -> EntryRecord:
    """Returns in four published versions, a deprecated, a pre-release and a draft."""
    for version in (*VERSIONS, "3.0.0-rc.1"):
        moved = await published(platform, SALES_OWNER, central(version=version))
    await published(platform, SALES_OWNER, central(version="4.0.0"))
    async with platform.work(SALES_OWNER) as work:
        await actions.deprecate(work, "sales/returns@4.0.0")
    await register(platform, SALES_OWNER, central(version="5.0.0"))
    return moved.entry


RESOLVED: list[tuple[str | None, str | None]] = [
    (None, "1.0.0"),
    ("live", "1.0.0"),
    ("1.2.0", "1.2.0"),
    ("^1", "1.10.0"),
    ("~1.2", "1.2.0"),
    ("*", "2.0.0"),
    ("^4", "4.0.0"),
    ("5.0.0", "5.0.0"),
    ("3.0.0-rc.1", "3.0.0-rc.1"),
    ("^5", None),
    ("canary", None),
    ("9.9.9", None),
]


async def test_what_a_ref_resolves_to(platform: Platform, entry: EntryRecord) -> None:
    async with platform.read(SALES_OWNER) as read:
        for selector, version in RESOLVED:
            key = (entry.id, selector)
            ref = f"sales/returns@{selector}" if selector else "sales/returns"
            found = await queries.resolve_versions(read, [key])
            by_ref = await queries.find_version(read, ref)
            assert (found[key].version if found else None) == version, selector
            assert (by_ref.version if by_ref else None) == version, selector


async def test_many_refs_in_one_go(platform: Platform, entry: EntryRecord) -> None:
    keys: list[tuple[UUID, str | None]] = [
        (entry.id, None),
        (entry.id, "^1"),
        (entry.id, "2.0.0"),
        (new_id(), None),
    ]
    async with platform.read(SALES_OWNER) as read:
        found = await queries.resolve_versions(read, keys)
        hidden = await platform_read_as_outsider(platform, keys)
    assert {key[1]: row.version for key, row in found.items()} == {
        None: "1.0.0",
        "^1": "1.10.0",
        "2.0.0": "2.0.0",
    }
    assert hidden == {}


async def platform_read_as_outsider(
    platform: Platform,
    keys: list[tuple[UUID, str | None]],
) -> dict[tuple[UUID, str | None], object]:
    async with platform.read(OUTSIDER) as read:
        return dict(await queries.resolve_versions(read, keys))


async def test_versions_are_paged_highest_first(platform: Platform, entry: EntryRecord) -> None:
    seen: list[str] = []
    after = None
    async with platform.read(SALES_OWNER) as read:
        while True:
            page = await queries.versions_page(read, entry.id, first=3, after=after)
            assert page.total == 7
            seen += [row.version for row in page.items]
            if not page.has_next:
                break
            after = page.cursors[-1]
    assert seen == ["5.0.0", "4.0.0", "3.0.0-rc.1", "2.0.0", "1.10.0", "1.2.0", "1.0.0"]


async def test_the_flows_of_a_team_are_paged(platform: Platform) -> None:
    for name in ("b", "a", "c"):
        await register(platform, SALES_OWNER, central(name))
    await register(platform, WAREHOUSE_DEVELOPER, local())
    async with platform.read(SALES_OWNER) as read:
        first = await queries.flows_page(read, "sales", first=2)
        rest = await queries.flows_page(read, "sales", first=2, after=first.cursors[-1])
        with pytest.raises(Invalid):
            await queries.flows_page(read, "sales", after="nonsense")
    assert [row.name for row in (*first.items, *rest.items)] == ["a", "b", "c"]
    assert (first.has_next, rest.has_next, first.total) == (True, False, 3)


async def test_contents_are_opened_for_those_who_may_read(platform: Platform) -> None:
    saved = await register(platform, SALES_OWNER, central(data_class="PERSONAL"))
    async with platform.read(SALES_OWNER) as read:
        content = (await contents.flow_contents(read, [saved.version.id]))[saved.version.id]
        assert (await contents.diagram(read, saved.version.id) or "").startswith("flowchart")
    assert SECRET in content.definition
    assert content.definition == central(data_class="PERSONAL")
    assert isinstance(content.input_schema, dict)
    assert isinstance(content.input_schema["examples"], list)
    async with platform.read(WAREHOUSE_DEVELOPER) as read:
        assert await contents.flow_contents(read, [saved.version.id]) == {}
        assert await contents.diagram(read, saved.version.id) is None
        assert await queries.find_entry(read, "sales/returns") is None
        assert await queries.entries_by_id(read, [saved.entry.id]) == {}
        related = await queries.entries_by_id(
            read,
            [saved.entry.id],
            relations=[Relation.CANDIDATE],
        )
    assert set(related) == {saved.entry.id}


async def test_a_process_owner_reads_the_flow_that_names_her(platform: Platform) -> None:
    await register(
        platform, SALES_OWNER, central(data_class="PERSONAL", owner="warehouse-developer")
    )
    async with platform.read(WAREHOUSE_DEVELOPER) as read:
        entry = await queries.find_entry(read, "sales/returns", EntryKind.FLOW)
        version = await queries.find_version(read, "sales/returns@1.0.0")
    assert entry is not None
    assert version is not None


async def test_what_differs_between_two_versions(platform: Platform) -> None:
    await published(platform, SALES_OWNER, central())
    saved = await register(platform, SALES_OWNER, central(version="1.1.0", step="lookAtGoods"))
    async with platform.read(SALES_OWNER) as read:
        for to in ("live", "1.0.0"):
            change = await contents.diff(read, saved.version.id, to)
            assert change is not None
            assert "+  - lookAtGoods" in change.unified
            assert not change.breaking
        assert await contents.diff(read, saved.version.id, "canary") is None
    async with platform.read(OUTSIDER) as read:
        assert await contents.diff(read, saved.version.id, "live") is None


async def test_what_runs_was_published_and_is_what_was_signed(platform: Platform) -> None:
    moved = await published(platform, WAREHOUSE_DEVELOPER, local())
    await register(platform, WAREHOUSE_DEVELOPER, local(version="1.1.0"))
    async with platform.read(COE_LEAD) as read:
        flow = await contents.runnable(read.session, read, "warehouse/pick-and-pack@^1")
        assert flow.version.ref == moved.version.ref
        assert flow.entrypoint == "flows/teams/warehouse/pick_and_pack.py:pick_and_pack"
        assert flow.timeout == "PT5M"
        assert isinstance(flow.input_schema, dict)
        kept = await runnable_version(read.session, platform, moved.version.id)
        assert kept == flow
        for ref, error in (
            ("warehouse/pick-and-pack@1.1.0", Conflict),
            ("warehouse/pick-and-pack@^2", NotFound),
            ("warehouse/nothing", NotFound),
        ):
            with pytest.raises(error):
                await contents.runnable(read.session, read, ref)
    async with platform.database.session() as session:
        await session.execute(
            text(
                "UPDATE entry_versions SET content_sealed = other.content_sealed "
                "FROM entry_versions other "
                "WHERE entry_versions.version = '1.0.0' AND other.version = '1.1.0'",
            ),
        )
        await session.commit()
    async with platform.read(COE_LEAD) as read:
        with pytest.raises(Exception, match="open"):
            await contents.runnable(read.session, read, "warehouse/pick-and-pack@^1")


SYSTEM = """\
kind: System
namespace: sales
name: crm
version: 1.0.0
title: Customer relations
summary: Customers and their orders.
tags: [customer]
url: https://crm.acme.example
"""


async def test_systems_are_published_as_they_are_saved(platform: Platform) -> None:
    caller = await register(platform, SALES_OWNER, central(systems="sales/crm"))
    async with platform.work(SALES_OWNER) as work:
        saved = await register_system(work, SYSTEM)
    async with platform.work(SALES_OWNER) as work:
        again = await register_system(work, SYSTEM)
    assert (saved.created, again.created) == (True, False)
    async with platform.read(SALES_OWNER) as read:
        (system,) = (await queries.systems_of(read, [caller.entry.id]))[caller.entry.id]
    assert (system.ref, system.kind, system.current_version) == (
        "sales/crm",
        EntryKind.SYSTEM,
        "1.0.0",
    )
    with pytest.raises(Conflict, match=r"use a number above 1\.0\.0"):
        async with platform.work(SALES_OWNER) as work:
            await register_system(work, SYSTEM.replace("customer]", "people]"))
    async with platform.work(SALES_OWNER) as work:
        newer = await register_system(
            work,
            SYSTEM.replace("1.0.0", "1.1.0").replace("Customer relations", "CRM"),
        )
    assert (newer.entry.current_version, newer.entry.title) == ("1.1.0", "CRM")
    async with platform.work(SALES_OWNER) as work:
        moved = await actions.set_alias(work, "sales/crm", "live", "1.0.0")
    assert moved.entry.title == "Customer relations"
