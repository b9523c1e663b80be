"""Verify a restored database before anything runs on it; nothing is changed.

What is read: whether the keys open what is sealed, whether the audit log and the codes of rows are
as they were written, which sealed events are lost by the checkpoints outside, and what the runs
will do again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Table, func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel

from coe.audit.admission import Admission
from coe.audit.losses import Loss, confirmation_of, find_loss
from coe.audit.outside import Outside, add_files
from coe.audit.queries import newest_checkpoint
from coe.audit.sinks.configured import open_sinks
from coe.audit.verification import verify
from coe.crypto.keys import KEYS, Keyring
from coe.crypto.mac import MacKeys
from coe.crypto.row_codes import CodedRows
from coe.crypto.signing import SigningKey
from coe.db import Database, why_unreachable
from coe.errors import CoeError
from coe.installation.keys import key_states
from coe.installation.sinks import add_sinks
from coe.installation.status import Check, Health, schema_check, schema_state
from coe.json_types import JSON
from coe.migrations.uncoded import CODED
from coe.outbox import OUTBOX
from coe.runs.models import ENDED
from coe.runs.tables import RUNS
from coe.settings import Settings

MAX_LISTED: Final = 1000
"""The most runs that are listed; there may be more."""
PAGE: Final = "docs/operations/restore.md"
_AT_ONCE: Final = 1000
_JOURNALS: Final = text("""
    SELECT runs.id, runs.journal_length, coalesce(journal.facts, 0) AS facts
    FROM runs LEFT JOIN (
      SELECT run_id, count(*) AS facts, max(position) + 1 AS length
      FROM journal_entries GROUP BY run_id) AS journal ON journal.run_id = runs.id
    WHERE NOT runs.local
      AND (runs.journal_length <> coalesce(journal.facts, 0)
        OR coalesce(journal.facts, 0) <> coalesce(journal.length, 0))
    ORDER BY runs.id LIMIT :most
""")
_CANCELLED: Final = text("""
    SELECT runs.id FROM runs JOIN journal_entries AS last
      ON last.run_id = runs.id AND last.position = runs.journal_length - 1
    WHERE NOT runs.local AND last.kind = 'RUN_CANCELLED' AND runs.state <> 'CANCELLED'
    ORDER BY runs.id LIMIT :most
""")
_STEPS: Final = text("""
    SELECT runs.id, runs.flow, runs.version, runs.state, steps.key, steps.name, steps.kind
    FROM runs LEFT JOIN run_steps AS steps
      ON steps.run_id = runs.id AND steps.state = 'RUNNING'
    WHERE runs.state IN ('REQUESTED', 'RUNNING', 'WAITING')
    ORDER BY runs.id, steps.place LIMIT :most
""")


@dataclass(frozen=True, slots=True)
class GoesOn:
    """A run that goes on from the restored state: what it did since is done again.

    `key` is the idempotency key of the step that it was in; None between two steps.
    """

    run: str
    flow: str
    state: str
    step: str | None
    key: str | None


@dataclass(frozen=True, slots=True)
class Restored:
    """What was found; `confirmation` is what two people need to accept the loss."""

    checks: list[Check]
    loss: Loss | None
    confirmation: str | None
    runs: list[GoesOn]


async def verify_restored(settings: Settings) -> Restored:
    """Verify the database of the settings as it stands, with the keys and files of this machine."""
    database = Database(settings.serving_url, name="coe-restore", pool_size=2)
    try:
        async with database.session() as session:
            revision = await schema_state(session)
    except (SQLAlchemyError, OSError) as error:
        await database.close()
        detail = f"does not answer ({why_unreachable(error)})"
        check = Check("database", Health.PROBLEM, detail, "is COE_DATABASE_URL right?")
        return Restored([check], None, None, [])
    try:
        checks = [await asyncio.to_thread(schema_check, revision)]
        checks.append(await _keys(settings))
        if any(each.health is Health.PROBLEM for each in checks):
            return Restored(checks, None, None, [])
        return await _Verification(settings, database, checks).run()
    finally:
        await database.close()


async def _keys(settings: Settings) -> Check:
    wrong = [each for each in await key_states(settings) if each.problem]
    if wrong:
        detail = "; ".join(f"{each.file.variable}: {each.problem}" for each in wrong)
        return Check("keys", Health.PROBLEM, detail, "docs/operations.md#keys")
    return Check("keys", Health.OK, "those of what is in the database")


class _Verification:
    """The parts of the verification that need the keys."""

    def __init__(self, settings: Settings, database: Database, checks: list[Check]) -> None:
        self.checks = checks
        self._settings = settings
        self._database = database
        self._key = SigningKey.load(settings.signing_key_path, settings.log_origin).public
        self._macs = MacKeys(settings.mac_key_path)

    async def run(self) -> Restored:
        self.checks.append(await data_keys_check(self._settings, self._database, self._macs))
        async with self._database.session() as session:
            self.checks.append(await self._log(session))
            loss = await self._loss(session)
            self.checks.append(await _codes(session, self._macs))
            self.checks.append(await _journals(session))
            runs = await _runs(session)
            self.checks += [await _resets(session), _again(runs)]
        confirmation = confirmation_of(self._macs, loss.id) if loss else None
        return Restored(self.checks, loss, confirmation, runs)

    async def _log(self, session: AsyncSession) -> Check:
        """The tree and the signatures; what the file has beyond them is the loss, shown apart."""
        admission = Admission(self._macs, self._settings.audit_unsigned_until)
        found = await verify(session, self._key, None, admission=admission)
        data: dict[str, JSON] = {
            "events": found.checked_events,
            "treeSize": found.tree_size,
            "problems": [each.message for each in found.problems],
        }
        detail = f"{found.checked_events} events, tree of {found.tree_size}"
        if not found.ok:
            worst = found.problems[0].message
            mends = "take another backup: this one was changed"
            return Check("audit log", Health.PROBLEM, f"{detail}: {worst}", mends, data)
        if found.problems:
            detail = f"{detail}; {'; '.join(each.message for each in found.problems)}"
        return Check("audit log", Health.OK, detail, data=data)

    async def _loss(self, session: AsyncSession) -> Loss | None:
        outside = Outside()
        path = self._settings.checkpoint_path
        await asyncio.to_thread(add_files, outside, path, self._key)
        sinks = open_sinks(self._settings.checkpoint_sinks_file, self._settings.ca_file)
        await add_sinks(outside, sinks, self._key)
        newest = await newest_checkpoint(session)
        if newest is not None:
            newest = type(newest).open(newest.note, self._key)
        loss = find_loss(newest, outside.found.values())
        self.checks.append(_loss_check(loss, outside))
        return loss


def _loss_check(loss: Loss | None, outside: Outside) -> Check:
    """What is lost, and how sure that is: a place that was not read may know of more."""
    data: dict[str, JSON] = {
        **{name: each.tree_size for name, each in outside.found.items()},
        **dict(outside.unread),
        **dict(outside.refused),
    }
    told = [f"{name} is refused: {why}" for name, why in outside.refused.items()]
    told += [f"{name} was not read: {why}" for name, why in outside.unread.items()]
    if outside.mute:
        listed = ", ".join(f"{name} ({kind})" for name, kind in outside.mute.items())
        told.append(f"not asked, as they do not answer that: {listed}")
    mends, health = f"{PAGE}#checkpoints", Health.WARNING
    if loss is not None:
        detail = f"{loss.positions} are lost: a checkpoint of {loss.lost.tree_size} events"
        mends, health = f"{PAGE}#accept-a-loss", Health.PROBLEM
    elif not outside.found:
        detail = "nothing outside the database says how long the log was"
    else:
        detail = f"none, by {len(outside.found)} checkpoints outside"
        health = Health.WARNING if outside.unread else Health.OK
    if outside.refused:
        health = Health.PROBLEM
    detail = "; ".join([detail, *told])
    return Check("loss", health, detail, None if health is Health.OK else mends, data)


async def data_keys_check(settings: Settings, database: Database, macs: MacKeys) -> Check:
    """Whether the key-encryption keys open each data key: so every sealed column can be read."""
    keyring = Keyring(database, settings.kek_path, macs=macs)
    closed: list[str] = []
    teams: set[str] = set()
    async with database.session() as session:
        rows = (await session.execute(select(KEYS).order_by(KEYS.c.id))).all()
    for row in rows:
        try:
            await keyring.unwrap(row)
            teams.add(row.team)
        except CoeError:
            closed.append(f"{row.team}/{row.purpose} by {row.kek_id}")
    data: dict[str, JSON] = {"keys": len(rows), "teams": len(teams), "closed": [*closed]}
    if closed:
        detail = f"{len(closed)} of {len(rows)} data keys do not open: {', '.join(closed[:5])}"
        mends = "add the older lines of the kek file from its escrow, docs/operations/backup.md"
        return Check("data keys", Health.PROBLEM, detail, mends, data)
    return Check("data keys", Health.OK, f"all {len(rows)}, of {len(teams)} teams, open", data=data)


async def _codes(session: AsyncSession, macs: MacKeys) -> Check:
    """Whether the platform wrote the rows by which access is decided."""
    wrong: dict[str, int] = {}
    checked = 0
    for codes in CODED:
        count, changed = await _wrong_codes(session, macs, codes)
        checked += count
        if changed:
            wrong[codes.table] = changed
    data: dict[str, JSON] = {"rows": checked, "wrong": dict(wrong)}
    if wrong:
        listed = ", ".join(f"{count} of {table}" for table, count in wrong.items())
        detail = f"rows that the platform did not write so: {listed}; each is refused"
        return Check("codes of rows", Health.PROBLEM, detail, "docs/operations.md#keys", data)
    return Check("codes of rows", Health.OK, f"{checked} rows have theirs", data=data)


async def _wrong_codes(session: AsyncSession, macs: MacKeys, codes: CodedRows) -> tuple[int, int]:
    """How many rows of a table there are, and how many have no code that fits."""
    table: Table = SQLModel.metadata.tables[codes.table]
    columns = [*(table.c[name] for name in codes.columns), table.c.code]
    page = select(*columns).order_by(table.c.id).limit(_AT_ONCE)
    rows: list[Any] = list((await session.execute(page)).mappings())
    count = wrong = 0
    while rows:
        count += len(rows)
        wrong += sum(not codes.verifies(macs, row["code"], row) for row in rows)
        after = rows[-1]["id"]
        rows = list((await session.execute(page.where(table.c.id > after))).mappings())
    return count, wrong


async def _journals(session: AsyncSession) -> Check:
    """Whether each run has the facts that its row counts, and ended as its last one says."""
    short = (await session.execute(_JOURNALS, {"most": MAX_LISTED})).all()
    other = (await session.execute(_CANCELLED, {"most": MAX_LISTED})).all()
    runs = await session.scalar(select(func.count()).select_from(RUNS)) or 0
    data: dict[str, JSON] = {
        "runs": runs,
        "incomplete": [str(row.id) for row in short],
        "state": [str(row.id) for row in other],
    }
    if short or other:
        detail = f"{len(short) + len(other)} of {runs} runs do not have the journal of their row"
        return Check("journal", Health.PROBLEM, detail, "take another backup", data)
    return Check("journal", Health.OK, f"complete in {runs} runs", data=data)


async def _runs(session: AsyncSession) -> list[GoesOn]:
    rows = await session.execute(_STEPS, {"most": MAX_LISTED})
    return [
        GoesOn(str(row.id), f"{row.flow}@{row.version}", row.state, row.name, row.key)
        for row in rows
    ]


async def _resets(session: AsyncSession) -> Check:
    """What waits for dispatch and who held runs: the holders are gone, and their leases end."""
    queued = await session.scalar(select(func.count()).select_from(OUTBOX)) or 0
    held = select(func.count()).select_from(RUNS).where(RUNS.c.holder.is_not(None))
    leases = await session.scalar(held.where(RUNS.c.state.not_in(ENDED))) or 0
    data: dict[str, JSON] = {"outbox": queued, "leases": leases}
    detail = f"{queued} messages are sent again, {leases} leases of holders that are gone end"
    return Check("outbox and leases", Health.OK, detail, data=data)


def _again(runs: list[GoesOn]) -> Check:
    count = len({each.run for each in runs})
    more = " at least" if len(runs) == MAX_LISTED else ""
    if not runs:
        return Check("runs", Health.OK, "none was under way")
    detail = f"{count}{more} were under way: what they did since is done again, by the same keys"
    mends = f"{PAGE}#what-is-done-again"
    return Check("runs", Health.WARNING, detail, mends, {"runs": count})
