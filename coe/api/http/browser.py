"""What a browser sends with a session: its cookie, and where the request comes from."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from fastapi import Request, Response

from coe.errors import CoeError
from coe.identity.signin.pending import LIFETIME
from coe.settings import LOOPBACK, Settings
from coe.web.hosts import host_name

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_SESSION: Final = "coe"
_PENDING: Final = "coe-sign-in-"
_LOOPBACK_MARK: Final = "loopback-"
"""On this machine without TLS the names say so, and never pass for those of TLS."""


class NoSecureAddress(CoeError):
    """People sign in over https: set COE_PUBLIC_URL to the https address of the platform."""

    code = "UNAVAILABLE"
    status = 503


def is_secure(settings: Settings, request: Request) -> bool:
    """Whether the browser speaks TLS, to us or to a proxy before us."""
    public = settings.public_url or ""
    return public.startswith("https://") or request.url.scheme == "https"


def base_url(settings: Settings, request: Request) -> str:
    """The address of the platform as the browser has it, without a slash at its end.

    Raises:
        NoSecureAddress: It is neither https nor on this machine.
    """
    if settings.public_url:
        base = settings.public_url.rstrip("/")
    else:
        base = f"{request.url.scheme}://{request.headers.get('host', '')}"
    parts = urlsplit(base)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise NoSecureAddress
    return base


def session_cookie(settings: Settings, request: Request) -> str | None:
    """The value of the session's cookie, if the browser has one."""
    return request.cookies.get(_name(settings, request, _SESSION))


def set_session_cookie(
    response: Response, settings: Settings, request: Request, value: str
) -> None:
    """Give the browser the cookie of its session, until the browser is closed."""
    _set(response, settings, request, _SESSION, value=value, max_age=None)


def clear_session_cookie(response: Response, settings: Settings, request: Request) -> None:
    """Take the cookie of the session from the browser."""
    _set(response, settings, request, _SESSION, value="", max_age=0)


def pending_cookie(settings: Settings, request: Request, suffix: str) -> str | None:
    """The value of the cookie of a sign-in that was begun."""
    return request.cookies.get(_name(settings, request, _PENDING + suffix))


def set_pending_cookie(
    response: Response, settings: Settings, request: Request, suffix: str, value: str
) -> None:
    """Let the browser keep the sign-in that it begins; an empty value ends it."""
    age = int(LIFETIME.total_seconds()) if value else 0
    _set(response, settings, request, _PENDING + suffix, value=value, max_age=age)


def is_own_origin(settings: Settings, request: Request) -> bool:
    """Whether one of our pages sent the request: by `Origin`, else by `Sec-Fetch-Site`."""
    origin = request.headers.get("origin")
    if origin is None or origin == "null":
        return request.headers.get("sec-fetch-site") == "same-origin"
    own = {f"{request.url.scheme}://{request.headers.get('host', '')}"}
    if settings.public_url:
        public = urlsplit(settings.public_url)
        own = {f"{public.scheme}://{public.netloc}"}
        if host_name(request.headers.get("host", "")) in LOOPBACK:
            own.add(f"{request.url.scheme}://{request.headers.get('host', '')}")
    return origin in own


def is_from_elsewhere(request: Request) -> bool:
    """Whether the browser says that another site's page made the request."""
    return request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}


def _name(settings: Settings, request: Request, name: str) -> str:
    if is_secure(settings, request):
        return f"__Host-{name}"
    return f"{_LOOPBACK_MARK}{name}"


def _set(
    response: Response,
    settings: Settings,
    request: Request,
    name: str,
    *,
    value: str,
    max_age: int | None,
) -> None:
    response.set_cookie(
        _name(settings, request, name),
        value,
        max_age=max_age,
        path="/",
        secure=is_secure(settings, request),
        httponly=True,
        samesite="lax",
    )
