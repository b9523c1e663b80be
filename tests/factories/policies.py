"""Policies for tests: the shipped one without a database, and small ones made on the spot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from coe.access.files import read_files
from coe.access.load import LoadedPolicy, renew_version
from coe.access.policy import Policy
from coe.access.records import MembershipRecord, PolicyRecord, RuleRecord
from coe.access.signed_policy import lock_changed_policy

ROOT = Path(__file__).resolve().parents[2]
MODEL = (ROOT / "policies" / "model.conf").read_text()


def shipped() -> Policy:
    """The policy of the shipped files."""
    files = read_files(ROOT)
    return Policy(
        PolicyRecord(
            version="shipped",
            model=files.model,
            rules=tuple(RuleRecord(line.fields, line.note, line.source) for line in files.lines),
            memberships=tuple(
                MembershipRecord(person.subject, team.team, tuple(person.roles))
                for team in files.teams
                for person in team.people
            ),
        )
    )


def policy_of(
    lines: Iterable[str] | Iterable[tuple[str, ...]],
    members: Mapping[str, Mapping[str, Iterable[str]]] | None = None,
    *,
    version: str = "test",
    model: str = MODEL,
) -> Policy:
    """A policy of lines ("owner * run:start * allow") and members (subject to team to roles)."""
    rules = [tuple(line.split()) if isinstance(line, str) else line for line in lines]
    return Policy(
        PolicyRecord(
            version=version,
            model=model,
            rules=tuple(RuleRecord(fields, None, f"test:{i}") for i, fields in enumerate(rules, 1)),
            memberships=tuple(
                MembershipRecord(subject, team, tuple(roles))
                for subject, teams in (members or {}).items()
                for team, roles in teams.items()
            ),
        )
    )


async def sign_policy(session: AsyncSession) -> LoadedPolicy:
    """Sign what the test has written into the tables, as no verb would."""
    await lock_changed_policy(session)
    return await renew_version(session)
