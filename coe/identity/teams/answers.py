"""What proposals and requests for access share: found, listed, and answered once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Mapped
from sqlmodel import col

from coe.db.newest_first import newest_first
from coe.errors import Conflict, NotFound
from coe.identity.teams.models import AccessRequest, MembershipProposal, ProposalState, RequestState
from coe.identity.teams.sealed_texts import seal_text
from coe.paging import Page
from coe.work import Read, Work, check_reason

RowT = TypeVar("RowT", MembershipProposal, AccessRequest)
RecordT = TypeVar("RecordT")


async def find(
    read: Read,
    model: type[RowT],
    key: UUID,
    readable: ColumnElement[bool],
    *,
    lock: bool = False,
) -> RowT:
    """One that the actor may read; `lock` keeps it for an answer of this transaction.

    Raises:
        NotFound: There is none.
    """
    statement = select(model).where(col(model.id) == key, readable)
    row: RowT | None = await read.session.scalar(
        statement.with_for_update() if lock else statement,
        execution_options={"populate_existing": True},
    )
    if row is None:
        raise NotFound
    return row


async def page(
    read: Read,
    model: type[RowT],
    record: Callable[[Read, RowT], Awaitable[RecordT]],
    wanted: list[ColumnElement[bool]],
    *,
    team: str | None,
    state: ProposalState | RequestState | None,
    at: Mapped[Any],
    first: int,
    after: str | None,
) -> Page[RecordT]:
    """A page of them, the newest first.

    Raises:
        Invalid: `first` or `after` is not valid.
    """
    if team is not None:
        wanted.append(col(model.team) == team)
    if state is not None:
        wanted.append(col(model.state) == state.value)
    cursor = str(model.__tablename__)
    found = await newest_first(
        read.session, model, *wanted, at=at, cursor=cursor, first=first, after=after
    )
    return found.with_items([await record(read, row) for row in found.items])


def check_pending(row: MembershipProposal | AccessRequest) -> None:
    """Require that nobody has answered yet.

    Raises:
        Conflict: Somebody has.
    """
    if row.state != ProposalState.PENDING:
        what = "change" if isinstance(row, MembershipProposal) else "request"
        raise Conflict(f"this {what} is {row.state.lower()} already")


async def answer(
    work: Work,
    row: MembershipProposal | AccessRequest,
    state: ProposalState | RequestState,
    reason: str | None,
) -> None:
    """Write the answer of the actor into the row.

    Raises:
        Invalid: The reason is blank or too long.
    """
    row.state, row.decided_by, row.decided_at = state.value, work.actor.subject, work.now
    if reason is not None:
        check_reason(reason)
        row.answer_sealed = await seal_text(work.keyring, row, "answer", reason)
    await work.session.flush()


async def keep_waiting(
    work: Work, team: str
) -> tuple[Sequence[MembershipProposal], Sequence[AccessRequest]]:
    """The changes and requests of a team that wait, kept for this transaction.

    Who answers one keeps it before the policy: so does who ends the team, before it holds that.
    """
    proposals = select(MembershipProposal).where(
        col(MembershipProposal.team) == team,
        col(MembershipProposal.state) == ProposalState.PENDING.value,
    )
    requests = select(AccessRequest).where(
        col(AccessRequest.team) == team,
        col(AccessRequest.state).in_([RequestState.PENDING.value, RequestState.PROPOSED.value]),
    )
    fresh = {"populate_existing": True}
    changes = await work.session.scalars(
        proposals.order_by(col(MembershipProposal.id)).with_for_update(), execution_options=fresh
    )
    asked = await work.session.scalars(
        requests.order_by(col(AccessRequest.id)).with_for_update(), execution_options=fresh
    )
    return changes.all(), asked.all()


async def refuse_all(work: Work, team: str, reason: str) -> int:
    """Refuse every change and request of a team that ends; returns how many waited."""
    changes, asked = await keep_waiting(work, team)
    for change in changes:
        await answer(work, change, ProposalState.REFUSED, reason)
    for each in asked:
        await answer(work, each, RequestState.REFUSED, reason)
    return len(changes) + len(asked)
