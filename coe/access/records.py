"""The stored policy, read in one statement so that all parts are of one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, ScalarSelect, Table, func, literal_column, select
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel

from coe.access.models import Membership, PolicyRule, PolicyState
from coe.db.records import Columns

NO_POLICY: Final = "0"
"""The version of an installation that has no policy yet."""


def _table(model: type[SQLModel]) -> Table:
    return SQLModel.metadata.tables[str(model.__tablename__)]


_RULES: Final = _table(PolicyRule)
_MEMBERSHIPS: Final = _table(Membership)
_STATE: Final = _table(PolicyState)


@dataclass(frozen=True, slots=True)
class RuleRecord:
    """A policy line as stored; its fields are not checked yet."""

    fields: tuple[str, ...]
    note: str | None
    source: str


@dataclass(frozen=True, slots=True)
class MembershipRecord:
    """A subject in a team, with its roles there; it may have none."""

    subject: str
    team: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PolicyRecord:
    """Everything that a policy is made of."""

    version: str = NO_POLICY
    model: str = ""
    rules: tuple[RuleRecord, ...] = ()
    memberships: tuple[MembershipRecord, ...] = ()
    network: tuple[RuleRecord, ...] = ()


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


_VERSION: Final = select(_STATE.c.version, _STATE.c.digest).where(_STATE.c.id == 1)
_POLICY: Final = select(
    _STATE.c.version,
    _STATE.c.digest,
    _STATE.c.model,
    _rows_of(_RULE_COLUMNS, _RULES.c.fields, where=_RULES.c.ptype == "p").label("rules"),
    _rows_of(_RULE_COLUMNS, _RULES.c.fields, where=_RULES.c.ptype == "n").label("network"),
    _rows_of(_MEMBERSHIP_COLUMNS, _MEMBERSHIPS.c.team, _MEMBERSHIPS.c.subject).label("memberships"),
).where(_STATE.c.id == 1)
