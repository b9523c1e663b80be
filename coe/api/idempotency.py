"""`clientMutationId`: of mutations with one key, one is carried out, and all get its answer.

The key's row is inserted first in the transaction of the change. PostgreSQL lets a second insert
of the same key wait until the first transaction ends: if it commits, the second finds the answer;
if it rolls back, the second is carried out. An answer of problems saves nothing, so it keeps no
key either: the caller mends its input and may send the same key again.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from coe.api.context import Context
from coe.api.models import ClientMutation
from coe.crypto.envelope import Cell
from coe.errors import Conflict, Invalid, Problem, Severity
from coe.identifiers import PLATFORM_TEAM
from coe.json_types import JSON
from coe.work import Work

KEPT = timedelta(hours=24)
LONGEST_KEY = 200
PURPOSE = "answer"
TRIES = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Receipt:
    """What a payload is rebuilt from: ids of what was made, and the problems that only warn."""

    values: dict[str, JSON] = dataclasses.field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def id(self, name: str) -> UUID | None:
        """One of the ids, or None."""
        value = self.values.get(name)
        return UUID(value) if isinstance(value, str) else None

    def text(self, name: str) -> str | None:
        """One of the texts, or None."""
        value = self.values.get(name)
        return value if isinstance(value, str) else None


async def once(
    context: Context,
    mutation: str,
    key: str | None,
    given: object,
    verb: Callable[[Work], Awaitable[Receipt]],
) -> Receipt:
    """Carry out a mutation in its transaction, or give the answer that its key already got.

    Args:
        context: The request; what it has loaded is forgotten, for it may have changed.
        mutation: The name of the mutation: a key belongs to one.
        key: The `clientMutationId`, unique per actor for 24 hours; None asks for no answer kept.
        given: The input, of which a digest is kept, sealed.
        verb: What to do, in the transaction that it is given.

    Raises:
        Conflict: The key was used with another input.
    """
    try:
        async with context.work() as work:
            if key is None:
                return await verb(work)
            return await _keyed(work, key, _digest(mutation, given, context.actor.scopes), verb)
    except Invalid as error:
        return Receipt(problems=error.problems)
    finally:
        context.forget()


async def forget_expired(session: AsyncSession, now: datetime) -> None:
    """Delete the answers that are older than 24 hours; the caller commits."""
    await session.execute(
        delete(ClientMutation).where(ClientMutation.created_at < now - KEPT)  # type: ignore[arg-type]  # a column
    )


async def _keyed(
    work: Work,
    key: str,
    digest: str,
    verb: Callable[[Work], Awaitable[Receipt]],
) -> Receipt:
    if not 0 < len(key) <= LONGEST_KEY:
        message = f"`clientMutationId` has 1 to {LONGEST_KEY} characters"
        raise Invalid([Problem("INPUT_CLIENT_MUTATION_ID", message, path="/clientMutationId")])
    hashed = hashlib.sha256(key.encode()).digest()
    for _ in range(TRIES):
        if await _claim(work, hashed):
            receipt = await verb(work)
            await _keep(work, hashed, digest, receipt)
            return receipt
        kept = await _kept(work, hashed)
        if kept is not None:
            return _replayed(kept, digest)
    raise Conflict("Another call with this clientMutationId is under way; ask again.")


async def _claim(work: Work, hashed: bytes) -> bool:
    """Insert the key's row; false if another transaction has, which this waits for."""
    subject = work.actor.subject
    await work.session.execute(
        delete(ClientMutation).where(
            ClientMutation.actor == subject,  # type: ignore[arg-type]  # columns, here and below
            ClientMutation.key == hashed,  # type: ignore[arg-type]
            ClientMutation.created_at < work.now - KEPT,  # type: ignore[arg-type]
        ),
    )
    inserted = await work.session.execute(
        insert(ClientMutation)
        .values(actor=subject, key=hashed, created_at=work.now)
        .on_conflict_do_nothing()
        .returning(func.now()),
    )
    return inserted.first() is not None


def _place(work: Work, hashed: bytes) -> Cell:
    row = f"{work.actor.subject}:{hashed.hex()}"
    return Cell(table="client_mutations", row=row, column="answer", team=PLATFORM_TEAM)


async def _keep(work: Work, hashed: bytes, digest: str, receipt: Receipt) -> None:
    answer: JSON = {
        "digest": digest,
        "values": receipt.values,
        "problems": [_problem_to_json(problem) for problem in receipt.problems],
    }
    sealed = await work.keyring.seal_json(_place(work, hashed), PURPOSE, answer)
    await work.session.execute(
        update(ClientMutation)
        .where(
            ClientMutation.actor == work.actor.subject,  # type: ignore[arg-type]
            ClientMutation.key == hashed,  # type: ignore[arg-type]
        )
        .values(answer=sealed),
    )


async def _kept(work: Work, hashed: bytes) -> dict[str, Any] | None:
    sealed = await work.session.scalar(
        select(ClientMutation.answer).where(  # type: ignore[call-overload]
            ClientMutation.actor == work.actor.subject,
            ClientMutation.key == hashed,
        ),
    )
    if sealed is None:
        return None
    opened = await work.keyring.open_json(_place(work, hashed), PURPOSE, sealed)
    return opened if isinstance(opened, dict) else None


def _replayed(kept: dict[str, Any], digest: str) -> Receipt:
    if kept["digest"] != digest:
        raise Conflict(
            "This clientMutationId was used with another input in the last 24 hours; "
            "take a new one for a new call.",
        )
    problems = tuple(_problem_from_json(problem) for problem in kept["problems"])
    return Receipt(values=kept["values"], problems=problems)


def _problem_to_json(problem: Problem) -> JSON:
    return {**dataclasses.asdict(problem), "severity": problem.severity.value}


def _problem_from_json(kept: dict[str, Any]) -> Problem:
    return Problem(**{**kept, "severity": Severity(kept["severity"])})


def _digest(mutation: str, given: object, scopes: frozenset[str] | None) -> str:
    """What was asked; also with which scopes, for an answer may hold more than others may have."""
    narrowed = None if scopes is None else sorted(scopes)
    whole = {"mutation": mutation, "given": plain(given), "scopes": narrowed}
    return hashlib.sha256(orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)).hexdigest()


def plain(value: object) -> JSON:
    """A value of an input as JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Enum):
        return str(value.value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
