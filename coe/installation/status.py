"""How an installation is, part by part: what is up, how far behind it is, and what mends it.

Everything is read from outside, with the settings: so an answer is there while the API is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Final

from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from coe.access.policy_store import PolicyStore
from coe.audit.horizon import horizon_holder
from coe.audit.sinks.state import sink_states
from coe.audit.watch import sealing_state
from coe.crypto.server_certificate import CertificateRefused, ServerCertificate
from coe.crypto.signing import SigningKey
from coe.db import Database, why_unreachable
from coe.db.direct import state_of
from coe.db.revisions import APPLIED, RevisionKind, SchemaState
from coe.engines.prefect_engine import PrefectEngine
from coe.errors import CoeError, Unavailable
from coe.formats import instants
from coe.installation.checks import Check, Health
from coe.installation.database_checks import commits_check, limits_check, standby_check
from coe.installation.keys import key_states
from coe.installation.pages import (
    OLD_TRANSACTION,
    REFUSED_ROWS,
    SEALER_ABSENT,
    SEALER_FAILING,
)
from coe.installation.processes import connected_processes
from coe.json_types import JSON
from coe.migrations import revisions
from coe.outbox import OUTBOX
from coe.runs.tables import NOW, TEAM_WORKERS
from coe.runs.worker_presence import PRESENT
from coe.secret_files import SecretFileRefused
from coe.settings import Settings
from coe.work import highest_recorded

__all__ = [
    "Check",
    "Health",
    "installation_status",
    "outbox_check",
    "schema_check",
    "schema_state",
]

OVERDUE: Final = timedelta(seconds=60)
"""How long a message of the outbox may be due before that is a warning."""
BEHIND_SECONDS: Final = 600.0
"""For how long a sink may lack the newest checkpoint before that is a warning."""
SINKS_PAGE: Final = "docs/operations/backup.md#sinks"
_SEALER: Final = text("SELECT holder FROM audit_sealer WHERE id = 1 AND until > clock_timestamp()")
_RUNS: Final = text("""
    SELECT state, count(*) FROM runs
    WHERE state IN ('REQUESTED', 'RUNNING', 'WAITING') GROUP BY state
""")
_LEFT: Final = text("""
    SELECT count(*) FROM runs
    WHERE lease_until < clock_timestamp() - CAST(:overdue AS interval)
      AND state IN ('REQUESTED', 'RUNNING', 'WAITING')
""")


_Look = Callable[[AsyncSession, Settings], Awaitable[Check]]


async def installation_status(settings: Settings) -> list[Check]:
    """Look at each part; without the database, at those that need none."""
    database = Database.serving(settings, name="coe-status", pool_size=1)
    try:
        checks = [await _database(database)]
        if checks[0].health is Health.OK:
            async with database.session() as session:
                checks.append(await asyncio.to_thread(schema_check, await schema_state(session)))
            checks.append(await _keys(settings))
            looks: dict[str, _Look] = {
                "commits": lambda session, _: commits_check(session),
                "policy": _policy,
                "sealing": _sealing,
                "checkpoint sinks": lambda session, _: sinks_check(session),
                "processes": _processes,
                "outbox": lambda session, _: outbox_check(session),
                "runs": _runs,
                "team workers": _team_workers,
            }
            if settings.pooled:
                looks["pooler"] = limits_check
            if settings.database_replica_url is not None:
                looks["standby"] = standby_check
            checks += [
                await _looked(database, part, look, settings) for part, look in looks.items()
            ]
    finally:
        await database.close()
    return [*checks, *await _engine(settings), *await asyncio.to_thread(_certificate, settings)]


def schema_check(state: SchemaState | None) -> Check:
    """Whether this version works with the revisions of a database; it blocks.

    It does with each revision that it does not know, but for contracts of what it needs.
    """
    if state is None:
        return Check("schema", Health.PROBLEM, "no tables yet", "coe migrate")
    line = revisions.load()
    due = [each.name for each in revisions.due(line, state)]
    beyond = [each.revision for each in state.beyond(line[-1].name)]
    waiting = [
        each.name
        for each in line
        if each.kind is RevisionKind.CONTRACT and each.name not in {*due, *state.finished}
    ]
    data: dict[str, JSON] = {
        "database": state.newest,
        "oldest": revisions.needed(),
        "newest": line[-1].name,
        "due": list[JSON](due),
        "beyond": list[JSON](beyond),
        "contracts": list[JSON](waiting),
    }
    if beyond:
        detail = f"{', '.join(beyond)} took away what this version needs: it knows {line[-1].name}"
        mends = f"run the version that knows {beyond[-1]}, docs/operations.md#setting-up"
        return Check("schema", Health.PROBLEM, f"{detail}, not newer ones", mends, data)
    if due:
        detail = f"a migration is due: {', '.join(due)} lacks in the database or is not finished"
        return Check("schema", Health.PROBLEM, detail, "coe migrate", data)
    newer = state.newest > line[-1].name
    detail = f"revision {state.newest}" + (", of a newer version" if newer else "")
    return Check("schema", Health.OK, detail, data=data)


_NO_TABLE: Final = "42P01"


async def schema_state(session: AsyncSession) -> SchemaState | None:
    """The revisions of the database; None if it was never migrated."""
    try:
        rows = (await session.execute(APPLIED)).all()
    except DBAPIError as error:
        await session.rollback()
        if state_of(error.orig) != _NO_TABLE:
            raise
        return None
    return SchemaState.of((row[0], row[1], row[2], row[3]) for row in rows)


async def _database(database: Database) -> Check:
    try:
        async with database.session() as session:
            version = await session.scalar(text("SHOW server_version"))
    except (SQLAlchemyError, OSError) as error:
        mends = "is COE_DATABASE_URL right, and the server up? coe config show"
        detail = f"does not answer ({why_unreachable(error)})"
        return Check("database", Health.PROBLEM, detail, mends)
    return Check("database", Health.OK, f"PostgreSQL {version}", data={"version": version})


async def _keys(settings: Settings) -> Check:
    try:
        states = await key_states(settings)
    except Unavailable as error:
        return Check("keys", Health.PROBLEM, error.message)
    data: dict[str, JSON] = {
        each.file.name: {"ids": list(each.ids), "problem": each.problem} for each in states
    }
    wrong = [each.problem for each in states if each.problem]
    if wrong:
        mends = "coe key list, docs/operations.md#keys"
        return Check("keys", Health.PROBLEM, "; ".join(wrong), mends, data)
    return Check("keys", Health.OK, "those of what is in the database", data=data)


async def _looked(database: Database, part: str, look: _Look, settings: Settings) -> Check:
    """One look at a table; before the migration it is not there."""
    try:
        async with database.session() as session:
            return await look(session, settings)
    except (SQLAlchemyError, OSError) as error:
        detail = f"cannot be read ({type(error).__name__})"
        return Check(part, Health.PROBLEM, detail, "coe migrate")


async def _policy(session: AsyncSession, settings: Settings) -> Check:
    try:
        signer = SigningKey.load(settings.signing_key_path, settings.log_origin)
    except (SecretFileRefused, OSError):
        detail = "cannot be checked without the signing key"
        return Check("policy", Health.PROBLEM, detail, "coe key list")
    store = PolicyStore(signer.public, highest_recorded)
    policy = await store.current(session)
    data: dict[str, JSON] = {"version": policy.version, "problem": store.problem}
    if store.problem or not store.in_force:
        detail = store.problem or "the database has no policy"
        mends = "coe content load, docs/operations.md#what-to-watch"
        return Check("policy", Health.PROBLEM, detail, mends, data)
    return Check("policy", Health.OK, f"version {policy.version}", data=data)


async def _sealing(session: AsyncSession, settings: Settings) -> Check:
    state = await sealing_state(session)
    sealer: str | None = await session.scalar(_SEALER)
    data: dict[str, JSON] = {
        "waiting": state.waiting,
        "oldestSeconds": round(state.seconds, 1),
        "refused": state.refused,
        "sealer": sealer,
    }
    if state.refused:
        detail = f"{state.refused} rows are refused: the platform did not write them"
        mends = "coe audit refused, coe audit verify"
        return Check("sealing", Health.PROBLEM, detail, mends, data, REFUSED_ROWS)
    detail = f"{state.waiting} events wait, the oldest for {state.seconds:.0f} s"
    late = state.seconds > settings.seal_alarm_seconds
    if sealer is None:
        health = Health.PROBLEM if late else Health.WARNING
        mends = "does an API, or a sealer, run?"
        return Check("sealing", health, f"nobody seals; {detail}", mends, data, SEALER_ABSENT)
    if late:
        holder = await horizon_holder(session)
        if holder is None:
            mends = "what do the log records of the sealer say?"
            return Check("sealing", Health.PROBLEM, detail, mends, data, SEALER_FAILING)
        held = f"{detail}; the oldest writing transaction is that of {holder}"
        mends = "end that session of PostgreSQL"
        return Check("sealing", Health.PROBLEM, held, mends, data, OLD_TRANSACTION)
    return Check("sealing", Health.OK, detail, data=data)


async def sinks_check(session: AsyncSession) -> Check:
    """Whether the sinks keep the newest checkpoint, or how long they have lacked it."""
    states = await sink_states(session)
    data: dict[str, JSON] = {
        each.name: {
            "treeSize": each.tree_size,
            "behindSeconds": round(each.behind_seconds, 1),
            "error": each.error,
        }
        for each in states
    }
    late = [each for each in states if each.behind_seconds > BEHIND_SECONDS]
    if late:
        listed = ", ".join(
            f"{each.name} for {each.behind_seconds:.0f} s ({each.error or 'no answer'})"
            for each in late
        )
        health = Health.PROBLEM if len(late) == len(states) else Health.WARNING
        detail = f"without the newest checkpoint: {listed}"
        return Check("checkpoint sinks", health, detail, SINKS_PAGE, data)
    if not states:
        detail = "none beside the file: whoever has this machine can cut the log back"
        return Check("checkpoint sinks", Health.OK, detail, data=data)
    lacking = "".join(
        f"; {each.name}: has lacked the newest checkpoint for {each.behind_seconds:.0f} s"
        f" ({each.error or 'no answer'})"
        for each in states
        if each.behind_seconds
    )
    detail = f"{len(states)} known{lacking}" if lacking else f"{len(states)} up to date"
    return Check("checkpoint sinks", Health.OK, detail, data=data)


async def _runs(session: AsyncSession, _: Settings) -> Check:
    """How many runs have not ended, and whether somebody takes those whose holder is silent."""
    rows = await session.execute(_RUNS)
    data: dict[str, JSON] = dict.fromkeys(("requested", "running", "waiting"), 0)
    data |= {row[0].lower(): row[1] for row in rows}
    left: int = await session.scalar(_LEFT, {"overdue": OVERDUE}) or 0
    detail = ", ".join(f"{count} {state}" for state, count in data.items())
    data["left"] = left
    if left:
        detail = f"{detail}; {left} have a holder that is silent, and nobody takes them"
        mends = "does a process with the loops run?"
        return Check("runs", Health.WARNING, detail, mends, data)
    return Check("runs", Health.OK, detail, data=data)


def _certificate(settings: Settings) -> list[Check]:
    """Until when the certificate in the files is good, if the API serves TLS; it reads them."""
    try:
        certificate = ServerCertificate.of(settings.tls_cert_file, settings.tls_key_file)
    except CertificateRefused as error:
        return [Check("tls", Health.PROBLEM, error.message, "replace the files")]
    if certificate is None:
        return []
    ends = instants.write_seconds(certificate.ends)
    if certificate.problem:
        detail = f"{certificate.problem}: {ends}"
        return [Check("tls", Health.WARNING, detail, "replace the files", {"notAfter": ends})]
    return [Check("tls", Health.OK, f"good until {ends}", data={"notAfter": ends})]


async def outbox_check(session: AsyncSession) -> Check:
    """How many messages wait for dispatch, since when, and whether nobody takes them."""
    late, age = NOW - func.min(OUTBOX.c.due_at), NOW - func.min(OUTBOX.c.created_at)
    row = (await session.execute(select(func.count(), late, age).select_from(OUTBOX))).one()
    queued, overdue, oldest = row[0], _seconds(row[1]), _seconds(row[2])
    data: dict[str, JSON] = {
        "queued": queued,
        "overdueSeconds": round(overdue, 1),
        "oldestSeconds": round(oldest, 1),
    }
    detail = f"{queued} messages wait, the oldest for {oldest:.0f} s"
    if overdue > OVERDUE.total_seconds():
        detail = f"{detail}; nothing has taken one that is due for {overdue:.0f} s"
        mends = "does an API or a central worker run with COE_LOOPS and COE_PREFECT_URL?"
        return Check("outbox", Health.WARNING, detail, mends, data)
    return Check("outbox", Health.OK, detail, data=data)


def _seconds(waited: timedelta | None) -> float:
    return max(waited.total_seconds(), 0.0) if waited is not None else 0.0


async def _processes(session: AsyncSession, _: Settings) -> Check:
    """Which processes are connected to the database."""
    found = await connected_processes(session)
    data: dict[str, JSON] = {
        name: {"connections": connections, "addresses": addresses}
        for name, (connections, addresses) in found.items()
    }
    if not found:
        detail = "none is connected to the database"
        return Check("processes", Health.WARNING, detail, "coe up")
    many = (
        name if addresses <= 1 else f"{name} from {addresses} addresses"
        for name, (_connections, addresses) in found.items()
    )
    return Check("processes", Health.OK, f"connected: {', '.join(many)}", data=data)


async def _team_workers(session: AsyncSession, _: Settings) -> Check:
    seen = TEAM_WORKERS.c.seen_at
    rows = (
        await session.execute(
            select(TEAM_WORKERS.c.team, seen, (NOW - seen).label("ago")).order_by("team")
        )
    ).all()
    here = [row.team for row in rows if row.ago < PRESENT]
    data: dict[str, JSON] = {row.team: instants.write_seconds(row.seen_at) for row in rows}
    away = [row.team for row in rows if row.ago >= PRESENT]
    if away:
        detail = f"{len(here)} teams have one, not seen now: {', '.join(away)}"
        return Check("team workers", Health.WARNING, detail, "docs/how-to/workers.md", data)
    return Check("team workers", Health.OK, f"{len(here)} teams have one", data=data)


async def _engine(settings: Settings) -> list[Check]:
    """The Prefect server, and the central workers that it knows."""
    if settings.prefect_url is None:
        detail = "no engine is configured; runs wait"
        return [Check("engine", Health.WARNING, detail, "set COE_PREFECT_URL, docs/settings.md")]
    engine = PrefectEngine.open(settings)
    try:
        health = await engine.health()
        if not health.ready:
            mends = "is COE_PREFECT_URL right, and the server up? coe config show"
            return [Check("engine", Health.PROBLEM, health.detail, mends)]
        found = Check("engine", Health.OK, health.detail)
        return [found, _central(await engine.central_workers())]
    except CoeError as error:
        mends = "is COE_PREFECT_AUTH right? coe config show"
        return [Check("engine", Health.PROBLEM, error.message, mends)]
    finally:
        await engine.close()


def _central(workers: Mapping[str, str]) -> Check:
    """Whether a central worker asks for runs; `workers` are those seen, by when."""
    if not workers:
        detail = "none has been seen within a minute"
        return Check("central workers", Health.PROBLEM, detail, "coe worker central")
    return Check("central workers", Health.OK, f"{len(workers)} seen", data=dict(workers))
