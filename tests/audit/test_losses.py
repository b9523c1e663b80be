"""Losses of sealed events: proven, accepted by two people, and shown for good."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from coe.audit.bundle import export
from coe.audit.bundle_verification import verify_bundle
from coe.audit.checkpoint import AcceptedLoss, Checkpoint, place_of
from coe.audit.checkpoint_file import CheckpointFile
from coe.audit.findings import FindingCode, Verification
from coe.audit.history import LogBroken, LossFound
from coe.audit.losses import AUDIT_LOSSES, LOSS_CODES, confirmation_of, confirms
from coe.audit.verification import verify
from coe.crypto.signing import NoteRefused, SigningKey
from coe.db import utcnow
from coe.errors import Severity
from tests.factories.audit import Log, cut_to, event

LOSS = AcceptedLoss(3, bytes(32), 5, bytes(32), utcnow(), "coe lead", "auditor")
PEOPLE = {"proposed_by": "coe-lead", "approved_by": "auditor"}


async def found(log: Log) -> LossFound:
    with pytest.raises(LossFound) as error:
        await log.seal()
    return error.value


async def decide(log: Log, **changes: Any) -> None:
    """Write the decisions of two people as the verb does, with the code of their row."""
    async with log.database.session() as session:
        row = (
            await session.execute(AUDIT_LOSSES.select().order_by(AUDIT_LOSSES.c.found_at.desc()))
        ).first()
        assert row is not None
        values = dict(row._mapping) | PEOPLE | {"approved_at": utcnow()} | changes
        values.setdefault("code", None)
        if "code" not in changes:
            values["code"] = LOSS_CODES.code(log.keyring.macs, values)
        await session.execute(
            update(AUDIT_LOSSES).where(AUDIT_LOSSES.c.id == row.id).values(values)
        )
        await session.commit()


async def lose(log: Log, *, fill: int = 5, keep: int = 3) -> None:
    """A log of so many events, restored to an older state, in which people go on."""
    await log.fill(keep, fill)
    await log.attack(*cut_to(keep))
    await log.write(event(7))


async def verified(log: Log) -> Verification:
    async with log.database.session() as session:
        return await verify(session, log.signer.public, log.file, admission=log.admission)


async def bundle_of(log: Log, path: Path) -> Path:
    async with log.database.session() as session:
        path.write_bytes(b"".join([line async for line in export(session, log.signer)]))
    return path


async def test_a_log_goes_on_once_two_people_have_accepted_its_loss(log: Log) -> None:
    await lose(log)
    error = await found(log)
    assert "coe restore verify" in error.message
    assert error.loss.positions == "positions 3 to 4"
    await found(log)
    assert await log.rows("SELECT count(*) FROM audit_losses") == [(1,)]
    await decide(log)
    await log.seal()
    [(note,)] = await log.rows("SELECT note FROM audit_checkpoints WHERE tree_size = 4")
    assert str(note).startswith(f"{log.signer.name}/epoch-2\n4\n")
    [loss] = Checkpoint.open(str(note), log.signer.public).losses
    assert (loss.kept_size, loss.lost_size) == (3, 5)
    assert (loss.proposed_by, loss.approved_by) == ("coe-lead", "auditor")
    await log.write(event(8))
    await log.seal()
    assert [place_of(each or "") for each in CheckpointFile(log.file).notes()] == [
        (1, 3),
        (1, 5),
        (2, 4),
        (2, 5),
    ]


async def test_a_verification_shows_an_accepted_loss_for_ever(log: Log, tmp_path: Path) -> None:
    await lose(log)
    before = await bundle_of(log, tmp_path / "before")
    await found(log)
    await decide(log)
    await log.seal()
    bundle = await bundle_of(log, tmp_path / "after")
    for result in (
        await verified(log),
        verify_bundle(bundle, vkey=log.signer.vkey),
        verify_bundle(bundle, vkey=log.signer.vkey, checkpoint_file=log.file),
        verify_bundle(before, vkey=log.signer.vkey, checkpoint_file=log.file),
    ):
        assert result.ok
        shown = [each for each in result.problems if each.code == FindingCode.LOSS_ACCEPTED]
        assert [each.severity for each in shown] == [Severity.WARNING]
        assert "positions 3 to 4 of an earlier epoch are lost" in shown[0].message
        assert "proposed by coe-lead and approved by auditor" in shown[0].message


async def test_a_second_loss_keeps_the_first_one_in_sight(log: Log) -> None:
    await lose(log)
    await found(log)
    await decide(log)
    await log.seal()
    await log.attack(*cut_to(3))  # also the acceptance is gone, as from the same backup
    await log.attack("DELETE FROM audit_losses")
    await log.write(event(9))
    error = await found(log)
    assert error.loss.lost.epoch == 2
    await decide(log, proposed_by="auditor", approved_by="coe-lead")
    await log.seal()
    [(note,)] = await log.rows("SELECT note FROM audit_checkpoints WHERE tree_size = 4")
    losses = Checkpoint.open(str(note), log.signer.public).losses
    assert [each.approved_by for each in losses] == ["auditor", "coe-lead"]
    result = await verified(log)
    assert result.ok
    assert [each.code for each in result.problems] == [FindingCode.LOSS_ACCEPTED] * 2


@pytest.mark.parametrize(
    "changes",
    [
        {"approved_by": None},
        {"code": None},
        {"code": bytes(32)},
        {"approved_by": "coe-lead"},
        {"proposer_persons": ["coe-lead", "auditor"]},
        {"approver_persons": ["coe-lead"]},
    ],
    ids=["proposed", "no-code", "forged", "alone", "maker-of-approver", "maker-of-proposer"],
)
async def test_nothing_but_two_peoples_decisions_ends_a_loss(
    log: Log, changes: dict[str, Any]
) -> None:
    await lose(log)
    await found(log)
    await decide(log, **changes)
    await found(log)


async def test_an_acceptance_is_of_one_loss_only(log: Log) -> None:
    await lose(log)
    await found(log)
    await decide(log)
    await log.attack(*cut_to(0))
    error = await found(log)
    assert error.loss.kept_size == 0
    assert await log.rows("SELECT count(*) FROM audit_losses") == [(2,)]


async def test_what_was_signed_after_an_accepted_loss_is_not_accepted_with_it(log: Log) -> None:
    await log.fill(3, 4)
    files = log.file.read_bytes(), log.signed.read_bytes()
    await log.write(event(5))
    await log.seal()
    newest = log.file.read_bytes()
    log.file.write_bytes(files[0])
    log.signed.write_bytes(files[1])
    await log.attack(*cut_to(3))
    await log.write(event(7))
    await found(log)
    await decide(log)
    await log.seal()
    added = log.file.read_bytes().removeprefix(files[0])
    log.file.write_bytes(newest + added)
    result = await verified(log)
    assert not result.ok
    assert "more than was accepted as lost" in str(result.problems)


async def test_a_crash_after_the_first_seal_of_an_epoch_is_completed(log: Log) -> None:
    await lose(log)
    await found(log)
    await decide(log)
    files = log.file.read_bytes()
    await log.seal()
    log.file.write_bytes(files)  # the append was not reached
    await log.seal()
    assert (await verified(log)).ok
    await log.attack(*cut_to(3, "UPDATE audit_events SET position = NULL, leaf_hash = NULL"))
    log.file.write_bytes(files)  # nor was the commit
    await log.seal()
    assert (await verified(log)).ok


async def test_an_older_state_of_the_files_is_no_loss(log: Log) -> None:
    await log.fill(3)
    files = log.file.read_bytes(), log.signed.read_bytes()
    await log.write(event(4))
    await log.seal()
    log.file.write_bytes(files[0])
    log.signed.write_bytes(files[1])
    await log.write(event(5))
    with pytest.raises(LogBroken, match="another sealer has other files"):
        await log.seal()


def test_a_checkpoint_names_its_losses_and_its_epoch() -> None:
    key = SigningKey.generate("coe.example/log")
    later = replace(LOSS, kept_size=4, lost_size=9, at=LOSS.at + timedelta(days=1))
    signed = Checkpoint.sign(key, 12, bytes(32), utcnow(), (LOSS, later))
    assert signed.note.startswith("coe.example/log/epoch-3\n12\n")
    assert Checkpoint.open(signed.note, key.public).losses == (LOSS, later)
    for changed in (
        signed.note.replace("/epoch-3", "/epoch-2"),
        signed.note.replace(LOSS.line + "\n", ""),
        signed.note.replace("auditor", "somebody"),
        signed.note.replace("loss 3", "loss x"),
    ):
        with pytest.raises(NoteRefused):
            Checkpoint.open(changed, key.public)


async def test_a_confirmation_is_of_one_loss_and_of_these_keys(log: Log) -> None:
    await lose(log)
    loss = (await found(log)).loss
    text = confirmation_of(log.keyring.macs, loss.id)
    assert confirms(log.keyring.macs, loss.id, f" {text.lower()} ")
    other = replace(loss, kept=None)
    assert not confirms(log.keyring.macs, other.id, text)
