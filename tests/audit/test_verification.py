from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from coe.audit.checkpoint import Checkpoint
from coe.audit.checkpoint_file import CheckpointFile
from coe.audit.findings import Verification
from coe.audit.merkle import EMPTY_ROOT, Frontier, leaf_hash, node_hash
from coe.audit.records import EVENT_COLUMNS
from coe.audit.verification import verify
from coe.db import utcnow
from tests.factories.audit import Log, event
from tests.factories.keys import signing_key

SIZE = 7
TYPES = {
    "id": "uuid",
    "at": "timestamptz",
    "reason_sealed": "bytea",
    "reason_digest": "bytea",
    "detail_sealed": "bytea",
    "detail_digest": "bytea",
    "leaf_hash": "bytea",
    "xid": "xid8",
    "position": "bigint",
}


async def verified(log: Log, session: AsyncSession) -> Verification:
    return await verify(session, log.signer.public, log.file)


@asynccontextmanager
async def attacked(log: Log) -> AsyncIterator[AsyncSession]:
    """A session without triggers whose changes are undone at the end."""
    async with log.database.session() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        yield session
        await session.rollback()


def changed(value: Any) -> Iterator[Any]:
    """The value with each byte changed, and with the value removed or added."""
    match value:
        case None:
            yield "x"
        case str():
            for index, letter in enumerate(value):
                yield value[:index] + ("A" if letter != "A" else "B") + value[index + 1 :]
            yield value[:-1]
            yield value + "x"
        case int():
            for bit in range(0, 48, 8):
                yield value ^ (1 << bit)
        case bytes():
            for index in range(len(value)):
                tampered = bytearray(value)
                tampered[index] ^= 1 << index % 8
                yield bytes(tampered)
            yield value[:-1]


def as_text(value: object) -> str | None:
    return "\\x" + value.hex() if isinstance(value, bytes) else value and str(value)


async def put(session: AsyncSession, column: str, position: int, value: object) -> None:
    kind = TYPES.get(column, "text")
    await session.execute(
        text(
            f"UPDATE audit_events SET {column} = CAST(CAST(:value AS text) AS {kind})"
            " WHERE position = :position"
        ),
        {"value": None if value is None else as_text(value), "position": position},
    )


def names(found: Verification, position: int, row_id: object) -> bool:
    return any(
        problem.path == f"/events/{position}" or str(row_id) in problem.message
        for problem in found.problems
    )


COLUMNS = [
    "actor",
    "actor_kind",
    "action",
    "resource",
    "team",
    "outcome",
    "rule",
    "correlation_id",
    "request_id",
    "address",
    "reason_sealed",
    "reason_digest",
    "detail_sealed",
    "detail_digest",
    "leaf_hash",
    "xid",
]


@pytest.mark.parametrize("column", COLUMNS)
async def test_a_changed_byte_of_any_column_names_the_row(log: Log, column: str) -> None:
    await log.fill(3, SIZE)
    async with log.database.session() as session:
        statement = select(*EVENT_COLUMNS).order_by(text("position"))
        rows = [EVENT_COLUMNS.record(row) for row in await session.execute(statement)]
        assert (await verified(log, session)).ok
    changes = list(changed(getattr(rows[0], column)))
    emptied = [None] if column.endswith(("rule", "sealed", "digest", "hash")) else []
    for number, value in enumerate([*changes, *emptied]):
        row = rows[number % SIZE]
        if number < len(changes):
            value = list(changed(getattr(row, column)))[number]  # noqa: PLW2901  # of this row
        async with attacked(log) as session:
            await put(session, column, row.position, value)
            found = await verified(log, session)
        assert {problem.path for problem in found.problems} == {f"/events/{row.position}"}, value
        assert str(row.id) in found.problems[0].message


async def test_a_changed_id_time_or_position_names_the_row(log: Log) -> None:
    await log.fill(3, SIZE)
    changes = {
        "id": [f"translate(id::text, '{n:x}', '{n ^ 1:x}')::uuid" for n in (0, 1, 7)],
        "at": ["at + interval '1 microsecond'", "at - interval '1 day'", "at + interval '1 year'"],
        "position": ["-1 - position", "position + 7", "position + 4294967296", "NULL"],
    }
    for column, values in changes.items():
        for number, value in enumerate(values):
            position = number % SIZE
            async with attacked(log) as session:
                await session.execute(
                    text(f"UPDATE audit_events SET {column} = {value} WHERE position = {position}")
                )
                found = await verified(log, session)
            assert f"/events/{position}" in {problem.path for problem in found.problems}, value


async def test_two_rows_that_changed_places_are_both_named(log: Log) -> None:
    await log.fill(SIZE)
    for one, other in ((0, 1), (2, 5), (5, 6)):
        async with attacked(log) as session:
            await session.execute(text("DROP INDEX uq_audit_events_position"))
            await session.execute(
                text(
                    "UPDATE audit_events SET position = :sum - position"
                    " WHERE position IN (:one, :other)"
                ),
                {"sum": one + other, "one": one, "other": other},
            )
            found = await verified(log, session)
        assert names(found, one, None)
        assert names(found, other, None)


@pytest.mark.parametrize("position", range(SIZE))
async def test_a_deleted_row_is_named(log: Log, position: int) -> None:
    await log.fill(2, 3, SIZE)
    async with attacked(log) as session:
        await session.execute(text("DELETE FROM audit_events WHERE position = :p"), {"p": position})
        found = await verified(log, session)
    assert [problem.code for problem in found.problems] == ["AUDIT_ROW_MISSING"]
    assert found.problems[0].path == f"/events/{position}"


async def test_rows_removed_at_the_end_are_reported_even_with_their_tree(log: Log) -> None:
    await log.fill(3, SIZE)
    cut = (
        "DELETE FROM audit_events WHERE position > 2",
        'DELETE FROM audit_nodes WHERE ("offset" + 1) << level > 3',
        "DELETE FROM audit_checkpoints WHERE tree_size > 3",
    )
    async with attacked(log) as session:
        await session.execute(text(cut[0]))
        found = await verified(log, session)
        assert found.problems[0].code == "AUDIT_ROW_MISSING"
        assert "3 to 6" in found.problems[0].message
        for statement in cut[1:]:
            await session.execute(text(statement))
        found = await verified(log, session)
    assert [problem.code for problem in found.problems] == ["AUDIT_CHECKPOINT_MISSING"]
    assert "7 events" in found.problems[0].message


async def test_an_inserted_row_is_named(log: Log) -> None:
    await log.fill(SIZE)
    (inserted,) = await log.write(event(3))
    for position, also in ((SIZE, ""), (-1, ""), (3, "DROP INDEX uq_audit_events_position")):
        async with attacked(log) as session:
            if also:
                await session.execute(text(also))
            statement = text("UPDATE audit_events SET position = :p, leaf_hash = :h WHERE id = :i")
            await session.execute(statement, {"p": position, "h": bytes(32), "i": inserted})
            found = await verified(log, session)
        assert any(str(inserted) in problem.message for problem in found.problems)
        assert "AUDIT_ROW_INSERTED" in {problem.code for problem in found.problems}
    async with log.database.session() as session:
        assert (await verified(log, session)).ok  # while it waits to be sealed


async def test_a_row_rewritten_with_its_leaf_hash_is_found_among_two(log: Log) -> None:
    await log.fill(2, SIZE)
    for position in range(SIZE):
        async with attacked(log) as session:
            await forge(session, position)
            found = await verified(log, session)
        assert not found.ok
        first, last = position & ~1, position | 1
        if position == SIZE - 1:
            first, last = 2, 6  # no stored node covers it: what the last checkpoint added
        assert [problem.code for problem in found.problems] == ["AUDIT_TREE_CHANGED"]
        assert f"{first} to {last}" in found.problems[0].message


async def forge(session: AsyncSession, position: int) -> None:
    """Rewrite a row and its leaf hash."""
    await put(session, "actor", position, "someone-else")
    statement = select(*EVENT_COLUMNS).where(text("position = :p"))
    row = EVENT_COLUMNS.record((await session.execute(statement, {"p": position})).one())
    await put(session, "leaf_hash", position, row.leaf_at(position))


async def test_a_history_rewritten_with_its_whole_tree_is_found(log: Log) -> None:
    await log.fill(2, 5, SIZE)
    async with attacked(log) as session:
        await forge(session, 3)
        statement = select(*EVENT_COLUMNS).order_by(text("position"))
        rows = [EVENT_COLUMNS.record(row) for row in await session.execute(statement)]
        frontier = Frontier()
        for row in rows:
            for node, value in frontier.append(row.leaf_at(row.position)):
                await session.execute(
                    text('UPDATE audit_nodes SET hash = :h WHERE level = :l AND "offset" = :o'),
                    {"h": value, "l": node.level, "o": node.offset},
                )
        found = await verified(log, session)
        assert [problem.code for problem in found.problems] == ["AUDIT_TREE_CHANGED"]
        assert "2 to 4" in found.problems[0].message

        # Signed again with the stolen key, the file outside the database exposes it.
        await session.execute(text("DELETE FROM audit_checkpoints"))
        forged = Checkpoint.sign(log.signer, SIZE, frontier.root(), utcnow())
        await session.execute(
            text("INSERT INTO audit_checkpoints VALUES (:s, :r, :a, :n)"),
            {"s": SIZE, "r": forged.root_hash, "a": forged.at, "n": forged.note},
        )
        assert (await verify(session, log.signer.public)).ok
        assert not (await verified(log, session)).ok


async def test_a_changed_byte_of_a_tree_node_names_the_node(log: Log) -> None:
    await log.fill(3, SIZE)
    nodes = await log.rows('SELECT level, "offset", hash FROM audit_nodes')
    assert len(nodes) == 4
    for level, offset, value in nodes:
        for tampered in changed(value):
            async with attacked(log) as session:
                await session.execute(
                    text('UPDATE audit_nodes SET hash = :h WHERE level = :l AND "offset" = :o'),
                    {"h": tampered, "l": level, "o": offset},
                )
                found = await verified(log, session)
            assert [(problem.code, problem.path) for problem in found.problems] == [
                ("AUDIT_NODE_CHANGED", f"/nodes/{level}/{offset}")
            ]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_nodes WHERE level = 2",
        "UPDATE audit_nodes SET level = level + 2 WHERE level = 2",
        "UPDATE audit_nodes SET level = level + 256 WHERE level = 2",
        "UPDATE audit_nodes SET level = -level WHERE level = 2",
        'UPDATE audit_nodes SET "offset" = "offset" + 256 WHERE level = 2',
        'UPDATE audit_nodes SET "offset" = -1 WHERE level = 2',
    ],
)
async def test_a_missing_or_moved_node_is_named(log: Log, statement: str) -> None:
    await log.fill(3, SIZE)
    async with attacked(log) as session:
        await session.execute(text(statement))
        found = await verified(log, session)
    assert "/nodes/2/0" in {problem.path for problem in found.problems}
    assert len(found.problems) == (1 if "DELETE" in statement else 2)


async def test_a_node_too_many_is_named(log: Log) -> None:
    await log.fill(SIZE)
    async with attacked(log) as session:
        await session.execute(text("INSERT INTO audit_nodes VALUES (1, 3, '\\x00')"))
        found = await verified(log, session)
    assert [(problem.code, problem.path) for problem in found.problems] == [
        ("AUDIT_NODE_INSERTED", "/nodes/1/3")
    ]


@pytest.mark.parametrize("size", [3, SIZE])
async def test_a_changed_byte_of_a_checkpoint_names_it(log: Log, size: int) -> None:
    await log.fill(3, SIZE)
    query = "SELECT note, root_hash FROM audit_checkpoints WHERE tree_size = :s"
    ((note, root),) = await log.rows(query, s=size)
    changes = [("note", value) for value in changed(note)]
    changes += [("root_hash", value) for value in changed(root)]
    changes += [("tree_size", value) for value in (size + 1, size + 256, 2**40, 0, -size)]
    for column, value in changes:
        async with attacked(log) as session:
            await session.execute(
                text(f"UPDATE audit_checkpoints SET {column} = :v WHERE tree_size = :s"),
                {"v": value, "s": size},
            )
            found = await verified(log, session)
        paths = {problem.path for problem in found.problems}
        named = value if column == "tree_size" else size
        assert f"/checkpoints/{named}" in paths, (column, value)
    async with attacked(log) as session:
        await session.execute(
            text("UPDATE audit_checkpoints SET at = at + interval '1 microsecond'")
        )
        assert len((await verified(log, session)).problems) == 2


async def test_a_removed_checkpoint_is_found_with_the_file(log: Log) -> None:
    await log.fill(3, SIZE)
    async with attacked(log) as session:
        await session.execute(text("DELETE FROM audit_checkpoints WHERE tree_size = 3"))
        found = await verified(log, session)
        assert [(problem.code, problem.path) for problem in found.problems] == [
            ("AUDIT_CHECKPOINT_MISSING", "/checkpoints/3")
        ]
        await session.execute(text("DELETE FROM audit_checkpoints"))
        found = await verified(log, session)
        assert len(found.problems) >= SIZE


async def test_a_changed_byte_of_the_file_is_found(log: Log) -> None:
    await log.fill(3, SIZE)
    whole = log.file.read_bytes()
    lines = whole.splitlines(keepends=True)
    variants = [lines[1] + lines[0], lines[0] + b"{}\n", whole + lines[1]]
    for index in range(len(whole) - 1):
        tampered = bytearray(whole)
        tampered[index] ^= 1
        variants.append(bytes(tampered))
    for variant in variants:
        log.file.write_bytes(variant)
        async with log.database.session() as session:
            found = await verified(log, session)
        assert any("line" in problem.message for problem in found.problems)
    log.file.write_bytes(whole[:-5])  # as a crash leaves it
    async with log.database.session() as session:
        assert (await verified(log, session)).ok


async def test_a_file_of_another_history_does_not_fit(log: Log) -> None:
    await log.fill(3, SIZE)
    log.file.unlink()
    forged = Checkpoint.sign(log.signer, 5, bytes(32), utcnow())
    CheckpointFile(log.file).append([forged.note])
    async with log.database.session() as session:
        found = await verified(log, session)
    assert "AUDIT_TREE_CHANGED" in {problem.code for problem in found.problems}


async def test_another_key_finds_no_signature(log: Log) -> None:
    await log.fill(3)
    other = signing_key(2).public
    async with log.database.session() as session:
        found = await verify(session, other)
    assert found.tree_size == 0
    assert found.key == other.text
    assert {problem.code for problem in found.problems} == {
        "AUDIT_CHECKPOINT_CHANGED",
        "AUDIT_TREE_CHANGED",
    }


async def test_a_log_as_it_was_sealed_verifies(log: Log) -> None:
    async with log.database.session() as session:
        empty = await verified_without_file(log, session)
        assert (empty.ok, empty.tree_size, empty.root_hash) == (True, 0, EMPTY_ROOT)
    await log.fill(1, 2, 3, 5, 9)
    await log.write(event(100))
    async with log.database.session() as session:
        found = await verified(log, session)
    assert found.ok
    assert (found.checked_events, found.tree_size, found.key) == (9, 9, log.signer.vkey)


async def verified_without_file(log: Log, session: AsyncSession) -> Verification:
    return await verify(session, log.signer.public)


async def test_a_log_of_several_chunks_verifies_and_names_its_rows(log: Log) -> None:
    await log.write(*(event(number) for number in range(2500)))
    await log.seal()
    async with log.database.session() as session:
        found = await verified(log, session)
        assert (found.ok, found.checked_events) == (True, 2500)
    for position in (0, 1023, 1024, 2047, 2499):
        async with attacked(log) as session:
            await put(session, "actor", position, "nobody")
            found = await verified(log, session)
        assert [problem.path for problem in found.problems] == [f"/events/{position}"]


async def test_what_is_sealed_meanwhile_is_no_problem(log: Log) -> None:
    await log.fill(SIZE)
    await log.write(event(50))
    await log.seal()
    async with log.database.session() as session:
        found = await verified(log, session)
    assert (found.ok, found.tree_size) == (True, SIZE + 1)


def test_the_tree_is_that_of_the_rfc() -> None:
    leaves = [leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c")]
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    assert frontier.root() == node_hash(node_hash(leaves[0], leaves[1]), leaves[2])
