"""The accounts of people, and the one place that turns away those who may not use the platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from coe.access.actor import Actor, ActorKind
from coe.access.models import Person, PersonState
from coe.crypto.envelope import Cell
from coe.crypto.keys import Keyring
from coe.errors import Unauthenticated
from coe.identifiers import PLATFORM_TEAM
from coe.json_types import JSON

_PURPOSE: Final = "people"


_INACTIVE: Final = {
    PersonState.SUSPENDED: (
        "Your account is suspended: a lead of the centre of excellence, or your directory, lets "
        "you in again."
    ),
    PersonState.LEFT: "Your account is closed: it is noted that you have left.",
}


class InactivePerson(Unauthenticated):
    """A person who is suspended or has left, and whose credential is otherwise right.

    The person is told that. Whoever sends no right credential hears the same of every account.
    """

    def __init__(self, subject: str, state: PersonState) -> None:
        super().__init__(_INACTIVE[state])
        self.subject = subject
        self.state = state


async def admit(session: AsyncSession, actor: Actor) -> Actor:
    """Let an actor in whose credential is valid, with the name of their account.

    Every way in ends here, whatever the credential: a session or a token.

    Raises:
        InactivePerson: The person's account is not active.
    """
    if actor.kind is not ActorKind.PERSON:
        return actor
    found = await session.execute(
        select(col(Person.state), col(Person.display_name)).where(
            col(Person.subject) == actor.subject
        )
    )
    row = found.one_or_none()
    return actor if row is None else admitted(actor, row.state, row.display_name)


def admitted(actor: Actor, state: str | None, display_name: str) -> Actor:
    """The actor with the name of their account, in the state in which that is; None without one.

    Raises:
        InactivePerson: The person's account is not active.
    """
    if actor.kind is not ActorKind.PERSON or state is None:
        return actor
    if state != PersonState.ACTIVE:
        raise InactivePerson(actor.subject, PersonState(state))
    return replace(actor, display_name=display_name)


async def find_person(session: AsyncSession, subject: str, *, lock: bool = False) -> Person | None:
    """The account with a subject, in whatever case; `lock` keeps it until the transaction ends."""
    statement = select(Person).where(func.lower(col(Person.subject)) == subject.lower())
    found: Person | None = await session.scalar(
        statement.with_for_update() if lock else statement,
        execution_options={"populate_existing": True},
    )
    return found


async def find_identity(session: AsyncSession, issuer: str, external_id: str) -> Person | None:
    """The account of an issuer's `sub`, locked until the transaction ends."""
    found: Person | None = await session.scalar(
        select(Person)
        .where(col(Person.issuer) == issuer, col(Person.external_id) == external_id)
        .with_for_update(),
        execution_options={"populate_existing": True},
    )
    return found


async def set_attributes(keyring: Keyring, person: Person, attributes: Mapping[str, JSON]) -> None:
    """Seal what a directory says of the person into its row; the caller commits."""
    person.attributes_sealed = await keyring.seal_json(_cell(person), _PURPOSE, dict(attributes))


async def attributes_of(keyring: Keyring, person: Person) -> dict[str, JSON] | None:
    """What a directory says of the person; None if it was never kept, or is erased."""
    if person.attributes_sealed is None:
        return None
    found = await keyring.open_json(_cell(person), _PURPOSE, person.attributes_sealed)
    return found if isinstance(found, dict) else None


def _cell(person: Person) -> Cell:
    return Cell("people", str(person.id), "attributes_sealed", PLATFORM_TEAM)
