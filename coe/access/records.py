"""The stored policy, read in one statement so that all parts are of one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final

from sqlalchemy import ColumnElement, ScalarSelect, Table, exists, func, literal_column, select
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel

from coe.access.models import Membership, Person, PersonState, PolicyRule, PolicyState
from coe.db.records import Columns, From
from coe.formats import instants

NO_POLICY: Final = "0"
"""The version of an installation that has no policy yet."""


def _table(model: type[SQLModel]) -> Table:
    return SQLModel.metadata.tables[str(model.__tablename__)]


def _instant(stored: str | None) -> datetime | None:
    """A time as `jsonb_build_array` writes it."""
    return instants.read(stored) if stored else None


_RULES: Final = _table(PolicyRule)
_MEMBERSHIPS: Final = _table(Membership)
_STATE: Final = _table(PolicyState)
_PEOPLE: Final = _table(Person)


@dataclass(frozen=True, slots=True)
class RuleRecord:
    """A policy line as stored; its fields are not checked yet."""

    fields: tuple[str, ...]
    note: str | None
    source: str


@dataclass(frozen=True, slots=True)
class MembershipRecord:
    """A subject in a team, with its roles there; it may have none.

    It counts until `expires_at`. `granted` are further roles, each until its time.
    """

    subject: str
    team: str
    roles: tuple[str, ...]
    expires_at: Annotated[datetime | None, From("expires_at", make=_instant)] = None
    granted: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PolicyRecord:
    """Everything that a policy is made of."""

    version: str = NO_POLICY
    model: str = ""
    rules: tuple[RuleRecord, ...] = ()
    memberships: tuple[MembershipRecord, ...] = ()
    network: tuple[RuleRecord, ...] = ()
    approvals: tuple[RuleRecord, ...] = ()
    step_up: tuple[RuleRecord, ...] = ()


_RULE_COLUMNS: Final = Columns(RuleRecord, _RULES)
_MEMBERSHIP_COLUMNS: Final = Columns(MembershipRecord, _MEMBERSHIPS)


async def read_policy_version(session: AsyncSession) -> str:
    """The version of the policy in force; "0" without one."""
    row = (await session.execute(_VERSION)).one_or_none()
    return _version_name(row.version, row.digest) if row else NO_POLICY


async def read_policy(session: AsyncSession) -> PolicyRecord:
    """The policy in force, whole."""
    row = (await session.execute(_POLICY)).one_or_none()
    if row is None:
        return PolicyRecord()
    return PolicyRecord(
        version=_version_name(row.version, row.digest),
        model=row.model,
        rules=tuple(map(_RULE_COLUMNS.record, row.rules)),
        memberships=tuple(map(_MEMBERSHIP_COLUMNS.record, row.memberships)),
        network=tuple(map(_RULE_COLUMNS.record, row.network)),
        approvals=tuple(map(_RULE_COLUMNS.record, row.approvals)),
        step_up=tuple(map(_RULE_COLUMNS.record, row.step_up)),
    )


def _version_name(number: int, digest: str) -> str:
    return f"{number}-{digest[:16]}"


def _rows_of(
    columns: Columns[Any],
    *order: ColumnElement[Any],
    where: ColumnElement[bool] | None = None,
) -> ScalarSelect[Any]:
    """All rows of a table as one JSON array, each row an array of its columns."""
    row = aggregate_order_by(func.jsonb_build_array(*columns), *order)
    rows = func.coalesce(func.jsonb_agg(row), literal_column("'[]'::jsonb"), type_=JSONB)
    query = select(rows)
    return (query if where is None else query.where(where)).scalar_subquery()


_INACTIVE: Final = exists().where(
    func.lower(_PEOPLE.c.subject) == func.lower(_MEMBERSHIPS.c.subject),
    _PEOPLE.c.state != PersonState.ACTIVE.value,
)
"""Memberships of people who are suspended or have left: they count for nothing."""
_VERSION: Final = select(_STATE.c.version, _STATE.c.digest).where(_STATE.c.id == 1)
_POLICY: Final = select(
    _STATE.c.version,
    _STATE.c.digest,
    _STATE.c.model,
    _rows_of(_RULE_COLUMNS, _RULES.c.fields, where=_RULES.c.ptype == "p").label("rules"),
    _rows_of(_RULE_COLUMNS, _RULES.c.fields, where=_RULES.c.ptype == "n").label("network"),
    _rows_of(_RULE_COLUMNS, _RULES.c.fields, where=_RULES.c.ptype == "a").label("approvals"),
    _rows_of(
        _MEMBERSHIP_COLUMNS, _MEMBERSHIPS.c.team, _MEMBERSHIPS.c.subject, where=~_INACTIVE
    ).label("memberships"),
    _rows_of(_RULE_COLUMNS, _RULES.c.fields, where=_RULES.c.ptype == "s").label("step_up"),
).where(_STATE.c.id == 1)
