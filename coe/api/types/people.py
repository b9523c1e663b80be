"""Views of people's accounts, and of what they answer for."""

from __future__ import annotations

from datetime import datetime

import strawberry

from coe.access.models import PersonState
from coe.api.graphql.nodes import Problem, object_type
from coe.api.graphql.scalars import DateTime
from coe.identity.teams.holdings import Holding as HoldingRecord
from coe.identity.teams.holdings import HoldingKind
from coe.identity.teams.people import PersonRecord


@object_type
class Person:
    """A person's account."""

    subject: str
    display_name: str
    state: PersonState
    state_changed_at: DateTime | None
    source: str = strawberry.field(
        description="What made the account: `content`, `scim` or `oidc:…`",
    )
    created_at: DateTime
    last_sign_in_at: DateTime | None
    teams: list[str] = strawberry.field(description="The teams that the person is in")

    @classmethod
    def of(cls, record: PersonRecord) -> Person:
        """The view of an account."""
        return cls(
            subject=record.subject,
            display_name=record.display_name,
            state=record.state,
            state_changed_at=_moment(record.state_changed_at),
            source=record.source,
            created_at=DateTime(record.created_at),
            last_sign_in_at=_moment(record.last_sign_in_at),
            teams=list(record.teams),
        )


@object_type
class Holding:
    """A thing that a person answers for."""

    kind: HoldingKind
    name: str = strawberry.field(description="The ref of an entry, the id of a run or task")
    relation: str = strawberry.field(description="What the person is to it, such as `deputy`")
    team: str = strawberry.field(description="The team that owns it")

    @classmethod
    def of(cls, record: HoldingRecord) -> Holding:
        """The view of a holding."""
        return cls(kind=record.kind, name=record.name, relation=record.as_, team=record.team)


@object_type
class PersonPayload:
    """The account that was changed, or the problems."""

    person: Person | None
    problems: list[Problem]


def _moment(value: datetime | None) -> DateTime | None:
    return DateTime(value) if value else None
