"""Carry out a change once for the key that its caller gave it, and keep the answer for repeats.

The key's row is inserted first in the transaction of the change. PostgreSQL lets a second insert
of the same key wait until the first transaction ends: if it commits, the second finds the answer;
if it rolls back, the second is carried out. A change that is refused with problems rolls back, so
it keeps no key either: the caller corrects its input and may send the same key again.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Column, DateTime, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, SQLModel, col

from coe.crypto.envelope import Cell
from coe.errors import Conflict, Invalid, Problem, Severity
from coe.formats import uuids
from coe.identifiers import PLATFORM_TEAM
from coe.json_types import JSON
from coe.work import Work

ANSWER_RETENTION = timedelta(hours=24)
"""How long an answer is kept."""
MAX_KEY_LENGTH = 200

_PURPOSE = "answer"
_MAX_CLAIMS = 3


class ClientMutation(SQLModel, table=True):
    """The answer to a mutation that came with a `clientMutationId`, kept for 24 hours.

    `key` is the SHA-256 of the client's key, which may be any text. `answer` is sealed: the digest
    of the input, and the receipt.
    """

    __tablename__ = "client_mutations"

    actor: str = Field(primary_key=True)
    key: bytes = Field(primary_key=True)
    created_at: datetime = Field(
        sa_column=Column(DateTime(timezone=True), nullable=False, index=True)
    )
    answer: bytes | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Receipt:
    """What an answer is rebuilt from: ids of what was made, and the problems that only warn.

    `shown` is for the first answer alone, such as a secret: only its names are kept, so a repeat
    lacks it, and has a problem that says so.
    """

    values: dict[str, JSON] = dataclasses.field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    shown: dict[str, str] = dataclasses.field(default_factory=dict, repr=False)

    def id(self, name: str) -> UUID | None:
        """One of the ids, or None."""
        value = self.values.get(name)
        return uuids.read(value) if isinstance(value, str) else None

    def text(self, name: str) -> str | None:
        """One of the texts, or None."""
        value = self.values.get(name)
        return value if isinstance(value, str) else None


async def carry_out_once(
    work: Work,
    key: str,
    digest: str,
    verb: Callable[[Work], Awaitable[Receipt]],
) -> Receipt:
    """Carry out a verb in this transaction, or return the receipt that its key already has.

    Args:
        work: The actor and the transaction of the change.
        key: The client's key, unique per actor for 24 hours.
        digest: The digest of the input, which a repeat must have too.
        verb: The change.

    Raises:
        Invalid: The key is empty or too long.
        Conflict: The key was used with another input, or its first call has not ended.
    """
    if not 0 < len(key) <= MAX_KEY_LENGTH:
        message = f"`clientMutationId` has 1 to {MAX_KEY_LENGTH} characters"
        raise Invalid([Problem("INPUT_CLIENT_MUTATION_ID", message, path="/clientMutationId")])
    hashed = hashlib.sha256(key.encode()).digest()
    for _ in range(_MAX_CLAIMS):
        if await _claim(work, hashed):
            receipt = await verb(work)
            await _keep(work, hashed, digest, receipt)
            return receipt
        kept = await _kept(work, hashed)
        if kept is not None:
            return _repeat(kept, digest)
    raise Conflict("Another call with this clientMutationId has not ended; try again.")


async def forget_expired(session: AsyncSession, now: datetime) -> None:
    """Delete the answers that are older than 24 hours; the caller commits."""
    await session.execute(
        delete(ClientMutation).where(col(ClientMutation.created_at) < now - ANSWER_RETENTION)
    )


async def _claim(work: Work, hashed: bytes) -> bool:
    """Insert the key's row; false if another transaction has inserted it, which this waits for."""
    expired = col(ClientMutation.created_at) < work.now - ANSWER_RETENTION
    await work.session.execute(delete(ClientMutation).where(*_is_key(work, hashed), expired))
    inserted = await work.session.execute(
        insert(ClientMutation)
        .values(actor=work.actor.subject, key=hashed, created_at=work.now)
        .on_conflict_do_nothing()
        .returning(func.now()),
    )
    return inserted.first() is not None


async def _keep(work: Work, hashed: bytes, digest: str, receipt: Receipt) -> None:
    answer: JSON = {
        "digest": digest,
        "values": receipt.values,
        "problems": [_problem_to_json(problem) for problem in receipt.problems],
        "shown": [*receipt.shown],
    }
    sealed = await work.keyring.seal_json(_cell(work, hashed), _PURPOSE, answer)
    await work.session.execute(
        update(ClientMutation).where(*_is_key(work, hashed)).values(answer=sealed),
    )


async def _kept(work: Work, hashed: bytes) -> dict[str, Any] | None:
    sealed = await work.session.scalar(
        select(col(ClientMutation.answer)).where(*_is_key(work, hashed)),
    )
    if sealed is None:
        return None
    opened = await work.keyring.open_json(_cell(work, hashed), _PURPOSE, sealed)
    return opened if isinstance(opened, dict) else None


def _repeat(kept: dict[str, Any], digest: str) -> Receipt:
    if kept["digest"] != digest:
        raise Conflict(
            "This clientMutationId was used with another input in the last 24 hours; "
            "take a new one for a new call.",
        )
    problems = tuple(_problem_from_json(problem) for problem in kept["problems"])
    shown = tuple(_shown_once(name) for name in kept.get("shown", ()))
    return Receipt(values=kept["values"], problems=problems + shown)


def _shown_once(name: str) -> Problem:
    return Problem(
        "SHOWN_ONCE",
        f"the {name} was shown in the answer to the first call, and is kept nowhere",
        severity=Severity.WARNING,
        path="/clientMutationId",
        help="if that answer was lost, revoke what it is of, and make another one",
    )


def _is_key(work: Work, hashed: bytes) -> tuple[Any, Any]:
    return col(ClientMutation.actor) == work.actor.subject, col(ClientMutation.key) == hashed


def _cell(work: Work, hashed: bytes) -> Cell:
    row = f"{work.actor.subject}:{hashed.hex()}"
    return Cell(table="client_mutations", row=row, column="answer", team=PLATFORM_TEAM)


def _problem_to_json(problem: Problem) -> JSON:
    return {**dataclasses.asdict(problem), "severity": problem.severity.value}


def _problem_from_json(kept: dict[str, Any]) -> Problem:
    return Problem(**{**kept, "severity": Severity(kept["severity"])})
