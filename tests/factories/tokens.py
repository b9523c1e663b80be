"""Tokens of anybody, as if somebody had issued them who may."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from coe.access import tokens
from coe.access.models import AccessToken
from coe.identifiers import is_worker
from coe.work import Platform
from tests.factories.machines import enrolled


async def new_token(
    platform: Platform,
    subject: str,
    *scopes: str,
    lasts: timedelta = timedelta(hours=1),
    **more: Any,
) -> tuple[str, AccessToken]:
    """A token of a subject and its row; without scopes it has all."""
    values = {"name": "of a test", "created_by": "test"} | more
    new = tokens.NewToken(
        subject=subject,
        scopes=scopes or ("*",),
        expires_at=platform.clock() + lasts,
        **values,
    )
    async with platform.database.session() as session:
        bearer, row = await tokens.issue(session, platform.macs, new, now=platform.clock())
        await session.commit()
    return bearer, row


async def bearer_of(platform: Platform, subject: str, *scopes: str) -> str:
    """The text of a new token of a subject; the access token of a key for a team's worker."""
    if is_worker(subject):
        worker = await enrolled(platform, subject.rpartition("/")[2])
        return platform.machines.sign(subject, str(worker.credential), platform.clock())
    return (await new_token(platform, subject, *scopes))[0]
