"""The lifecycle of a version, carried through by the people who may."""

from __future__ import annotations

from coe.access.actor import Actor
from coe.catalog import actions
from coe.catalog.records import ChangedVersion
from coe.work import Platform
from tests.factories.people import COE_REVIEWER


async def publish_version(
    platform: Platform,
    ref: str,
    *,
    author: Actor,
    reviewer: Actor = COE_REVIEWER,
) -> ChangedVersion:
    """Submit a registered version as its author, then approve and publish it as a reviewer."""
    async with platform.work(author) as work:
        await actions.submit_for_review(work, ref)
    async with platform.work(reviewer) as work:
        await actions.review(work, ref, approve=True, comment="fine")
    async with platform.work(reviewer) as work:
        return await actions.publish(work, ref)
