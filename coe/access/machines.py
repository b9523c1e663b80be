"""Access tokens of machines: JSON Web Tokens (RFC 9068) that the platform signs for some minutes.

A machine has a credential: the key of a team's worker, the secret or key of a registered client, or
the rule by which a CI is trusted. It gets an access token for it, which names the credential. With
each request the signature is checked, and that the credential is still good: to revoke it is
enough, everywhere and at once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Self
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from coe.access.actor import Actor, ActorKind, subject_kind
from coe.access.machine_models import MachineClient, TrustRule, WorkerKey
from coe.crypto import jose
from coe.crypto.mac import MacKeys, MacPurpose
from coe.crypto.signing import SigningKey
from coe.db import new_id
from coe.errors import Unauthenticated
from coe.formats import instants, uuids
from coe.identifiers import worker_subject
from coe.json_types import JSON

ACCESS_TOKEN: Final = "at+jwt"  # noqa: S105  # the type of a token (RFC 9068)
WORKER: Final = "worker"
"""The kind of the credential of a team's worker, before its id: `worker:<uuid>`."""
CLIENT: Final = "client"
TRUST: Final = "trust"
MachineRow = WorkerKey | MachineClient | TrustRule
"""The rows of credentials."""

_MODELS: Final[dict[str, type[MachineRow]]] = {
    WORKER: WorkerKey,
    CLIENT: MachineClient,
    TRUST: TrustRule,
}
_KINDS: Final = {model: kind for kind, model in _MODELS.items()}
_CHANGING: Final = frozenset({"last_address", "last_seen_at", "revoked_at", "revoked_by"})
_PARTS: Final = 3


class RefusedCredential(Unauthenticated):
    """An access token whose credential is revoked or expired; clients see what any bad token gets.

    Attributes:
        subject: Who used it.
        credential: Its kind and its id.
        team: The team that it belongs to.
        why: What is wrong with it.
    """

    def __init__(self, subject: str, credential: str, team: str, why: str) -> None:
        super().__init__(Unauthenticated().message)
        self.subject = subject
        self.credential = credential
        self.team = team
        self.why = why


@dataclass(frozen=True, slots=True)
class MachineKeys:
    """What signs access tokens, and what makes a row of a credential worth something.

    None of the keys is in the database: that of tokens follows from the platform's signing key.

    Attributes:
        issuer: The platform, in tokens: its address.
        seconds: How long an access token is good.
        macs: The keys of the codes over rows.
    """

    issuer: str
    seconds: float
    macs: MacKeys
    _private: bytes = field(repr=False)
    _public: bytes = field(repr=False)

    @classmethod
    def of(cls, signer: SigningKey, macs: MacKeys, issuer: str, seconds: float) -> Self:
        """The keys of this installation."""
        private = signer.derive("access tokens of machines")
        return cls(issuer, seconds, macs, private, jose.public_key_of(private))

    def code_macs(self, code: str) -> tuple[bytes, ...]:
        """What may be kept of a one-time code; what is kept now comes first."""
        return self.macs.codes(MacPurpose.ENROLMENT_CODE, code.encode())

    def mac(self, row: MachineRow) -> bytes:
        """The code over what never changes in the row of a credential."""
        return self.macs.code(MacPurpose.MACHINE, *_parts(row))

    def is_ours(self, row: MachineRow) -> bool:
        """Whether the platform wrote this row, and nobody changed it since."""
        return self.macs.verify(MacPurpose.MACHINE, row.mac, *_parts(row))

    def secret_mac(self, row: MachineClient, secret: str) -> bytes:
        """What is kept of a client's secret."""
        return self.macs.code(MacPurpose.CLIENT_SECRET, row.id.bytes, secret.encode())

    def is_secret(self, row: MachineClient, secret: str) -> bool:
        """Whether this is the client's secret."""
        parts = (row.id.bytes, secret.encode())
        return self.macs.verify(MacPurpose.CLIENT_SECRET, row.secret_mac, *parts)

    def sign(
        self,
        subject: str,
        credential: str,
        now: datetime,
        *,
        seconds: float | None = None,
        key: bytes | None = None,
    ) -> str:
        """An access token of a subject for its credential.

        `seconds` is the most that it lasts; `key` is the public key that asked for it, with which
        it ends.
        """
        until = now + timedelta(seconds=min(self.seconds, seconds or self.seconds))
        claims: dict[str, JSON] = {
            "iss": self.issuer,
            "aud": self.issuer,
            "sub": subject,
            "client_id": credential,
            "iat": now.timestamp(),
            "exp": until.timestamp(),
            "jti": str(new_id()),
        }
        if key is not None:
            claims["key"] = name_of_key(key)
        return jose.sign_with_key(claims, self._private, typ=ACCESS_TOKEN)

    def read(self, bearer: str) -> dict[str, JSON]:
        """The claims of an access token that this installation signed for itself; not its times.

        Raises:
            Unauthenticated: It is none.
        """
        try:
            claims = jose.verify_with_key(bearer, self._public, typ=ACCESS_TOKEN).claims
        except jose.JwtRefused:
            raise Unauthenticated from None
        if (claims.get("iss"), claims.get("aud")) != (self.issuer, self.issuer):
            raise Unauthenticated
        return claims


def _parts(row: MachineRow) -> list[bytes]:
    """All columns but those that change, and the code itself, by their names."""
    kept = row.model_dump(exclude={"mac", *_CHANGING})
    return [
        str(row.__tablename__).encode(),
        *(part for name, value in sorted(kept.items()) for part in _part(name, value)),
    ]


def _part(name: str, value: object) -> tuple[bytes, ...]:
    """A column and its value; nothing without one, so that later columns do not change the code."""
    match value:
        case None:
            return ()
        case bytes():
            written = value
        case datetime():
            written = instants.write(value).encode()
        case list():
            written = "\n".join(value).encode()
        case _:
            written = str(value).encode()
    return name.encode(), written


def is_access_token(bearer: str) -> bool:
    """Whether this may be an access token of a machine: it has the three parts of a signed one."""
    return len(bearer.split(".", _PARTS)) == _PARTS


def end_credential(row: MachineRow, *, by: str, now: datetime) -> None:
    """Make a credential worthless for good: without its code, nobody takes it back in the table."""
    row.mac, row.revoked_at, row.revoked_by = b"", now, by


async def authenticate_machine(
    session: AsyncSession,
    keys: MachineKeys,
    bearer: str,
    *,
    now: datetime,
    connected: bool = False,
) -> Actor:
    """The actor of an access token, whose credential is looked up.

    Args:
        session: Only read from.
        keys: Those of this installation.
        bearer: The token.
        now: The time.
        connected: The token was good when its connection was opened: only the credential counts.

    Raises:
        Unauthenticated: It is no token of this installation, or has expired.
        RefusedCredential: Its credential is revoked or expired, or was not made by the platform.
    """
    claims = keys.read(bearer)
    until = claims.get("exp")
    if not isinstance(until, int | float) or (not connected and until <= now.timestamp()):
        raise Unauthenticated
    credential = str(claims.get("client_id"))
    row = await find_credential(session, credential)
    if row is None or claims.get("sub") != subject_of(row):
        raise Unauthenticated
    check_credential(keys, row, now)
    if isinstance(row, WorkerKey) and _is_of_key_before(row, claims.get("key")):
        why = "its key was renewed since"
        raise RefusedCredential(subject_of(row), credential, row.team, why)
    return machine_actor(row)


def _is_of_key_before(row: WorkerKey, key: JSON) -> bool:
    """Whether a token was issued for the key that the worker had before its present one."""
    return row.renewed_at is not None and key != name_of_key(row.public_key)


def name_of_key(public: bytes) -> str:
    """What a public key is called in tokens and in the audit log: its SHA-256, in hexadecimal."""
    return hashlib.sha256(public).hexdigest()


async def find_credential(session: AsyncSession, credential: str) -> MachineRow | None:
    """The row of a credential, such as `worker:<uuid>`; a client may leave out its kind."""
    kind, colon, key = credential.partition(":")
    if not colon:
        kind, key = CLIENT, credential
    try:
        number: UUID = uuids.read(key)
    except ValueError:
        return None
    model = _MODELS.get(kind)
    return await session.get(model, number) if model is not None else None


def credential_of(row: MachineRow) -> str:
    """The kind and the id of a credential."""
    return f"{_KINDS[type(row)]}:{row.id}"


def subject_of(row: MachineRow) -> str:
    """Whom a credential stands for."""
    return (
        worker_subject(row.team) if isinstance(row, WorkerKey) else f"service:{row.name}/{row.team}"
    )


def check_credential(keys: MachineKeys, row: MachineRow, now: datetime) -> None:
    """Refuse a credential that is not good.

    Raises:
        RefusedCredential: It is revoked or expired, or the platform did not write its row.
    """
    why = None
    if row.revoked_at is not None:
        why = "it was revoked"
    elif not keys.is_ours(row):
        why = "the platform did not write its row"
    elif row.expires_at <= now:
        why = "it expired"
    if why is not None:
        raise RefusedCredential(subject_of(row), credential_of(row), row.team, why)


def machine_actor(row: MachineRow) -> Actor:
    """The actor that a credential stands for."""
    maker = row.enrolled_by if isinstance(row, WorkerKey) else row.created_by
    is_worker_key = isinstance(row, WorkerKey)
    return Actor(
        subject_of(row),
        ActorKind.SERVICE,
        f"{row.name}, {'worker' if is_worker_key else 'machine'} of {row.team}",
        scopes=None if isinstance(row, WorkerKey) else frozenset(row.scopes),
        maker=maker if subject_kind(maker) is ActorKind.PERSON else None,
        credential=credential_of(row),
        bound_to=None if is_worker_key else row.team,
    )
