"""Suspend people, let them in again, and note that they have left.

Only an active person may use the platform, and only an active one's memberships count: each change
of a state gives the policy a new version.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from coe.access.load import renew_version
from coe.access.membership_changes import MembersSource, lock_policy
from coe.access.models import FROM_CONTENT, Membership, Person, PersonState
from coe.access.people import find_person
from coe.errors import Conflict, NotFound

DIRECTORY: Final = MembersSource.SCIM.value
BOTH: Final = "both"
_WORDS: Final = {
    PersonState.ACTIVE: "active",
    PersonState.SUSPENDED: "suspended",
    PersonState.LEFT: "gone",
}


async def known_person(session: AsyncSession, subject: str) -> Person:
    """The account of a person, locked for a change; made now for one who has only a membership.

    Raises:
        NotFound: Nobody has this subject.
    """
    person = await find_person(session, subject, lock=True)
    if person is not None:
        return person
    name = await session.scalar(
        select(col(Membership.display_name))
        .where(col(Membership.subject) == subject)
        .order_by(col(Membership.team))
        .limit(1)
    )
    if name is None:
        raise NotFound
    person = Person(subject=subject, display_name=name, source=FROM_CONTENT)
    session.add(person)
    await session.flush()
    return person


def is_suspended_by_directory(person: Person) -> bool:
    """Whether the directory suspended a person, whoever else did: it may take its own back."""
    return person.state == PersonState.SUSPENDED and person.suspended_by in {DIRECTORY, BOTH}


def is_suspended_here(person: Person) -> bool:
    """Whether somebody here suspended a person, whoever else did."""
    return person.state == PersonState.SUSPENDED and person.suspended_by != DIRECTORY


async def change_state(
    session: AsyncSession,
    person: Person,
    state: PersonState,
    *,
    now: datetime,
    by_directory: bool = False,
) -> None:
    """Change the state of a person's account, with a new version of the policy.

    The suspension of the directory and the one of somebody here stand beside each other: who lifts
    one leaves the other, and the person stays suspended. Somebody here may also lift the one of the
    directory where it stands alone. What the directory suspended is part of the signed policy, so
    that nobody makes it so in the database. What the directory said of who leaves is erased.

    Raises:
        Conflict: It is so already, or the person has left for good.
    """
    here, there = is_suspended_here(person), is_suspended_by_directory(person)
    said = there if by_directory else here
    if person.state == state and (state != PersonState.SUSPENDED or said):
        raise Conflict(f"{person.subject} is {_WORDS[state]} already")
    if person.state == PersonState.LEFT:
        message = (
            f"{person.subject} has left, and the name is never given again: "
            "a person who comes back gets an account of another name"
        )
        raise Conflict(message)
    await lock_policy(session)
    if state == PersonState.LEFT:
        here = there = False
    else:
        if by_directory:
            there = state == PersonState.SUSPENDED
        else:
            there = there and (here or state == PersonState.SUSPENDED)
            here = state == PersonState.SUSPENDED
        state = PersonState.SUSPENDED if here or there else PersonState.ACTIVE
    person.state = state.value
    person.suspended_by = _suspender(here=here, there=there)
    person.state_changed_at, person.changed_at = now, now
    if state == PersonState.LEFT:
        person.attributes_sealed = None
    await session.flush()
    await renew_version(session)


def _suspender(*, here: bool, there: bool) -> str | None:
    if not there:
        return None
    return BOTH if here else DIRECTORY
