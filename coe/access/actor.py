"""Actors: a person, a service, or a run that acts for its process.

A subject is an id with a checked alphabet (no comma, no white space, no quote), because it stands
in policy lines, log events and resource names:

- a person: `sales-owner`, `anna.berg@example.com`;
- a service: `service:central`, `service:worker/warehouse`;
- a run: `run:<uuid>`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Self
from uuid import UUID

from coe.identifiers import SLUG

_PERSON: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,126}")
_SERVICE: Final = re.compile(rf"service:{SLUG}(?:/{SLUG})?")
_RUN: Final = re.compile(r"run:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class ActorKind(StrEnum):
    """What kind of actor a subject is."""

    PERSON = "PERSON"
    SERVICE = "SERVICE"
    RUN = "RUN"


class DataClass(StrEnum):
    """How sensitive a resource is, from least to most."""

    PUBLIC = "PUBLIC"
    INTERNAL = "INTERNAL"
    CONFIDENTIAL = "CONFIDENTIAL"
    PERSONAL = "PERSONAL"


@dataclass(frozen=True, slots=True)
class SignIn:
    """The session of a person who signed in.

    `issuer` is its name in the operator's file; `proved_at` is when the person last proved who they
    are, in a way that counts for a step-up, and None if they never did.
    """

    session: UUID
    issuer: str
    proved_at: datetime | None


@dataclass(frozen=True, slots=True)
class Actor:
    """The authenticated caller.

    `scopes` are those of its token; they only narrow what the policy allows. None does not narrow.
    `bound_to` is the team that alone it may act in, with a token or as a machine. `token_id` is the
    token that it sent, if that is in the database. `maker` is who made the credential of a service:
    the two count as one person wherever a rule tells people apart. `sign_in` is the session of a
    person in a browser; None for every token. `credential` is that of a worker or a machine, such
    as `worker:<uuid>`.
    """

    subject: str
    kind: ActorKind
    display_name: str
    scopes: frozenset[str] | None = None
    maker: str | None = None
    token_id: UUID | None = None
    sign_in: SignIn | None = None
    credential: str | None = None
    bound_to: str | None = None

    @property
    def machine_of(self) -> str | None:
        """The team of a registered client or a job of a CI, which the lines for a `machine` count.

        None for a worker, who has roles, and for everybody with a token or a session.
        """
        return self.bound_to if self.credential is not None else None

    @property
    def persons(self) -> frozenset[str]:
        """The actor and the maker of its credential: an act of the one is an act of the other.

        What is kept of an act has both (`coe.access.persons`). They only count against the actor:
        what the one may, the other may not for that.
        """
        return frozenset({self.subject, self.maker or self.subject})

    @property
    def identity(self) -> str:
        """Which one of the machines of its subject it is: its credential, else the subject."""
        return self.credential or self.subject

    @classmethod
    def of(
        cls,
        subject: str,
        *,
        display_name: str | None = None,
        scopes: frozenset[str] | None = None,
        maker: str | None = None,
        token_id: UUID | None = None,
        sign_in: SignIn | None = None,
        bound_to: str | None = None,
    ) -> Self:
        """The actor of a subject, whose form gives the kind.

        Raises:
            ValueError: The subject is not one of the three forms.
        """
        return cls(
            subject,
            subject_kind(subject),
            display_name or subject,
            scopes=scopes,
            maker=maker,
            token_id=token_id,
            sign_in=sign_in,
            bound_to=bound_to,
        )


def subject_kind(subject: str) -> ActorKind:
    """The kind of a subject, from its form.

    Raises:
        ValueError: The subject is not one of the three forms.
    """
    if _SERVICE.fullmatch(subject):
        return ActorKind.SERVICE
    if _RUN.fullmatch(subject):
        return ActorKind.RUN
    if _PERSON.fullmatch(subject):
        return ActorKind.PERSON
    message = (
        f"{subject!r} is not a subject: a person is letters, digits and . _ @ + -, "
        f"a service is service:name or service:name/team, a run is run:<uuid>"
    )
    raise ValueError(message)
