from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from coe.audit.bundle import export
from coe.audit.bundle_verification import BundleRefused, verify_bundle
from coe.audit.checkpoint import Checkpoint
from coe.audit.checkpoint_file import CheckpointFile
from coe.audit.findings import Verification
from coe.audit.queries import AuditEventFilter, Window
from coe.crypto.signing import KeyRefused
from coe.db import utcnow
from coe.errors import NotFound
from tests.factories.audit import Log, event
from tests.factories.keys import signing_key

SIZE = 5


async def exported(log: Log, path: Path, window: Window | None = None) -> list[bytes]:
    async with log.database.session() as session:
        lines = [line async for line in export(session, log.signer, window)]
    path.write_bytes(b"".join(lines))
    return lines


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bundle.jsonl"


def again(log: Log, path: Path, lines: list[bytes]) -> Verification:
    path.write_bytes(b"".join(lines))
    return verify_bundle(path, vkey=log.signer.vkey, checkpoint_file=log.file)


def event_lines(lines: list[bytes]) -> dict[int, int]:
    """The position of the event of each line."""
    found = {}
    for number, line in enumerate(lines):
        content = json.loads(line)
        if content["type"] == "event":
            found[number] = content["event"]["position"]
    return found


async def test_a_bundle_is_proved_with_nothing_but_the_file(log: Log, path: Path) -> None:
    await log.fill(3, SIZE)
    lines = await exported(log, path)
    found = verify_bundle(path)
    assert (found.ok, found.checked_events, found.tree_size) == (True, SIZE, SIZE)
    assert found.key == log.signer.vkey
    ((root,),) = await log.rows("SELECT root_hash FROM audit_checkpoints WHERE tree_size = 5")
    assert found.root_hash == root
    assert len(event_lines(lines)) == SIZE
    assert verify_bundle(path, vkey=log.signer.vkey, checkpoint_file=log.file).ok


async def test_what_was_sealed_is_not_in_clear(log: Log, path: Path) -> None:
    await log.fill(SIZE)
    content = b"".join(await exported(log, path))
    assert b"sales-owner" in content
    assert b"Winterstein" not in content
    assert b"asked for it" not in content


async def test_a_changed_byte_of_an_event_names_the_row(log: Log, path: Path) -> None:
    await log.fill(3, SIZE)
    lines = await exported(log, path)
    rows = event_lines(lines)
    ids = {position: json.loads(lines[number])["event"]["id"] for number, position in rows.items()}
    number = next(number for number, position in rows.items() if position == 2)
    line = lines[number]
    for index in range(len(line)):
        for bit in (0, 5):
            tampered = bytearray(line)
            tampered[index] ^= 1 << bit
            found = again(log, path, [*lines[:number], bytes(tampered), *lines[number + 1 :]])
            messages = " ".join(problem.message for problem in found.problems)
            paths = {problem.path for problem in found.problems}
            assert ids[2] in messages or "/events/2" in paths, (index, bit, messages)


async def test_a_changed_byte_anywhere_is_noticed(log: Log, path: Path) -> None:
    await log.fill(3, SIZE)
    lines = await exported(log, path)
    rows = event_lines(lines)
    for number, line in enumerate(lines):
        step = 7 if number in rows else 1
        for index in range(0, len(line), step):
            tampered = bytearray(line)
            tampered[index] ^= 1 << index % 7
            changed = [*lines[:number], bytes(tampered), *lines[number + 1 :]]
            try:
                assert not again(log, path, changed).ok, (number, index)
            except BundleRefused:
                assert number == 0


async def test_a_changed_leaf_hash_of_the_list_names_its_row(log: Log, path: Path) -> None:
    await log.fill(SIZE)
    lines = await exported(log, path)
    leaves = json.loads(lines[2])["hashes"]
    forged = lines[2].replace(leaves[3].encode(), b"0" * 64)
    found = again(log, path, [*lines[:2], forged, *lines[3:]])
    assert "/events/3" in {problem.path for problem in found.problems}
    assert not {"/events/1", "/events/2"} & {problem.path for problem in found.problems}


async def test_a_line_taken_out_doubled_or_moved_is_named(log: Log, path: Path) -> None:
    await log.fill(SIZE)
    lines = await exported(log, path)
    for number, position in event_lines(lines).items():
        without = again(log, path, lines[:number] + lines[number + 1 :])
        assert f"/events/{position}" in {problem.path for problem in without.problems}
        doubled = again(log, path, [*lines[: number + 1], *lines[number:]])
        assert f"/events/{position}" in {problem.path for problem in doubled.problems}
    swapped = again(log, path, [*lines[:3], lines[4], lines[3], *lines[5:]])
    assert "/events/0" in {problem.path for problem in swapped.problems}
    for cut in range(1, len(lines)):
        assert not again(log, path, lines[:cut]).ok
    assert not again(log, path, [*lines, lines[-1]]).ok


async def test_a_bundle_that_someone_else_signed_is_refused(log: Log, path: Path) -> None:
    await log.fill(SIZE)
    stranger = signing_key(2)
    forged = Log(log.database, log.keyring, stranger, log.file)
    lines = await exported(forged, path)
    assert json.loads(lines[0])["vkey"] == stranger.vkey
    found = verify_bundle(path, vkey=log.signer.vkey)
    assert not found.ok
    assert found.key == log.signer.vkey
    assert not verify_bundle(path).ok  # the checkpoint is the log's, not the stranger's
    with pytest.raises(KeyRefused):
        verify_bundle(path, vkey="nobody+00000000+AAAA")


async def test_the_checkpoint_file_shows_that_the_log_only_grew(log: Log, path: Path) -> None:
    await log.fill(2, SIZE)
    await exported(log, path)
    whole = log.file.read_bytes()
    log.file.unlink()
    other = Checkpoint.sign(log.signer, 3, bytes(32), utcnow())
    CheckpointFile(log.file).append([other.note])
    found = verify_bundle(path, checkpoint_file=log.file)
    assert [problem.path for problem in found.problems] == ["/checkpoints/3"]

    log.file.write_bytes(whole)
    await log.write(event(9))
    await log.seal()
    found = verify_bundle(path, checkpoint_file=log.file)
    assert found.ok  # an older bundle is valid, and reported as older
    assert [(problem.severity, problem.path) for problem in found.problems] == [
        ("INFO", f"/checkpoints/{SIZE + 1}")
    ]
    log.file.unlink()
    before = Checkpoint.sign(log.signer, SIZE + 2, bytes(32), utcnow() - timedelta(days=1))
    CheckpointFile(log.file).append([before.note])
    found = verify_bundle(path, checkpoint_file=log.file)
    assert not found.ok
    assert found.problems[0].path == f"/checkpoints/{SIZE + 2}"

    log.file.write_bytes(b'"no note"\n' + whole)
    assert len(verify_bundle(path, checkpoint_file=log.file).problems) == 1


async def test_a_filtered_bundle_proves_its_events_in_the_whole_tree(log: Log, path: Path) -> None:
    await log.fill(SIZE)
    window = Window(AuditEventFilter(resources=["flow:sales/order-to-cash@1.3.0"], after=utcnow()))
    assert event_lines(await exported(log, path, window)) == {}
    assert verify_bundle(path).ok
    window = Window(AuditEventFilter(resources=["flow:sales/order-to-cash@1.3.0"]))
    lines = await exported(log, path, window)
    assert json.loads(lines[0])["filter"] == {
        "resources": ["flow:sales/order-to-cash@1.3.0"],
        "scoped": False,
    }
    assert list(event_lines(lines).values()) == [3]
    found = again(log, path, lines)
    assert (found.ok, found.checked_events, found.tree_size) == (True, 1, SIZE)
    [event] = event_lines(lines)
    found = again(log, path, [*lines[:event], *lines[event + 1 :]])
    assert "it has 0 events, and 1 were signed at its end" in {
        each.message for each in found.problems
    }


async def test_a_changed_row_of_the_database_is_named_in_its_bundle(log: Log, path: Path) -> None:
    await log.fill(SIZE)
    changes = {
        "actor": "'nobody'",
        "at": "at + interval '1 second'",
        "detail_sealed": "set_bit(detail_sealed, 300, 1 - get_bit(detail_sealed, 300))",
        "leaf_hash": "set_bit(leaf_hash, 3, 1 - get_bit(leaf_hash, 3))",
    }
    for column, value in changes.items():
        async with log.database.session() as session:
            await session.execute(text("SET LOCAL session_replication_role = replica"))
            await session.execute(
                text(f"UPDATE audit_events SET {column} = {value} WHERE position = 2")
            )
            lines = [line async for line in export(session, log.signer)]
        found = again(log, path, lines)
        assert "/events/2" in {problem.path for problem in found.problems}
    async with log.database.session() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(text("DELETE FROM audit_events WHERE position = 2"))
        lines = [line async for line in export(session, log.signer)]
    found = again(log, path, lines)
    assert "/events/2" in {problem.path for problem in found.problems}


async def test_a_bundle_of_several_chunks_is_proved(log: Log, path: Path) -> None:
    await log.write(*(event(number) for number in range(2100)))
    await log.seal()
    lines = await exported(log, path)
    assert verify_bundle(path, checkpoint_file=log.file).checked_events == 2100
    assert verify_bundle(path).ok
    broken = [number for number, line in enumerate(lines) if b'"type":"leaves"' in line][1]
    lines[broken] = lines[broken].replace(b'"start"', b'"stare"')
    found = again(log, path, lines)
    assert [problem.code for problem in found.problems] == ["AUDIT_BUNDLE_CHANGED"] * 2
    assert len(max(lines, key=len)) < 200_000


async def test_an_empty_log_has_no_bundle(log: Log, path: Path) -> None:
    with pytest.raises(NotFound):
        await exported(log, path)
    path.write_bytes(b"")
    with pytest.raises(BundleRefused):
        verify_bundle(path)
