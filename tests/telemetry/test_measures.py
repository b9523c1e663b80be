"""What is exported of the database: right, and read at intervals by those who run the loops."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncSession

from coe.access.actor import Actor
from coe.db import Database
from coe.installation import measures
from coe.installation.measures import export_process, measure
from coe.outbox import OUTBOX
from coe.runs import actions
from coe.runs.tables import RUNS
from coe.telemetry.labels import FLOWS
from coe.work import Platform
from tests.factories.metrics import is_exported, value
from tests.factories.runs import HTTP, central, local, publish, start


async def _measure(platform: Platform) -> None:
    async with platform.database.session() as session:
        await measure(session)


async def _execute(platform: Platform, *statements: object) -> None:
    async with platform.database.session() as session:
        for each in statements:
            await session.execute(text(each) if isinstance(each, str) else each)  # type: ignore[call-overload]
        await session.commit()


async def test_runs_that_have_not_ended_by_flow_and_state(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FLOWS, "most", 10_000)
    await publish(platform, central("simple", HTTP.format(name="first")))
    await publish(platform, local("pick-and-pack"), "warehouse-developer")
    await start(platform, "sales/simple")
    async with platform.work(Actor.of("warehouse-developer")) as work:
        given = {"flow": "warehouse/pick-and-pack", "input": {"order": "A-1"}}
        runs = [await actions.start_run(work, **given), await actions.start_run(work, **given)]
    shown = {"flow": "warehouse/pick-and-pack"}
    await _measure(platform)
    assert value("coe_runs", state="REQUESTED", **shown) == 2
    assert value("coe_runs", state="REQUESTED", flow="hidden") == 1
    await _execute(
        platform,
        update(RUNS).where(RUNS.c.id == runs[0].id).values(state="WAITING"),
        update(RUNS).where(RUNS.c.id == runs[1].id).values(state="COMPLETED"),
    )
    await _measure(platform)
    assert value("coe_runs", state="REQUESTED", **shown) == 0
    assert value("coe_runs", state="WAITING", **shown) == 1
    await _execute(platform, update(RUNS).values(state="COMPLETED"))
    await _measure(platform)
    assert value("coe_runs", state="WAITING", **shown) == 0


async def test_the_outbox_by_kind_and_age(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="first")))
    await start(platform, "sales/simple")
    await _execute(platform, "UPDATE outbox SET created_at = now() - interval '2 minutes'")
    await _measure(platform)
    assert value("coe_outbox_messages", kind="start") == 1
    assert value("coe_outbox_oldest_seconds", kind="start") >= 120
    assert value("coe_outbox_messages", kind="wake") == 0
    await _execute(platform, OUTBOX.delete())
    await _measure(platform)
    assert value("coe_outbox_oldest_seconds", kind="start") == 0


async def test_how_far_the_sealing_is_and_who_seals(platform: Platform) -> None:
    await publish(platform, central("simple", HTTP.format(name="first")))
    await _execute(platform, "DELETE FROM audit_sealer")
    await _measure(platform)
    assert value("coe_audit_sealer_present") == 0
    assert value("coe_audit_unsealed_events") > 0
    await _execute(
        platform,
        "INSERT INTO audit_sealer (id, holder, fence, until)"
        " VALUES (1, 'somebody', 1, now() + interval '1 minute')",
    )
    await _measure(platform)
    assert value("coe_audit_sealer_present") == 1
    assert value("coe_audit_refused_rows") == 0


async def test_revision_keys_workers_and_the_time_of_the_reading(platform: Platform) -> None:
    await _execute(
        platform,
        "DELETE FROM schema_revisions",
        "INSERT INTO schema_revisions (revision, kind, works_with, finished_at)"
        " VALUES ('0007', 'expand', '0', now())",
        "INSERT INTO team_workers (team, seen_at) VALUES ('sales', now()),"
        " ('finance', now() - interval '1 day')",
    )
    await publish(platform, central("simple", HTTP.format(name="first")))
    await start(platform, "sales/simple")  # so that there is a key
    await _execute(platform, "UPDATE data_keys SET reserved = 536870912")
    before = value("coe_measured_timestamp_seconds")
    await _measure(platform)
    assert value("coe_schema_revision", of="database") == 7
    assert value("coe_key_nonces_used_ratio") == 0.5
    assert value("coe_team_workers", seen="yes") == value("coe_team_workers", seen="no") == 1
    assert value("coe_measured_timestamp_seconds") > before


async def test_when_the_newest_backup_began(platform: Platform) -> None:
    await _measure(platform)
    assert value("coe_backup_timestamp_seconds") == 0
    await _execute(
        platform,
        "INSERT INTO backups (label, taken_at, kept_until, kek_ids) VALUES"
        " ('old', to_timestamp(1000), now(), '{}'), ('new', to_timestamp(2000), now(), '{}')",
    )
    await _measure(platform)
    assert value("coe_backup_timestamp_seconds") == 2000


async def test_since_when_a_sink_lacks_the_newest_checkpoint(platform: Platform) -> None:
    await _execute(
        platform,
        "INSERT INTO audit_checkpoints (tree_size, root_hash, at, note, fence)"
        " SELECT 1, '', now() - interval '1 hour', '', coalesce(max(fence), 0) FROM audit_sealer",
        "INSERT INTO audit_sinks (name, kind, added_at, epoch, tree_size)"
        " VALUES ('behind', 'folder', now(), 0, 0), ('even', 'folder', now(), 0, 1)",
    )
    await _measure(platform)
    since = value("coe_audit_sink_missing_since_timestamp_seconds", sink="behind")
    assert 3600 <= value("coe_measured_timestamp_seconds") - since < 7200
    assert value("coe_audit_sink_missing_since_timestamp_seconds", sink="even") == 0
    await _execute(platform, "DELETE FROM audit_sinks WHERE name = 'behind'")
    await _measure(platform)
    assert not is_exported("coe_audit_sink_missing_since_timestamp_seconds", sink="behind")


async def test_what_a_process_knows_by_itself(platform: Platform) -> None:
    async with platform.database.session() as session:
        await platform.policies.current(session)
    export_process(platform, None)
    assert value("coe_policy_version") == platform.policies.number > 0
    assert value("coe_policy_in_force") == 1
    platform.policies.problem = "Somebody changed it."
    export_process(platform, None)
    assert value("coe_policy_in_force") == 0


async def test_pools_of_one_name_count_together(platform: Platform) -> None:
    url = platform.settings.database_url
    one, two = (Database(url, name="coe-counted", pool_size=3) for _ in range(2))
    size = value("coe_database_pool_size", pool="coe-counted")
    assert value("coe_database_pool_in_use", pool="coe-counted") == 0
    async with one.session() as first, two.session() as second:
        for session in (first, second):
            await session.execute(text("SELECT 1"))
        assert value("coe_database_pool_in_use", pool="coe-counted") == 2
    await one.close()
    await two.close()
    assert size == 2 * (one.engine.pool.size() + one.engine.pool._max_overflow)  # type: ignore[attr-defined]


async def test_a_process_measures_until_it_ends_and_after_the_database_was_away(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = asyncio.Event()

    async def once_away(session: AsyncSession) -> None:
        if failures:
            raise failures.pop()
        await session.execute(text("SELECT 1"))
        read.set()

    failures: list[Exception] = [OSError("away")]
    monkeypatch.setattr(measures, "measure", once_away)
    platform.settings = platform.settings.model_copy(update={"metrics_seconds": 0.01})
    async with measures.measuring(platform), asyncio.timeout(20):
        await read.wait()
    assert failures == []
