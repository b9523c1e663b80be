"""Load the access files into the database: teams, members, policy lines and the model."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from sqlalchemy import delete, inspect, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from coe.access.files import ACCESS_FILE_CODE, AccessFiles, TeamDocument, read_files
from coe.access.membership_changes import (
    GivenMembership,
    MembersSource,
    drop_membership,
    hand_over,
    is_person,
    named_source,
    put_membership,
    sources_of,
    without_team,
)
from coe.access.models import (
    FROM_CONTENT,
    Membership,
    PolicyRule,
    PolicyState,
    Team,
)
from coe.access.signed_policy import (
    PolicyChanged,
    current_parts,
    hold_policy,
    is_signed,
    lock_changed_policy,
    require_verified,
    sign,
)
from coe.db import new_id, utcnow
from coe.errors import Invalid, Problem

_MOST_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """The policy after loading: its version number, and whether that is new.

    `left` are the subjects that the change took out of their last team.
    """

    version: int
    changed: bool
    left: tuple[str, ...] = ()


async def load_access_files(
    session: AsyncSession, root: Path, *, accept_changes: bool = False
) -> LoadedPolicy:
    """Replace the teams, memberships and policy lines with those of the files; the caller commits.

    Loading the same files again changes nothing. Lines and memberships of another origin stay. A
    team without a file stays too, because its namespace outlives it; its members from files do not.
    Where a team's people come from another source, the file's services are loaded.

    Args:
        session: The transaction of all changes.
        root: The folder that holds `policies/` and `catalog/`.
        accept_changes: Sign also what is not from the files, in a policy that is not what was
            signed: the operator has looked at it.

    Raises:
        Invalid: The files have problems, each with its file and line; nothing is changed.
        PolicyChanged: The policy is not what was signed, and it has lines or memberships that are
            not from the files, so that these do not mend it.
    """
    files = await asyncio.to_thread(read_files, root)
    changed = await lock_changed_policy(session)
    await _sync_teams(session, files.teams)
    dropped = await _sync_memberships(session, files.teams)
    await _sync_rules(session, files)
    if changed is not None and not accept_changes:
        await _require_files_only(session, changed)
    loaded = await renew_version(session, model=files.model)
    return replace(loaded, left=await without_team(session, dropped, utcnow()))


async def renew_version(session: AsyncSession, *, model: str | None = None) -> LoadedPolicy:
    """Give the policy a new version if lines, memberships or model changed; the caller commits.

    Call it in the transaction that changes one of these tables: without a new version, processes
    keep the policy that they hold.

    Args:
        session: The transaction of the change.
        model: The text of the model; the one in force by default.
    """
    await hold_policy(session)
    require_verified(session)
    state = await session.get(PolicyState, 1, populate_existing=True)
    text = model if model is not None else (state.model if state else "")
    parts = await current_parts(session, model=text)
    if state is None:
        state = PolicyState(version=1, digest=parts.digest, model=text)
        session.add(state)
    elif state.digest == parts.digest and is_signed(session, state.version, parts, state.signature):
        return LoadedPolicy(state.version, changed=False)
    else:
        state.version += 1
        state.digest, state.model, state.changed_at = parts.digest, text, utcnow()
    state.signature = sign(session, state.version, parts)
    await session.flush()
    return LoadedPolicy(state.version, changed=True)


async def _require_files_only(session: AsyncSession, changed: PolicyChanged) -> None:
    """Refuse to sign lines and memberships that are not from the files.

    Raises:
        PolicyChanged: There are some; the message names them.
    """
    lines = await session.scalars(
        select(col(PolicyRule.fields)).where(col(PolicyRule.origin) != FROM_CONTENT)
    )
    members = await session.execute(
        select(col(Membership.team), col(Membership.subject)).where(
            (col(Membership.origin) != FROM_CONTENT) | (col(Membership.granted) != {})
        )
    )
    found = [", ".join(fields) for fields in lines]
    found += [f"{row.subject} in {row.team}" for row in members]
    if found:
        shown = "; ".join(found[:_MOST_SHOWN]) + (" …" if len(found) > _MOST_SHOWN else "")
        raise PolicyChanged(
            f"{changed.message} These are not from the files: {shown}. Take out what nobody gave, "
            "or accept all of it with `coe content load --accept-access`"
        )


async def _sync_teams(session: AsyncSession, teams: Iterable[TeamDocument]) -> None:
    rows = [
        {
            "slug": team.team,
            "id": new_id(),
            "name": team.name,
            "domain": team.domain,
            "contact": team.contact,
        }
        for team in teams
    ]
    await _upsert(session, Team, rows, keys=("slug",), values=("name", "domain", "contact"))


async def _sync_memberships(session: AsyncSession, teams: Iterable[TeamDocument]) -> frozenset[str]:
    """Make the memberships those of the files; the subjects that were taken out of a team."""
    teams = tuple(teams)
    await _sync_sources(session, teams)
    wanted = {
        (team.team, person.subject): GivenMembership(
            team.team, person.subject, person.name, tuple(person.roles)
        )
        for team in teams
        for person in team.people
    }
    rows = await session.scalars(
        select(Membership)
        .where(col(Membership.origin) == FROM_CONTENT)
        .execution_options(populate_existing=True)
    )
    stored = {(row.team, row.subject): row for row in rows}
    dropped = sorted(set(stored) - set(wanted))
    for team, subject in dropped:
        await drop_membership(session, team, subject)
    for key, given in wanted.items():
        row = stored.get(key)
        same = row is not None and (row.display_name, sorted(row.roles)) == (
            given.display_name,
            sorted(set(given.roles)),
        )
        if not same:
            await put_membership(session, FROM_CONTENT, given)
    return frozenset(subject for _, subject in dropped)


async def _sync_sources(session: AsyncSession, teams: Sequence[TeamDocument]) -> None:
    """Give teams the source that their file names; refuse members that another source has.

    Raises:
        Invalid: A file has members, and another source has the say about them.
    """
    stored = await sources_of(session, {team.team for team in teams})
    problems: list[Problem] = []
    for team in teams:
        source = stored.get(team.team, FROM_CONTENT)
        if team.members_source is not None and team.members_source != source:
            await hand_over(session, team.team, MembersSource(team.members_source))
        elif source != FROM_CONTENT and any(is_person(each.subject) for each in team.members):
            name = f"catalog/teams/{team.team}.yaml"
            message = (
                f"{name}: the members of {team.team} come from {named_source(source, team.team)}"
            )
            help_ = f"take out `members`, or write `members_source: {source}` or `content`"
            problems.append(Problem(ACCESS_FILE_CODE, message, path=name, help=help_))
    if problems:
        raise Invalid(problems)


async def _sync_rules(session: AsyncSession, files: AccessFiles) -> None:
    rows = [
        {
            "id": new_id(),
            "ptype": ptype,
            "fields": list(line.fields),
            "note": line.note,
            "source": line.source,
            "origin": FROM_CONTENT,
        }
        for ptype, lines in (
            ("p", files.lines),
            ("n", files.network),
            ("a", files.approvals),
            ("s", files.step_up),
        )
        for line in lines
    ]
    await _delete_others(session, PolicyRule, rows, keys=("ptype", "fields"))
    values = ("note", "source", "origin")
    await _upsert(session, PolicyRule, rows, keys=("ptype", "fields"), values=values)


async def _delete_others(
    session: AsyncSession,
    table: type[PolicyRule],
    rows: list[dict[str, Any]],
    *,
    keys: tuple[str, ...],
) -> None:
    """Delete the rows that an earlier load added and the files no longer have."""

    def key(values: Iterable[Any]) -> tuple[object, ...]:
        return tuple(tuple(value) if isinstance(value, list) else value for value in values)

    kept = {key(row[name] for name in keys) for row in rows}
    columns = [inspect(table).columns[name] for name in keys]
    stored = await session.execute(select(*columns).where(col(table.origin) == FROM_CONTENT))
    for row in stored.all():
        if key(row) not in kept:
            same = (column == value for column, value in zip(columns, row, strict=True))
            await session.execute(delete(table).where(*same))


async def _upsert(
    session: AsyncSession,
    table: type[Any],
    rows: list[dict[str, Any]],
    *,
    keys: tuple[str, ...],
    values: tuple[str, ...],
) -> None:
    """Insert the rows; where the keys exist, update what differs, so that ids stay."""
    if not rows:
        return
    statement = insert(table)
    changed = {name: statement.excluded[name] for name in values}
    differs = or_(*(inspect(table).columns[n].is_distinct_from(v) for n, v in changed.items()))
    await session.execute(
        statement.on_conflict_do_update(index_elements=list(keys), set_=changed, where=differs),
        rows,
    )
