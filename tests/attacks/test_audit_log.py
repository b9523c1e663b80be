"""The audit log is stopped, edited before it is sealed, forged or forked, without its keys.

Most attacks are those of a database administrator: they switch the triggers off and write what they
like. They have neither the key of codes nor the signing key.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from coe.audit.admission import Admission, code_of
from coe.audit.checkpoint_file import CheckpointFile
from coe.audit.events import Tag
from coe.audit.findings import Verification
from coe.audit.history import LogBroken
from coe.audit.log import clear_columns, with_code
from coe.audit.records import AUDIT_EVENTS
from coe.audit.verification import verify
from coe.audit.watch import SealingWatch
from coe.crypto.mac import MacKeys, create_keys
from coe.db import Database, new_id
from tests.factories.audit import Log, cut_to, event, open_log

INSERT = """
    INSERT INTO audit_events (id, at, actor, actor_kind, action, resource, team, outcome{columns})
    VALUES ('{id}', {at}, 'sales-owner', 'PERSON', '{action}', 'flow:sales/x', 'sales',
            'ALLOWED'{values})
"""


def forged(at: str = "now()", **columns: str) -> str:
    """A statement that inserts a row which looks like an event."""
    names = "".join(f", {name}" for name in columns)
    values = "".join(f", {value}" for value in columns.values())
    action = Tag.CATALOG_FLOW_PUBLISH.value
    return INSERT.format(id=new_id(), at=at, action=action, columns=names, values=values)


@pytest.fixture
def log(database: Database, tmp_path: Any) -> Log:
    return open_log(database, tmp_path)


async def verified(log: Log, **options: Any) -> Verification:
    async with log.database.session() as session:
        key = log.signer.public
        return await verify(session, key, log.file, admission=log.admission, **options)


def codes(found: Verification) -> set[str]:
    return {str(problem.code) for problem in found.problems}


async def execute(log: Log, *statements: str) -> None:
    async with log.database.session() as session:
        for statement in statements:
            await session.execute(text(statement))
        await session.commit()


# ---------------------------------------------------------------- forged and edited rows
@pytest.mark.parametrize(
    "row",
    [
        forged(),
        forged("now() - interval '1 year'"),
        forged(mac="sha256('x')", written_at="now()"),
        forged(mac="''", written_at="now()"),
    ],
    ids=["without a code", "backdated", "with a code of its own", "with an empty code"],
)
async def test_a_forged_row_among_others(log: Log, row: str) -> None:
    await log.write(event(1))
    await execute(log, row)
    await log.write(event(2))
    await log.seal()
    sealed = await log.rows("SELECT request_id FROM audit_events WHERE position IS NOT NULL")
    assert sorted(sealed) == [("request-1",), ("request-2",)]
    found = await verified(log)
    assert (found.ok, found.sealing and found.sealing.refused) == (False, 1)
    assert codes(found) == {"AUDIT_ROW_REFUSED"}


@pytest.mark.parametrize(
    "change",
    [
        "actor = 'nobody'",
        "at = at - interval '1 day'",
        "outcome = 'DENIED'",
        "rule = NULL",
        "address = ''",
        "reason_digest = sha256('x')",
        "detail_sealed = 'x'",
        "detail_sealed = NULL",
        "mac = NULL",
        "written_at = written_at + interval '1 second'",
        "stored_at = stored_at - interval '10 minutes'",
        "stored_at = NULL",
        "id = gen_random_uuid()",
    ],
)
async def test_an_unsealed_row_is_edited(log: Log, change: str) -> None:
    await log.write(event(1), event(2))
    first = "(SELECT id FROM audit_events ORDER BY id LIMIT 1)"
    await log.attack(f"UPDATE audit_events SET {change} WHERE id = {first}")
    await log.seal()
    assert await log.rows("SELECT count(*) FROM audit_events WHERE position = 0") == [(1,)]
    assert await log.rows("SELECT count(*) FROM audit_events WHERE refused <> ''") == [(1,)]
    assert not (await verified(log)).ok


async def test_an_event_is_set_aside_before_its_seal(log: Log) -> None:
    await log.write(event(1))
    await log.attack("UPDATE audit_events SET refused = 'NO_CODE'")
    await log.seal()
    found = await verified(log)
    assert "somebody set an event aside" in found.problems[0].message


async def test_an_event_is_kept_back_and_inserted_later(log: Log) -> None:
    """A withheld row, which has a true code, does not become an event of a later time."""
    values = with_code(log.keyring.macs, clear_columns(event(1, reason=None, detail=None)))
    async with log.database.session() as session:
        late = text("SELECT now() - interval '1 hour'")
        values["written_at"] = await session.scalar(late)
        values["mac"] = log.keyring.macs.code  # as made an hour ago
        old = {**values, "mac": _code(log, values)}
        with pytest.raises(DBAPIError, match="clock"):
            await session.execute(AUDIT_EVENTS.insert().values(old))
    async with log.database.session() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(AUDIT_EVENTS.insert().values({**old, "stored_at": text("now()")}))
        await session.commit()
    await log.seal()
    assert await log.rows("SELECT refused, position FROM audit_events") == [("WRONG_TIME", None)]


def _code(log: Log, values: dict[str, Any]) -> bytes:
    return code_of(log.keyring.macs, values)


async def test_rows_are_forged_with_a_key_of_the_attacker(log: Log, tmp_path: Any) -> None:
    stranger = replace(log)
    create_keys(tmp_path / "stranger")
    stranger.keyring.macs = MacKeys(tmp_path / "stranger")
    await stranger.write(event(1))
    honest = Admission(MacKeys(tmp_path / "mac"))
    stranger.keyring.macs = honest.keys
    await log.seal()
    assert await log.rows("SELECT refused FROM audit_events") == [("WRONG_CODE",)]


# ---------------------------------------------------------------- stopping the log
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT pg_advisory_xact_lock(x'636f6510'::bigint)",
        "SELECT pg_advisory_xact_lock(x'636f6510'::int)",
        "SELECT pg_advisory_xact_lock_shared(x'636f6510'::bigint)",
        "LOCK TABLE audit_events IN ROW EXCLUSIVE MODE",
    ],
)
async def test_a_lock_is_held_to_stop_the_sealer(log: Log, statement: str) -> None:
    await log.write(event(1))
    async with log.database.session() as session:
        await session.execute(text(statement))
        assert await log.sealer().seal_once() == 1


async def test_the_lease_is_taken_for_ever(log: Log) -> None:
    await log.write(event(1))
    await execute(log, "UPDATE audit_sealer SET holder = 'nobody', until = 'infinity'")
    assert await log.sealer().seal_once() == 1


async def test_the_row_of_the_lease_is_deleted(log: Log) -> None:
    await log.write(event(1))
    await execute(log, "DELETE FROM audit_sealer")
    assert await log.sealer().seal_once() == 1


async def test_forged_rows_fill_every_batch(log: Log) -> None:
    await execute(log, *(forged() for _ in range(7)))
    await log.write(event(1))
    sealer = log.sealer(batch=3)
    assert [await sealer.seal_once() for _ in range(4)] == [3, 3, 2, 0]
    assert await log.rows("SELECT request_id FROM audit_events WHERE position = 0") == [
        ("request-1",)
    ]


async def test_the_next_position_is_taken_by_a_row_that_never_commits(log: Log) -> None:
    await log.write(event(1))
    async with log.database.session() as session:
        with pytest.raises(DBAPIError, match="not how events"):
            await session.execute(text(forged(position="0", leaf_hash="''")))


async def test_a_row_too_large_to_be_read_is_inserted(log: Log) -> None:
    async with log.database.session() as session:
        with pytest.raises(DBAPIError, match="not how events"):
            await session.execute(text(forged(rule="repeat('x', 10000000)")))


TIMES = ["'infinity'", "'-infinity'", "'20000-01-01'", "'0044-03-15 BC'"]


@pytest.mark.parametrize("at", TIMES)
async def test_a_row_with_a_time_that_cannot_be_read_is_inserted(log: Log, at: str) -> None:
    async with log.database.session() as session:
        with pytest.raises(DBAPIError, match="not how events"):
            await session.execute(text(forged(at)))
    await log.attack(forged(at, stored_at=at), forged(at, written_at=at, mac="sha256('x')"))
    await log.write(event(1))
    async with log.database.session() as session:
        await SealingWatch(60).look(session)
    assert await log.sealer().seal_once() == 3
    found = await verified(log)
    assert (found.checked_events, found.sealing and found.sealing.refused) == (1, 2)


@pytest.mark.parametrize("at", TIMES)
async def test_a_sealed_row_gets_a_time_that_cannot_be_read(log: Log, at: str) -> None:
    await log.fill(2)
    await log.attack(f"UPDATE audit_events SET at = {at} WHERE position = 1")
    found = await verified(log)
    assert not found.ok
    assert "/events/1" in {problem.path for problem in found.problems}


async def test_a_row_is_put_behind_the_horizon(log: Log) -> None:
    async with log.database.session() as session:
        with pytest.raises(DBAPIError, match="not how events"):
            await session.execute(text(forged(xid="'1'")))


async def test_an_open_transaction_stops_the_seal_unnoticed(
    log: Log, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It cannot be prevented, since its events would come before; so it is told, by its name."""
    other = Database(database_url, name="the-attacker")
    async with other.session() as session:
        await session.execute(text("SELECT pg_current_xact_id()"))
        pid = await session.scalar(text("SELECT pg_backend_pid()"))
        await log.write(event(1))
        assert await log.sealer().seal_once() == 0
        await asyncio.sleep(0.02)
        found = await verified(log, late_seconds=0.01)
        assert codes(found) == {"AUDIT_SEALING_LATE"}
        assert f"process {pid} of PostgreSQL" in found.problems[0].message
        assert "the-attacker" in found.problems[0].message
        watch = SealingWatch(0.01)
        async with log.database.session() as looking:
            await watch.look(looking)
        assert not watch.ok
        assert str(pid) in caplog.text
    await other.close()
    await log.seal()
    found = await verified(log, late_seconds=60)
    assert found.ok
    assert (found.sealing and found.sealing.waiting) == 0


# ---------------------------------------------------------------- forking the log
async def test_a_cut_tail_is_signed_again(log: Log) -> None:
    """The last event is replaced by another one, with the database and the file cut back."""
    await log.fill(2)
    before = log.file.read_bytes()
    await log.write(event(3))
    await log.seal()
    await log.attack(*cut_to(2))
    log.file.write_bytes(before)
    await log.write(event(4))
    with pytest.raises(LogBroken, match="events were removed"):
        await log.seal()
    assert len(list(CheckpointFile(log.file).notes())) == 1


async def test_a_tail_is_changed_and_signed_again(log: Log) -> None:
    await log.fill(2)
    before = log.file.read_bytes()
    await log.write(event(3))
    await log.seal()
    freed = "UPDATE audit_events SET position = NULL, leaf_hash = NULL, actor = 'nobody'"
    await log.attack(*cut_to(2, freed))
    log.file.write_bytes(before)
    with pytest.raises(LogBroken, match="one was changed"):
        await log.seal()


async def test_database_and_files_are_cut_back_under_a_running_sealer(log: Log) -> None:
    await log.fill(2)
    files = {path: path.read_bytes() for path in (log.file, log.signed)}
    sealer = log.sealer()
    await log.write(event(3))
    await sealer.seal_once()
    await log.attack(*cut_to(2))
    for path, content in files.items():
        path.write_bytes(content)
    await log.write(event(4))
    with pytest.raises(LogBroken, match="while this process ran"):
        await sealer.seal_once()


@pytest.mark.parametrize("running", [True, False])
async def test_the_checkpoint_file_is_dropped(log: Log, *, running: bool) -> None:
    await log.fill(1, 2)
    sealer = log.sealer()
    if running:
        await sealer.seal_once()
    log.file.unlink()
    await log.write(event(3))
    with pytest.raises(LogBroken, match="missing or empty"):
        await sealer.seal_once()
    assert not log.file.exists()
    assert "AUDIT_CHECKPOINT_MISSING" in codes(await verified(log))


@pytest.mark.parametrize("line", [0, 1, 2])
async def test_a_line_is_taken_out_of_the_checkpoint_file(log: Log, line: int) -> None:
    await log.fill(1, 2, 3, 4)
    lines = log.file.read_bytes().splitlines(keepends=True)
    log.file.write_bytes(b"".join(lines[:line] + lines[line + 1 :]))
    await log.write(event(5))
    await log.seal()
    found = await verified(log)
    assert codes(found) == {"AUDIT_CHECKPOINT_MISSING"}
    assert [problem.path for problem in found.problems] == [f"/checkpoints/{line + 1}"]


async def test_the_last_lines_are_taken_out_of_the_checkpoint_file(log: Log) -> None:
    """The newest alone may be a crash, and the same note is appended again; two are not."""
    await log.fill(1, 2, 3)
    lines = log.file.read_bytes().splitlines(keepends=True)
    log.file.write_bytes(b"".join(lines[:1]))
    with pytest.raises(LogBroken, match="lacks 2 checkpoints"):
        await log.seal()
    assert log.file.read_bytes() == lines[0]
    assert not (await verified(log)).ok
    log.file.write_bytes(b"".join(lines[:2]))
    await log.seal()
    assert log.file.read_bytes() == b"".join(lines)


async def test_the_file_of_the_highest_checkpoint_is_of_a_backup(log: Log) -> None:
    await log.fill(1)
    old = log.signed.read_bytes()
    await log.fill(1, 2)
    log.signed.write_bytes(old)
    with pytest.raises(LogBroken, match="of a backup"):
        await log.seal()


async def test_a_sealer_with_other_files_signs_a_second_tree(log: Log, tmp_path: Any) -> None:
    await log.fill(1, 2)
    (tmp_path / "other").mkdir()
    other = replace(log, file=tmp_path / "other" / "checkpoints")
    await log.write(event(3))
    with pytest.raises(LogBroken, match="missing or empty"):
        await other.seal()


async def test_a_sealer_that_lost_its_lease_signs(log: Log) -> None:
    await log.fill(1)
    with pytest.raises(DBAPIError, match="taken over"):
        await execute(
            log,
            "INSERT INTO audit_checkpoints (tree_size, root_hash, at, note, fence)"
            " VALUES (2, '', now(), '', 0)",
        )
