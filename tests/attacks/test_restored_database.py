"""Somebody puts an older database back, and would have the log go on without what they did."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from coe.audit.checkpoint import Checkpoint
from coe.audit.history import LogBroken, LossFound
from coe.audit.losses import AUDIT_LOSSES, LOSS_CODES, confirmation_of
from coe.crypto.mac import MacKeys, create_keys
from coe.db import Database, utcnow
from coe.errors import CoeError
from coe.governance.losses import accept_loss
from coe.work import Platform
from tests.audit.test_losses import PEOPLE, decide, found, lose, verified
from tests.factories.audit import Log, cut_to, event, open_log
from tests.factories.people import AUDITOR, COE_LEAD
from tests.governance.test_losses import lose as lose_in
from tests.governance.test_losses import seal

OTHER = UUID(int=7)
NEWEST = "SELECT note FROM audit_checkpoints ORDER BY tree_size DESC LIMIT 1"


@pytest.fixture
def log(database: Database, tmp_path: Any) -> Log:
    return open_log(database, tmp_path)


@pytest.mark.parametrize(
    "guess",
    ["", "AAAA-AAAA-AAAA-AAAA", "{id}", "{other}"],
    ids=["empty", "guessed", "the id of the row", "of another loss"],
)
async def test_two_restored_accounts_accept_a_loss_without_the_operator(
    platform: Platform, guess: str
) -> None:
    loss = await lose_in(platform)
    earlier = confirmation_of(platform.macs, OTHER)
    given = guess.format(id=loss.id, other=earlier)
    for who in (COE_LEAD, AUDITOR):
        with pytest.raises(CoeError):
            async with platform.work(who) as work:
                await accept_loss(work, loss.kept_size, confirmation=given, reason="none")
    with pytest.raises(LossFound):
        await seal(platform)


async def test_an_acceptance_is_written_into_the_database(log: Log, tmp_path: Any) -> None:
    await lose(log)
    await found(log)
    create_keys(tmp_path / "own")
    async with log.database.session() as session:
        row = (await session.execute(AUDIT_LOSSES.select())).one()
        values = {name: getattr(row, name) for name in LOSS_CODES.columns}
        values |= PEOPLE | {"approved_at": utcnow(), "proposed_at": utcnow()}
        values["code"] = LOSS_CODES.code(MacKeys(tmp_path / "own"), values)
        await session.execute(AUDIT_LOSSES.update().values(values))
        await session.commit()
    await found(log)


@pytest.mark.parametrize(
    "change",
    [
        "kept_size = 2",
        "lost_note = 'x'",
        "lost_size = 9",
        "approved_by = 'x'",
        "approved_at = now()",
    ],
)
async def test_an_acceptance_is_turned_into_that_of_another_loss(log: Log, change: str) -> None:
    await lose(log)
    await found(log)
    await decide(log)
    await log.attack(f"UPDATE audit_losses SET {change}")
    await found(log)


async def test_an_acceptance_of_before_is_used_again_for_a_later_restore(log: Log) -> None:
    await lose(log)
    await found(log)
    await decide(log)
    await log.seal()
    await log.write(event(20))
    await log.seal()
    await log.attack(*cut_to(3))  # the row of the acceptance stays, and is good
    await log.write(event(21))
    error = await found(log)
    assert error.loss.lost.epoch == 2


async def test_the_loss_is_struck_out_of_a_checkpoint(log: Log) -> None:
    await lose(log)
    await found(log)
    await decide(log)
    await log.seal()
    [(note,)] = await log.rows(NEWEST)
    [loss] = Checkpoint.open(str(note), log.signer.public).losses
    changed = str(note).replace(f"{loss.line}\n", "").replace("/epoch-2", "")
    changed = changed.replace("'", "''")
    await log.attack(f"UPDATE audit_checkpoints SET note = '{changed}' WHERE tree_size = 4")
    await log.write(event(22))
    with pytest.raises(LogBroken, match="was changed"):
        await log.seal()
    assert not (await verified(log)).ok


async def test_the_epoch_before_the_loss_is_put_back(log: Log) -> None:
    await lose(log)
    await found(log)
    kept = await log.rows("SELECT * FROM audit_checkpoints")
    await decide(log)
    await log.seal()
    await log.attack(*cut_to(3))
    assert await log.rows("SELECT * FROM audit_checkpoints") == kept
    await log.write(event(23))
    error = await found(log)
    assert error.loss.lost.tree_size == 4


async def test_the_lost_events_are_written_again_as_others(log: Log) -> None:
    """A log that a thief went on with, in a copy: its checkpoints are of the same sizes."""
    await log.fill(3, 5)
    files = log.file.read_bytes(), log.signed.read_bytes()
    await log.attack(*cut_to(3))
    await log.write(event(24), event(25))
    log.file.unlink()
    log.signed.unlink()
    await log.seal()  # as in a copy, without the files
    log.file.write_bytes(files[0])
    log.signed.write_bytes(files[1])
    await log.write(event(26))
    with pytest.raises(LogBroken, match="two checkpoints of 5 events"):
        await log.seal()
