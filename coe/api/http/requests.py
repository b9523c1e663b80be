"""What all routes share: the sender, the origin and the body of a request; response headers."""

from __future__ import annotations

import re
import time

from fastapi import Request

from coe.access.actor import Actor
from coe.api.graphql import limits
from coe.api.http import browser
from coe.api.http.texts import check_body
from coe.authentication import Caller
from coe.errors import RateLimited, TooCostly, Unauthenticated
from coe.identity.signin.sign_ins import CSRF_HEADER, SignIns
from coe.runs.correlations import with_correlation
from coe.web import bodies
from coe.work import Platform, RequestInfo

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-.*")
"""W3C Trace Context, 3.2: version, trace id, parent id and flags; later versions may add parts."""


class Entrance:
    """The caller of one request, found again when it is needed later than `bodies.FRESH_SECONDS`.

    The sender decides how long the body takes, and others how long a turn takes. Meanwhile the
    person may be suspended, the token revoked, or the policy changed.
    """

    def __init__(self, platform: Platform, request: Request, about: RequestInfo) -> None:
        self._platform = platform
        self._request = request
        self._about = about
        self._found: tuple[Caller, float] | None = None

    async def caller(self) -> Caller:
        """The caller of now.

        Raises:
            Unauthenticated, NotFromThePages: As `enter_request` says, also if it has become so.
        """
        now = time.monotonic()
        if self._found is None or now - self._found[1] >= bodies.FRESH_SECONDS:
            self._found = (await enter_request(self._platform, self._request, self._about), now)
        return self._found[0]

    async def actor(self) -> Actor:
        """The actor of now (`caller`)."""
        return (await self.caller()).actor


async def authenticate_request(platform: Platform, request: Request, about: RequestInfo) -> Actor:
    """Find the actor of a request without a body (`enter_request`)."""
    return (await enter_request(platform, request, about)).actor


async def enter_request(platform: Platform, request: Request, about: RequestInfo) -> Caller:
    """Find the caller by the `Authorization: Bearer …` of a request, else by a session's cookie.

    A browser adds the cookie by itself, so a request with it has to come from our own pages; one
    that may change something carries the token of the session too (`X-CSRF-Token`).

    Raises:
        Unauthenticated: The token or the session is missing, unknown, expired or revoked.
        NotFromThePages: The request with a session was not sent by our own pages.
    """
    header = request.headers.get("authorization")
    if header is None:
        return Caller(await _by_session(platform, request, about))
    scheme, _, bearer = header.partition(" ")
    if scheme.lower() != "bearer" or not bearer.strip():
        raise Unauthenticated
    return await platform.enter(bearer.strip(), about)


async def _by_session(platform: Platform, request: Request, about: RequestInfo) -> Actor:
    sign_ins: SignIns | None = getattr(request.app.state, "sign_ins", None)
    cookie = browser.session_cookie(platform.settings, request)
    if sign_ins is None or not cookie or browser.is_from_elsewhere(request):
        raise Unauthenticated
    found = await sign_ins.session(cookie, about)
    if request.method not in browser.SAFE_METHODS:
        await sign_ins.check_csrf(
            found,
            cookie=cookie,
            given=request.headers.get(CSRF_HEADER, ""),
            own_origin=browser.is_own_origin(platform.settings, request),
            about=about,
        )
    return found.actor


def request_info(request: Request) -> RequestInfo:
    """The origin of a request: a new id, address and trace; nobody's correlation id yet."""
    trace = _TRACEPARENT.fullmatch(request.headers.get("traceparent", ""))
    return RequestInfo(
        address=request.client.host if request.client else None,
        trace_id=trace[1] if trace else None,
    )


async def accept_correlation(
    platform: Platform, actor: Actor, request: Request, about: RequestInfo
) -> RequestInfo:
    """The same with the correlation id that the caller sent, if it is well-formed and may be used.

    What is recorded before the caller is known has none: anybody could name somebody else's case.
    """
    sent = request.headers.get("x-correlation-id", "")
    well_formed = sent if _CORRELATION_ID.fullmatch(sent) else None
    return await with_correlation(platform, actor, about, well_formed)


def response_headers(about: RequestInfo, error: Exception | None = None) -> dict[str, str]:
    """The headers of every response.

    A refusal for want of a token names the scheme, and one of a rate limit when to try again (RFC
    9110). After one of a slow body the connection is closed: the rest of the body may still come.
    """
    headers = {"X-Request-ID": about.request_id, "Cache-Control": "no-store"}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, RateLimited):
        headers["Retry-After"] = str(error.extensions.get("retry_after", 60))
    if isinstance(error, bodies.BodyTooSlow):
        headers["Connection"] = "close"
    return headers


async def read_body(request: Request) -> bytes:
    """Read the body.

    Raises:
        Invalid: A text in it has NUL (`texts.check_body`).
        TooCostly: It is larger than `limits.MAX_REQUEST_BYTES`, or takes too long
            (`bodies.read_bounded`); the rest of it is not read.
    """
    content = await bodies.read_bounded(request, limits.MAX_REQUEST_BYTES)
    check_body(request.headers.get("content-type", ""), content)
    return content


def check_nesting(body: object) -> None:
    """Check how deep a value is nested, without recursion: later code recurses over it.

    Raises:
        TooCostly: It is nested deeper than `limits.MAX_JSON_NESTING`.
    """
    level = [body]
    for _ in range(limits.MAX_JSON_NESTING):
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return
    message = f"The request is nested more than {limits.MAX_JSON_NESTING} levels deep."
    raise TooCostly(message, limit="nesting", most=limits.MAX_JSON_NESTING)
