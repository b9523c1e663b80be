"""Sign the publications of earlier releases, which signed only digests.

A row alone proves nothing: whoever can write the database could have made a draft PUBLISHED. So a
publication is signed only if the audit log has it: an event of the verb, whose detail is sealed
with the team's key, with the digest of the content that the row still has. Nobody can make that
without the keys, and a detail of another event names another digest. What the log says is retired
is signed as retired, whatever its row says.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from sqlalchemy import select
from sqlmodel import col

from coe.audit.events import AuditOutcome, Tag
from coe.audit.log import AUDIT_PURPOSE, cell_of
from coe.audit.models import AuditEvent
from coe.catalog.models import EntryKind, EntryVersion, Lifecycle, ReviewVerdict
from coe.catalog.versions.sealing import unseal
from coe.catalog.versions.signatures import sign_publication, sign_retirement
from coe.catalog.versions.written import require_row_as_written
from coe.errors import CoeError
from coe.json_types import JSON
from coe.language.source import Unreadable
from coe.work import Work

_EVENTS: Final = AuditEvent.metadata.tables["audit_events"]
_PUBLISH: Final = {
    EntryKind.DECISION: Tag.CATALOG_DECISION_PUBLISH,
    EntryKind.FLOW: Tag.CATALOG_FLOW_PUBLISH,
    EntryKind.TEMPLATE: Tag.CATALOG_TEMPLATE_PUBLISH,
}
_REVIEW: Final = {
    EntryKind.DECISION: Tag.CATALOG_DECISION_REVIEW,
    EntryKind.FLOW: Tag.CATALOG_FLOW_REVIEW,
    EntryKind.TEMPLATE: Tag.CATALOG_TEMPLATE_REVIEW,
}
_RETIRE: Final = {
    EntryKind.DECISION: Tag.CATALOG_DECISION_RETIRE,
    EntryKind.FLOW: Tag.CATALOG_FLOW_RETIRE,
    EntryKind.TEMPLATE: Tag.CATALOG_TEMPLATE_RETIRE,
}
_PUBLISHED: Final = (Lifecycle.PUBLISHED, Lifecycle.DEPRECATED, Lifecycle.RETIRED)
_log = logging.getLogger(__name__)


async def sign_earlier_publications(work: Work) -> tuple[int, int]:
    """Sign what the log proves; how many were signed, and how many it does not prove."""
    versions = await work.session.scalars(
        select(EntryVersion)
        .where(
            col(EntryVersion.publication).is_(None),
            col(EntryVersion.published_at).is_not(None),
            col(EntryVersion.lifecycle).in_(_PUBLISHED),
            col(EntryVersion.kind).in_(list(_PUBLISH)),
        )
        .with_for_update(skip_locked=True),
    )
    signed = unproven = 0
    for version in versions.all():
        if await _is_proven(work, version):
            sign_publication(work.platform, version, await _approvers(work, version))
            if await _details(work, version, _RETIRE[version.kind]):
                sign_retirement(work.platform, version)
            signed += 1
        else:
            unproven += 1
            _log.warning("the log does not prove that %s was published", _resource(version))
    await work.session.flush()
    return signed, unproven


async def _is_proven(work: Work, version: EntryVersion) -> bool:
    column, sealed = "content_sealed", version.content_sealed
    try:
        opened = await unseal(work.keyring, version.id, version.team, column, sealed)
        require_row_as_written(version, opened)
    except (CoeError, Unreadable):
        return False
    for detail, _ in await _details(work, version, _PUBLISH[version.kind]):
        if detail.get("digest") == version.digest and detail.get("after") == Lifecycle.PUBLISHED:
            return True
    return False


async def _approvers(work: Work, version: EntryVersion) -> set[str]:
    found = await _details(work, version, _REVIEW[version.kind])
    authors = {version.created_by, *version.editors}
    approved = {by for detail, by in found if detail.get("verdict") == ReviewVerdict.APPROVED}
    return approved - authors


async def _details(
    work: Work, version: EntryVersion, tag: Tag
) -> list[tuple[dict[str, JSON], str]]:
    """The opened details of the events of a verb on the version, each with who did it."""
    rows = await work.session.execute(
        select(_EVENTS).where(
            _EVENTS.c.action == tag.value,
            _EVENTS.c.resource == _resource(version),
            _EVENTS.c.outcome == AuditOutcome.ALLOWED.value,
            _EVENTS.c.detail_sealed.is_not(None),
        )
    )
    opened = [(await _open(work, row), str(row.actor)) for row in rows.all()]
    return [(detail, by) for detail, by in opened if isinstance(detail, dict)]


async def _open(work: Work, row: Any) -> JSON:
    cell = cell_of(row.id, "detail", row.team)
    try:
        found: JSON = await work.keyring.open_json(cell, AUDIT_PURPOSE, row.detail_sealed)
    except CoeError:
        return None
    return found


def _resource(version: EntryVersion) -> str:
    return f"{version.kind.lower()}:{version.namespace}/{version.name}@{version.version}"
