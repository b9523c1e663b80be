"""The identity of a worker, on its own machine: its key in a file, and how it enrols and signs in.

The private key is made here and never leaves the file, which only its owner may read.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import time
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import httpx
import orjson

from coe.access.machines import name_of_key
from coe.crypto import jose
from coe.errors import (
    CoeError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Problem,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from coe.identity.sign_in import CLIENT_CREDENTIALS, JWT_BEARER, RENEWAL, TOKEN_PATH
from coe.identity.worker_renewal import NEW_KEY
from coe.identity.workers import PROOF
from coe.json_types import NotJson, read_json
from coe.secret_files import SecretFileRefused, create_secret, read_secret, replace_secret
from coe.settings import LOOPBACK, Settings
from coe.tls import client_context, place_of, why_unreached

ENROL_PATH: Final = "/auth/workers"
RENEW_PATH: Final = f"{ENROL_PATH}/key"
ASSERTION: Final = "client-authentication+jwt"
ASSERTION_SECONDS: Final = 60.0
RENEW_BEFORE: Final = 0.5
"""The part of its life after which an access token is renewed."""

_BY_STATUS: Final[dict[int, type[CoeError]]] = {
    kind.status: kind for kind in (Unauthenticated, Forbidden, NotFound, Conflict, RateLimited)
}


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """The key of a worker, and what the platform knows it as once it has enrolled.

    Attributes:
        url: The platform's address when it enrolled.
        team: The team whose worker it is.
        private: The Ed25519 key: 32 bytes.
        credential: `worker:<uuid>`; None until it has enrolled.
        issuer: Whom its assertions are for.
        since: When this key was made, in seconds since 1970; None where it is not known.
    """

    url: str
    team: str
    private: bytes = field(repr=False)
    credential: str | None = None
    issuer: str | None = None
    since: float | None = None

    def assertion(self) -> str:
        """A new assertion for one sign-in, good for a minute (RFC 7523)."""
        return self._signed(ASSERTION)

    def renewal(self, new: WorkerIdentity) -> dict[str, str]:
        """What renews the key: this one names the next, and that one shows that it is there."""
        public = jose.public_key_of(new.private)
        here: dict[str, Any] = {"iat": time.time(), "sub": self.credential}
        return {
            "assertion": self._signed(RENEWAL, key=name_of_key(public)),
            "proof": jose.sign_with_key(here, new.private, typ=NEW_KEY, with_public=True),
        }

    def _signed(self, typ: str, **more: str) -> str:
        now = time.time()
        claims: dict[str, Any] = {
            "iss": self.credential,
            "sub": self.credential,
            "aud": self.issuer,
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
            "jti": str(uuid.uuid4()),
        }
        return jose.sign_with_key(claims | more, self.private, typ=typ, kid=self.credential)

    def proof(self, code: str) -> str:
        """The proof that this worker has the private half of the key that it enrols."""
        claims: dict[str, Any] = {
            "iat": time.time(),
            "code": hashlib.sha256(code.encode()).hexdigest(),
        }
        return jose.sign_with_key(claims, self.private, typ=PROOF, with_public=True)


def identity_file(data_dir: Path, team: str) -> Path:
    """The file with the identity of the workers of a team on this machine (mode 0600)."""
    return data_dir / "workers" / f"{team}.json"


def read_identity(path: Path) -> WorkerIdentity | None:
    """The identity in a file; None without the file.

    Raises:
        SecretFileRefused: Others can read the file, or it is damaged.
    """
    try:
        content = read_secret(path)
    except FileNotFoundError:
        return None
    try:
        kept: Any = read_json(content)
        private = bytes.fromhex(kept.pop("private"))
        return WorkerIdentity(private=private, **kept)
    except (NotJson, ValueError, KeyError, TypeError, AttributeError):
        raise SecretFileRefused(f"{path} is damaged: remove it, and enrol again") from None


async def enrol(
    http: httpx.AsyncClient, data_dir: Path, team: str, *, code: str, name: str
) -> WorkerIdentity:
    """Enrol a worker of this machine with a one-time code, and keep its identity.

    The key is kept before it is sent, so that a worker that dies meanwhile sends the same again.
    An earlier identity is replaced once the platform knows the new one.

    Args:
        http: A client whose base URL is the platform's address (`client_of`).
        data_dir: The worker's data folder.
        team: The team.
        code: What `createEnrolmentCode` gave.
        name: What the worker is called in lists.

    Raises:
        CoeError: The platform refuses it, as the class of its status.
        Unavailable: The platform cannot be reached.
    """
    final = identity_file(data_dir, team)
    pending_file = final.with_name(f"{team}.enrolling.json")
    url = str(http.base_url).rstrip("/")
    pending = read_identity(pending_file)
    is_new = pending is None or pending.url != url
    if pending is None or is_new:
        pending_file.unlink(missing_ok=True)
        pending = WorkerIdentity(url, team, jose.new_private_key(), since=time.time())
        create_secret(pending_file, _content(pending))
    given = {"team": team, "code": code, "proof": pending.proof(code), "name": name}
    try:
        answer = await _post(http, ENROL_PATH, json=given)
    except (Unavailable, RateLimited):
        raise  # the platform may know the key already: it is sent again
    except CoeError:
        if is_new:
            pending_file.unlink(missing_ok=True)
        raise
    enrolled = replace(pending, credential=answer["worker"], issuer=answer["issuer"])
    replace_secret(final, _content(enrolled))
    pending_file.unlink(missing_ok=True)
    return enrolled


async def enrol_here(
    settings: Settings, team: str, *, code: str, name: str | None = None
) -> tuple[Path, WorkerIdentity]:
    """Enrol a worker of this machine, as `enrol`; its file, and the identity in it."""
    async with client_of(settings.url, settings.ca_file) as http:
        made = await enrol(
            http, settings.data_dir, team, code=code, name=name or socket.gethostname()
        )
    return identity_file(settings.data_dir, team), made


async def renew(http: httpx.AsyncClient, data_dir: Path, team: str) -> WorkerIdentity:
    """Put a new key in the place of a worker's own, which is worth nothing from then on.

    The new key is kept before it is sent, so that a worker that dies meanwhile sends the same
    again; several workers of one machine, which share the file, send the same too.

    Raises:
        NotFound: There is no key to renew.
        CoeError: The platform refuses it, as the class of its status.
        Unavailable: The platform cannot be reached.
    """
    final = identity_file(data_dir, team)
    identity = read_identity(final)
    if identity is None or identity.credential is None:
        raise NotFound(f"there is no key in {final}: enrol this worker first")
    pending_file = _renewing(final)
    pending = read_identity(pending_file)
    if pending is None or pending.credential != identity.credential:
        pending_file.unlink(missing_ok=True)
        made = replace(identity, private=jose.new_private_key(), since=time.time())
        create_secret(pending_file, _content(made))
        pending = read_identity(pending_file) or made
    answer = await _post(http, RENEW_PATH, json=identity.renewal(pending))
    renewed = replace(pending, issuer=answer["issuer"])
    replace_secret(final, _content(renewed))
    pending_file.unlink(missing_ok=True)
    return renewed


def is_due(data_dir: Path, team: str, days: float) -> bool:
    """Whether it is time to renew: the key is so old, or of unknown age, or a renewal was begun."""
    file = identity_file(data_dir, team)
    found = read_identity(file)
    if found is None:
        return False
    old = found.since is None or time.time() - found.since >= days * 86_400
    return old or is_begun(data_dir, team)


def is_begun(data_dir: Path, team: str) -> bool:
    """Whether a renewal was begun whose answer is not known: the key may count for nothing."""
    return _renewing(identity_file(data_dir, team)).exists()


def _renewing(final: Path) -> Path:
    """Where the next key is kept until the platform knows it."""
    return final.with_name(f"{final.stem}.renewing.json")


async def renew_here(settings: Settings, team: str) -> tuple[Path, WorkerIdentity]:
    """Renew the key of the workers of a team on this machine; its file, and the identity in it."""
    async with client_of(settings.url, settings.ca_file) as http:
        made = await renew(http, settings.data_dir, team)
    return identity_file(settings.data_dir, team), made


class AccessTokens:
    """The access tokens of an enrolled worker, which it renews for as long as it lives."""

    def __init__(
        self, identity: WorkerIdentity, http: httpx.AsyncClient, file: Path | None = None
    ) -> None:
        """`http` has the platform's address as its base URL.

        `file` has the identity: it is read again when the key is refused, as another worker of this
        machine, or a command, may have renewed it.
        """
        self._identity = identity
        self._file = file
        self._http = http
        self._token: str | None = None
        self._renew_at = 0.0
        self._until = 0.0
        self._lock = asyncio.Lock()

    async def current(self) -> str:
        """A token that is good now; the last one as long as the platform cannot be reached.

        Raises:
            Unauthenticated: The platform refuses the key.
            Unavailable: The platform cannot be reached, and there is no good token.
        """
        async with self._lock:
            if self._token is not None and time.monotonic() < self._renew_at:
                return self._token
            try:
                await self._renew_or_read_again()
            except Unavailable:
                if self._token is None or time.monotonic() >= self._until:
                    raise
            return str(self._token)

    def use(self, identity: WorkerIdentity) -> None:
        """Use this key from now on, and no token of the one before."""
        self._identity, self._token = identity, None

    def forget(self, token: str) -> None:
        """Use a token no more that the platform has refused."""
        if token == self._token:
            self._token = None

    async def _renew_or_read_again(self) -> None:
        try:
            await self._renew()
        except Unauthenticated:
            found = read_identity(self._file) if self._file else None
            if found is None or found.private == self._identity.private:
                raise
            self._identity = found
            await self._renew()

    async def _renew(self) -> None:
        form = {
            "grant_type": CLIENT_CREDENTIALS,
            "client_assertion_type": JWT_BEARER,
            "client_assertion": self._identity.assertion(),
        }
        began = time.monotonic()
        answer = await _post(self._http, TOKEN_PATH, data=form)
        life: int = answer["expires_in"]
        self._token = str(answer["access_token"])
        self._renew_at, self._until = began + life * RENEW_BEFORE, began + life


def client_of(url: str, ca_file: Path | None = None) -> httpx.AsyncClient:
    """An HTTP client of the platform, which also trusts the authorities in a PEM file."""
    return httpx.AsyncClient(
        base_url=url.rstrip("/"),
        timeout=httpx.Timeout(60.0, connect=5.0),
        trust_env=httpx.URL(url).host not in LOOPBACK,
        verify=client_context(ca_file, environment=True),
    )


async def _post(http: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    """The answer to a request.

    Raises:
        CoeError: It is refused, as the class of its status, with the message of the answer.
        Unavailable: The platform cannot be reached.
    """
    try:
        response = await http.post(path, **body)
    except httpx.TransportError as error:
        place = place_of(str(http.base_url))
        message = f"the platform at {place} cannot be reached ({why_unreached(error)})"
        raise Unavailable(message) from None
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise Unavailable(f"{response.url} answered {response.status_code}")
    if not isinstance(answer, dict):
        message = f"{response.url} answered {response.status_code}: is this the platform's address?"
        raise NotFound(message)
    if response.is_success:
        return answer
    said = str(answer.get("error_description") or answer.get("detail") or response.status_code)
    if "error" in answer:
        raise Unauthenticated(said)
    if response.status_code == Invalid.status:
        found = answer.get("problems") or [{"code": Invalid.code, "message": said}]
        raise Invalid(
            [Problem(each["code"], each["message"], path=each.get("path")) for each in found]
        )
    raise _BY_STATUS.get(response.status_code, CoeError)(said)


def _content(identity: WorkerIdentity) -> bytes:
    kept = {
        "url": identity.url,
        "team": identity.team,
        "private": identity.private.hex(),
        "credential": identity.credential,
        "issuer": identity.issuer,
        "since": identity.since,
    }
    return orjson.dumps(kept, option=orjson.OPT_INDENT_2) + b"\n"
