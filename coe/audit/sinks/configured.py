"""The sinks that the operator names, in the YAML file of `COE_CHECKPOINT_SINKS_FILE`.

sinks:
  bucket:
    kind: object-store
    endpoint: https://s3.eu-central-1.amazonaws.com
    region: eu-central-1
    bucket: acme-coe-checkpoints
    access_key: …
    secret_key: …
    lock_days: 400
  witness: {kind: witness, url: "https://witness.example.com"}
  own: {kind: https, url: "https://audit.example.com/coe", token: …}
  syslog: {kind: syslog, host: logs.example.com}
  mounted: {kind: file, path: /mnt/elsewhere/checkpoints}
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from coe.audit.sinks.file import FileSink
from coe.audit.sinks.http import HttpSink, WitnessSink
from coe.audit.sinks.object_store import Credentials, ObjectStoreSink
from coe.audit.sinks.sink import Sink
from coe.audit.sinks.syslog import SyslogSink
from coe.crypto.operator_files import OperatorFile, OperatorFileError
from coe.errors import CoeError
from coe.identifiers import is_slug
from coe.tls import client_context, in_clear, is_loopback

_HOST: Final = re.compile(r"[A-Za-z0-9._:-]{1,253}")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _verified(url: str) -> str:
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        raise ValueError("this is no address") from None
    if parts.scheme not in {"http", "https"} or not _is_host(parts.raw_host.decode()):
        raise ValueError("an address begins with https:// and names a host")
    if in_clear(url):
        raise ValueError("an address on another machine begins with https://")
    return url


def _is_host(host: str) -> bool:
    """Whether this could be the name or the address of a host."""
    return bool(_HOST.fullmatch(host))


class _File(_Model):
    kind: Literal["file"]
    path: Path


class _Http(_Model):
    kind: Literal["https"]
    url: str
    token: SecretStr | None = None

    _url = field_validator("url")(_verified)


class _Witness(_Model):
    kind: Literal["witness"]
    url: str

    _url = field_validator("url")(_verified)


class _ObjectStore(_Model):
    kind: Literal["object-store"]
    endpoint: str
    region: str
    bucket: str
    prefix: str = "checkpoints/"
    access_key: str
    secret_key: SecretStr
    lock_days: int | None = Field(default=None, ge=1)

    _endpoint = field_validator("endpoint")(_verified)


class _Syslog(_Model):
    kind: Literal["syslog"]
    host: str
    port: int = Field(default=6514, ge=1, le=65535)

    @field_validator("host")
    @classmethod
    def _names_a_host(cls, host: str) -> str:
        if not _is_host(host):
            raise ValueError("this names no host")
        return host


_Sink = Annotated[_File | _Http | _Witness | _ObjectStore | _Syslog, Field(discriminator="kind")]


class _Sinks(_Model):
    sinks: dict[str, _Sink]

    @model_validator(mode="before")
    @classmethod
    def _may_be_empty(cls, given: Any) -> Any:
        return {"sinks": {}} if given in (None, {"sinks": None}) else given

    @field_validator("sinks")
    @classmethod
    def _are_named(cls, sinks: dict[str, _Sink]) -> dict[str, _Sink]:
        if not all(is_slug(name) for name in sinks):
            raise ValueError("a sink is named by a slug")
        return sinks


def open_sinks(file: Path | None, ca_file: Path | None = None) -> list[Sink]:
    """The sinks of the file; none without one, or if it is empty. Nothing connects yet.

    Raises:
        CoeError: The file cannot be used.
    """
    try:
        content = OperatorFile(file, _Sinks).current()
    except OperatorFileError as error:
        message = f"COE_CHECKPOINT_SINKS_FILE: {file}: {error}"
        raise CoeError(message, code="INVALID") from None
    given = content.sinks if content else {}
    return [_opened(name, each, ca_file) for name, each in sorted(given.items())]


def _opened(name: str, given: Any, ca_file: Path | None) -> Sink:
    match given:
        case _File():
            return FileSink(name, given.path)
        case _Http():
            token = given.token.get_secret_value() if given.token else None
            return HttpSink(name, given.url, ca_file, token)
        case _Witness():
            return WitnessSink(name, given.url, ca_file)
        case _Syslog():
            context = None if is_loopback(given.host) else client_context(ca_file)
            return SyslogSink(name, given.host, given.port, context)
    secret = given.secret_key.get_secret_value()
    credentials = Credentials(given.access_key, secret, given.region)
    return ObjectStoreSink(
        name,
        given.endpoint,
        given.bucket,
        given.prefix,
        credentials,
        ca_file,
        given.lock_days,
    )
