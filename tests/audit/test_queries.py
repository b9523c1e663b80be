from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from coe.audit.events import AuditOutcome, Tag
from coe.audit.merkle import verify_consistency, verify_inclusion
from coe.audit.queries import (
    AuditEventFilter,
    Window,
    consistency,
    count_events,
    events_by_id,
    events_page,
    newest_checkpoint,
    open_detail,
    open_reason,
    proofs,
)
from coe.audit.records import AUDIT_EVENTS
from coe.audit.tree import root_at
from coe.crypto.envelope import DoesNotOpen
from coe.errors import NotFound
from tests.factories.audit import FLOW, Log, event

START = datetime(2026, 11, 1, tzinfo=UTC)


async def story(log: Log) -> None:
    """Who did what on a flow, its run and its task; and what has nothing to do with it."""
    plain = {"correlation_id": None, "reason": None, "detail": None}
    events = [
        event(actor="sales-owner", **plain, resource=f"{FLOW}@1.0.0"),
        event(actor="other", **plain, resource=f"{FLOW}-light@1.0.0"),
        event(
            actor="sales-owner",
            action=Tag.RUNS_RUN_START,
            resource=f"{FLOW}@1.0.0",
            correlation_id="order-17",
        ),
        event(
            actor="run:17",
            action=Tag.RUNS_HUMAN_TASK_OPEN,
            resource="human_task:t1",
            team="finance",
            correlation_id="order-17",
        ),
        event(
            actor="sales-owner",
            action=Tag.RUNS_HUMAN_TASK_COMPLETE,
            resource="human_task:t1",
            team="finance",
            outcome=AuditOutcome.DENIED,
            rule="p, relation:requester, *, human_task:complete, *, deny",
            correlation_id="order-17",
        ),
        event(
            actor="auditor",
            action=Tag.RUNS_RUN_READ_DATA,
            resource="run:17",
            correlation_id="order-17",
        ),
        event(
            actor="other",
            action=Tag.RUNS_RUN_START,
            resource="flow:warehouse/pick@1.0.0",
            team="warehouse",
            correlation_id="order-18",
        ),
        event(actor="other", **plain, resource="humanXtask:t1"),
    ]
    for number, one in enumerate(events):
        object.__setattr__(one, "at", START + timedelta(hours=number))
    await log.write(*events)
    await log.seal()


@pytest.mark.parametrize(
    ("matching", "expected"),
    [
        (AuditEventFilter(), [0, 1, 2, 3, 4, 5, 6, 7]),
        (AuditEventFilter(resources=[FLOW]), [0, 2, 3, 4, 5]),
        (AuditEventFilter(resources=[f"{FLOW}@1.0.0"]), [0, 2, 3, 4, 5]),
        (AuditEventFilter(resources=[f"{FLOW}@1.0.1"]), []),
        (AuditEventFilter(resources=["flow:sales/*"]), [0, 1, 2, 3, 4, 5]),
        (AuditEventFilter(resources=["flow:*"]), [0, 1, 2, 3, 4, 5, 6]),
        (AuditEventFilter(resources=["human_task:t1"]), [3, 4]),
        (AuditEventFilter(resources=["human_task:t*"]), [3, 4]),
        (AuditEventFilter(resources=["run:17"]), [2, 3, 4, 5]),
        (AuditEventFilter(resources=["run:17", "flow:warehouse/pick"]), [2, 3, 4, 5, 6]),
        (AuditEventFilter(resources=[FLOW], outcomes=[AuditOutcome.DENIED]), [4]),
        (AuditEventFilter(actors=["auditor", "run:17"]), [3, 5]),
        (AuditEventFilter(actions=[Tag.RUNS_RUN_START]), [2, 6]),
        (AuditEventFilter(teams=["finance"]), [3, 4]),
        (AuditEventFilter(correlation_id="order-18"), [6]),
        (AuditEventFilter(after=START + timedelta(hours=6)), [6, 7]),
        (AuditEventFilter(before=START + timedelta(hours=1)), [0]),
        (AuditEventFilter(actors=["nobody"]), []),
        (AuditEventFilter(actors=["sales-owner"], resources=[FLOW], teams=["sales"]), [0, 2]),
    ],
)
async def test_the_filter_narrows(
    log: Log, matching: AuditEventFilter, expected: list[int]
) -> None:
    await story(log)
    async with log.database.session() as session:
        window = Window(matching)
        found = await events_page(session, window, first=50)
        assert [row.position for row in found.rows] == expected[::-1]
        assert await count_events(session, window) == len(expected)


async def test_pages_follow_one_another(log: Log) -> None:
    await log.fill(7)
    async with log.database.session() as session:
        seen, after, more = [], None, True
        while more:
            found = await events_page(session, Window(), first=3, after=after)
            seen += [row.position for row in found.rows]
            after, more = found.next, found.has_next
    assert seen == list(range(6, -1, -1))


async def test_a_page_stays_what_it_was_while_the_log_grows(log: Log) -> None:
    await log.fill(5)
    async with log.database.session() as session:
        first = await events_page(session, Window(), first=2)
    await log.write(event(8))
    await log.seal()
    async with log.database.session() as session:
        second = await events_page(session, Window(), first=2, after=first.next)
    assert [row.position for row in [*first.rows, *second.rows]] == [4, 3, 2, 1]


async def test_what_is_not_sealed_or_not_within_is_not_in_the_log(log: Log) -> None:
    sealed = (await log.write(event(1)))[0]
    await log.seal()
    (waiting,) = await log.write(event(2))
    nothing = AUDIT_EVENTS.c.team == "finance"
    async with log.database.session() as session:
        assert await count_events(session, Window()) == 1
        assert set(await events_by_id(session, [waiting, sealed])) == {sealed}
        assert await events_by_id(session, [sealed], nothing) == {}
        assert await count_events(session, Window(within=nothing)) == 0
        assert (await events_page(session, Window(within=nothing), first=5)).rows == []


async def test_every_event_has_its_proof_in_the_newest_checkpoint(log: Log) -> None:
    await log.fill(3, 8, 21)
    async with log.database.session() as session:
        found = await events_page(session, Window(), first=50)
        proved = await proofs(session, [row.position for row in found.rows] + [21, -1])
        newest = await newest_checkpoint(session)
    assert len(proved) == 21
    for row in found.rows:
        proof = proved[row.position]
        assert proof.checkpoint == newest
        assert verify_inclusion(
            row.leaf_at(row.position), row.position, 21, proof.path, newest.root_hash
        )


async def test_the_log_at_each_size_begins_with_the_log_before(log: Log) -> None:
    await log.fill(3, 8, 21)
    async with log.database.session() as session:
        for old in range(1, 22):
            path = await consistency(session, old, 21)
            roots = [await root_at(session, size) for size in (old, 21)]
            assert verify_consistency(old, 21, *roots, path)
        assert await consistency(session, 0, 21) == ()
        for old, new in ((5, 22), (8, 3), (-1, 3)):
            with pytest.raises(NotFound):
                await consistency(session, old, new)


async def test_an_empty_log_reads_as_empty(log: Log) -> None:
    async with log.database.session() as session:
        assert await newest_checkpoint(session) is None
        assert await proofs(session, [0]) == {}
        assert await count_events(session, Window()) == 0
        assert (await events_page(session, Window(), first=5)).next is None


async def test_reason_and_detail_open_for_their_own_row_alone(log: Log) -> None:
    await log.write(event(1, reason="because ☃ \x00"), event(2, reason=None, detail=None))
    await log.seal()
    async with log.database.session() as session:
        with_none, with_both = (await events_page(session, Window(), first=2)).rows
    assert await open_reason(log.keyring, with_both) == "because ☃ \x00"
    assert await open_detail(log.keyring, with_both) == {
        "before": None,
        "after": {"customer": "Annegret Winterstein"},
    }
    assert await open_reason(log.keyring, with_none) is None
    assert await open_detail(log.keyring, with_none) is None
    object.__setattr__(with_none, "detail_sealed", with_both.detail_sealed)
    with pytest.raises(DoesNotOpen):
        await open_detail(log.keyring, with_none)


async def test_the_log_takes_whatever_a_client_sends(log: Log) -> None:
    await log.write(
        event(
            1,
            request_id="\x00nul \ud800 surrogate",
            resource="flow:" + "x" * 9000,
            reason="\ud800",
            detail={"number": 2**70, "text": "\ud800"},
        )
    )
    await log.seal()
    async with log.database.session() as session:
        (row,) = (await events_page(session, Window(), first=1)).rows
    assert row.request_id == "\N{REPLACEMENT CHARACTER}nul ? surrogate"
    assert len(row.resource) == 500
    assert row.resource.endswith("…")
    assert await open_reason(log.keyring, row) is not None
    assert await open_detail(log.keyring, row) is not None


async def test_what_is_sealed_is_not_in_a_dump_of_the_tables(log: Log) -> None:
    await log.fill(5)
    dump = b""
    tables = ("audit_events", "audit_nodes", "audit_checkpoints", "data_keys")
    async with log.database.engine.connect() as connection:
        raw = (await connection.get_raw_connection()).driver_connection
        for table in tables:
            parts: list[bytes] = []

            async def keep(part: bytes, parts: list[bytes] = parts) -> None:
                parts.append(part)

            await raw.copy_from_table(table, output=keep, format="binary")
            assert parts
            dump += b"".join(parts)
    assert b"sales-owner" in dump
    for word in (b"Winterstein", b"Annegret", b"customer", b"asked for it"):
        assert word not in dump
        assert word.hex().encode() not in dump
