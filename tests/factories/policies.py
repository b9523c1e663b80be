"""Policies for tests: the shipped one without a database, and small ones made on the spot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from coe.access.files import read_files
from coe.access.load import LoadedPolicy, renew_version
from coe.access.policy import Policy
from coe.access.records import PolicyRecord, RuleRecord, TeamRecord
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
            teams=tuple(
                TeamRecord(
                    team.team, {person.subject: tuple(person.roles) for person in team.people}
                )
                for team in files.teams
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
            teams=tuple(
                TeamRecord(
                    team,
                    {
                        subject: tuple(teams[team])
                        for subject, teams in (members or {}).items()
                        if team in teams
                    },
                )
                for team in sorted({team for teams in (members or {}).values() for team in teams})
            ),
        )
    )


async def sign_policy(session: AsyncSession) -> LoadedPolicy:
    """Sign what the test has written into the tables, as no verb would."""
    await lock_changed_policy(session)
    return await renew_version(session)
