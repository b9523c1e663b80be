"""Accounts of people as a directory provisions them: join, change, suspend, leave.

A directory sees and changes only the accounts that it made (`Person.source` is `scim`). The subject
is the first `userName` and never changes; nobody else's subject can be taken, in whatever case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sqlalchemy import exists, func, or_, select
from sqlmodel import col

from coe.access.actor import ActorKind, subject_kind
from coe.access.decision import Decision
from coe.access.models import Membership, Person, PersonState
from coe.access.people import attributes_of, set_attributes
from coe.access.permissions import Permission
from coe.access.person_states import change_state, is_suspended_by_directory
from coe.audit.events import Tag
from coe.errors import Conflict, Invalid, NotFound, Problem
from coe.identifiers import PLATFORM_TEAM
from coe.identity.teams.changes import hold_policy, refresh
from coe.identity.teams.leaving import settle_suspended
from coe.identity.teams.people import leave_for_good
from coe.json_types import JSON
from coe.language.canonical import canonical
from coe.work import Work

SOURCE: Final = "scim"
MAX_ATTRIBUTES: Final = 16_000
"""How many bytes of JSON the attributes of a person take."""
_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class UserValues:
    """What a directory says of a person.

    `name` is the one for people, by default the `userName`. `attributes` are all others that it
    sent and this server keeps, as it sent them; they are sealed.
    """

    user_name: str
    name: str | None = None
    external_id: str | None = None
    active: bool = True
    attributes: Mapping[str, JSON] = field(default_factory=dict)


async def users(work: Work) -> Sequence[Person]:
    """The accounts that the directory made and that have not left, by time.

    Raises:
        Forbidden: `scim:provision` is refused.
    """
    require(work)
    found = await work.session.scalars(
        select(Person)
        .where(col(Person.source) == SOURCE, col(Person.state) != PersonState.LEFT.value)
        .order_by(col(Person.created_at), col(Person.id))
    )
    return found.all()


async def find_user(work: Work, key: UUID, *, lock: bool = False) -> Person:
    """An account that the directory made; `lock` keeps it for a change of this transaction.

    Raises:
        Forbidden: `scim:provision` is refused.
        NotFound: There is none, or the person has left.
    """
    require(work)
    statement = select(Person).where(
        col(Person.id) == key,
        col(Person.source) == SOURCE,
        col(Person.state) != PersonState.LEFT.value,
    )
    person: Person | None = await work.session.scalar(
        statement.with_for_update() if lock else statement,
        execution_options={"populate_existing": True},
    )
    if person is None:
        raise NotFound
    return person


async def create_user(work: Work, values: UserValues) -> Person:
    """Make the account of a person who joins.

    Raises:
        Forbidden: `scim:provision` is refused.
        Conflict: Somebody has this name, in whatever case, or had it.
        Invalid: The name can be no subject.
    """
    decision = require(work)
    _check(values)
    await _check_free(work, values.user_name, None)
    person = Person(
        subject=values.user_name,
        display_name=values.name or values.user_name,
        source=SOURCE,
        provisioned_id=values.external_id,
        user_name=values.user_name,
        created_at=work.now,
        changed_at=work.now,
    )
    await set_attributes(work.keyring, person, values.attributes)
    work.session.add(person)
    await work.session.flush()
    await _record(work, person, decision, "created", values.attributes)
    if not values.active:
        await _suspend(work, person, decision)
    return person


async def change_user(work: Work, key: UUID, values: UserValues) -> Person:
    """Make an account what the directory says; `active` false suspends the person.

    It ends their tokens and sessions and gives their open tasks to others.

    A suspension that somebody ordered here stays, whatever the directory says: who ordered it, or
    another who may, lifts it (`coe person activate`). Then the one of the directory still holds.

    Raises:
        Forbidden: `scim:provision` is refused.
        NotFound: The directory has no such account.
        Conflict: Somebody else has this name.
        Invalid: The name can be no subject.
    """
    person = await find_user(work, key)
    if values.active == is_suspended_by_directory(person):  # whoever changes access holds it first
        await hold_policy(work)
    person = await find_user(work, key, lock=True)
    decision = require(work)
    _check(values)
    await _check_free(work, values.user_name, person)
    given = (values.user_name, values.name or person.subject, values.external_id)
    before = await attributes_of(work.keyring, person) or {}
    changed = {
        each
        for each in {*before, *values.attributes}
        if before.get(each) != values.attributes.get(each)
    }
    if changed or given != (person.user_name, person.display_name, person.provisioned_id):
        person.user_name, person.display_name, person.provisioned_id = given
        person.changed_at = work.now
        await set_attributes(work.keyring, person, values.attributes)
        await work.session.flush()
        await _record(work, person, decision, "changed", changed)
    is_out = is_suspended_by_directory(person)
    if not values.active and not is_out:
        await _suspend(work, person, decision)
    elif values.active and is_out:
        await change_state(
            work.session, person, PersonState.ACTIVE, now=work.now, by_directory=True
        )
        if person.state == PersonState.ACTIVE:
            await _record(work, person, decision, "activated", tag=Tag.ACCESS_PERSON_ACTIVATE)
        else:
            await _record(work, person, decision, "active, but suspended here")
        await refresh(work)
    return person


async def delete_user(work: Work, key: UUID) -> None:
    """Note that a person has left for good: access ends, open tasks go to others.

    Raises:
        Forbidden: `scim:provision` is refused.
        NotFound: The directory has no such account.
    """
    require(work)
    await hold_policy(work)
    person = await find_user(work, key, lock=True)
    decision = require(work)
    await leave_for_good(
        work, person, decision=decision, reason="the directory has deleted the account"
    )


def require(work: Work, team: str = PLATFORM_TEAM) -> Decision:
    """Require that the actor is a directory that may provision."""
    return work.require(Permission.SCIM_PROVISION, resource=f"team:{team}", team=team)


async def _suspend(work: Work, person: Person, decision: Decision) -> None:
    """Suspend whom the directory does not let in any more, and leave nothing of theirs open."""
    await change_state(work.session, person, PersonState.SUSPENDED, now=work.now, by_directory=True)
    ended = await settle_suspended(work, person.subject)
    tag = Tag.ACCESS_PERSON_SUSPEND
    await _record(work, person, decision, "suspended", tag=tag, ended=ended)
    await refresh(work)


def _check(values: UserValues) -> None:
    problems = []
    try:
        fits = subject_kind(values.user_name) is ActorKind.PERSON
    except ValueError:
        fits = False
    if not fits:
        message = "a userName is letters, digits and . _ @ + -, at most 127"
        problems.append(Problem("INPUT_SUBJECT", message, path="/userName"))
    for name, value in (
        ("displayName", values.name),
        ("externalId", values.external_id),
    ):
        if value is not None and (len(value) > _MAX or "\0" in value):
            message = f"it has at most {_MAX} characters, and no NUL"
            problems.append(Problem("INPUT_NAME", message, path=f"/{name}"))
    size = len(canonical(dict(values.attributes)))
    if size > MAX_ATTRIBUTES:
        message = f"the attributes of a person take at most {MAX_ATTRIBUTES} bytes, not {size}"
        problems.append(Problem("INPUT_SIZE", message, path="/"))
    if problems:
        raise Invalid(problems)


async def _check_free(work: Work, user_name: str, person: Person | None) -> None:
    """Refuse a name that anybody else has or had, as userName, subject or member of a team."""
    lower = user_name.lower()
    if person is not None and lower in {person.subject.lower(), (person.user_name or "").lower()}:
        return
    taken = select(
        or_(
            exists().where(
                or_(
                    func.lower(col(Person.subject)) == lower,
                    func.lower(col(Person.user_name)) == lower,
                )
            ),
            exists().where(func.lower(col(Membership.subject)) == lower),
        )
    )
    if await work.session.scalar(taken):
        raise Conflict(f"the name {user_name} is somebody's already")


async def _record(
    work: Work,
    person: Person,
    decision: Decision,
    what: str,
    attributes: Iterable[str] = (),
    *,
    tag: Tag = Tag.ACCESS_PERSON_PROVISION,
    ended: Mapping[str, JSON] | None = None,
) -> None:
    await work.record(
        tag,
        resource=f"person:{person.subject}",
        team=PLATFORM_TEAM,
        decision=decision,
        detail={
            "what": what,
            "userName": person.user_name,
            "externalId": person.provisioned_id,
            "attributes": [*sorted(attributes)],
            **(ended or {}),
        },
    )
