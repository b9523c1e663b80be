"""Accept a loss of sealed events: two people say that the log goes on without them.

The sealer finds a loss and writes it down (`coe.audit.losses`). One person proposes to accept it,
another approves, each with a reason and with the confirmation that `coe restore verify` shows where
the keys are. A restored database has the accounts, memberships and tokens of its time, also of
people who have left since: none of them knows the confirmation.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import update

from coe.access.permissions import Permission
from coe.access.persons import relation
from coe.access.policy_lines import Relation
from coe.audit.checkpoint import lost_positions
from coe.audit.events import Tag
from coe.audit.losses import AUDIT_LOSSES, LOSS_CODES, confirms
from coe.errors import Forbidden, Invalid, NotFound, Problem
from coe.governance.audit_log import LOG
from coe.identifiers import PLATFORM_TEAM
from coe.work import Read, Work, check_reason

LOSS: Final = "audit:loss:"
"""Before the id of a loss, in the resource of its acceptance."""
_MAX_LISTED: Final = 100


class LossState(StrEnum):
    """How far the acceptance of a loss is."""

    FOUND = "FOUND"
    PROPOSED = "PROPOSED"
    ACCEPTED = "ACCEPTED"


@dataclass(frozen=True, slots=True)
class LossRecord:
    """A loss that the sealer found, and who accepted it.

    `kept_size` is how many events are left, `lost_size` that of the newest checkpoint that is
    lost, whose signed note is `lost_note`.
    """

    id: UUID
    found_at: datetime
    kept_size: int
    lost_size: int
    lost_note: str
    proposed_by: str | None
    proposed_at: datetime | None
    approved_by: str | None
    approved_at: datetime | None

    @property
    def state(self) -> LossState:
        """How far its acceptance is."""
        if self.approved_by is not None:
            return LossState.ACCEPTED
        return LossState.PROPOSED if self.proposed_by is not None else LossState.FOUND

    @property
    def positions(self) -> str:
        """Which positions are lost, for people."""
        return lost_positions(self.kept_size, self.lost_size)


async def list_losses(work: Work) -> list[LossRecord]:
    """The losses that were found, the newest first; one that the platform did not write is none.

    Raises:
        Forbidden: `audit:verify` in the platform's team is refused.
    """
    decision = work.require(Permission.AUDIT_VERIFY, resource=LOG, team=PLATFORM_TEAM)
    rows = await _rows(work)
    await work.record(
        Tag.AUDIT_LOG_READ,
        resource=LOG,
        team=PLATFORM_TEAM,
        decision=decision,
        detail={"losses": len(rows)},
    )
    return [_record(row) for row in rows]


async def accept_loss(work: Work, kept_size: int, *, confirmation: str, reason: str) -> LossRecord:
    """Propose to accept a loss, or approve it as the second person: then the log goes on.

    Raises:
        NotFound: No loss with so many events left waits to be accepted.
        Forbidden: `audit:accept_loss` is refused, or the actor proposed it, also by the person
            who made its token.
        Invalid: The confirmation is not that of the loss, or the reason is blank or too long.
    """
    waiting = [row for row in await _rows(work, lock=True) if row.approved_by is None]
    found = [row for row in waiting if row.kept_size == kept_size]
    confirmed = [row for row in found if confirms(work.keyring.macs, row.id, confirmation)]
    row = next(iter(confirmed or found), None)
    relations = (
        relation(work.actor, Relation.PROPOSER, row.proposed_by, row.proposer_persons or ())
        if row is not None
        else ()
    )
    resource = LOG if row is None else f"{LOSS}{row.id}"
    decision = work.require(
        Permission.AUDIT_ACCEPT_LOSS, resource=resource, team=PLATFORM_TEAM, relations=relations
    )
    if row is not None:
        _require_another(work, row)
    check_reason(reason)
    if row is None:
        others = ", ".join(sorted({str(each.kept_size) for each in waiting}))
        message = f"no loss that leaves {kept_size} events waits to be accepted"
        raise NotFound(f"{message}; one leaves {others}" if others else message)
    if not confirmed:
        message = (
            "this is not the confirmation of the loss: the operator sees it with "
            "`coe restore verify`, where the keys of the installation are"
        )
        raise Invalid([Problem("INPUT_CONFIRMATION", message, path="/confirmation")])
    values = {name: getattr(row, name) for name in LOSS_CODES.columns}
    values |= _decision(work, proposed=row.proposed_by is None)
    values["code"] = LOSS_CODES.code(work.keyring.macs, values)
    changed = update(AUDIT_LOSSES).where(AUDIT_LOSSES.c.id == row.id).values(values)
    result = await work.session.execute(changed.returning(*AUDIT_LOSSES.c))
    record = _record(result.one())
    await work.record(
        Tag.AUDIT_LOG_ACCEPT_LOSS,
        resource=resource,
        team=PLATFORM_TEAM,
        decision=decision,
        reason=reason,
        detail={
            "state": record.state.value,
            "kept": record.kept_size,
            "lost": record.lost_size,
            "checkpoint": record.lost_note,
        },
    )
    return record


def _require_another(work: Work, row: Any) -> None:
    """Require that the second decision is another person's, whatever the policy says."""
    proposers = {row.proposed_by, *(row.proposer_persons or ())}
    if row.proposed_by is not None and proposers & {work.actor.subject, *work.actor.persons}:
        message = f"{row.proposed_by} proposed it: another person approves"
        raise Forbidden(message, permission=Permission.AUDIT_ACCEPT_LOSS.value)


def _decision(work: Work, *, proposed: bool) -> dict[str, Any]:
    """The columns of the actor's decision: the first person's, or the second's."""
    act, person = ("proposed", "proposer") if proposed else ("approved", "approver")
    return {
        f"{act}_by": work.actor.subject,
        f"{act}_at": work.now,
        f"{person}_persons": sorted(work.actor.persons),
    }


async def _rows(read: Read, *, lock: bool = False) -> list[Any]:
    statement = AUDIT_LOSSES.select().order_by(AUDIT_LOSSES.c.found_at.desc())
    if lock:
        statement = statement.with_for_update()
    rows = (await read.session.execute(statement.limit(_MAX_LISTED))).all()
    return [row for row in rows if LOSS_CODES.fits(read.keyring.macs, row)]


def _record(row: Any) -> LossRecord:
    return LossRecord(
        id=row.id,
        found_at=row.found_at,
        kept_size=row.kept_size,
        lost_size=row.lost_size,
        lost_note=row.lost_note,
        proposed_by=row.proposed_by,
        proposed_at=row.proposed_at,
        approved_by=row.approved_by,
        approved_at=row.approved_at,
    )
