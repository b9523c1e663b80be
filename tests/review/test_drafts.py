"""A draft can be changed and deleted until it is submitted."""

from __future__ import annotations

import pytest
from sqlalchemy import update as update_rows

from coe.access.actor import Actor
from coe.catalog import actions, queries
from coe.catalog.flows.contents import flow_contents
from coe.catalog.records import SavedVersion
from coe.catalog.tables import VERSION_APPROVALS, VERSIONS
from coe.catalog.versions import evidence
from coe.catalog.versions.drafts import DeletedDraft
from coe.errors import Conflict, Forbidden, Invalid, NotFound
from coe.review import drafts
from coe.review.drafts import DraftChange
from coe.templates.actions import instantiate, register_template
from coe.templates.queries import origins, template_contents, usage
from coe.templates.records import Instantiation
from coe.work import Platform
from tests.conftest import ROOT
from tests.factories.audit_events import details_of
from tests.factories.catalog import central, published, register
from tests.factories.decision_flows import level
from tests.factories.lifecycle import publish_version
from tests.factories.people import (
    COE_LEAD,
    COE_REVIEWER,
    FINANCE_DEVELOPER,
    SALES_DEVELOPER,
    SALES_OWNER,
    WAREHOUSE_DEVELOPER,
)

REF = "sales/returns@1.0.0"
TESTS = "tests: [{name: a, input: {orderId: x}, expect: {state: COMPLETED}}]"


async def update(
    platform: Platform, change: DraftChange, *, ref: str = REF, actor: Actor = SALES_OWNER
) -> SavedVersion:
    async with platform.work(actor) as work:
        return await drafts.update_draft(work, ref, change)


async def delete(platform: Platform, *, ref: str = REF, actor: Actor = SALES_OWNER) -> DeletedDraft:
    async with platform.work(actor) as work:
        return await drafts.delete_draft(work, ref)


async def test_a_part_of_a_draft_is_changed_and_the_rest_stays(platform: Platform) -> None:
    first = await register(platform, SALES_OWNER, central(), changelog="one")
    await update(platform, DraftChange(tests=TESTS))
    changed = await update(
        platform, DraftChange(manifest=central(step="other")), actor=SALES_DEVELOPER
    )
    assert changed.version.id == first.version.id
    assert changed.version.editors == ("sales-developer",)
    async with platform.read(SALES_OWNER) as read:
        ident = first.version.id
        assert (await evidence.tests_of(read, [ident]))[ident] == TESTS
        assert (await queries.notes(read, [ident]))[ident].changelog == "one"
        assert (await flow_contents(read, [ident]))[ident].definition == central(step="other")


async def test_a_draft_that_was_changed_since_it_was_read_is_not_overwritten(
    platform: Platform,
) -> None:
    first = await register(platform, SALES_OWNER, central())
    await update(platform, DraftChange(manifest=central(step="other")))
    with pytest.raises(Conflict, match="changed since you read it"):
        await update(platform, DraftChange(manifest=central(), digest=first.version.digest))


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (DraftChange(files={"a": "b"}), "/files"),
        (DraftChange(manifest=central(version="1.1.0")), "/manifest"),
        (DraftChange(manifest=central("other")), "/manifest"),
        (DraftChange(tests="tests: []"), "/tests.yaml"),
    ],
)
async def test_a_change_that_does_not_fit_is_located(
    platform: Platform, change: DraftChange, path: str
) -> None:
    await register(platform, SALES_OWNER, central())
    with pytest.raises(Invalid) as refused:
        await update(platform, change)
    assert refused.value.problems[0].path == path


async def test_after_the_submission_nothing_changes_until_it_is_refused(
    platform: Platform,
) -> None:
    await register(platform, SALES_OWNER, central())
    async with platform.work(SALES_OWNER) as work:
        await actions.submit_for_review(work, REF)
    with pytest.raises(Conflict, match="never changes"):
        await update(platform, DraftChange(tests=TESTS))
    with pytest.raises(Conflict, match="never changes"):
        await delete(platform)
    async with platform.work(COE_REVIEWER) as work:
        await actions.review(work, REF, approve=False, comment="no")
    changed = await update(platform, DraftChange(manifest=central(step="other")))
    assert changed.replaced
    with pytest.raises(Conflict, match="its reviews are kept"):
        await delete(platform)


async def test_an_approval_of_other_content_does_not_count(platform: Platform) -> None:
    """Whoever may write to the database cannot change a draft between approval and publication."""
    saved = await register(platform, SALES_OWNER, central())
    async with platform.work(SALES_OWNER) as work:
        await actions.submit_for_review(work, REF)
    async with platform.work(COE_LEAD) as work:
        await actions.review(work, REF, approve=True, comment="fine")
    async with platform.read(COE_LEAD) as read:
        [approval] = (await queries.approvals(read, [saved.version.id]))[saved.version.id]
    assert (approval.comment, approval.digest) == ("fine", saved.version.digest)
    async with platform.database.session() as session:
        await session.execute(update_rows(VERSION_APPROVALS).values(digest="of other content"))
        await session.commit()
    with pytest.raises(Conflict, match="has 0 of the 1 approvals"):
        async with platform.work(COE_REVIEWER) as work:
            await actions.publish(work, REF)


async def test_who_changed_a_draft_neither_approves_it_nor_counts_as_approving(
    platform: Platform,
) -> None:
    await register(platform, SALES_OWNER, central())
    async with platform.work(SALES_OWNER) as work:
        await actions.submit_for_review(work, REF)
    async with platform.work(COE_LEAD) as work:
        await actions.review(work, REF, approve=True, comment="fine")
    async with platform.database.session() as session:
        await session.execute(update_rows(VERSIONS).values(editors=[COE_LEAD.subject]))
        await session.commit()
    with pytest.raises(Forbidden):
        async with platform.work(COE_LEAD) as work:
            await actions.review(work, REF, approve=True, comment="fine")
    with pytest.raises(Conflict, match="has 0 of the 1 approvals"):
        async with platform.work(COE_REVIEWER) as work:
            await actions.publish(work, REF)


async def test_a_deleted_draft_frees_its_number_and_its_name(platform: Platform) -> None:
    await register(platform, SALES_OWNER, central("parts"))
    await register(platform, SALES_OWNER, central(calls="sales/parts@^1"))
    deleted = await delete(platform)
    assert (deleted.version.ref, deleted.entry) == (REF, None)
    async with platform.read(SALES_OWNER) as read:
        assert await queries.find_entry(read, "sales/returns") is None
        parts = await queries.find_entry(read, "sales/parts")
    assert parts is not None
    assert parts.uses == 0
    [detail] = await details_of(platform, "catalog:flow:delete")
    assert detail["before"]["digest"] == deleted.version.digest
    assert (await register(platform, SALES_OWNER, central(step="other"))).created


async def test_a_deleted_draft_leaves_the_other_versions(platform: Platform) -> None:
    await published(platform, SALES_OWNER, central())
    await register(platform, SALES_OWNER, central(version="1.1.0", title="New"))
    deleted = await delete(platform, ref="sales/returns@1.1.0")
    assert deleted.entry is not None
    assert deleted.entry.current_version == "1.0.0"
    with pytest.raises(Conflict):
        await delete(platform)


async def test_only_the_team_deletes_its_drafts(platform: Platform) -> None:
    await register(platform, SALES_OWNER, central())
    with pytest.raises(Forbidden):
        await delete(platform, actor=WAREHOUSE_DEVELOPER)
    with pytest.raises(NotFound):
        await delete(platform, ref="sales/none@1.0.0")


async def test_drafts_of_tables_and_templates_are_alike(platform: Platform) -> None:
    table = "finance/credit-level@1.0.0"
    async with platform.work(FINANCE_DEVELOPER) as work:
        await drafts.register_decision(work, level())
    changed = await update(
        platform, DraftChange(manifest=level(limit="7.00")), ref=table, actor=FINANCE_DEVELOPER
    )
    assert changed.replaced
    await delete(platform, ref=table, actor=FINANCE_DEVELOPER)
    files = {path.name: path.read_text() for path in (ROOT / "templates/incident-review").iterdir()}
    async with platform.work(COE_LEAD) as work:
        saved = await register_template(work, files)
    template = saved.version.ref
    files["README.md"] += "\nMore.\n"
    changed = await update(platform, DraftChange(files=files), ref=template, actor=COE_LEAD)
    assert changed.replaced
    async with platform.read(COE_LEAD) as read:
        kept = (await template_contents(read, [saved.version.id]))[saved.version.id]
    assert kept.readme == files["README.md"]
    await delete(platform, ref=template, actor=COE_LEAD)
    assert len(await details_of(platform, "catalog:template:delete")) == 1
    assert len(await details_of(platform, "catalog:decision:delete")) == 1


async def test_an_instance_has_the_tests_of_its_parameters_and_says_if_it_was_changed(
    platform: Platform,
) -> None:
    files = {path.name: path.read_text() for path in (ROOT / "templates/order-to-cash").iterdir()}
    systems = "systems: [sales/crm, finance/erp, warehouse/wms]"
    for name in ("template.yaml", "flow.yaml"):
        files[name] = files[name].replace(systems, "systems: []")
    async with platform.work(COE_LEAD) as work:
        template = await register_template(work, files)
    await publish_version(platform, template.version.ref, author=COE_LEAD)
    wanted = Instantiation(
        template="coe/order-to-cash",
        namespace="sales",
        name="orders",
        parameters={"creditLimit": "400.00"},
        process_owner="sales-owner",
    )
    async with platform.work(SALES_OWNER) as work:
        made = await instantiate(work, wanted)
    ident = made.version.id
    async with platform.read(SALES_OWNER) as read:
        tests = (await evidence.tests_of(read, [ident]))[ident]
        assert not (await origins(read, [ident]))[ident].changed
        definition = (await flow_contents(read, [ident]))[ident].definition
    assert "parameters:" not in tests
    assert tests.count("- name:") < files["tests.yaml"].count("- name:")
    assert "a rejection that the CRM never takes faults the run after four tries" in tests
    changed = definition.replace("summary: ", "summary: Our own. ", 1)
    await update(platform, DraftChange(manifest=changed), ref=made.version.ref)
    async with platform.read(SALES_OWNER) as read:
        assert (await origins(read, [ident]))[ident].changed
    await delete(platform, ref=made.version.ref)
    async with platform.read(SALES_OWNER) as read:
        assert (await usage(read, [template.entry.id]))[template.entry.id].flows == 0
        entry = await queries.find_entry(read, "coe/order-to-cash")
    assert entry is not None
    assert entry.uses == 0
