"""Root fields that suspend people, let them in again, and note that they have left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.idempotency import once
from coe.api.graphql.nodes import Problem, mutation
from coe.api.types.people import Person, PersonPayload
from coe.idempotency import Receipt
from coe.identity.teams import people
from coe.identity.teams.people import PersonRecord
from coe.work import Work


async def _change(
    info: Info,
    name: str,
    given: dict[str, str],
    key: str | None,
    verb: Callable[..., Awaitable[PersonRecord]],
) -> PersonPayload:
    made: list[PersonRecord] = []

    async def act(work: Work) -> Receipt:
        made.append(await verb(work, given["subject"], reason=given["reason"]))
        return Receipt({"subject": given["subject"]})

    receipt = await once(info.context, name, key, given, act)
    if not made and receipt.text("subject"):
        async with info.context.read() as read:
            made.append(await people.find_record(read, given["subject"]))
    return PersonPayload(
        person=Person.of(made[0]) if made else None,
        problems=Problem.all_of(receipt.problems),
    )


@strawberry.type
class PeopleMutation:
    """The fields of Mutation about people."""

    @mutation
    async def suspend_person(
        self, info: Info, subject: str, reason: str, client_mutation_id: str | None = None
    ) -> PersonPayload:
        """Refuse a person at every door from now on; everything of theirs is kept."""
        given = {"subject": subject, "reason": reason}
        return await _change(
            info, "suspendPerson", given, client_mutation_id, people.suspend_person
        )

    @mutation
    async def activate_person(
        self, info: Info, subject: str, reason: str, client_mutation_id: str | None = None
    ) -> PersonPayload:
        """Let a suspended person in again, with everything that was kept."""
        given = {"subject": subject, "reason": reason}
        return await _change(
            info, "activatePerson", given, client_mutation_id, people.activate_person
        )

    @mutation
    async def offboard_person(
        self, info: Info, subject: str, reason: str, client_mutation_id: str | None = None
    ) -> PersonPayload:
        """Note that a person has left for good: access ends, and open tasks go to others."""
        given = {"subject": subject, "reason": reason}
        return await _change(
            info, "offboardPerson", given, client_mutation_id, people.offboard_person
        )
