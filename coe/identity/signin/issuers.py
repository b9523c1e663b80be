"""The issuers by which people sign in, from the operator's `COE_ISSUERS_FILE`.

The file holds secrets of clients, so it has mode 0600; it is read again when it changes::

    issuers:
      acme:
        title: Acme
        url: https://login.acme.example
        client_id: coe
        client_secret: "…"
        subject: {claim: email}
        subjects: ["*@acme.example"]
        email_domains: [acme.example]
        groups:
          - {group: coe-sales-owners, team: sales, roles: [process-owner]}
"""

from __future__ import annotations

import logging
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from coe.access.actor import ActorKind, subject_kind
from coe.access.policy_lines import is_role
from coe.crypto.jwks import ALGORITHMS
from coe.crypto.operator_files import OperatorFile, OperatorFileError
from coe.errors import NotFound, Unavailable
from coe.identifiers import PLATFORM_TEAM, is_slug
from coe.identity.discovery import is_trusted_address

ANY_TEAM: Final = "*"
_MAX_SUBJECT: Final = 127
_log = logging.getLogger(__name__)


def _slug(value: str) -> str:
    if not is_slug(value):
        raise ValueError("must be words of a-z and 0-9 with hyphens between them")
    return value


def _role(value: str) -> str:
    if not is_role(value):
        raise ValueError("must be a role that a file may give")
    return value


def _address(value: str) -> str:
    if not is_trusted_address(value) or "?" in value:
        raise ValueError("must be an https address; http is for this machine only")
    return value


def _team(value: str) -> str:
    return value if value == ANY_TEAM else _slug(value)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SubjectRule(_Part):
    """How the subject that policies name is made, once, of a claim."""

    claim: str = "preferred_username"
    prefix: str = ""

    def subject(self, claims: dict[str, Any]) -> str | None:
        """The subject of these claims, in small letters; None if it cannot be one."""
        value = claims.get(self.claim)
        if not isinstance(value, str):
            return None
        subject = f"{self.prefix}{value}".lower()
        try:
            fits = len(subject) <= _MAX_SUBJECT and subject_kind(subject) is ActorKind.PERSON
        except ValueError:
            return None
        return subject if fits else None


class GroupRule(_Part):
    """The roles that the members of a group hold in a team.

    A `*` in `group` stands for any text; with `team: "*"` that text is the slug of the team. It is
    never the platform's own team, which a rule has to name.
    """

    group: Annotated[str, Field(min_length=1, max_length=200)]
    team: Annotated[str, AfterValidator(_team)]
    roles: tuple[Annotated[str, AfterValidator(_role)], ...] = ()

    @model_validator(mode="after")
    def _has_one_star(self) -> Self:
        most = 1 if self.team == ANY_TEAM else 0
        if self.group.count("*") != most:
            raise ValueError("a group has one * where the team is *, and none elsewhere")
        return self

    def team_of(self, group: str) -> str | None:
        """The team to which a group leads by this rule; None if it is another group."""
        if self.team != ANY_TEAM:
            return self.team if group == self.group else None
        start, _, end = self.group.partition("*")
        fits = group.startswith(start) and group.endswith(end)
        team = group[len(start) : len(group) - len(end)]
        return team if fits and is_slug(team) and team != PLATFORM_TEAM else None


class StepUp(_Part):
    """What a fresh sign-in must be, beside fresh: one of these `acr` values, if any are given."""

    acr: tuple[str, ...] = ()


class Issuer(_Part):
    """An issuer of identities, and what is believed of what it says."""

    title: Annotated[str, Field(min_length=1, max_length=100)]
    url: Annotated[str, AfterValidator(_address)]
    client_id: Annotated[str, Field(min_length=1)]
    client_secret: SecretStr | None = None
    private_key: SecretStr | None = None
    key_id: str | None = None
    algorithm: Literal[ALGORITHMS] = "RS256"  # type: ignore[valid-type]
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    subject: SubjectRule = SubjectRule()
    subjects: Annotated[tuple[str, ...], Field(min_length=1)] = ("*",)
    email_domains: tuple[str, ...] = ()
    trust_email: bool = False
    just_in_time: bool = True
    groups_claim: str = "groups"
    groups: tuple[GroupRule, ...] = ()
    max_age_minutes: Annotated[int, Field(ge=1, le=43_200)] = 720
    step_up: StepUp = StepUp()

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if (self.client_secret is None) == (self.private_key is None):
            raise ValueError("name either client_secret or private_key")
        if "openid" not in self.scopes:
            raise ValueError("scopes include openid")
        return self

    def names(self, subject: str) -> bool:
        """Whether the issuer may name this subject."""
        return any(fnmatchcase(subject, each.lower()) for each in self.subjects)

    def is_strong(self, acr: str | None) -> bool:
        """Whether a sign-in with this `acr` counts as a step-up."""
        return not self.step_up.acr or acr in self.step_up.acr

    def memberships(self, groups: list[str]) -> dict[str, tuple[str, ...]]:
        """The roles by team to which these groups lead."""
        found: dict[str, set[str]] = {}
        for rule in self.groups:
            for group in groups:
                team = rule.team_of(group)
                if team is not None:
                    found.setdefault(team, set()).update(rule.roles)
        return {team: tuple(sorted(roles)) for team, roles in sorted(found.items())}


class _IssuersFile(_Part):
    issuers: dict[Annotated[str, AfterValidator(_slug)], Issuer]

    @model_validator(mode="after")
    def _are_different(self) -> Self:
        urls = [each.url for each in self.issuers.values()]
        if len(set(urls)) < len(urls):
            raise ValueError("two issuers have the same url")
        return self


class IssuersUnusable(Unavailable):
    """Nobody can sign in right now: the file of issuers cannot be used; tell the operator."""


class Issuers:
    """The issuers of the operator's file."""

    def __init__(self, file: Path | None = None) -> None:
        """`file` is None where nobody signs in."""
        self._file = OperatorFile(file, _IssuersFile)

    def check_at_start(self) -> None:
        """Log an error when the file cannot be used, so that it is corrected before a sign-in."""
        with suppress(IssuersUnusable):
            self.current()

    def current(self) -> dict[str, Issuer]:
        """The issuers by name, as they stand. Blocks to read a small file.

        Raises:
            IssuersUnusable: The file cannot be used; the log says why.
        """
        try:
            content = self._file.current()
        except OperatorFileError as error:
            _log.error("nobody can sign in: %s", error)
            raise IssuersUnusable from None
        return {} if content is None else content.issuers

    def problem(self) -> str | None:
        """Why the file cannot be used; None if it can."""
        return self._file.problem()

    def find(self, name: str) -> Issuer:
        """The issuer of this name.

        Raises:
            NotFound: There is none.
            IssuersUnusable: The file cannot be used.
        """
        issuer = self.current().get(name)
        if issuer is None:
            raise NotFound("There is no such issuer.")
        return issuer

    def by_url(self, url: str) -> tuple[str, Issuer] | None:
        """The issuer with this URL, with its name; None if it is no longer in the file."""
        return next((each for each in self.current().items() if each[1].url == url), None)

    def only_one_names(self, issuer: Issuer, subject: str) -> bool:
        """Whether this issuer may name the subject, and no other may: so none takes it over."""
        return issuer.names(subject) and not any(
            other.names(subject) for other in self.current().values() if other.url != issuer.url
        )
