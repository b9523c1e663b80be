from __future__ import annotations

import asyncio
import json
import random

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from coe.audit.checkpoint import Checkpoint
from coe.audit.checkpoint_file import CheckpointFile
from coe.audit.history import LogBroken
from coe.audit.lease import SealerLease
from coe.audit.log import append
from coe.audit.merkle import Frontier, NodeId
from coe.audit.records import EVENT_COLUMNS
from coe.audit.sealer import LogSealer
from coe.audit.sinks.keeper import SinkRefused
from coe.db import Database, utcnow
from coe.logs import JsonLines
from tests.factories.audit import Log, cut_to, event
from tests.factories.keys import signing_key


async def positions(log: Log) -> list[int]:
    rows = await log.rows("SELECT position FROM audit_events ORDER BY position")
    return [row[0] for row in rows]


async def checkpoints(log: Log) -> list[Checkpoint]:
    rows = await log.rows("SELECT note FROM audit_checkpoints ORDER BY tree_size")
    return [Checkpoint.open(note, log.signer.public) for (note,) in rows]


async def assert_whole(log: Log) -> None:
    """Positions without gaps, leaves of the rows, nodes and roots of the leaves."""
    async with log.database.session() as session:
        statement = select(*EVENT_COLUMNS).order_by(text("position"))
        rows = [EVENT_COLUMNS.record(row) for row in await session.execute(statement)]
    stored = {
        NodeId(level, offset): value
        for level, offset, value in await log.rows('SELECT level, "offset", hash FROM audit_nodes')
    }
    signed = {point.tree_size: point.root_hash for point in await checkpoints(log)}
    frontier, nodes = Frontier(), {}
    for position, row in enumerate(rows):
        assert row.position == position
        assert row.leaf_hash == row.leaf_at(position)
        nodes.update(frontier.append(row.leaf_hash))
        assert signed.get(frontier.size) in (None, frontier.root())
    assert nodes == stored
    assert max(signed) == len(rows)


def notes(log: Log) -> list[str | None]:
    return list(CheckpointFile(log.file).notes())


async def test_events_are_sealed_in_a_tree_signed_and_published(log: Log) -> None:
    await log.fill(1, 4, 5, 12)
    await assert_whole(log)
    signed = await checkpoints(log)
    assert [point.tree_size for point in signed] == [1, 4, 5, 12]
    assert notes(log) == [point.note for point in signed]
    assert log.file.stat().st_mode & 0o777 == 0o600
    assert [point.at for point in signed] == sorted(point.at for point in signed)


async def test_an_empty_log_has_no_checkpoint(log: Log) -> None:
    assert await log.sealer().seal_once() == 0
    assert await checkpoints(log) == []
    assert not log.file.exists()


async def test_batches_are_followed_by_batches(log: Log) -> None:
    await log.write(*(event(number) for number in range(23)))
    sealer = log.sealer(batch=5)
    assert [await sealer.seal_once() for _ in range(6)] == [5, 5, 5, 5, 3, 0]
    await assert_whole(log)
    assert [point.tree_size for point in await checkpoints(log)] == [5, 10, 15, 20, 23]


async def test_an_event_of_a_rolled_back_change_is_not_in_the_log(log: Log) -> None:
    async with log.database.session() as session:
        await append(session, log.keyring, event())
        await session.rollback()
    await log.seal()
    assert await positions(log) == []


async def test_nothing_is_sealed_past_a_transaction_that_still_runs(log: Log) -> None:
    async with log.database.session() as slow:
        await append(slow, log.keyring, event(1))
        await log.write(event(2))
        assert await log.sealer().seal_once() == 0
        await slow.commit()
    assert await log.sealer().seal_once() == 2
    rows = await log.rows("SELECT request_id FROM audit_events ORDER BY position")
    assert rows == [("request-1",), ("request-2",)]


async def test_many_writers_with_delayed_commits_and_several_sealers_lose_nothing(
    log: Log, database_url: str
) -> None:
    written, sealing = 0, True
    await log.write(event())
    wide = Database(database_url, pool_size=20)

    async def write(writer: int) -> None:
        nonlocal written
        chance = random.Random(writer)  # noqa: S311  # delays
        for number in range(15):
            async with wide.session() as session:
                size = chance.randint(1, 3)
                for _ in range(size):
                    await append(session, log.keyring, event(1000 * writer + number))
                    await asyncio.sleep(chance.random() * 0.02)
                if chance.random() < 0.2:
                    await session.rollback()
                else:
                    await session.commit()
                    written += size

    async def seal(sealer: LogSealer) -> int:
        total = 0
        while sealing:
            total += await sealer.seal_once()
            await asyncio.sleep(0.005)
        return total

    sealers = [asyncio.create_task(seal(log.sealer(batch=7))) for _ in range(3)]
    await asyncio.gather(*(write(writer) for writer in range(12)))
    sealing = False
    sealed = sum(await asyncio.gather(*sealers))
    await wide.close()
    await log.seal()
    assert await positions(log) == list(range(written + 1))
    assert 0 < sealed <= written + 1
    await assert_whole(log)
    assert notes(log) == [point.note for point in await checkpoints(log)]


async def test_while_one_seals_another_does_not(log: Log) -> None:
    await log.write(event())
    async with log.database.session() as session:
        assert await SealerLease("test").take(session) == 1
        assert await log.sealer().seal_once() == 0
    assert await log.sealer().seal_once() == 1


async def test_another_process_seals_when_the_first_gives_up_or_dies(log: Log) -> None:
    first, second = log.sealer("first"), log.sealer("second")
    await log.write(event())
    assert await first.seal_once() == 1
    await log.write(event())
    assert await second.seal_once() == 0
    await first.close()
    assert await second.seal_once() == 1
    await log.write(event())
    assert await first.seal_once() == 0
    await log.attack("UPDATE audit_sealer SET until = clock_timestamp()")  # it died long ago
    assert await first.seal_once() == 1
    await assert_whole(log)
    fences = await log.rows("SELECT fence FROM audit_checkpoints ORDER BY tree_size")
    assert fences == [(1,), (2,), (3,)]


async def test_the_loop_seals_by_itself_and_outlives_an_error(
    log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    sealer = log.sealer()
    loop = asyncio.create_task(sealer.run_forever())
    await log.write(event(1))
    async with asyncio.timeout(60):
        while await positions(log) != [0] or not notes(log):
            await asyncio.sleep(0.05)

    log.file.rename(log.file.with_suffix(".moved"))
    log.file.mkdir()
    await log.write(event(2))
    sealer.wake()
    async with asyncio.timeout(60):
        while sealer.problem is None:
            await asyncio.sleep(0.05)
    assert len(caplog.records) == 1
    log.file.rmdir()
    log.file.with_suffix(".moved").rename(log.file)
    async with asyncio.timeout(60):
        while sealer.problem is not None:
            await asyncio.sleep(0.05)
    assert len(notes(log)) == 2
    assert len(caplog.records) == 1
    loop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loop


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET actor = 'nobody'",
        "UPDATE audit_events SET position = position + 100",
        "UPDATE audit_events SET position = NULL, leaf_hash = NULL",
        "UPDATE audit_events SET leaf_hash = '\\x00'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "UPDATE audit_nodes SET hash = '\\x00'",
        "DELETE FROM audit_nodes",
        "TRUNCATE audit_nodes",
        "UPDATE audit_checkpoints SET tree_size = 7",
        "DELETE FROM audit_checkpoints",
        "TRUNCATE audit_checkpoints",
    ],
)
async def test_what_is_sealed_cannot_be_changed_by_mistake(log: Log, statement: str) -> None:
    await log.fill(3)
    async with log.database.session() as session:
        with pytest.raises(DBAPIError, match="append-only"):
            await session.execute(text(statement))
    await assert_whole(log)


@pytest.mark.parametrize("column", ["actor = 'nobody'", "xid = '1'", "detail_digest = NULL"])
async def test_what_waits_to_be_sealed_cannot_be_changed_either(log: Log, column: str) -> None:
    await log.write(event())
    async with log.database.session() as session:
        with pytest.raises(DBAPIError, match="append-only"):
            await session.execute(text(f"UPDATE audit_events SET {column}"))
    async with log.database.session() as session:
        with pytest.raises(DBAPIError, match="append-only"):
            await session.execute(text("DELETE FROM audit_events"))


async def test_a_log_behind_its_file_is_not_continued(log: Log) -> None:
    await log.fill(3)
    await log.write(event(3))
    await log.seal()
    await log.attack(*cut_to(3))
    await log.write(event(5))
    with pytest.raises(LogBroken, match="older backup"):
        await log.seal()
    assert await log.rows("SELECT max(position) FROM audit_events") == [(2,)]


async def test_a_log_that_forked_from_its_file_is_not_continued(log: Log) -> None:
    await log.fill(2)
    await log.write(event(5))
    log.signed.unlink()
    log.file.unlink()
    first = Checkpoint.sign(log.signer, 1, bytes(32), utcnow())
    CheckpointFile(log.file).append([first.note])
    with pytest.raises(LogBroken, match="does not start"):
        await log.seal()
    log.file.write_bytes(b'"no note"\n')
    with pytest.raises(LogBroken, match="was changed"):
        await log.seal()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_nodes SET hash = set_bit(hash, 9, 1 - get_bit(hash, 9)) WHERE level = 2",
        "DELETE FROM audit_nodes WHERE level = 2",
        "UPDATE audit_checkpoints SET root_hash = set_bit(root_hash, 0, 1 - get_bit(root_hash, 0))",
        "UPDATE audit_checkpoints SET note = replace(note, '5', '6')",
    ],
)
async def test_a_tree_that_was_changed_is_not_extended(log: Log, statement: str) -> None:
    await log.fill(5)
    await log.attack(statement)
    await log.write(event(6))
    with pytest.raises(LogBroken):
        await log.seal()
    assert await log.rows("SELECT max(position) FROM audit_events") == [(4,)]


async def test_a_log_of_another_key_is_not_continued(log: Log) -> None:
    await log.fill(2)
    await log.write(event(3))
    stranger = Log(log.database, log.keyring, signing_key(2), log.file)
    with pytest.raises(LogBroken, match="another key"):
        await stranger.seal()


async def test_events_restored_from_another_cluster_are_sealed(log: Log) -> None:
    await log.write(event(1), event(2))
    await log.attack("UPDATE audit_events SET xid = '9000000000000'")
    await log.seal()
    await assert_whole(log)


async def test_a_file_gets_the_newest_and_loses_a_line_cut_short(log: Log) -> None:
    """As a crash between the commit and the append leaves it, or within the append."""
    await log.fill(1, 2)
    whole = log.file.read_bytes()
    for cut in (1, 20, len(whole.splitlines()[1]) + 1):
        log.file.write_bytes(whole[:-cut])
        await log.seal()
        assert log.file.read_bytes() == whole


async def test_files_of_an_earlier_release_are_continued(log: Log) -> None:
    await log.fill(1, 2)
    log.signed.unlink()
    await log.write(event())
    await log.seal()
    assert notes(log) == [point.note for point in await checkpoints(log)]
    assert json.loads(log.signed.read_bytes())["note"] == notes(log)[-1]


async def test_what_was_signed_and_not_committed_is_completed_as_it_was(log: Log) -> None:
    await log.fill(2)
    files = log.file.read_bytes(), log.signed.read_bytes()
    await log.write(event(3), event(4))
    await log.seal()
    signed = (await checkpoints(log))[-1]
    log.file.write_bytes(files[0])
    await log.attack(*cut_to(2, "UPDATE audit_events SET position = NULL, leaf_hash = NULL"))
    await log.write(event(5))
    assert await log.sealer(batch=1).seal_once() == 2
    assert (await checkpoints(log))[-1] == signed
    assert await log.sealer().seal_once() == 1
    await assert_whole(log)
    assert notes(log) == [point.note for point in await checkpoints(log)]


async def test_the_log_record_names_the_sink_that_is_refused(
    log: Log, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealer = log.sealer()

    async def refuse() -> int:
        raise SinkRefused("bucket: the database does not know it (coe sink add bucket)")

    monkeypatch.setattr(sealer, "seal_once", refuse)
    loop = asyncio.create_task(sealer.run_forever())
    async with asyncio.timeout(60):
        while sealer.problem is None:
            await asyncio.sleep(0.01)
    loop.cancel()
    [record] = caplog.records
    told = json.loads(JsonLines().format(record))
    assert told["reason"] == "bucket: the database does not know it (coe sink add bucket)"
