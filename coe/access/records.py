"""What the database holds of the policy, read in one statement so that it is of one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

NO_POLICY: Final = "0"
_VERSION: Final = text("SELECT version, digest FROM policy_state WHERE id = 1")
_ROWS: Final = text("""
    SELECT version, digest, model,
           coalesce((SELECT jsonb_agg(jsonb_build_array(to_jsonb(fields), note, source)
                                      ORDER BY ptype, fields)
                     FROM policy_rules WHERE ptype = 'p'), '[]') AS rules,
           coalesce((SELECT jsonb_agg(jsonb_build_array(to_jsonb(fields), note, source)
                                      ORDER BY fields)
                     FROM policy_rules WHERE ptype = 'n'), '[]') AS network,
           coalesce((SELECT jsonb_agg(jsonb_build_array(subject, team, to_jsonb(roles))
                                      ORDER BY team, subject)
                     FROM memberships), '[]') AS memberships
    FROM policy_state WHERE id = 1
""").columns(rules=JSONB(), network=JSONB(), memberships=JSONB())


@dataclass(frozen=True, slots=True)
class RuleRecord:
    """A policy line as stored: not yet known to be sound."""

    fields: tuple[str, ...]
    note: str | None
    source: str


@dataclass(frozen=True, slots=True)
class PolicyRecord:
    """Everything that a policy is made of. `memberships` are (subject, team, roles)."""

    version: str = NO_POLICY
    model: str = ""
    rules: tuple[RuleRecord, ...] = ()
    memberships: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    network: tuple[RuleRecord, ...] = ()


def version_of(number: int, digest: str) -> str:
    """Name a version: its number, and of what it is."""
    return f"{number}-{digest[:16]}"


async def read_policy_version(session: AsyncSession) -> str:
    """Read which policy is in force; "0" where there is none."""
    row = (await session.execute(_VERSION)).one_or_none()
    return version_of(row.version, row.digest) if row else NO_POLICY


async def read_policy(session: AsyncSession) -> PolicyRecord:
    """Read the policy in force whole."""
    row = (await session.execute(_ROWS)).one_or_none()
    if row is None:
        return PolicyRecord()
    return PolicyRecord(
        version=version_of(row.version, row.digest),
        model=row.model,
        rules=_lines(row.rules),
        network=_lines(row.network),
        memberships=tuple(
            (subject, team, tuple(roles)) for subject, team, roles in row.memberships
        ),
    )


def _lines(rows: list[tuple[list[str], str | None, str]]) -> tuple[RuleRecord, ...]:
    return tuple(RuleRecord(tuple(fields), note, source) for fields, note, source in rows)
