"""Decrypted contents of flow versions, with their diagrams and differences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from coe.catalog.flows.computed import changes, mermaid_of_text, saved_flow, svg_of_text
from coe.catalog.models import EntryKind
from coe.catalog.records import (
    ENTRY_COLUMNS,
    VERSION_COLUMNS,
    FlowContent,
    RunnableFlow,
    VersionChange,
)
from coe.catalog.refs import require_ref
from coe.catalog.scope import readable_versions
from coe.catalog.tables import ENTRIES, VERSIONS
from coe.catalog.versions.disclosure import IDENTITY, disclose
from coe.catalog.versions.lifecycle import RUNNABLE
from coe.catalog.versions.resolution import resolve
from coe.catalog.versions.sealing import problems_from_json, unseal
from coe.catalog.versions.signatures import require_published
from coe.errors import Conflict, NotFound
from coe.json_types import JSON
from coe.work import Platform, Read

_SEALED = ("content_sealed", "schemas_sealed", "problems_sealed")


async def flow_contents(
    read: Read, version_ids: Sequence[UUID], *, handed_out: bool = True
) -> dict[UUID, FlowContent]:
    """The definitions, schemas and problems of the flow versions that the actor may read.

    `handed_out` as for `disclose`.
    """
    query = select(*IDENTITY, *(VERSIONS.c[name] for name in _SEALED)).where(
        VERSIONS.c.id.in_(version_ids),
        VERSIONS.c.kind == EntryKind.FLOW,
        readable_versions(read),
    )
    found: dict[UUID, FlowContent] = {}
    for row in (await read.session.execute(query)).all():
        opened = await disclose(read, row, *_SEALED, handed_out=handed_out)
        schemas = _mapping(opened[1])
        found[row.id] = FlowContent(
            definition=str(_mapping(opened[0])["definition"]),
            input_schema=schemas.get("input"),
            output_schema=schemas.get("output"),
            problems=problems_from_json(opened[2]),
        )
    return found


async def diagram(read: Read, version_id: UUID) -> str | None:
    """The Mermaid source of a flow version; None if the actor may not read it."""
    found = await flow_contents(read, [version_id])
    if version_id not in found:
        return None
    return await read.compute(mermaid_of_text, found[version_id].definition)


async def diagram_svg(read: Read, version_id: UUID) -> str | None:
    """The SVG drawing of a flow version; None if the actor may not read it."""
    found = await flow_contents(read, [version_id])
    if version_id not in found:
        return None
    return await read.compute(svg_of_text, found[version_id].definition)


async def diff(read: Read, version_id: UUID, to: str) -> VersionChange | None:
    """The changes since `to`, a version or an alias of the same flow.

    None if the actor may not read both.
    """
    own = await read.session.scalar(
        select(VERSIONS.c.entry_id).where(VERSIONS.c.id == version_id, readable_versions(read)),
    )
    if own is None:
        return None
    key = (own, to)
    base = (await resolve(read.session, [key], readable_versions(read))).get(key)
    if base is None:
        return None
    opened = await flow_contents(read, [base.id, version_id])
    old, new = (opened[ident].definition for ident in (base.id, version_id))
    return await read.compute(changes, old, new)


async def runnable(session: AsyncSession, holder: Read | Platform, ref: str) -> RunnableFlow:
    """The version of a flow to run, decrypted, with its digest and signature verified.

    Not limited to what an actor may read: the caller has decided `run:start`.

    Raises:
        NotFound: There is no such flow, or the ref resolves to no version.
        Conflict: The version is a draft, in review or retired; or its signature is invalid.
    """
    parsed = require_ref(ref)
    entry_id = await session.scalar(
        select(ENTRIES.c.id).where(
            ENTRIES.c.namespace == parsed.namespace,
            ENTRIES.c.name == parsed.name,
            ENTRIES.c.kind == EntryKind.FLOW,
        ),
    )
    if entry_id is None:
        raise NotFound(f"there is no flow {parsed.entry}")
    key = (entry_id, parsed.selector)
    version = (await resolve(session, [key], true())).get(key)
    if version is None:
        raise NotFound(f"{ref} names no version that was published")
    if version.lifecycle not in RUNNABLE:
        raise Conflict(f"{version.ref} is {version.lifecycle}: only a published version runs")
    return await runnable_version(session, holder, version.id, starting=True)


async def runnable_version(
    session: AsyncSession,
    holder: Read | Platform,
    version_id: UUID,
    *,
    starting: bool = False,
) -> RunnableFlow:
    """The same by the id of a version that was published: a run keeps it when it is retired.

    Raises:
        NotFound: There is no such flow version.
        NotAsPublished: It is not what was published.
    """
    query = (
        select(*ENTRY_COLUMNS, *_labelled(VERSION_COLUMNS), VERSIONS.c.content_sealed)
        .join(VERSIONS, VERSIONS.c.entry_id == ENTRIES.c.id)
        .where(VERSIONS.c.id == version_id, VERSIONS.c.kind == EntryKind.FLOW)
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise NotFound
    version = VERSION_COLUMNS.record(row, at=len(ENTRY_COLUMNS))
    column, sealed = "content_sealed", row.content_sealed
    opened = await unseal(holder.keyring, version.id, version.team, column, sealed)
    document = await holder.compute(saved_flow, definition_in(opened))
    await require_published(holder, version, document.digest, starting=starting)
    manifest = document.manifest
    return RunnableFlow(
        entry=ENTRY_COLUMNS.record(row),
        version=version,
        definition=document.source.text,
        input_schema=document.input_schema,
        output_schema=document.output_schema,
        entrypoint=manifest.entrypoint if manifest else None,
        timeout=manifest.timeout if manifest else None,
    )


def definition_in(content: JSON) -> str:
    """The document in the decrypted `content_sealed` of a flow, as text."""
    return str(_mapping(content)["definition"])


def _mapping(value: JSON) -> dict[str, JSON]:
    return value if isinstance(value, dict) else {}


def _labelled(columns: Iterable[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    return [column.label(f"version_{place}") for place, column in enumerate(columns)]
