"""What is exported of the database, and of the parts of a process.

The processes that run the loops read the database at intervals, never when Prometheus asks: so
neither many processes nor an impatient Prometheus cost the database anything. Each statement reads
an index, or a table that is small by nature.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from coe.audit.horizon import horizon_holder
from coe.audit.sinks.state import sink_states
from coe.audit.watch import sealing_state
from coe.crypto.keys import NONCES_PER_KEY
from coe.crypto.models import DataKey
from coe.crypto.rotation import BACKUPS
from coe.crypto.server_certificate import ServerCertificate
from coe.db.tables import table_of
from coe.installation.status import schema_state
from coe.migrations import revisions
from coe.outbox import OUTBOX, OutboxKind
from coe.runs.tables import NOW, TEAM_WORKERS
from coe.runs.worker_presence import PRESENT
from coe.telemetry import metrics
from coe.telemetry.declaring import Gauge
from coe.telemetry.labels import OTHER, flow_of
from coe.telemetry.sinks import CHECKPOINT_FILE
from coe.work import Platform

PROCESS_SECONDS: Final = 5.0
_log = logging.getLogger(__name__)
SPARED: Final = 30
"""How many times as long as a reading took the database has rest from it."""

_KEYS: Final = table_of(DataKey)
_ACTIVE: Final = ("REQUESTED", "RUNNING", "WAITING")
_RUNS: Final = text("""
    WITH active AS (
      SELECT flow, state, count(*) AS runs FROM runs
      WHERE state IN ('REQUESTED', 'RUNNING', 'WAITING') GROUP BY flow, state)
    SELECT active.flow, active.state, active.runs, entries.data_class
    FROM active LEFT JOIN entries
      ON entries.namespace = split_part(active.flow, '/', 1)
      AND entries.name = split_part(active.flow, '/', 2)
    ORDER BY active.runs DESC
""")
_SEALER: Final = text("SELECT until > clock_timestamp() FROM audit_sealer WHERE id = 1")


@asynccontextmanager
async def measuring(platform: Platform) -> AsyncIterator[None]:
    """Export what the process knows, and with `COE_LOOPS` of the database, within the context."""
    loops = [measure_process(platform)]
    if platform.settings.loops:
        loops.append(_for_ever(platform))
    tasks = [asyncio.create_task(each, name="metrics") for each in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _for_ever(platform: Platform) -> None:
    """Read the database until cancelled, also after it was away."""
    while True:
        try:
            await measure_database(platform)
        except Exception as error:  # noqa: BLE001  # the top of a loop; the log holds no values
            _log.warning("the metrics of the database were not read: %s", type(error).__name__)
        await asyncio.sleep(platform.settings.metrics_seconds)


async def measure_database(platform: Platform) -> None:
    """Read and export the numbers at intervals, until cancelled."""
    while True:
        began = time.monotonic()
        async with platform.database.session() as session:
            await measure(session)
        spent = time.monotonic() - began
        await asyncio.sleep(max(platform.settings.metrics_seconds, SPARED * spent))


async def measure(session: AsyncSession) -> None:
    """Read the numbers once, and export them."""
    await _runs(session)
    await _outbox(session)
    await _audit_log(session)
    await _workers(session)
    state = await schema_state(session)
    metrics.SCHEMA_REVISION.labels("database").set(_number(state.expanded if state else None))
    most = await session.scalar(select(func.max(_KEYS.c.reserved)))
    metrics.NONCES_USED.set((most or 0) / NONCES_PER_KEY)
    newest = await session.scalar(select(func.max(BACKUPS.c.taken_at)))
    metrics.BACKUP.set(newest.timestamp() if newest else 0)
    metrics.MEASURED.set(time.time())


async def measure_process(platform: Platform, certificate: ServerCertificate | None = None) -> None:
    """Export at intervals what the parts of this process know by themselves, until cancelled."""
    needed = await asyncio.to_thread(revisions.needed)
    metrics.SCHEMA_REVISION.labels("code").set(_number(needed))
    while True:
        export_process(platform, certificate)
        await asyncio.sleep(PROCESS_SECONDS)


def export_process(platform: Platform, certificate: ServerCertificate | None) -> None:
    """Export the policy and the certificate as this process has them now.

    A process that has asked for no policy yet, or never does, says nothing of one.
    """
    policies = platform.policies
    if policies.in_force or policies.problem is not None:
        metrics.POLICY_VERSION.set(policies.number)
        metrics.POLICY_IN_FORCE.set(policies.in_force and policies.problem is None)
    if certificate is not None:
        metrics.CERTIFICATE_END.labels("server").set(certificate.ends.timestamp())


async def _runs(session: AsyncSession) -> None:
    found = Counter[tuple[str, str]]()
    for row in await session.execute(_RUNS):
        found[flow_of(row.flow, row.data_class or ""), row.state] += row.runs
    flows = {OTHER} | {flow for flow, _ in found}
    _replace(
        metrics.RUNS, {(flow, state): found[flow, state] for flow in flows for state in _ACTIVE}
    )


async def _outbox(session: AsyncSession) -> None:
    statement = select(OUTBOX.c.kind, func.count(), NOW - func.min(OUTBOX.c.created_at)).group_by(
        OUTBOX.c.kind
    )
    rows = {row[0]: (row[1], row[2]) for row in await session.execute(statement)}
    for kind in OutboxKind:
        count, age = rows.get(kind.value, (0, timedelta()))
        metrics.OUTBOX.labels(kind.value).set(count)
        metrics.OUTBOX_OLDEST.labels(kind.value).set(max(age.total_seconds(), 0.0))


async def _audit_log(session: AsyncSession) -> None:
    state, holder = await sealing_state(session), await horizon_holder(session)
    metrics.UNSEALED.set(state.waiting)
    metrics.UNSEALED_OLDEST.set(state.seconds)
    metrics.REFUSED.set(state.refused)
    metrics.OLDEST_WRITER.set((holder and holder.seconds) or 0.0)
    since: dict[tuple[str, ...], float] = {}
    for sink in await sink_states(session):
        behind = sink.behind_seconds
        since[sink.name,] = time.time() - behind if behind else 0.0
    _replace(metrics.SINK_MISSING, since, spared=(CHECKPOINT_FILE,))
    metrics.SEALER_PRESENT.set(bool(await session.scalar(_SEALER)))


async def _workers(session: AsyncSession) -> None:
    here = (NOW - TEAM_WORKERS.c.seen_at) < PRESENT
    rows = await session.execute(select(here, func.count()).group_by(here))
    seen = {row[0]: row[1] for row in rows}
    metrics.WORKERS.labels("yes").set(seen.get(True, 0))
    metrics.WORKERS.labels("no").set(seen.get(False, 0))


def _replace(
    gauge: Gauge, values: Mapping[tuple[str, ...], float], *, spared: tuple[str, ...] | None = None
) -> None:
    """Set these values, and forget those of labels that are no more, but for the spared one.

    Another thread may read meanwhile, so no value is away for a moment.
    """
    before = {tuple(sample.labels.values()) for sample in next(iter(gauge.collect())).samples}
    for labels, value in values.items():
        gauge.labels(*labels).set(value)
    for labels in before - values.keys() - {spared}:
        gauge.remove(*labels)


def _number(revision: str | None) -> int:
    return int(revision) if revision else 0
