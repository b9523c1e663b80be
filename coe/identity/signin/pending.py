"""A sign-in that was begun: what the browser keeps until the issuer sends the person back.

The browser holds it in a cookie, with a code that only the platform can make. So nothing is stored
for people who do not come back, and an answer counts only in the browser that asked.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final, Self

import orjson

from coe.crypto.mac import MacKeys, MacPurpose
from coe.identity.signin.errors import Reason, SignInRefused

LIFETIME: Final = timedelta(minutes=10)
MAX_RETURN: Final = 1000
_HOME: Final = "/"
_MAX_COOKIE: Final = 4000


@dataclass(frozen=True, slots=True)
class Pending:
    """A sign-in that was begun.

    `issuer` is its name, `state` and `nonce` tie the answer and the token to it, `verifier` is that
    of PKCE (RFC 7636). `back` is the local path to which the person returns. `session` is that of
    the person who signs in afresh; None at a first sign-in. `begun_at` is in seconds since 1970.
    """

    issuer: str
    state: str
    nonce: str
    verifier: str
    back: str
    begun_at: int
    session: str | None = None

    @classmethod
    def begin(cls, issuer: str, back: str | None, now: datetime, session: str | None) -> Self:
        """Begin a sign-in, with fresh random values."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return cls(
            issuer=issuer,
            state=state,
            nonce=nonce,
            verifier=verifier,
            back=local_path(back),
            begun_at=int(now.timestamp()),
            session=session,
        )

    @property
    def challenge(self) -> str:
        """The challenge of PKCE (method S256)."""
        return _base64url(hashlib.sha256(self.verifier.encode()).digest())

    def write(self, macs: MacKeys) -> str:
        """The value of the cookie."""
        content = orjson.dumps(asdict(self))
        return f"{_base64url(content)}.{_base64url(macs.code(MacPurpose.SIGN_IN, content))}"

    @classmethod
    def read(cls, macs: MacKeys, cookie: str | None, *, state: str, now: datetime) -> Self:
        """The sign-in of a cookie, for the answer with this `state`.

        Raises:
            SignInRefused: The cookie is missing, forged, too old, or of another sign-in.
        """
        content, _, code = (cookie or "")[:_MAX_COOKIE].partition(".")
        raw = _bytes(content)
        if not macs.verify(MacPurpose.SIGN_IN, _bytes(code), raw):
            raise SignInRefused(Reason.NOT_THIS_BROWSER, "no sign-in is pending")
        found = cls(**orjson.loads(raw))
        age = now.timestamp() - found.begun_at
        if not hmac.compare_digest(found.state.encode(), state.encode()):
            raise SignInRefused(Reason.NOT_THIS_BROWSER, "the state is of another sign-in")
        if not 0 <= age + 1 <= LIFETIME.total_seconds() + 1:
            raise SignInRefused(Reason.NOT_THIS_BROWSER, "it was begun too long ago")
        return found


def cookie_suffix(state: str) -> str:
    """What tells apart the cookies of sign-ins that are pending in one browser."""
    return hashlib.sha256(state.encode()).hexdigest()[:12]


def local_path(wanted: str | None) -> str:
    """The path to return to: one of this server, or `/` for anything else."""
    path = wanted or _HOME
    safe = (
        len(path) <= MAX_RETURN
        and path.startswith("/")
        and not path.startswith(("//", "/\\"))
        and all(" " < each < "\x7f" and each != "\\" for each in path)
        and not path.startswith("/auth/")
    )
    return path if safe else _HOME


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    """The bytes of base64url; none of a text that is not that."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
