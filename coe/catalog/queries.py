"""Reads of the catalog, each starting from what the actor may read (`entry:read`).

The batch functions take ids and leave out what is not there or may not be read, so that a
DataLoader can call them as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from coe.catalog.models import EntryKind
from coe.catalog.rows import (
    ApprovalRow,
    EntryRow,
    FlowContent,
    Page,
    RunnableFlow,
    VersionChange,
    VersionRow,
)
from coe.work import Read


async def find_entry(read: Read, ref: str, kind: EntryKind | None = None) -> EntryRow | None:
    """The entry that a ref names (its version part is not looked at), if it may be read."""
    ...


async def find_version(read: Read, ref: str, kind: EntryKind | None = None) -> VersionRow | None:
    """The version that a ref resolves to (`live` without a version part), if it may be read."""
    ...


async def entries_by_id(read: Read, ids: Sequence[UUID]) -> dict[UUID, EntryRow]:
    """Entries by their ids."""
    ...


async def entries_by_ref(read: Read, refs: Sequence[str]) -> dict[str, EntryRow]:
    """Entries by `namespace/name`."""
    ...


async def versions_by_id(read: Read, ids: Sequence[UUID]) -> dict[UUID, VersionRow]:
    """Versions by their ids."""
    ...


async def resolve_versions(
    read: Read, keys: Sequence[tuple[UUID, str | None]]
) -> dict[tuple[UUID, str | None], VersionRow]:
    """Versions by entry id and selector: exact, range, alias, or none for `live`."""
    ...


async def versions_page(
    read: Read, entry_id: UUID, *, first: int = 20, after: str | None = None
) -> Page[VersionRow]:
    """The versions of an entry, highest precedence first."""
    ...


async def flows_page(
    read: Read, team: str, *, first: int = 20, after: str | None = None
) -> Page[EntryRow]:
    """The flows of a team, by title."""
    ...


async def aliases(read: Read, entry_ids: Sequence[UUID]) -> dict[UUID, dict[str, str]]:
    """For each entry its aliases, each with its exact version."""
    ...


async def systems_of(read: Read, entry_ids: Sequence[UUID]) -> dict[UUID, list[EntryRow]]:
    """For each entry the systems that its current version uses."""
    ...


async def calls(read: Read, entry_ids: Sequence[UUID]) -> dict[UUID, list[EntryRow]]:
    """For each flow those that its current version calls."""
    ...


async def called_by(read: Read, entry_ids: Sequence[UUID]) -> dict[UUID, list[EntryRow]]:
    """For each flow those whose current version calls it."""
    ...


async def approvals(read: Read, version_ids: Sequence[UUID]) -> dict[UUID, list[ApprovalRow]]:
    """For each version the decisions of its reviewers, oldest first."""
    ...


async def flow_contents(read: Read, version_ids: Sequence[UUID]) -> dict[UUID, FlowContent]:
    """Definition, schemas and problems of flow versions, opened and checked by their digest."""
    ...


async def diagram(read: Read, version_id: UUID) -> str | None:
    """Mermaid source of a flow version."""
    ...


async def diff(read: Read, version_id: UUID, to: str) -> VersionChange | None:
    """How version `version_id` differs from `to` (a version or alias of the same flow), as the older."""
    ...


async def runnable(session: AsyncSession, read: Read, ref: str) -> RunnableFlow:
    """The version of a flow to run, opened: PUBLISHED or DEPRECATED.

    Not narrowed to what the actor may read: the caller has decided `run:start`.

    Raises:
        NotFound: No such flow, or nothing that the ref resolves to.
        Conflict: The version is a draft, in review or retired.
    """
    ...
