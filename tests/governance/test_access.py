"""Decisions are explained and access is reviewed by who may, and the question is recorded."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlmodel import col

from coe.access.actor import Actor
from coe.audit.models import AuditEvent
from coe.errors import Forbidden, Invalid, NotFound
from coe.governance import access
from coe.governance.subjects import relations_to_subject
from coe.work import Platform
from tests.factories.people import AUDITOR, COE_LEAD, SALES_OWNER, WAREHOUSE_DEVELOPER

OPERATOR = Actor.of("service:content")


async def _actions(platform: Platform) -> list[tuple[str, str]]:
    async with platform.database.session() as session:
        events = await session.scalars(select(AuditEvent).order_by(col(AuditEvent.id)))
        return [(event.action, event.outcome) for event in events]


async def test_a_policy_is_loaded_and_recorded_if_it_changed(
    platform: Platform, tmp_path: Path
) -> None:
    root = Path(__file__).resolve().parents[2]
    shutil.copytree(root / "policies", tmp_path / "policies")
    shutil.copytree(root / "catalog" / "teams", tmp_path / "catalog" / "teams")
    async with platform.work(OPERATOR) as work:
        assert not (await access.load_policy(work, tmp_path)).changed
    assert await _actions(platform) == []
    (tmp_path / "catalog" / "teams" / "audit.yaml").unlink()
    async with platform.work(OPERATOR) as work:
        assert (await access.load_policy(work, tmp_path)).changed
    assert await _actions(platform) == [
        ("access:policy:load", "ALLOWED"),
        ("access:policy:sign", "ALLOWED"),
    ]


async def test_an_explanation_is_recorded_whatever_it_says(platform: Platform) -> None:
    async with platform.work(COE_LEAD) as work:
        may = await access.explain_access(work, "sales-owner", "run:start", "team:sales")
        may_not = await access.explain_access(work, "outsider", "run:start", "team:sales")
    assert (may.allowed, may_not.allowed) == (True, False)
    assert await _actions(platform) == [("access:decision:explain", "ALLOWED")] * 2


async def test_a_refused_explanation_is_recorded_too(platform: Platform) -> None:
    async with platform.work(WAREHOUSE_DEVELOPER) as work:
        with pytest.raises(Forbidden):
            await access.explain_access(work, "sales-owner", "run:start", "team:sales")
    assert [outcome for _, outcome in await _actions(platform)] == ["DENIED"]


async def test_what_cannot_be_explained_is_located(platform: Platform) -> None:
    for subject, permission, resource, path in (
        ("auditor", "fly", "team:sales", "/permission"),
        ("a,b", "run:start", "team:sales", "/subject"),
        ("auditor", "run:start", "moon", "/resource"),
    ):
        async with platform.work(COE_LEAD) as work:
            with pytest.raises(Invalid) as refused:
                await access.explain_access(work, subject, permission, resource)
        assert [problem.path for problem in refused.value.problems] == [path]


async def test_a_review_lists_grants_and_is_recorded(platform: Platform) -> None:
    async with platform.work(AUDITOR) as work:
        grants = await access.review_access(work, "sales")
        with pytest.raises(NotFound):
            await access.review_access(work, "moon")
    assert ("sales-owner", "run:start") in {(each.subject, each.permission) for each in grants}
    assert await _actions(platform) == [("access:grants:review", "ALLOWED")]


async def test_the_relation_to_a_subject(platform: Platform) -> None:
    async with platform.read(SALES_OWNER) as read:
        relations = {
            subject: set(relations_to_subject(read, subject))
            for subject in (
                "sales-owner",
                "finance-lead",
                "service:central",
                "service:worker/sales",
            )
        }
    assert relations == {
        "sales-owner": {"self"},
        "finance-lead": {"proxy"},
        "service:central": {"proxy"},
        "service:worker/sales": {"worker"},
    }
