"""Decision tables in the catalog: registered, reviewed, published, found, linked, guarded."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlalchemy import text

from coe.catalog import actions, queries
from coe.catalog.decision_tables.actions import (
    check_decision,
    register_decision,
    resolve_decision,
    signed_table,
)
from coe.catalog.decision_tables.documents import decision_contents
from coe.catalog.models import EntryKind, Lifecycle
from coe.catalog.search.query import CatalogFilter, CatalogSearch, search
from coe.errors import Conflict, Forbidden, Invalid, NotFound, Problem
from coe.work import Platform
from tests.factories.catalog import SECRET, register
from tests.factories.decision_flows import ASKING, REF, level, publish_table
from tests.factories.lifecycle import publish_version
from tests.factories.people import (
    FINANCE_DEVELOPER,
    FINANCE_LEAD,
    OUTSIDER,
    SALES_OWNER,
)


async def test_a_draft_is_saved_once_and_replaced_by_other_content(platform: Platform) -> None:
    async with platform.work(FINANCE_DEVELOPER) as work:
        first = await register_decision(work, level())
    async with platform.work(FINANCE_DEVELOPER) as work:
        again = await register_decision(work, level())
    assert (first.created, again.created) == (True, False)
    assert first.version.id == again.version.id
    assert first.version.lifecycle is Lifecycle.DRAFT
    async with platform.work(FINANCE_DEVELOPER) as work:
        other = await register_decision(work, level(limit="7.00"))
    assert (other.replaced, other.version.id) == (True, first.version.id)
    assert other.version.digest != first.version.digest


async def test_a_table_with_a_gap_is_not_saved(platform: Platform) -> None:
    gap = level().replace("  - {id: large, then: {level: finance}}\n", "")
    async with platform.work(FINANCE_DEVELOPER) as work:
        preview = await check_decision(work, gap)
    assert {each.code for each in preview.problems} == {"DEC010"}
    with pytest.raises(Invalid):
        async with platform.work(FINANCE_DEVELOPER) as work:
            await register_decision(work, gap)
    async with platform.read(FINANCE_DEVELOPER) as read:
        assert await queries.find_entry(read, REF) is None


async def test_only_its_team_registers_and_nobody_reviews_an_own_version(
    platform: Platform,
) -> None:
    with pytest.raises(Forbidden) as refused:
        async with platform.work(SALES_OWNER) as work:
            await register_decision(work, level())
    assert refused.value.extensions["permission"] == "decision:register"
    async with platform.work(FINANCE_LEAD) as work:
        saved = await register_decision(work, level())
        await actions.submit_for_review(work, saved.version.ref)
    with pytest.raises(Forbidden):
        async with platform.work(FINANCE_LEAD) as work:
            await actions.review(work, saved.version.ref, approve=True, comment="mine")
    with pytest.raises(Conflict):
        async with platform.work(FINANCE_LEAD) as work:
            await actions.publish(work, saved.version.ref)


async def test_it_is_published_signed_found_and_retired(platform: Platform) -> None:
    ref = await publish_table(platform, level())
    await publish_table(platform, level("1.1.0", limit="2000.00"))
    async with platform.read(SALES_OWNER) as read:
        found = await search(read, CatalogSearch(text="credit", filter=_only(EntryKind.DECISION)))
        assert [hit.entry.ref for hit in found.items] == [REF]
        live = await queries.find_version(read, REF, EntryKind.DECISION)
        assert live is not None
        assert live.version == "1.0.0"
        assert (await resolve_decision(read.session, f"{REF}@^1")).version == "1.1.0"
        table = await signed_table(read.session, read, ref)
        assert table.decide({"amount": 5}).rules == ("small",)
        contents = await decision_contents(read, [live.id])
        assert contents[live.id].definition == level()
        assert isinstance(contents[live.id].input_schema, dict)
    async with platform.work(FINANCE_LEAD) as work:
        await actions.set_alias(work, REF, "live", "1.1.0")
        await actions.deprecate(work, ref)
        await actions.retire(work, ref)
    async with platform.read(SALES_OWNER) as read:
        with pytest.raises(Conflict):
            await resolve_decision(read.session, ref)
        with pytest.raises(NotFound):
            await resolve_decision(read.session, "finance/nothing")
    async with platform.database.session() as session:
        events = await session.scalars(
            text("SELECT DISTINCT action FROM audit_events WHERE action LIKE 'catalog:decision:%'")
        )
        assert {each.rsplit(":", 1)[1] for each in events} == {
            "register", "submit", "review", "publish", "alias", "deprecate", "retire",
        }  # fmt: skip


def _only(kind: EntryKind) -> CatalogFilter:
    return CatalogFilter(kinds=(kind,))


async def test_what_was_changed_in_the_database_decides_nothing(platform: Platform) -> None:
    ref = await publish_table(platform, level())
    async with platform.database.session() as session:
        await session.execute(text("UPDATE entry_versions SET digest = repeat('0', 64)"))
        await session.commit()
    async with platform.read(SALES_OWNER) as read:
        with pytest.raises(Conflict):
            await signed_table(read.session, read, ref)


async def test_its_document_is_sealed_and_hidden_from_who_may_not_read_it(
    platform: Platform,
) -> None:
    hidden = level().replace("dataClass: INTERNAL", "dataClass: CONFIDENTIAL")
    hidden = hidden.replace(
        "then: {level: finance}", f"then: {{level: finance}}, because: {SECRET}"
    )
    await publish_table(platform, hidden)
    async with platform.read(OUTSIDER) as read:
        assert await queries.find_entry(read, REF) is None
    async with platform.database.session() as session:
        rows = await session.execute(
            text("SELECT count(*) FROM entry_versions WHERE entry_versions::text LIKE :word"),
            {"word": f"%{SECRET}%"},
        )
        assert rows.scalar() == 0


def language(problems: Sequence[Problem]) -> list[Problem]:
    """Without the findings of the standards for a small test process."""
    return [each for each in problems if each.code.startswith("OWS")]


async def test_a_flow_that_calls_it_is_its_caller(platform: Platform) -> None:
    await publish_table(platform, level())
    saved = await register(platform, SALES_OWNER, ASKING)
    assert language(saved.problems) == []
    async with platform.read(SALES_OWNER) as read:
        table = await queries.find_entry(read, REF)
        assert table is not None
        assert table.uses == 1
        callers = await queries.called_by(read, [table.id])
    assert [flow.ref for flow in callers[table.id]] == ["sales/credit"]


async def test_a_missing_table_warns_a_draft_and_refuses_its_submission(
    platform: Platform,
) -> None:
    saved = await register(platform, SALES_OWNER, ASKING)
    [missing] = language(saved.problems)
    assert (missing.code, missing.severity) == ("OWS052", "WARNING")
    with pytest.raises(Invalid) as refused:
        async with platform.work(SALES_OWNER) as work:
            await actions.submit_for_review(work, saved.version.ref)
    [missing] = [each for each in language(refused.value.problems) if each.code == "OWS052"]
    assert missing.severity == "ERROR"
    assert "no decision table" in missing.message
    await publish_table(platform, level())
    moved = await publish_version(platform, saved.version.ref, author=SALES_OWNER)
    assert moved.version.lifecycle is Lifecycle.PUBLISHED


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("input: {amount: lots}", "OWS054"),
        ("input: {}", "OWS054"),
        ("input: {amount: '${ .amount }'}", None),
    ],
)
async def test_an_input_that_the_table_would_refuse_is_reported_at_the_call(
    platform: Platform, given: str, code: str | None
) -> None:
    await publish_table(platform, level())
    asked = ASKING.replace("input: '${ {amount: .amount, customer: .customer} }'", given)
    if code is None:
        assert language((await register(platform, SALES_OWNER, asked)).problems) == []
        return
    with pytest.raises(Invalid) as refused:
        await register(platform, SALES_OWNER, asked)
    assert code in {each.code for each in language(refused.value.problems)}
