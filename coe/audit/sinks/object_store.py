"""A bucket of an S3-compatible object store: an object a checkpoint, never written twice.

With `lock_days` each object is locked (object lock, mode COMPLIANCE): nobody deletes it before,
also not who has the credentials. Requests are signed with AWS Signature Version 4.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

import httpx

from coe.audit.checkpoint import Checkpoint
from coe.audit.sinks.http import send
from coe.audit.sinks.sink import Prove, SinkFailed
from coe.db import utcnow

_SERVICE: Final = "s3"
_KEY: Final = re.compile(rb"<Key>([^<]+)</Key>")
_LAST_EPOCH: Final = 10**6 - 1
_LAST_SIZE: Final = 10**18 - 1


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key of the store."""

    access_key: str
    secret_key: str = field(repr=False)
    region: str


def authorization(
    credentials: Credentials,
    request: tuple[str, str],
    query: Mapping[str, str],
    headers: Mapping[str, str],
    payload_digest: str,
) -> str:
    """The header `Authorization` of a request, its method and URL, with these headers.

    `x-amz-date` is one of them.
    """
    method, url = request
    named = {name.lower(): value.strip() for name, value in headers.items()}
    named["host"] = urlsplit(url).netloc
    signed = ";".join(sorted(named))
    stamp = named["x-amz-date"]
    canonical = "\n".join(
        [
            method,
            quote(urlsplit(url).path or "/", safe="/%~"),
            query_text(query),
            *(f"{name}:{named[name]}" for name in sorted(named)),
            "",
            signed,
            payload_digest,
        ]
    )
    scope = f"{stamp[:8]}/{credentials.region}/{_SERVICE}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
    key = f"AWS4{credentials.secret_key}".encode()
    for part in (stamp[:8], credentials.region, _SERVICE, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    named_credential = f"{credentials.access_key}/{scope}"
    return (
        f"AWS4-HMAC-SHA256 Credential={named_credential},"
        f"SignedHeaders={signed},Signature={signature}"
    )


def query_text(query: Mapping[str, str]) -> str:
    """The query as it is signed: sorted, and quoted as S3 does."""
    return "&".join(
        f"{quote(name, safe='~')}={quote(query[name], safe='~')}" for name in sorted(query)
    )


@dataclass(slots=True)
class ObjectStoreSink:
    """A bucket, by the path of its endpoint; `lock_days` is how long an object is locked."""

    name: str
    endpoint: str
    bucket: str
    prefix: str
    credentials: Credentials
    ca_file: Path | None = None
    lock_days: int | None = None
    kind: str = "object-store"
    readable: bool = True
    proves: bool = False
    every: float = 60.0

    async def newest(self) -> str | None:
        """The object that is listed first: the names count downwards."""
        query = {"list-type": "2", "max-keys": "1", "prefix": self.prefix}
        listed = await self._send("GET", "", query=query)
        found = _KEY.search(listed.content)
        if found is None:
            return None
        answer = await self._send("GET", found[1].decode())
        return answer.content.decode(errors="replace")

    async def keep(self, checkpoint: Checkpoint, since: Checkpoint | None, prove: Prove) -> None:  # noqa: ARG002  # as every sink
        """Write an object, if there is none of this name."""
        content = checkpoint.note.encode()
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        headers = {"If-None-Match": "*", "x-amz-checksum-sha256": digest}
        if self.lock_days is not None:
            until = checkpoint.at.astimezone(UTC) + timedelta(days=self.lock_days)
            headers["x-amz-object-lock-mode"] = "COMPLIANCE"
            headers["x-amz-object-lock-retain-until-date"] = f"{until:%Y-%m-%dT%H:%M:%SZ}"
        await self._send("PUT", self.key(checkpoint), headers=headers, content=content)

    def key(self, checkpoint: Checkpoint) -> str:
        """The name of the object of a checkpoint."""
        epoch, size = checkpoint.place
        order = f"{_LAST_EPOCH - epoch:06d}-{_LAST_SIZE - size:018d}"
        return f"{self.prefix}{order}-epoch-{epoch}-size-{size}"

    async def _send(
        self,
        method: str,
        key: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
    ) -> httpx.Response:
        url = f"{self.endpoint.rstrip('/')}/{self.bucket}/{quote(key, safe='/~')}".rstrip("/")
        digest = hashlib.sha256(content).hexdigest()
        sent = {
            **(headers or {}),
            "x-amz-content-sha256": digest,
            "x-amz-date": _stamp(utcnow()),
        }
        sent["Authorization"] = authorization(
            self.credentials, (method, url), query or {}, sent, digest
        )
        whole = f"{url}?{query_text(query)}" if query else url
        answer = await send(self.ca_file, method, whole, sent, content)
        if answer.status_code == httpx.codes.PRECONDITION_FAILED:  # it is there already
            return answer
        if not answer.is_success:
            raise SinkFailed(f"{method} answers {answer.status_code}")
        return answer


def _stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
