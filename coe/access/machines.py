"""Access tokens of machines: JSON Web Tokens (RFC 9068) that the platform signs for some minutes.

A machine has a credential: the key of a team's worker. It gets an access token for it, which names
the credential. With each request the signature is checked, and that the credential is still good:
to revoke it is enough, everywhere and at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Self
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from coe.access.actor import Actor, ActorKind, subject_kind
from coe.access.machine_models import WorkerKey
from coe.crypto import jose
from coe.crypto.mac import MacKeys, MacPurpose
from coe.crypto.signing import SigningKey
from coe.db import new_id
from coe.errors import Unauthenticated
from coe.formats import instants, uuids
from coe.json_types import JSON

ACCESS_TOKEN: Final = "at+jwt"  # noqa: S105  # the type of a token (RFC 9068)
WORKER: Final = "worker"
"""The kind of the credential of a team's worker, before its id: `worker:<uuid>`."""
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

    def worker_mac(self, row: WorkerKey) -> bytes:
        """The code over what never changes in the row of a worker's key."""
        return self.macs.code(MacPurpose.WORKER_KEY, *_parts(row))

    def is_ours(self, row: WorkerKey) -> bool:
        """Whether the platform wrote this row, and nobody changed it since."""
        return self.macs.verify(MacPurpose.WORKER_KEY, row.mac, *_parts(row))

    def sign(self, subject: str, credential: str, now: datetime) -> str:
        """An access token of a subject for its credential."""
        until = now + timedelta(seconds=self.seconds)
        claims: dict[str, JSON] = {
            "iss": self.issuer,
            "aud": self.issuer,
            "sub": subject,
            "client_id": credential,
            "iat": now.timestamp(),
            "exp": until.timestamp(),
            "jti": str(new_id()),
        }
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


def _parts(row: WorkerKey) -> list[bytes]:
    texts = (
        str(row.id),
        row.team,
        row.name,
        row.enrolled_by,
        instants.write(row.enrolled_at),
        instants.write(row.expires_at),
    )
    return [row.public_key, *(each.encode() for each in texts)]


def is_access_token(bearer: str) -> bool:
    """Whether this may be an access token of a machine: it has the three parts of a signed one."""
    return len(bearer.split(".", _PARTS)) == _PARTS


def worker_subject(team: str) -> str:
    """The subject of the workers of a team."""
    return f"service:worker/{team}"


def is_worker(subject: str) -> bool:
    """Whether this is the subject of the workers of a team."""
    return subject.startswith("service:worker/")


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
    kind, _, key = credential.partition(":")
    if kind != WORKER:
        raise Unauthenticated
    row = await find_worker_key(session, key)
    if row is None or claims.get("sub") != worker_subject(row.team):
        raise Unauthenticated
    check_worker_key(keys, row, now)
    return worker_actor(row)


async def find_worker_key(session: AsyncSession, key: str) -> WorkerKey | None:
    """The row of a worker's key, by its id as text."""
    try:
        number: UUID = uuids.read(key)
    except ValueError:
        return None
    return await session.get(WorkerKey, number)


def check_worker_key(keys: MachineKeys, row: WorkerKey, now: datetime) -> None:
    """Refuse a key that is not good.

    Raises:
        RefusedCredential: It is revoked or expired, or the platform did not write its row.
    """
    why = None
    if not keys.is_ours(row):
        why = "the platform did not write its row"
    elif row.revoked_at is not None:
        why = "it was revoked"
    elif row.expires_at <= now:
        why = "it expired"
    if why is not None:
        subject = worker_subject(row.team)
        raise RefusedCredential(subject, f"{WORKER}:{row.id}", row.team, why)


def worker_actor(row: WorkerKey) -> Actor:
    """The actor that a worker's key stands for."""
    return Actor(
        worker_subject(row.team),
        ActorKind.SERVICE,
        f"{row.name}, worker of {row.team}",
        maker=row.enrolled_by if subject_kind(row.enrolled_by) is ActorKind.PERSON else None,
        credential=f"{WORKER}:{row.id}",
    )
