"""Read templates; the functions take many ids at once, for data loaders."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on

from coe.catalog.models import EntryKind, Lifecycle
from coe.catalog.records import FacetValue
from coe.catalog.scope import readable_entries, readable_versions
from coe.catalog.tables import ENTRIES, VERSIONS
from coe.catalog.versions.disclosure import IDENTITY, disclose, note_reading
from coe.json_types import JSON
from coe.templates.manifest import FLOW, README
from coe.templates.origins import ORIGINS, open_parameters
from coe.templates.records import OriginRecord, TemplateContent, TemplateUsage
from coe.work import Read


async def template_contents(
    read: Read,
    version_ids: Sequence[UUID],
    *,
    handed_out: bool = True,
) -> dict[UUID, TemplateContent]:
    """Files and parameter schemas of the template versions that the actor may read.

    `handed_out` as for `disclose`.
    """
    sealed = ("content_sealed", "schemas_sealed")
    query = select(*IDENTITY, *(VERSIONS.c[name] for name in sealed)).where(
        VERSIONS.c.id.in_(version_ids),
        VERSIONS.c.kind == EntryKind.TEMPLATE,
        readable_versions(read),
    )
    found: dict[UUID, TemplateContent] = {}
    for row in (await read.session.execute(query)).all():
        content, schemas = await disclose(read, row, *sealed, handed_out=handed_out)
        texts = {path: str(text) for path, text in _mapping(content).items()}
        found[row.id] = TemplateContent(
            parameters=_mapping(schemas).get("parameters"),
            definition=texts[FLOW],
            readme=texts.get(README),
            files=texts,
        )
    return found


async def usage(read: Read, entry_ids: Sequence[UUID]) -> dict[UUID, TemplateUsage]:
    """Count the flows made from each template, over all teams.

    A flow counts once, for the template version from which its newest version was made. The latest
    version is the template's highest published one.
    """
    newest = (
        select(
            ORIGINS.c.template_entry_id,
            ORIGINS.c.flow_team,
            VERSIONS.c.version,
            VERSIONS.c.precedence,
        )
        .ext(distinct_on(ORIGINS.c.template_entry_id, ORIGINS.c.flow_entry_id))
        .join(VERSIONS, VERSIONS.c.id == ORIGINS.c.template_version_id)
        .join(ENTRIES, ENTRIES.c.id == ORIGINS.c.template_entry_id)
        .where(ENTRIES.c.id.in_(entry_ids), readable_entries(read))
        .order_by(
            ORIGINS.c.template_entry_id,
            ORIGINS.c.flow_entry_id,
            ORIGINS.c.created_at.desc(),
        )
    )
    made: defaultdict[UUID, list[Any]] = defaultdict(list)
    for row in (await read.session.execute(newest)).all():
        made[row.template_entry_id].append(row)
    latest = await _latest(read, entry_ids)
    return {ident: _counted(made[ident], latest.get(ident)) for ident in dict.fromkeys(entry_ids)}


async def origins(read: Read, version_ids: Sequence[UUID]) -> dict[UUID, OriginRecord]:
    """The origin of each flow version that was made from a template."""
    template, newer = VERSIONS.alias("template"), VERSIONS.alias("newer")
    behind = (
        select(func.count())
        .where(
            newer.c.entry_id == template.c.entry_id,
            newer.c.lifecycle == Lifecycle.PUBLISHED,
            newer.c.precedence > template.c.precedence,
        )
        .scalar_subquery()
    )
    query = (
        select(
            ORIGINS.c.flow_version_id,
            ORIGINS.c.template_version_id,
            ORIGINS.c.digest,
            VERSIONS.c.edited_at,
            VERSIONS.c.digest.label("digest_now"),
            behind.label("behind"),
        )
        .join(VERSIONS, VERSIONS.c.id == ORIGINS.c.flow_version_id)
        .join(template, template.c.id == ORIGINS.c.template_version_id)
        .where(ORIGINS.c.flow_version_id.in_(version_ids), readable_versions(read))
    )
    found: dict[UUID, OriginRecord] = {}
    for row in (await read.session.execute(query)).all():
        found[row.flow_version_id] = OriginRecord(
            template_version_id=row.template_version_id,
            behind_by=row.behind,
            changed=(
                row.edited_at is not None if row.digest is None else row.digest != row.digest_now
            ),
        )
    return found


async def origin_parameters(read: Read, version_ids: Sequence[UUID]) -> dict[UUID, JSON]:
    """The parameters with which each flow version was made from a template; they are a reading."""
    query = (
        select(*IDENTITY, ORIGINS.c.flow_team, ORIGINS.c.parameters_sealed)
        .join(ORIGINS, VERSIONS.c.id == ORIGINS.c.flow_version_id)
        .where(VERSIONS.c.id.in_(version_ids), readable_versions(read))
    )
    found: dict[UUID, JSON] = {}
    for row in (await read.session.execute(query)).all():
        note_reading(read, row)
        sealed = row.parameters_sealed
        found[row.id] = await open_parameters(read.keyring, row.id, row.flow_team, sealed)
    return found


async def _latest(read: Read, entry_ids: Sequence[UUID]) -> dict[UUID, str]:
    query = (
        select(VERSIONS.c.entry_id, VERSIONS.c.version)
        .ext(distinct_on(VERSIONS.c.entry_id))
        .where(VERSIONS.c.entry_id.in_(entry_ids), VERSIONS.c.lifecycle == Lifecycle.PUBLISHED)
        .order_by(VERSIONS.c.entry_id, VERSIONS.c.precedence.desc())
    )
    return {row.entry_id: row.version for row in (await read.session.execute(query)).all()}


def _counted(made: Sequence[Any], latest: str | None) -> TemplateUsage:
    highest_first = sorted(made, key=lambda row: row.precedence, reverse=True)
    counts = Counter(row.version for row in highest_first)
    return TemplateUsage(
        flows=len(made),
        flows_on_latest=counts[latest] if latest else 0,
        teams=len({row.flow_team for row in made}),
        by_version=tuple(FacetValue(version, number) for version, number in counts.items()),
    )


def _mapping(value: JSON) -> dict[str, JSON]:
    return value if isinstance(value, dict) else {}
