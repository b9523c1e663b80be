"""What the doors need of sign-in, opened once by a process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from coe.audit.events import AuditOutcome, Tag
from coe.errors import Forbidden, Unauthenticated
from coe.governance.subjects import team_of_subject
from coe.identity.discovery import Discovery
from coe.identity.signin import sessions
from coe.identity.signin.issuers import Issuers
from coe.identity.signin.sessions import OpenSession
from coe.work import Platform, RequestInfo

CSRF_HEADER: Final = "x-csrf-token"
CSRF_FIELD: Final = "csrf_token"


class NotFromThePages(Forbidden):
    """A request with a session comes from our own pages, with their token: this one does not."""


@dataclass(slots=True)
class SignIns:
    """The platform, the issuers of the operator's file, and what the issuers publish."""

    platform: Platform
    issuers: Issuers
    discovery: Discovery

    @classmethod
    def open(cls, platform: Platform) -> Self:
        """Create the parts; nothing connects yet. A file that cannot be used is logged."""
        issuers = Issuers(platform.settings.issuers_file)
        issuers.check_at_start()
        return cls(platform, issuers, Discovery(platform.settings.ca_file))

    async def close(self) -> None:
        """Close the connections to issuers."""
        await self.discovery.close()

    async def session(self, cookie: str, about: RequestInfo) -> OpenSession:
        """The open session of a cookie.

        Raises:
            Unauthenticated: There is none.
            RateLimited: The address has sent too many cookies of none.
        """
        try:
            return await sessions.authenticate(self.platform, self.issuers, cookie)
        except Unauthenticated as refused:
            await self.platform.refuse(refused, about)
            raise

    async def find_session(self, cookie: str | None, about: RequestInfo) -> OpenSession | None:
        """The open session of a cookie, if there is one."""
        if not cookie:
            return None
        try:
            return await self.session(cookie, about)
        except Unauthenticated:
            return None

    async def check_csrf(
        self, found: OpenSession, *, cookie: str, given: str, own_origin: bool, about: RequestInfo
    ) -> None:
        """Require that our own pages sent a request that changes something; a refusal is recorded.

        Raises:
            NotFromThePages: It came from elsewhere, or without the token of its session.
        """
        if own_origin and sessions.csrf_fits(self.platform.macs, cookie, given):
            return
        async with self.platform.work(found.actor, about) as work:
            await work.record(
                Tag.ACCESS_LOGIN_REFUSE,
                resource=f"session:{found.row.id}",
                team=team_of_subject(work.policy, found.actor.subject),
                outcome=AuditOutcome.DENIED,
                reason="csrf token" if own_origin else "origin",
            )
        raise NotFromThePages
