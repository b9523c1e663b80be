"""The stored policy, read in one statement so that all parts are of one moment."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import (
    ColumnElement,
    Text,
    bindparam,
    cast,
    func,
    literal,
    literal_column,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by, array
from sqlalchemy.ext.asyncio import AsyncSession

from coe.access.models import Membership, Person, PersonState, PolicyRule, PolicyState, Team
from coe.db.records import Columns
from coe.db.tables import table_of
from coe.formats import instants

NO_POLICY: Final = "0"
"""The version of an installation that has no policy yet."""


_RULES: Final = table_of(PolicyRule)
_MEMBERSHIPS: Final = table_of(Membership)
STATE: Final = table_of(PolicyState)
_PEOPLE: Final = table_of(Person)
_TEAMS: Final = table_of(Team)


@dataclass(frozen=True, slots=True)
class RuleRecord:
    """A policy line as stored; its fields are not checked yet."""

    fields: tuple[str, ...]
    note: str | None
    source: str


class MembershipRecord(NamedTuple):
    """A subject in a team, with its roles there; it may have none.

    It counts until `expires_at`. `granted` are further roles, each until its time. The fields are
    columns, in the order in which the signed text has them.
    """

    subject: str
    team: str
    roles: Sequence[str]
    expires_at: datetime | None = None
    granted: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class TeamRecord:
    """The memberships of a team.

    `lasting` has the roles of each subject whose membership has no end. It holds them without an
    object a membership, for there may be hundreds of thousands: the garbage collector would go
    through them all, again and again while they are read.
    """

    team: str
    lasting: Mapping[str, tuple[str, ...]]
    ending: tuple[MembershipRecord, ...] = ()
    """Those that end, or that have roles which end."""


@dataclass(frozen=True, slots=True)
class PolicyParts:
    """The SHA-256 (hex) of each part of a policy, as the database writes it."""

    model: str
    lines: str
    memberships: str
    inactive: str

    @property
    def digest(self) -> str:
        """The SHA-256 of all parts."""
        return _hash(f"{self.model}\n{self.lines}\n{self.memberships}\n{self.inactive}")


@dataclass(frozen=True, slots=True)
class PolicyRecord:
    """Everything that a policy is made of.

    `number` is that of the version; `signature` is over it and the `parts`
    (`coe.access.signed_policy`).
    """

    version: str = NO_POLICY
    model: str = ""
    rules: tuple[RuleRecord, ...] = ()
    teams: tuple[TeamRecord, ...] = ()
    network: tuple[RuleRecord, ...] = ()
    approvals: tuple[RuleRecord, ...] = ()
    step_up: tuple[RuleRecord, ...] = ()
    number: int = 0
    parts: PolicyParts | None = None
    signature: str | None = None


_RULE_COLUMNS: Final = Columns(RuleRecord, _RULES)
_MEMBERSHIP_COLUMNS: Final = tuple(_MEMBERSHIPS.c[name] for name in MembershipRecord._fields)


async def read_policy_version(session: AsyncSession) -> str:
    """The version of the policy in force; "0" without one."""
    row = (await session.execute(_VERSION)).one_or_none()
    return policy_version(row.version, row.digest) if row else NO_POLICY


async def read_policy(session: AsyncSession) -> PolicyRecord:
    """The policy in force, whole."""
    row = (await session.execute(_POLICY)).one_or_none()
    if row is None:
        return PolicyRecord()
    lines = orjson.loads(row.lines)
    teams = row.memberships or ()
    return PolicyRecord(
        version=policy_version(row.version, row.digest),
        model=row.model,
        rules=_lines_of(lines, "p"),
        teams=tuple(read_teams(teams, frozenset(orjson.loads(row.inactive)))),
        network=_lines_of(lines, "n"),
        approvals=_lines_of(lines, "a"),
        step_up=_lines_of(lines, "s"),
        number=row.version,
        parts=PolicyParts(
            model=_hash(row.model),
            lines=_hash(row.lines),
            memberships=_hash("\n".join(f"{team}:{_hash(text)}" for team, text in teams)),
            inactive=_hash(row.inactive),
        ),
        signature=row.signature,
    )


def read_teams(
    texts: Iterable[Sequence[str]], inactive: Collection[str] = ()
) -> Iterator[TeamRecord]:
    """The memberships of each team, from its signed text.

    Args:
        texts: Each a team and its text.
        inactive: The subjects, in small letters, whose memberships count for nothing.
    """
    known: dict[tuple[str, ...], tuple[str, ...]] = {}
    for team, text in texts:
        lasting: dict[str, tuple[str, ...]] = {}
        ending: list[MembershipRecord] = []
        for subject, _, roles, expires_at, granted in orjson.loads(text):
            if inactive and subject.lower() in inactive:
                continue
            held = tuple(roles)
            held = known.setdefault(held, held)  # most people have the roles of many others
            if expires_at is None and not granted:
                lasting[subject] = held
            else:
                end = None if expires_at is None else instants.read(expires_at)
                ending.append(MembershipRecord(subject, team, held, end, granted))
        yield TeamRecord(team, lasting, tuple(ending))


async def compute_parts(session: AsyncSession, *, model: str | None = None) -> PolicyParts:
    """The digests of what is stored now, computed by the database; `model` replaces the stored.

    Those of the memberships are taken from `teams.members_digest` (`renew_team_digests`).
    """
    stored = await session.scalar(select(STATE.c.model).where(STATE.c.id == 1))
    row = (await session.execute(_DIGESTS)).one()
    return PolicyParts(
        model=_hash(model if model is not None else stored or ""),
        lines=row.lines,
        memberships=row.memberships,
        inactive=row.inactive,
    )


async def read_inactive(session: AsyncSession) -> list[str]:
    """Who is not active, as it is signed."""
    return list((await session.scalars(select(_NOT_ACTIVE.c.name))).all())


async def team_digest_fits(session: AsyncSession, team: str) -> bool:
    """Whether the memberships of a team are those of its digest."""
    row = (await session.execute(_FITS, {"team": team})).one_or_none()
    return row is None or row.stored == row.actual


async def teams_without_fit(session: AsyncSession) -> list[str]:
    """The teams whose memberships are not those of their digest, in order."""
    return sorted((await session.scalars(_UNFIT)).all())


async def renew_team_digests(session: AsyncSession, teams: Collection[str] | None) -> None:
    """Compute the digests of the memberships of these teams anew; None means of all."""
    await session.execute(_RENEW if teams is None else _RENEW.where(_TEAMS.c.slug.in_(teams)))


def _lines_of(lines: Iterable[Sequence[Any]], ptype: str) -> tuple[RuleRecord, ...]:
    return tuple(_RULE_COLUMNS.record(line, at=1) for line in lines if line[0] == ptype)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def policy_version(number: int | None, digest: str) -> str:
    """The name of a version from its row; "0" without one."""
    return NO_POLICY if number is None else f"{number}-{digest[:16]}"


def _text_of(row: Any, *order: ColumnElement[Any]) -> ColumnElement[str]:
    """All rows of a table as the text of one JSON array; the same on every server and locale."""
    rows = func.jsonb_agg(aggregate_order_by(row, *order))
    return cast(func.coalesce(rows, literal_column("'[]'::jsonb")), Text)


def _plain(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The column in an order that does not depend on the locale of the server."""
    return column.collate("C")


def _digest_of(text: ColumnElement[str]) -> ColumnElement[str]:
    return func.encode(func.sha256(func.convert_to(text, "UTF8")), "hex")


_LINES: Final = select(
    _text_of(
        func.jsonb_build_array(_RULES.c.ptype, *_RULE_COLUMNS),
        _plain(_RULES.c.ptype),
        _plain(cast(func.to_jsonb(_RULES.c.fields), Text)),
    ).label("text")
).subquery()
_LOWER: Final = func.lower(_PEOPLE.c.subject)
_NOT_ACTIVE: Final = union_all(
    select(_LOWER.label("name")).where(_PEOPLE.c.state != PersonState.ACTIVE.value),
    select(_PEOPLE.c.suspended_by.concat(":").concat(_LOWER).label("name")).where(
        _PEOPLE.c.state == PersonState.SUSPENDED.value, _PEOPLE.c.suspended_by.in_(["scim", "both"])
    ),
).subquery()
_INACTIVE: Final = select(
    _text_of(func.to_jsonb(_NOT_ACTIVE.c.name), _plain(_NOT_ACTIVE.c.name)).label("text")
).subquery()
"""People who are suspended or have left: their memberships count for nothing.

Whom a directory has suspended, and may let in again, is there a second time, as `scim:<subject>`;
as `both:<subject>` if somebody here has suspended them too.
"""
_MEMBERS_TEXT: Final = _text_of(
    func.jsonb_build_array(*_MEMBERSHIP_COLUMNS), _plain(_MEMBERSHIPS.c.subject)
)
_BY_TEAM: Final = (
    select(_MEMBERSHIPS.c.team, _MEMBERS_TEXT.label("text"))
    .group_by(_MEMBERSHIPS.c.team)
    .subquery()
)
_ALL_MEMBERS: Final = select(
    func.array_agg(
        aggregate_order_by(array([_BY_TEAM.c.team, _BY_TEAM.c.text]), _plain(_BY_TEAM.c.team))
    )
)
_TEAM_ROOT: Final = select(
    _digest_of(
        func.coalesce(
            func.string_agg(
                _TEAMS.c.slug + ":" + _TEAMS.c.members_digest,
                aggregate_order_by(literal("\n"), _plain(_TEAMS.c.slug)),
            ),
            "",
        )
    )
).where(_TEAMS.c.members_digest.is_not(None))
_OF_TEAM: Final = (
    select(_digest_of(_MEMBERS_TEXT))
    .where(_MEMBERSHIPS.c.team == _TEAMS.c.slug)
    .having(func.count() > 0)
    .correlate(_TEAMS)
    .scalar_subquery()
)
_FITS: Final = select(
    func.coalesce(_TEAMS.c.members_digest, "").label("stored"),
    func.coalesce(_OF_TEAM, "").label("actual"),
).where(_TEAMS.c.slug == bindparam("team"))
_UNFIT: Final = select(_TEAMS.c.slug).where(_TEAMS.c.members_digest.is_distinct_from(_OF_TEAM))
_RENEW: Final = update(_TEAMS).values(members_digest=_OF_TEAM)
_VERSION: Final = select(STATE.c.version, STATE.c.digest).where(STATE.c.id == 1)
_POLICY: Final = select(
    STATE.c.version,
    STATE.c.digest,
    STATE.c.model,
    STATE.c.signature,
    select(_LINES.c.text).scalar_subquery().label("lines"),
    _ALL_MEMBERS.scalar_subquery().label("memberships"),
    select(_INACTIVE.c.text).scalar_subquery().label("inactive"),
).where(STATE.c.id == 1)
_DIGESTS: Final = select(
    select(_digest_of(_LINES.c.text)).scalar_subquery().label("lines"),
    _TEAM_ROOT.scalar_subquery().label("memberships"),
    select(_digest_of(_INACTIVE.c.text)).scalar_subquery().label("inactive"),
)
