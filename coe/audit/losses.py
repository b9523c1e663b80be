"""Losses: sealed events that a restored database does not have, and who accepted that.

A checkpoint outside the database proves them. The sealer then seals nothing, until two people have
accepted exactly this loss: what is kept, and the newest checkpoint that is lost. Whoever can write
the database cannot do so alone:

- the row of the decisions has a code by the keys outside of the database;
- the confirmation that both give is a code too, and `coe restore verify` shows it where the keys
  are: whoever puts back a database in which their accounts or tokens still counted lacks it.

The sealer checks both again, and writes the loss into every later checkpoint
(`coe.audit.checkpoint`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from coe.audit.checkpoint import AcceptedLoss, Checkpoint, lost_positions
from coe.audit.merkle import EMPTY_ROOT
from coe.audit.models import AuditLoss
from coe.crypto.mac import MacKeys, MacPurpose
from coe.crypto.row_codes import CodedRows
from coe.db import utcnow

AUDIT_LOSSES: Final = AuditLoss.metadata.tables["audit_losses"]
LOSS_CODES: Final = CodedRows(
    "audit_losses",
    (
        "id",
        "kept_size",
        "kept_root",
        "lost_size",
        "lost_note",
        "proposed_by",
        "proposer_persons",
        "proposed_at",
        "approved_by",
        "approver_persons",
        "approved_at",
    ),
)
_CODE_BYTES: Final = 10
_GROUP: Final = 4


@dataclass(frozen=True, slots=True)
class Loss:
    """A database whose log ends before a checkpoint that was signed.

    Attributes:
        kept: The newest checkpoint of the database; None if it has none.
        lost: The newest checkpoint that the database does not reach.
    """

    kept: Checkpoint | None
    lost: Checkpoint

    @property
    def kept_size(self) -> int:
        """How many events are left; the log can go on from there."""
        return self.kept.tree_size if self.kept else 0

    @property
    def kept_root(self) -> bytes:
        """Their root."""
        return self.kept.root_hash if self.kept else EMPTY_ROOT

    @property
    def id(self) -> UUID:
        """The id of this loss, which is the same wherever it is found."""
        parts = (str(self.kept_size).encode(), self.kept_root, self.lost.digest)
        return UUID(bytes=hashlib.sha256(b"coe loss\n" + b"\n".join(parts)).digest()[:16])

    @property
    def positions(self) -> str:
        """Which positions are lost, for people."""
        return lost_positions(self.kept_size, self.lost.tree_size)

    def accepted(self, row: Any) -> tuple[AcceptedLoss, ...]:
        """All losses of the log, this one as two people have accepted it."""
        before = max(self.lost.losses, self.kept.losses if self.kept else (), key=len)
        return (*before, self._accepted(row))

    def _accepted(self, row: Any) -> AcceptedLoss:
        return AcceptedLoss(
            kept_size=self.kept_size,
            kept_root=self.kept_root,
            lost_size=self.lost.tree_size,
            lost_digest=self.lost.digest,
            at=row.approved_at,
            proposed_by=row.proposed_by,
            approved_by=row.approved_by,
        )


def find_loss(
    newest: Checkpoint | None,
    outside: Iterable[Checkpoint],
    losses: Sequence[AcceptedLoss] | None = None,
) -> Loss | None:
    """The loss of a database with this newest checkpoint, by those that are kept elsewhere.

    `losses` are those that were accepted; without them, those that the newest checkpoint names.
    """
    if losses is None:
        losses = newest.losses if newest else ()
    place = newest.place if newest else (0, 0)
    later = [each for each in outside if is_lost(each, place, losses)]
    return Loss(newest, max(later, key=lambda each: each.place)) if later else None


def is_lost(checkpoint: Checkpoint, place: tuple[int, int], losses: Sequence[AcceptedLoss]) -> bool:
    """Whether it is beyond the newest one, or beyond what was accepted as lost of its epoch."""
    if checkpoint.lost_by(losses) is None:
        return checkpoint.place > place
    return all(checkpoint.tree_size > loss.lost_size for loss in losses[checkpoint.epoch - 1 :])


def confirmation_of(macs: MacKeys, loss_id: UUID) -> str:
    """What both people have to give; only where the keys are can it be computed."""
    return _words(macs.code(MacPurpose.AUDIT_LOSS, loss_id.bytes))


def confirms(macs: MacKeys, loss_id: UUID, given: str) -> bool:
    """Whether this is the confirmation of the loss."""
    codes = macs.codes(MacPurpose.AUDIT_LOSS, loss_id.bytes)
    typed = given.strip().upper().encode()
    return any(hmac.compare_digest(_words(each).encode(), typed) for each in codes)


def _words(code: bytes) -> str:
    text = base64.b32encode(code[:_CODE_BYTES]).decode()
    return "-".join(text[at : at + _GROUP] for at in range(0, len(text), _GROUP))


async def note_loss(session: AsyncSession, macs: MacKeys, loss: Loss) -> None:
    """Write down a loss that was found, so that it can be accepted; again changes nothing.

    A row in its place that the platform did not write is replaced.
    """
    values: dict[str, Any] = {
        "id": loss.id,
        "found_at": utcnow(),
        "kept_size": loss.kept_size,
        "kept_root": loss.kept_root,
        "lost_size": loss.lost.tree_size,
        "lost_note": loss.lost.note,
    }
    undecided = dict.fromkeys(LOSS_CODES.columns) | values
    code = LOSS_CODES.code(macs, undecided)
    this = AUDIT_LOSSES.c.id == loss.id
    row = (await session.execute(AUDIT_LOSSES.select().where(this))).one_or_none()
    if row is None:
        new = insert(AUDIT_LOSSES).values(values | {"code": code})
        await session.execute(new.on_conflict_do_nothing())
    elif not LOSS_CODES.fits(macs, row):
        undecided |= {"found_at": values["found_at"], "code": code}
        same = AUDIT_LOSSES.c.code.is_not_distinct_from(row.code)
        await session.execute(update(AUDIT_LOSSES).where(this, same).values(undecided))


async def accepted_losses(
    session: AsyncSession, macs: MacKeys, loss: Loss
) -> tuple[AcceptedLoss, ...]:
    """All losses of the log with this one, once two people have accepted it; none before.

    A row that the platform did not write counts for nothing.
    """
    statement = AUDIT_LOSSES.select().where(AUDIT_LOSSES.c.id == loss.id)
    row: Row[Any] | None = (await session.execute(statement)).one_or_none()
    if row is None or row.approved_by is None or not LOSS_CODES.fits(macs, row):
        return ()
    proposers = {row.proposed_by, *(row.proposer_persons or ())}
    if proposers & {row.approved_by, *(row.approver_persons or ())}:
        return ()
    return loss.accepted(row)
