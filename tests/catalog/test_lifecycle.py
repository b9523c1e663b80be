from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from sqlalchemy import text

from coe import content
from coe.access.models import PolicyRule
from coe.catalog import actions, queries
from coe.catalog.flows.contents import flow_contents
from coe.catalog.models import EntryKind, FlowKind, Lifecycle, ReviewVerdict
from coe.catalog.records import ChangedVersion
from coe.catalog.versions.lifecycle import LifecycleAction, next_state
from coe.errors import Conflict, Forbidden, Invalid, NotFound, Severity, errors_in
from coe.settings import Settings
from coe.work import Platform
from tests.factories.audit_events import details_of
from tests.factories.catalog import central, local, published, register
from tests.factories.lifecycle import publish_version
from tests.factories.people import (
    COE_LEAD,
    COE_REVIEWER,
    OUTSIDER,
    SALES_DEVELOPER,
    SALES_OWNER,
    WAREHOUSE_DEVELOPER,
)
from tests.factories.policies import sign_policy


async def _events(platform: Platform) -> list[tuple[str, str, str, str | None]]:
    async with platform.database.session() as session:
        rows = await session.execute(
            text("SELECT actor, action, outcome, rule FROM audit_events ORDER BY at, id"),
        )
        return [tuple(row) for row in rows.all()]


async def test_from_draft_to_live_with_a_signature(platform: Platform) -> None:
    moved = await published(platform, SALES_OWNER, central())
    assert moved.version.lifecycle is Lifecycle.PUBLISHED
    assert moved.version.published_by == "coe-lead"
    said = json.loads(moved.version.publication or "")
    assert said == {
        "type": "coe-publication/1",
        "ref": "sales/returns@1.0.0",
        "digest": moved.version.digest,
        "dataClass": "INTERNAL",
        "approvers": ["coe-lead"],
    }
    statement = (moved.version.publication or "").encode()
    assert platform.signer.public.verify_statement(statement, moved.version.signature)
    async with platform.read(SALES_OWNER) as read:
        assert await queries.aliases(read, [moved.entry.id]) == {moved.entry.id: {"live": "1.0.0"}}
        (approval,) = (await queries.approvals(read, [moved.version.id]))[moved.version.id]
    assert (approval.by, approval.decision) == ("coe-lead", ReviewVerdict.APPROVED)
    actions_done = [event[1] for event in await _events(platform)]
    assert actions_done == [
        "catalog:flow:register",
        "catalog:flow:submit",
        "catalog:flow:review",
        "catalog:flow:publish",
    ]


async def test_the_author_may_not_approve_and_the_refusal_is_recorded(platform: Platform) -> None:
    await register(platform, SALES_OWNER, central())
    async with platform.work(SALES_OWNER) as work:
        await actions.submit_for_review(work, "sales/returns@1.0.0")
    with pytest.raises(Forbidden) as refused:
        async with platform.work(SALES_OWNER) as work:
            await actions.review(work, "sales/returns@1.0.0", approve=True, comment="fine")
    assert refused.value.extensions["permission"] == "flow:review"
    assert "deny" in str(refused.value.extensions["rule"])
    assert (await _events(platform))[-1][:3] == ("sales-owner", "catalog:flow:review", "DENIED")
    async with platform.read(SALES_OWNER) as read:
        version = await queries.find_version(read, "sales/returns@1.0.0")
    assert version is not None
    assert version.lifecycle is Lifecycle.IN_REVIEW


async def test_a_reviewer_may_not_approve_an_own_version(platform: Platform) -> None:
    await register(platform, SALES_OWNER, central())
    async with platform.work(SALES_OWNER) as work:
        await actions.submit_for_review(work, "sales/returns@1.0.0")
    async with platform.database.session() as session:
        await session.execute(text("UPDATE entry_versions SET created_by = 'coe-reviewer'"))
        await session.commit()
    with pytest.raises(Forbidden) as refused:
        async with platform.work(COE_REVIEWER) as work:
            await actions.review(work, "sales/returns@1.0.0", approve=True, comment="mine")
    assert "relation:author" in str(refused.value.extensions["rule"])


async def test_without_an_approval_nothing_is_published(platform: Platform) -> None:
    await register(platform, SALES_OWNER, central())
    with pytest.raises(Conflict, match=r"DRAFT cannot be published: .* coe flow submit"):
        async with platform.work(SALES_OWNER) as work:
            await actions.publish(work, "sales/returns@1.0.0")
    async with platform.work(SALES_OWNER) as work:
        await actions.submit_for_review(work, "sales/returns@1.0.0")
    with pytest.raises(Conflict, match="0 of the 1"):
        async with platform.work(SALES_OWNER) as work:
            await actions.publish(work, "sales/returns@1.0.0")


async def test_a_refusal_sends_back_and_voids_earlier_approvals(platform: Platform) -> None:
    ref = "sales/returns@1.0.0"
    await register(platform, SALES_OWNER, central())
    async with platform.work(SALES_OWNER) as work:
        await actions.submit_for_review(work, ref)
    async with platform.work(COE_LEAD) as work:
        await actions.review(work, ref, approve=True, comment="good")
    with pytest.raises(Conflict, match="has approved"):
        async with platform.work(COE_LEAD) as work:
            await actions.review(work, ref, approve=True, comment="good again")
    async with platform.work(COE_REVIEWER) as work:
        moved = await actions.review(work, ref, approve=False, comment="no timeout")
    assert moved.version.lifecycle is Lifecycle.DRAFT
    async with platform.work(SALES_OWNER) as work:
        await actions.submit_for_review(work, ref)
    with pytest.raises(Conflict, match="0 of the 1"):
        async with platform.work(SALES_OWNER) as work:
            await actions.publish(work, ref)


async def test_a_review_needs_a_comment(platform: Platform) -> None:
    with pytest.raises(Invalid) as invalid:
        async with platform.work(COE_LEAD) as work:
            await actions.review(work, "sales/returns@1.0.0", approve=True, comment=" ")
    assert invalid.value.problems[0].path == "/comment"


async def test_a_second_version_leaves_live_where_it_is(platform: Platform) -> None:
    await published(platform, SALES_OWNER, central())
    second = await published(platform, SALES_OWNER, central(version="1.1.0", title="Returns, new"))
    assert second.entry.current_version == "1.0.0"
    assert second.entry.title == "Returns"
    async with platform.work(SALES_OWNER) as work:
        moved = await actions.set_alias(work, "sales/returns", "live", "1.1.0")
    assert moved.entry.title == "Returns, new"
    assert moved.entry.current_version == "1.1.0"


async def _in_review(platform: Platform, text_: str) -> str:
    ref = (await register(platform, SALES_OWNER, text_)).version.ref
    async with platform.work(SALES_OWNER) as work:
        await actions.submit_for_review(work, ref)
    async with platform.work(COE_LEAD) as work:
        await actions.review(work, ref, approve=True, comment="good")
    return ref


async def test_a_publication_moves_live_where_it_is_asked_to(platform: Platform) -> None:
    await published(platform, SALES_OWNER, central())
    ref = await _in_review(platform, central(version="1.1.0", title="Returns, new"))
    async with platform.work(SALES_OWNER) as work:
        moved = await actions.publish(work, ref, set_live=True)
    assert (moved.entry.current_version, moved.entry.title) == ("1.1.0", "Returns, new")
    [detail] = await details_of(platform, "catalog:flow:alias")
    assert detail == {"alias": "live", "before": "1.0.0", "after": "1.1.0"}


async def test_a_policy_may_ask_for_a_second_person_to_move_live(platform: Platform) -> None:
    await published(platform, SALES_OWNER, central())
    ref = await _in_review(platform, central(version="1.1.0"))
    line = ["relation:publisher", "*", "flow:alias", "*", "deny"]
    async with platform.database.session() as session:
        session.add(PolicyRule(ptype="p", fields=line, source="test"))
        await session.flush()
        await sign_policy(session)
        await session.commit()
    with pytest.raises(Forbidden) as refused:
        async with platform.work(COE_LEAD) as work:
            await actions.publish(work, ref, set_live=True)
    assert refused.value.extensions["permission"] == "flow:alias"
    async with platform.work(COE_LEAD) as work:
        await actions.publish(work, ref)
    with pytest.raises(Forbidden):
        async with platform.work(COE_LEAD) as work:
            await actions.set_alias(work, "sales/returns", "live", "1.1.0")
    async with platform.work(SALES_OWNER) as work:
        await actions.set_alias(work, "sales/returns", "live", "1.1.0")


async def test_an_alias_names_only_what_was_published(platform: Platform) -> None:
    await published(platform, SALES_OWNER, central())
    await register(platform, SALES_OWNER, central(version="1.1.0", step="other"))
    with pytest.raises(Conflict):
        async with platform.work(SALES_OWNER) as work:
            await actions.set_alias(work, "sales/returns", "canary", "1.1.0")
    for alias, version in (("1.0.0", "1.0.0"), ("canary", "^1")):
        with pytest.raises(Invalid):
            async with platform.work(SALES_OWNER) as work:
                await actions.set_alias(work, "sales/returns", alias, version)


async def test_deprecate_then_retire_once_no_alias_names_it(platform: Platform) -> None:
    ref = "sales/returns@1.0.0"
    await published(platform, SALES_OWNER, central())
    with pytest.raises(Conflict, match=r"PUBLISHED cannot be published: .* coe flow alias"):
        async with platform.work(SALES_OWNER) as work:
            await actions.publish(work, ref)
    await published(platform, SALES_OWNER, central(version="1.1.0", step="other"))
    with pytest.raises(Conflict, match="PUBLISHED cannot be retired"):
        async with platform.work(SALES_OWNER) as work:
            await actions.retire(work, ref)
    async with platform.work(SALES_OWNER) as work:
        moved = await actions.deprecate(work, ref)
    assert moved.entry.lifecycle is Lifecycle.DEPRECATED
    with pytest.raises(Conflict, match="alias live"):
        async with platform.work(SALES_OWNER) as work:
            await actions.retire(work, ref)
    async with platform.work(SALES_OWNER) as work:
        await actions.set_alias(work, "sales/returns", "live", "1.1.0")
    async with platform.work(SALES_OWNER) as work:
        retired = await actions.retire(work, ref)
    assert retired.version.lifecycle is Lifecycle.RETIRED
    assert retired.entry.lifecycle is Lifecycle.PUBLISHED


async def test_a_draft_can_be_retired(platform: Platform) -> None:
    await register(platform, SALES_OWNER, central())
    async with platform.work(SALES_OWNER) as work:
        moved = await actions.retire(work, "sales/returns@1.0.0")
    assert moved.entry.lifecycle is Lifecycle.RETIRED


async def test_a_local_flow_is_published_by_its_team_and_deployed(platform: Platform) -> None:
    saved = await register(platform, WAREHOUSE_DEVELOPER, local())
    assert saved.entry.flow_kind is FlowKind.LOCAL
    with pytest.raises(Forbidden):
        async with platform.work(SALES_DEVELOPER) as work:
            await actions.publish(work, saved.version.ref)
    async with platform.work(WAREHOUSE_DEVELOPER) as work:
        moved = await actions.publish(work, saved.version.ref)
    assert moved.version.lifecycle is Lifecycle.PUBLISHED
    async with platform.database.session() as session:
        rows = await session.execute(text("SELECT kind, subject FROM outbox"))
        assert [tuple(row) for row in rows.all()] == [("deploy", moved.version.id)]


def _named(version: str, **named: str) -> str:
    lines = "".join(f"{key}: {subject}\n" for key, subject in named.items())
    return local(version=version) + lines


async def test_a_team_gives_nobody_the_data_of_its_runs_without_a_review(
    platform: Platform,
) -> None:
    async def publish(text: str) -> ChangedVersion:
        saved = await register(platform, WAREHOUSE_DEVELOPER, text)
        async with platform.work(WAREHOUSE_DEVELOPER) as work:
            return await actions.publish(work, saved.version.ref)

    with pytest.raises(Conflict, match="approvals"):
        await publish(_named("0.9.0", deputy="finance-lead"))
    await publish(_named("1.0.0", processOwner="warehouse-lead"))
    await publish(_named("1.1.0", processOwner="warehouse-lead"))
    for changed in (
        _named("1.2.0", processOwner="warehouse-developer"),
        _named("1.3.0", processOwner="warehouse-lead", deputy="finance-lead"),
    ):
        with pytest.raises(Conflict, match="approvals"):
            await publish(changed)
    reviewed = _named("2.0.0", processOwner="warehouse-lead", deputy="warehouse-developer")
    moved = await published(platform, WAREHOUSE_DEVELOPER, reviewed)
    assert moved.version.lifecycle is Lifecycle.PUBLISHED


async def test_an_actor_who_may_not_read_gets_not_found(platform: Platform) -> None:
    saved = await register(platform, SALES_OWNER, central(data_class="PERSONAL"))
    for actor in (OUTSIDER, WAREHOUSE_DEVELOPER):
        with pytest.raises(NotFound):
            async with platform.work(actor) as work:
                await actions.submit_for_review(work, saved.version.ref)
    events = await _events(platform)
    assert [event[2] for event in events if event[0] == "warehouse-developer"] == ["DENIED"]


async def test_a_ref_without_an_exact_version_is_a_located_problem(platform: Platform) -> None:
    for ref in ("sales/returns", "sales/returns@live", "nonsense"):
        with pytest.raises(Invalid) as invalid:
            async with platform.work(SALES_OWNER) as work:
                await actions.submit_for_review(work, ref)
        assert invalid.value.problems[0].path == "/ref"


@pytest.mark.parametrize("column", ["digest", "signature"])
async def test_a_version_changed_in_the_database_is_not_published(
    platform: Platform,
    column: str,
) -> None:
    ref = "sales/returns@1.0.0"
    await register(platform, SALES_OWNER, central())
    async with platform.work(SALES_OWNER) as work:
        await actions.submit_for_review(work, ref)
    async with platform.work(COE_LEAD) as work:
        await actions.review(work, ref, approve=True, comment="good")
    async with platform.database.session() as session:
        await session.execute(
            text(f"UPDATE entry_versions SET {column} = reverse({column})"),
        )
        await session.commit()
    with pytest.raises(Conflict, match="not what was signed"):
        async with platform.work(COE_LEAD) as work:
            await actions.publish(work, ref)


def test_every_action_is_either_applied_or_refused() -> None:
    made = {
        (move, state)
        for move in LifecycleAction
        for state in Lifecycle
        if _leads(move, state, None) is not None
    }
    assert made == {
        (LifecycleAction.SUBMIT, Lifecycle.DRAFT),
        (LifecycleAction.APPROVE, Lifecycle.IN_REVIEW),
        (LifecycleAction.REFUSE, Lifecycle.IN_REVIEW),
        (LifecycleAction.PUBLISH, Lifecycle.IN_REVIEW),
        (LifecycleAction.DEPRECATE, Lifecycle.PUBLISHED),
        (LifecycleAction.RETIRE, Lifecycle.DEPRECATED),
        (LifecycleAction.RETIRE, Lifecycle.DRAFT),
    }
    assert _leads(LifecycleAction.PUBLISH, Lifecycle.DRAFT, FlowKind.LOCAL) is Lifecycle.PUBLISHED


def _leads(move: LifecycleAction, state: Lifecycle, kind: FlowKind | None) -> Lifecycle | None:
    try:
        return next_state(move, state, kind)
    except Conflict:
        return None


async def test_a_system_has_no_lifecycle_verbs(platform: Platform) -> None:
    async with platform.read(SALES_OWNER) as read:
        assert await queries.find_entry(read, "sales/crm", EntryKind.SYSTEM) is None
    with pytest.raises(NotFound):
        async with platform.work(COE_LEAD) as work:
            await actions.deprecate(work, "sales/crm@2026.1.0")


async def test_the_standards_set_how_many_must_approve(settings: Settings, tmp_path: Path) -> None:
    root = tmp_path / "content"
    for folder in content.FOLDERS:
        shutil.copytree(settings.content_dir / folder, root / folder)
    standards = root / "policies" / "standards.yaml"
    standards.write_text(standards.read_text().replace("approvals: 1", "approvals: 2"))
    platform = Platform.open(settings.model_copy(update={"content_dir": root}))
    try:
        with pytest.raises(Conflict, match="1 of the 2"):
            await published(platform, SALES_OWNER, central())
        async with platform.work(COE_REVIEWER) as work:
            await actions.review(work, "sales/returns@1.0.0", approve=True, comment="so do I")
        async with platform.work(COE_REVIEWER) as work:
            moved = await actions.publish(work, "sales/returns@1.0.0")
    finally:
        await platform.close()
    assert moved.version.lifecycle is Lifecycle.PUBLISHED


_UNSUPPORTED = """\
  - a: {run: {script: {language: python, code: "print(1)"}}, timeout: {after: PT5S}}
"""


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (central().replace("do:\n", "do:\n" + _UNSUPPORTED), "OWS050"),
        (central(calls="warehouse/nowhere@^1"), "OWS052"),
    ],
)
async def test_what_publication_refuses_is_refused_at_the_submission(
    platform: Platform, document: str, code: str
) -> None:
    saved = await register(platform, SALES_OWNER, document)
    assert (code, Severity.WARNING) in {(each.code, each.severity) for each in saved.problems}
    with pytest.raises(Invalid) as refused:
        async with platform.work(SALES_OWNER) as work:
            await actions.submit_for_review(work, "sales/returns@1.0.0")
    assert [each.code for each in errors_in(refused.value.problems)] == [code]


async def test_a_flow_that_is_not_published_yet_cannot_be_called(platform: Platform) -> None:
    await register(platform, SALES_OWNER, central("parts"))
    saved = await register(platform, SALES_OWNER, central(calls="sales/parts@1.0.0"))
    [problem] = [each for each in saved.problems if each.code == "OWS053"]
    assert (problem.severity, problem.line) == (Severity.WARNING, 29)
    with pytest.raises(Invalid, match="correct them"):
        async with platform.work(SALES_OWNER) as work:
            await actions.submit_for_review(work, "sales/returns@1.0.0")


async def test_reviewers_see_the_problems_that_hold_at_the_submission(platform: Platform) -> None:
    await register(platform, SALES_OWNER, central("parts"))
    saved = await register(platform, SALES_OWNER, central(calls="sales/parts@1.0.0"))
    await publish_version(platform, "sales/parts@1.0.0", author=SALES_OWNER)
    async with platform.work(SALES_OWNER) as work:
        await actions.submit_for_review(work, "sales/returns@1.0.0")
    async with platform.read(COE_REVIEWER) as read:
        seen = (await flow_contents(read, [saved.version.id]))[saved.version.id].problems
    assert "OWS053" in {each.code for each in saved.problems}
    assert "OWS053" not in {each.code for each in seen}
