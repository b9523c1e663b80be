"""Verbs of the catalog. Each checks, changes and records; none commits."""

from __future__ import annotations

from coe.catalog.rows import Moved, Preview, Saved
from coe.work import Read, Work


async def register_flow(work: Work, manifest: str, *, changelog: str | None = None) -> Saved:
    """Save a version of a central or a local flow as a draft.

    The same content again returns the version that has it.

    Raises:
        Invalid: The problems of the document; nothing is saved.
        Forbidden: `flow:register` in the team of its namespace is refused.
    """
    ...


async def check_flow(read: Read, manifest: str) -> Preview:
    """What `register_flow` would say; saves nothing."""
    ...


async def submit_for_review(work: Work, ref: str, *, comment: str | None = None) -> Moved:
    """DRAFT → IN_REVIEW, for a flow or a template named with its exact version."""
    ...


async def review(work: Work, ref: str, *, approve: bool, comment: str) -> Moved:
    """Add an approval, or refuse and send back to DRAFT; the author may do neither."""
    ...


async def publish(work: Work, ref: str, *, comment: str | None = None) -> Moved:
    """IN_REVIEW → PUBLISHED (a local flow also from DRAFT); the first gets the alias `live`."""
    ...


async def deprecate(work: Work, ref: str, *, comment: str | None = None) -> Moved:
    """PUBLISHED → DEPRECATED: it still runs, and warns."""
    ...


async def retire(work: Work, ref: str, *, comment: str | None = None) -> Moved:
    """DEPRECATED → RETIRED: it starts no further run."""
    ...


async def set_alias(work: Work, flow: str, alias: str, version: str) -> Moved:
    """Let an alias of a flow or template name a published version."""
    ...
