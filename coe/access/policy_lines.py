"""Policy lines: their fields, what each may hold, and their written form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from coe.access.actor import ActorKind, DataClass
from coe.access.permissions import PERMISSIONS
from coe.identifiers import is_slug

ANY: Final = "*"
LINE_FIELDS: Final = ("subject", "team", "permission", "data class", "effect")
RELATION_PREFIX: Final = "relation:"
KIND_PREFIX: Final = "kind:"
_DATA_CLASSES: Final = frozenset(data_class.value for data_class in DataClass)


class Effect(StrEnum):
    """The effect of a matching line."""

    ALLOW = "allow"
    DENY = "deny"


class Relation(StrEnum):
    """A relation of an actor to one resource; a verb finds it and passes it to the decision."""

    APPROVER = "approver"
    """Has already given one of the approvals of this human task."""
    AUTHOR = "author"
    """Created this version."""
    CALLER = "caller"
    """May read the run that called this one."""
    CANDIDATE = "candidate"
    """Holds one of the candidate roles of this human task."""
    CLAIMANT = "claimant"
    """Has claimed this human task."""
    EXCLUDED = "excluded"
    """Is excluded from this human task by its definition."""
    HOLDER = "holder"
    """Is the worker that was the last to claim this local run."""
    OWNER = "owner"
    """Is named as this flow's process owner or deputy."""
    PROPOSER = "proposer"
    """Proposed this change of a team's members, or to accept this loss of the audit log."""
    PROXY = "proxy"
    """Would act as another person, or as a service of the platform."""
    PUBLISHER = "publisher"
    """Published this version."""
    REQUESTER = "requester"
    """Started this run."""
    SELF = "self"
    """Is itself the subject: of its token, of its access."""
    WORKER = "worker"
    """Would act as a team's worker, which signs in with a key of its own."""


class DerivedRole(StrEnum):
    """Roles that follow from who the actor is; no file gives them."""

    EVERYONE = "everyone"
    """Every authenticated actor."""
    EMPLOYEE = "employee"
    """A person in any team, or a machine that is bound to one."""
    MACHINE = "machine"
    """A registered client of the resource's team, or a job of a CI that it trusts."""
    MEMBER = "member"
    """A person in the resource's team."""


_RELATIONS: Final = frozenset(relation.value for relation in Relation)
_KINDS: Final = frozenset(kind.value.lower() for kind in ActorKind)
DERIVED_ROLES: Final = frozenset(role.value for role in DerivedRole)


@dataclass(frozen=True, slots=True)
class PolicyLine:
    """One policy line: a subject, and the permission that it has or lacks in a team and data class.

    `subject` is a role held in the resource's team (`process-owner`), a role held in a named team
    (`coe/reviewer`), a relation to the resource (`relation:requester`), a kind of actor
    (`kind:service`), or a derived role (`everyone`, `employee`, `member`).
    """

    subject: str
    team: str
    permission: str
    data_class: str
    effect: Effect
    note: str | None = None
    source: str = ""

    @classmethod
    def of(cls, fields: Iterable[str], *, note: str | None = None, source: str = "") -> Self:
        """The line of these five fields, each checked.

        Raises:
            ValueError: A field is missing, empty or not allowed, or there are too many.
        """
        values = tuple(fields)
        if len(values) != len(LINE_FIELDS):
            message = (
                f"a policy line has {len(LINE_FIELDS)} fields after its p: {', '.join(LINE_FIELDS)}"
            )
            raise ValueError(message)
        subject, team, permission, data_class, effect = values
        _check(_is_subject(subject), "subject", subject)
        _check(team == ANY or is_slug(team), "team", team)
        _check(permission in PERMISSIONS, "permission", permission)
        _check(data_class == ANY or data_class in _DATA_CLASSES, "data class", data_class)
        _check(effect in tuple(Effect), "effect", effect)
        return cls(subject, team, permission, data_class, Effect(effect), note, source)

    @property
    def fields(self) -> tuple[str, str, str, str, str]:
        """The five fields, in the order of the enforcer."""
        return (self.subject, self.team, self.permission, self.data_class, self.effect.value)

    @property
    def role(self) -> tuple[str, str] | None:
        """The role, and the team in which it must be held (`*`: the resource's team).

        None if the subject is no role that a file gives.
        """
        if ":" in self.subject or self.subject in DERIVED_ROLES:
            return None
        team, slash, role = self.subject.partition("/")
        return (role, team) if slash else (self.subject, ANY)

    def takes_in(self, team: str, data_class: str) -> bool:
        """Whether the line covers resources of this team and class."""
        return self.team in {ANY, team} and self.data_class in {ANY, data_class}

    def __str__(self) -> str:
        """The line as its file has it."""
        return ", ".join(("p", *self.fields))


def is_role(value: str) -> bool:
    """Whether a file may give this role: a slug other than a derived role."""
    return is_slug(value) and value not in DERIVED_ROLES


def _is_subject(value: str) -> bool:
    if value.startswith(RELATION_PREFIX):
        return value.removeprefix(RELATION_PREFIX) in _RELATIONS
    if value.startswith(KIND_PREFIX):
        return value.removeprefix(KIND_PREFIX) in _KINDS
    if value in DERIVED_ROLES:
        return True
    team, slash, role = value.partition("/")
    return is_slug(team) and is_role(role) if slash else is_role(value)


def _check(fits: bool, field: str, value: str) -> None:  # noqa: FBT001  # always an expression
    if not fits:
        problem = f"{value!r} is not a {field} of a policy line"
        message = problem if value else f"the {field} is empty"
        raise ValueError(message)
