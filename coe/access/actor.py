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
from enum import StrEnum
from typing import Final, Self

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
class Actor:
    """The authenticated caller.

    `scopes` are those of its token; they only narrow what the policy allows. None does not narrow.
    """

    subject: str
    kind: ActorKind
    display_name: str
    scopes: frozenset[str] | None = None

    @classmethod
    def of(
        cls,
        subject: str,
        *,
        display_name: str | None = None,
        scopes: frozenset[str] | None = None,
    ) -> Self:
        """The actor of a subject, whose form gives the kind.

        Raises:
            ValueError: The subject is not one of the three forms.
        """
        return cls(subject, subject_kind(subject), display_name or subject, scopes)


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
