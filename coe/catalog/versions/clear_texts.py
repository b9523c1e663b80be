"""Seal the changelogs and comments that earlier releases stored in clear.

Both are read as they are until then. Each batch is a transaction, so that it can be repeated.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import select
from sqlmodel import col

from coe.catalog.models import EntryVersion, VersionApproval
from coe.catalog.versions.sealing import seal_comment, seal_text
from coe.work import Work

_BATCH: Final = 200


async def seal_clear_texts(work: Work) -> int:
    """Seal a batch of these texts; the number that were sealed, 0 if none is left."""
    versions = await work.session.scalars(
        select(EntryVersion)
        .where(col(EntryVersion.changelog).is_not(None))
        .limit(_BATCH)
        .with_for_update(skip_locked=True),
    )
    sealed = 0
    for version in versions:
        if version.changelog_sealed is None:
            version.changelog_sealed = await seal_text(
                work.keyring, version, "changelog_sealed", version.changelog
            )
        version.changelog = None
        sealed += 1
    reviews = await work.session.execute(
        select(VersionApproval, col(EntryVersion.team))
        .join(EntryVersion, col(EntryVersion.id) == col(VersionApproval.version_id))
        .where(col(VersionApproval.comment).is_not(None))
        .limit(_BATCH)
        .with_for_update(skip_locked=True, of=VersionApproval),
    )
    for review, team in reviews.all():
        if review.comment_sealed is None:
            review.comment_sealed = await seal_comment(
                work.keyring, review, team, review.comment or ""
            )
        review.comment = None
        sealed += 1
    await work.session.flush()
    return sealed
