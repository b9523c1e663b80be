"""What is in review is found, by whom it waits for and by its own state."""

from __future__ import annotations

from sqlalchemy import text

from coe.access.actor import Actor
from coe.catalog import actions, queries
from coe.catalog.models import EntryKind
from coe.catalog.versions.clear_texts import seal_clear_texts
from coe.review.queries import ReviewFilter, reviews_page, unified_diff
from coe.work import Platform
from tests.factories import templates
from tests.factories.api_documents import local
from tests.factories.catalog import central, published, register
from tests.factories.decision_flows import level, publish_table
from tests.factories.people import (
    COE_LEAD,
    COE_REVIEWER,
    OUTSIDER,
    SALES_DEVELOPER,
    SALES_OWNER,
    WAREHOUSE_DEVELOPER,
)


async def refs(platform: Platform, actor: Actor, wanted: ReviewFilter) -> list[str]:
    async with platform.read(actor) as read:
        return [each.ref for each in (await reviews_page(read, wanted)).items]


async def submit(platform: Platform, text: str, comment: str | None = None) -> str:
    saved = await register(platform, SALES_OWNER, text)
    async with platform.work(SALES_OWNER) as work:
        await actions.submit_for_review(work, saved.version.ref, comment=comment)
    return saved.version.ref


async def test_what_waits_for_a_reviewer_is_listed_until_it_is_approved(
    platform: Platform,
) -> None:
    await published(platform, SALES_OWNER, central())
    first = await submit(platform, central(version="1.1.0", step="other"), "please look at `other`")
    second = await submit(platform, central("more"))
    waiting = ReviewFilter(waiting_for_me=True)
    assert await refs(platform, COE_REVIEWER, waiting) == [first, second]
    assert await refs(platform, SALES_OWNER, waiting) == []
    assert await refs(platform, SALES_OWNER, ReviewFilter(submitted_by_me=True)) == [first, second]
    assert await refs(platform, SALES_DEVELOPER, ReviewFilter(submitted_by_me=True)) == []
    assert await refs(platform, COE_REVIEWER, ReviewFilter(kinds=(EntryKind.DECISION,))) == []
    assert await refs(platform, COE_REVIEWER, ReviewFilter(entries=("sales/more",))) == [second]
    async with platform.work(COE_LEAD) as work:
        await actions.review(work, first, approve=True, comment="fine")
    assert await refs(platform, COE_LEAD, waiting) == [second]
    assert await refs(platform, COE_REVIEWER, waiting) == [second]
    assert await refs(platform, COE_REVIEWER, ReviewFilter()) == [first, second]
    async with platform.read(COE_REVIEWER) as read:
        version = await queries.find_version(read, first)
        assert version is not None
        note = (await queries.notes(read, [version.id]))[version.id]
        assert note.submission_comment == "please look at `other`"
        diff = await unified_diff(read, version)
    assert "--- flow.yaml (@1.0.0)\n+++ flow.yaml (@1.1.0)" in diff
    assert "+  - other:" in diff


async def test_nobody_waits_for_himself(platform: Platform) -> None:
    """The lead may review what others wrote, and writes too."""
    waiting = ReviewFilter(waiting_for_me=True)
    saved = await templates.register(platform, COE_LEAD)
    async with platform.work(COE_LEAD) as work:
        await actions.submit_for_review(work, saved.version.ref)
    assert await refs(platform, COE_REVIEWER, waiting) == [saved.version.ref]
    assert await refs(platform, COE_LEAD, waiting) == []


async def test_a_local_flow_waits_for_a_reviewer_only_if_it_needs_an_approval(
    platform: Platform,
) -> None:
    for version, owner in (("1.0.0", "warehouse-developer"), ("1.1.0", "sales-owner")):
        manifest = local(version).replace("warehouse-developer", owner)
        saved = await register(platform, WAREHOUSE_DEVELOPER, manifest)
        async with platform.work(WAREHOUSE_DEVELOPER) as work:
            await actions.submit_for_review(work, saved.version.ref)
    everything = await refs(platform, COE_REVIEWER, ReviewFilter())
    waiting = await refs(platform, COE_REVIEWER, ReviewFilter(waiting_for_me=True))
    assert everything == ["warehouse/count-stock@1.0.0", "warehouse/count-stock@1.1.0"]
    assert waiting == ["warehouse/count-stock@1.1.0"]


async def test_an_approval_of_other_content_leaves_a_version_waiting(platform: Platform) -> None:
    waiting = ReviewFilter(waiting_for_me=True)
    ref = await submit(platform, central())
    async with platform.work(COE_LEAD) as work:
        await actions.review(work, ref, approve=True, comment="fine")
    assert await refs(platform, COE_LEAD, waiting) == []
    async with platform.database.session() as session:
        await session.execute(text("UPDATE version_approvals SET digest = 'of another content'"))
        await session.commit()
    assert await refs(platform, COE_LEAD, waiting) == [ref]


async def test_a_page_of_reviews_goes_on_after_its_cursor(platform: Platform) -> None:
    wanted = [await submit(platform, central(name)) for name in ("one", "two", "three")]
    async with platform.read(COE_REVIEWER) as read:
        page = await reviews_page(read, ReviewFilter(), first=2)
        rest = await reviews_page(read, ReviewFilter(), first=2, after=page.cursors[-1])
    assert [each.ref for each in (*page.items, *rest.items)] == wanted
    assert (page.has_next, rest.has_next, rest.has_previous, page.total) == (True, False, True, 3)


async def test_reviews_are_limited_to_what_one_may_read(platform: Platform) -> None:
    ref = await submit(platform, central(data_class="CONFIDENTIAL"))
    assert await refs(platform, OUTSIDER, ReviewFilter()) == []
    assert await refs(platform, COE_REVIEWER, ReviewFilter()) == [ref]


async def test_the_comments_of_people_are_sealed(platform: Platform) -> None:
    await register(platform, SALES_OWNER, central(), changelog="for Wilhelmina")
    async with platform.work(SALES_OWNER) as work:
        await actions.submit_for_review(work, "sales/returns@1.0.0", comment="as Wilhelmina asked")
    async with platform.work(COE_LEAD) as work:
        await actions.review(
            work, "sales/returns@1.0.0", approve=True, comment="Wilhelmina is right"
        )
    async with platform.database.session() as session:
        versions = (await session.execute(text("SELECT v::text FROM entry_versions v"))).all()
        approvals = (await session.execute(text("SELECT a::text FROM version_approvals a"))).all()
    assert "Wilhelmina" not in str(versions) + str(approvals)


async def test_tables_wait_for_their_own_reviewers(platform: Platform) -> None:
    await publish_table(platform, level())
    assert await refs(platform, COE_REVIEWER, ReviewFilter()) == []


async def test_texts_of_earlier_releases_are_read_and_then_sealed(platform: Platform) -> None:
    moved = await published(platform, SALES_OWNER, central())
    async with platform.database.session() as session:
        await session.execute(
            text("UPDATE entry_versions SET changelog = 'of old', changelog_sealed = NULL")
        )
        await session.execute(
            text(
                "UPDATE version_approvals SET comment = 'good old', comment_sealed = NULL, "
                "digest = NULL"
            )
        )
        await session.commit()

    async def seen() -> tuple[str | None, str | None]:
        ident = moved.version.id
        async with platform.read(COE_REVIEWER) as read:
            [approval] = (await queries.approvals(read, [ident]))[ident]
            return (await queries.notes(read, [ident]))[ident].changelog, approval.comment

    assert await seen() == ("of old", "good old")
    async with platform.work(SALES_OWNER) as work:
        assert await seal_clear_texts(work) == 2
    async with platform.work(SALES_OWNER) as work:
        assert await seal_clear_texts(work) == 0
    assert await seen() == ("of old", "good old")
    async with platform.database.session() as session:
        rows = (await session.execute(text("SELECT v::text FROM entry_versions v"))).all()
    assert "of old" not in str(rows)
