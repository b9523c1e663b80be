"""What issuers of tokens publish: their endpoints and their keys, fetched when they are needed.

Documents are kept for a while. A token that names an unknown key makes the keys be fetched again,
because issuers change them, but at most once a minute for an issuer, whatever is sent here.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from coe.crypto.jwks import ALGORITHMS, PublicKeys, UnknownKey, Verified
from coe.errors import Unavailable
from coe.json_types import NotJson, read_json
from coe.settings import LOOPBACK
from coe.tls import client_context

KEPT_SECONDS: Final = 900.0
"""How long documents are used without asking again: a key that an issuer withdrew ends then."""
STALE_SECONDS: Final = 86_400.0
"""How long they are used while the issuer does not answer."""
FETCH_SECONDS: Final = 60.0
"""The least time between two fetches for keys that are not known."""
FAILED_SECONDS: Final = 5.0
"""The time after a failed fetch in which none is tried."""
TIMEOUT_SECONDS: Final = 5.0
MAX_BYTES: Final = 262_144


class IssuerUnavailable(Unavailable):
    """The issuer does not answer as it should; try again shortly."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What an issuer says of itself (OpenID Connect Discovery 1.0)."""

    issuer: str
    authorization_endpoint: str | None
    token_endpoint: str | None
    userinfo_endpoint: str | None
    end_session_endpoint: str | None
    jwks_uri: str
    algorithms: tuple[str, ...]
    auth_methods: tuple[str, ...]
    names_itself: bool
    """Whether it names itself in the answer to the browser (`iss`, RFC 9207)."""


@dataclass(slots=True)
class _Kept:
    metadata: Metadata
    keys: PublicKeys
    at: float


@dataclass(slots=True)
class _State:
    kept: _Kept | None = None
    failed_at: float | None = None
    asked_at: float | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


def open_client(ca_file: Path | None = None) -> httpx.AsyncClient:
    """A client for issuers, which always checks certificates.

    Args:
        ca_file: Certificates (PEM) of authorities to trust beside the public ones.
    """
    return httpx.AsyncClient(
        verify=client_context(ca_file),
        trust_env=False,
        follow_redirects=False,
        timeout=TIMEOUT_SECONDS,
        headers={"Accept": "application/json"},
    )


class Discovery:
    """The documents of all issuers that a process talks to."""

    def __init__(
        self, ca_file: Path | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Nothing is opened before the first issuer is asked.

        Args:
            ca_file: Certificates (PEM) of authorities to trust beside the public ones.
            clock: Gives seconds that only grow.
        """
        self._ca_file = ca_file
        self._clock = clock
        self._client: httpx.AsyncClient | None = None
        self._states: defaultdict[str, _State] = defaultdict(_State)

    @property
    def client(self) -> httpx.AsyncClient:
        """The client with which issuers are asked."""
        if self._client is None:
            self._client = open_client(self._ca_file)
        return self._client

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def metadata(self, issuer: str) -> Metadata:
        """The endpoints of an issuer, by its URL.

        Raises:
            IssuerUnavailable: It does not answer, or its documents cannot be used.
        """
        return (await self._current(issuer)).metadata

    async def verify(self, issuer: str, token: str) -> Verified:
        """The content of a token that the issuer signed; its claims are the caller's to check.

        Raises:
            SignatureRefused: It did not.
            IssuerUnavailable: Its keys cannot be had.
        """
        kept = await self._current(issuer)
        try:
            return kept.keys.verify(token, kept.metadata.algorithms)
        except UnknownKey:
            kept = await self._after_rotation(issuer, kept)
        return kept.keys.verify(token, kept.metadata.algorithms)

    async def _current(self, issuer: str) -> _Kept:
        state = self._states[issuer]
        async with state.lock:
            kept, now = state.kept, self._clock()
            if kept is not None and now - kept.at < KEPT_SECONDS:
                return kept
            if state.failed_at is None or now - state.failed_at >= FAILED_SECONDS:
                await self._renew(issuer, state)
            if state.kept is None or now - state.kept.at >= STALE_SECONDS:
                raise IssuerUnavailable
            return state.kept

    async def _after_rotation(self, issuer: str, seen: _Kept) -> _Kept:
        """The keys after another fetch, if there was none in the last minute."""
        state = self._states[issuer]
        async with state.lock:
            now = self._clock()
            recently = state.asked_at is not None and now - state.asked_at < FETCH_SECONDS
            if state.kept is seen and not recently:
                state.asked_at = now
                await self._renew(issuer, state)
            return state.kept or seen

    async def _renew(self, issuer: str, state: _State) -> None:
        try:
            metadata = read_metadata(issuer, await self.fetch(discovery_url(issuer)))
            keys = PublicKeys(await self.fetch(metadata.jwks_uri))
        except (IssuerUnavailable, ValueError):
            state.failed_at = self._clock()
            return
        state.kept, state.failed_at = _Kept(metadata, keys, self._clock()), None

    async def fetch(self, url: str, **headers: str) -> Any:
        """A JSON document of an issuer.

        Raises:
            IssuerUnavailable: There is no answer, or none that can be used.
        """
        return await self.read_answer(self.client.build_request("GET", url, headers=headers))

    async def read_answer(self, request: httpx.Request) -> Any:
        """The JSON document with which an issuer answers a request.

        Raises:
            IssuerUnavailable: There is no answer, or none that can be used; `status` is that of
                the answer.
        """
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                response = await self.client.send(request, stream=True)
                try:
                    content = await _content(response)
                finally:
                    await response.aclose()
        except (httpx.HTTPError, OSError):  # a timeout is an OSError
            raise IssuerUnavailable from None
        if not response.is_success:
            raise IssuerUnavailable(status=response.status_code)
        try:
            return read_json(content)
        except NotJson:
            raise IssuerUnavailable from None


def discovery_url(issuer: str) -> str:
    """Where an issuer publishes its endpoints."""
    return issuer.rstrip("/") + "/.well-known/openid-configuration"


def is_trusted_address(url: object) -> bool:
    """Whether this is an address for secrets: over TLS, or on this machine."""
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)


def read_metadata(issuer: str, document: object) -> Metadata:
    """Read the document of an issuer.

    Raises:
        ValueError: It is that of another, or an address in it is not safe.
    """
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        raise ValueError("the document is of another issuer")

    def address(name: str) -> str | None:
        value = document.get(name)
        if value is not None and not is_trusted_address(value):
            raise ValueError(f"{name} is not an https address")
        return value

    keys = address("jwks_uri")
    if keys is None:
        raise ValueError("the document names no keys")
    named = document.get("id_token_signing_alg_values_supported") or ["RS256"]
    methods = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return Metadata(
        issuer=issuer,
        authorization_endpoint=address("authorization_endpoint"),
        token_endpoint=address("token_endpoint"),
        userinfo_endpoint=address("userinfo_endpoint"),
        end_session_endpoint=address("end_session_endpoint"),
        jwks_uri=keys,
        algorithms=tuple(each for each in ALGORITHMS if each in named),
        auth_methods=tuple(map(str, methods)),
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
    )


async def _content(response: httpx.Response) -> bytes:
    content = b""
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > MAX_BYTES:
            raise IssuerUnavailable
    return content
