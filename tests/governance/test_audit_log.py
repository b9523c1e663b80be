"""The log is read within the teams of the actor, and each reading is recorded."""

from __future__ import annotations

import pytest

from coe.audit.queries import AuditEventFilter
from coe.db import Database
from coe.errors import Forbidden, Invalid
from coe.governance import audit_log
from coe.governance.access import review_access
from coe.json_types import JSON
from coe.work import Platform
from tests.factories.people import AUDITOR, COE_LEAD, SALES_OWNER, WAREHOUSE_DEVELOPER


async def _seal(platform: Platform) -> None:
    sealer = audit_log.open_sealer(platform, platform.database)
    while await sealer.seal_once():
        pass
    await sealer.close()


async def _review(platform: Platform, times: int) -> None:
    for _ in range(times):
        async with platform.work(AUDITOR) as work:
            await review_access(work, "sales")
    await _seal(platform)


REVIEWS = AuditEventFilter(actions=["access:grants:review"])


async def test_pages_continue_at_a_cursor_and_count_on_request(platform: Platform) -> None:
    await _review(platform, 3)
    async with platform.work(AUDITOR) as work:
        first = await audit_log.read_log(work, REVIEWS, first=2)
        rest = await audit_log.read_log(
            work, REVIEWS, first=2, after=first.cursors[-1], count=False
        )
        with pytest.raises(Invalid):
            await audit_log.read_log(work, after="nonsense")
        with pytest.raises(Invalid):
            await audit_log.read_log(work, first=101)
    assert [event.position for event in (*first.items, *rest.items)] == [2, 1, 0]
    assert (first.has_next, first.has_previous, first.total) == (True, False, 3)
    assert (rest.has_next, rest.has_previous, rest.total) == (False, True, 0)


async def test_a_reading_is_recorded_with_its_filter(platform: Platform) -> None:
    await _review(platform, 1)
    async with platform.work(AUDITOR) as work:
        await audit_log.read_log(work, REVIEWS)
        await audit_log.read_log(work)
    await _seal(platform)
    details: list[JSON] = []
    async with platform.work(AUDITOR) as work:
        wanted = AuditEventFilter(actions=["audit:log:read"])
        events = (await audit_log.read_log(work, wanted)).items
        found = await audit_log.read_details(work, events)
        details = [found[event] for event in events]
    [everything, narrowed] = details
    assert everything == {"filter": None, "events": 1}
    assert isinstance(narrowed, dict)
    asked = narrowed["filter"]
    assert isinstance(asked, dict)
    assert {name: value for name, value in asked.items() if value is not None} == {
        "actions": ["access:grants:review"]
    }


async def test_the_detail_is_for_those_who_may_read_it(platform: Platform) -> None:
    async with platform.work(WAREHOUSE_DEVELOPER) as work:
        with pytest.raises(Forbidden):
            await review_access(work, "sales")
    await _review(platform, 1)
    async with platform.work(COE_LEAD) as work:
        events = (await audit_log.read_log(work)).items
        details = await audit_log.read_details(work, events)
        reasons = await audit_log.read_reasons(work, events)
    assert details == {}
    assert [event.outcome for event in reasons] == ["DENIED"]


async def test_an_actor_without_a_permission_on_the_log_is_refused(platform: Platform) -> None:
    await _review(platform, 1)
    async with platform.work(SALES_OWNER) as work:
        for verb in (
            audit_log.read_log,
            audit_log.newest_checkpoint,
            audit_log.request_verification,
            audit_log.request_export,
        ):
            with pytest.raises(Forbidden):
                await verb(work)
        with pytest.raises(Forbidden):
            await audit_log.events_by_id(work, [])
        with pytest.raises(Forbidden):
            await audit_log.consistency_proof(work, 0, 1)


async def test_an_export_that_cannot_begin_on_a_standby_comes_from_the_primary(
    platform: Platform,
) -> None:
    class Gone:
        """A standby that stops once it has said that it has everything."""

        database = Database("postgresql://coe@/coe?host=/nowhere")
        left = 0

        async def has_all(self) -> bool:
            return True

        def leave(self, _: BaseException) -> None:
            self.left += 1

    await _review(platform, 2)
    async with platform.work(AUDITOR) as work:
        window = await audit_log.request_export(work)
    platform.standby = gone = Gone()  # type: ignore[assignment]  # as far as an export knows it
    lines = [line async for line in audit_log.export_log(platform, window)]
    platform.standby = None
    assert len(lines) > 2
    assert gone.left == 1


async def test_the_log_is_verified_and_exported(platform: Platform) -> None:
    await _review(platform, 2)
    async with platform.work(AUDITOR) as work:
        await audit_log.request_verification(work)
        window = await audit_log.request_export(work)
        checkpoint = await audit_log.newest_checkpoint(work)
    assert checkpoint is not None
    assert checkpoint.tree_size == 2
    found = await audit_log.verify_log(platform)
    assert (found.ok, found.checked_events) == (True, 2)
    lines = [line async for line in audit_log.export_log(platform, window)]
    assert len(lines) > 2
    await _seal(platform)
    async with platform.work(AUDITOR) as work:
        newest = (await audit_log.read_log(work, first=2)).items
    assert {event.action for event in newest} == {"audit:log:verify", "audit:log:export"}
