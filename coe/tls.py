"""TLS towards others: whom every outgoing connection trusts, and what goes over a network in clear.

There is one context for clients, and no switch that makes it trust everybody. A connection to
PostgreSQL is described by its URL, as libpq does.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
VERIFYING: Final = frozenset({"verify-ca", "verify-full"})
SSL_MODES: Final = frozenset({"disable", "allow", "prefer", "require"}) | VERIFYING
SYSTEM: Final = "system"
"""In place of a file in `sslrootcert`: the public authorities."""


class NotAuthorities(ValueError):
    """A file that should have certificates of authorities has none."""


def public_authorities() -> Path:
    """The file with the certificates of the public authorities."""
    import certifi  # noqa: PLC0415  # most commands do without it

    return Path(certifi.where())


def client_context(ca_file: Path | None = None, *, environment: bool = False) -> ssl.SSLContext:
    """The context of a client: TLS 1.2 or later, certificates and names are always checked.

    Args:
        ca_file: Certificates (PEM) of authorities to trust beside the public ones.
        environment: Trust what `SSL_CERT_FILE` or `SSL_CERT_DIR` names in place of the public
            ones, as other programs of a person do.

    Raises:
        NotAuthorities: The file is missing, or has no certificates.
    """
    import httpx  # noqa: PLC0415  # it finds the public authorities; slow to import

    context = httpx.create_ssl_context(trust_env=environment)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        _add(context, ca_file)
    return context


def check_authorities(ca_file: Path) -> None:
    """Refuse a file that could not be trusted.

    Raises:
        NotAuthorities: The file is missing, or has no certificates.
    """
    _add(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ca_file)


def _add(context: ssl.SSLContext, ca_file: Path) -> None:
    try:
        context.load_verify_locations(ca_file)
    except OSError as error:  # an error of ssl is one too
        why = error.strerror if not isinstance(error, ssl.SSLError) and error.strerror else None
        message = f"{ca_file}: {why or 'it has no certificates of authorities (PEM)'}"
        raise NotAuthorities(f"{message}: see COE_CA_FILE and --ca-file") from None


def authorities_text(ca_file: Path) -> str:
    """The public authorities and those of a file, for libraries that read one file only."""
    return f"{public_authorities().read_text()}\n{ca_file.read_text()}"


def websocket_context(
    url: str, ca_file: Path | None = None, *, environment: bool = False
) -> ssl.SSLContext | None:
    """The context for a WebSocket at this address, as `client_context`; None without TLS."""
    if not url.startswith("wss:"):
        return None
    return client_context(ca_file, environment=environment)


def distrust(error: BaseException) -> str | None:
    """Why the certificate of a server is not trusted; None if that is not why a call failed."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        cause = cause.__cause__ or cause.__context__
    return None


def why_unreached(error: BaseException) -> str:
    """Why a server was not reached, in words that say what to look at."""
    found = distrust(error)
    if found is not None:
        return f"{found}; see COE_CA_FILE and --ca-file"
    return next(filter(None, map(_words, _causes(error))), type(error).__name__)


def _words(cause: BaseException) -> str | None:
    """What one cause says to somebody who gave the address; None if it says nothing."""
    if isinstance(cause, ssl.SSLError):
        spoken = (cause.reason or "no TLS").lower().replace("_", " ")
        return f"TLS fails there ({spoken}): is the address http:// and not https://?"
    if isinstance(cause, socket.gaierror):
        return "no host of this name is known: is the address right?"
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused: nothing listens at this port"
    if isinstance(cause, TimeoutError):
        return "it did not answer in time"
    return cause.strerror.lower() if isinstance(cause, OSError) and cause.strerror else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that led to it; of a group, its members."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        cause = waiting.pop(0)
        if cause is None or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        if isinstance(cause, BaseExceptionGroup):
            waiting += cause.exceptions
        waiting += (cause.__cause__, cause.__context__)


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own."""
    if host in LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def in_clear(url: str) -> bool:
    """Whether what is sent to this address can be read on the way."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def place_of(url: str) -> str:
    """The scheme, host and port of an address, for people: no credentials, path or query.

    A password that should have been encoded ends the host too early: then the host is not shown.
    """
    scheme, _, rest = url.partition("://")
    place = rest.partition("/")[0].partition("?")[0].partition("#")[0]
    host = place.rpartition("@")[2]
    return f"{scheme}://{'***' if '@' in rest[len(place) :] else host}"


# ---------------------------------------------------------------- PostgreSQL
def verified_database_url(url: str, ca_file: Path | None = None) -> str:
    """The URL of a database with how its server is verified, for the driver.

    A server on another machine is verified (`verify-full`) unless the URL says otherwise. Its
    authorities are those of `sslrootcert`, else of `ca_file`, else the public ones.
    """
    query = _query(url)
    found = sslmode(url)
    said = query.get("sslmode")
    root = query.get("sslrootcert")
    if found not in VERIFYING or (said and root and root != SYSTEM):
        return url
    if root is None and ca_file is not None:
        file = ca_file.absolute()
    else:
        file = Path(root) if root not in {None, SYSTEM} else public_authorities()
    given = query | {"sslmode": found, "sslrootcert": str(file)}
    base = url.partition("?")[0]
    return (
        base + "?" + "&".join(f"{name}={quote(value, safe='/')}" for name, value in given.items())
    )


def sslmode(url: str) -> str | None:
    """The `sslmode` with which a database is reached; None on this machine without one."""
    said = _query(url).get("sslmode")
    if said is not None:
        return said
    local = all(host.startswith("/") or host in LOOPBACK for host in _hosts(url))
    return None if local else "verify-full"


def checked_database_url(url: str) -> str:
    """The URL itself.

    Raises:
        ValueError: Its `sslmode` is none, its `sslrootcert` is no file, or it does not say in one
            way which host is meant.
    """
    _check_host(url)
    query = _query(url)
    mode, root = query.get("sslmode"), query.get("sslrootcert")
    if mode is not None and mode not in SSL_MODES:
        raise ValueError(f"sslmode={mode}: it is one of {', '.join(sorted(SSL_MODES))}")
    if "ssl" in query:
        raise ValueError("ssl=…: write sslmode=… as libpq does, such as sslmode=verify-full")
    if root not in {None, SYSTEM} and not Path(str(root)).is_file():
        raise ValueError(f"sslrootcert={root}: there is no such file")
    return url


def is_verified(url: str) -> bool:
    """Whether the database is on this machine, or its server has to prove who it is."""
    found = sslmode(url)
    local = all(host.startswith("/") or host in LOOPBACK for host in _hosts(url))
    return local or found in VERIFYING


def _check_host(url: str) -> None:
    """Refuse what a driver and this module could read as two hosts.

    Raises:
        ValueError: What it is, and what to write.
    """
    place = _place(url)
    query = _query(url)
    if "#" in url:
        raise ValueError("a # in the URL of a database: write %23, if it is of the password")
    if place.count("@") > 1:
        raise ValueError("two @ before the host: write %40 for the one of the password")
    named = place.rpartition("@")[2]
    if "host" in query and named:
        raise ValueError("the host stands before the database and in host=…: keep one of them")
    if "service" in query:
        raise ValueError("service=…: write the host into the URL itself")
    if not named and not query.get("host") and os.environ.get("PGSERVICE"):
        raise ValueError("PGSERVICE is set, and no host: write the host into the URL itself")


def _query(url: str) -> dict[str, str]:
    found = parse_qs(url.partition("?")[2], keep_blank_values=True)
    return {name: values[-1] for name, values in found.items()}


def _place(url: str) -> str:
    return url.partition("://")[2].partition("?")[0].partition("/")[0]


def _hosts(url: str) -> list[str]:
    """The hosts of a URL, else of `PGHOST`; a folder stands for a Unix socket.

    There is none where the driver's default is, which is on this machine.
    """
    named = _place(url).rpartition("@")[2]
    if not named:
        found = _query(url).get("host") or os.environ.get("PGHOST", "")
        return [_name(each) for each in found.split(",") if each.strip()]
    return [_name(each) for each in named.split(",") if each.strip()]


def _name(host: str) -> str:
    """A host without its port; a folder as it is."""
    text = host.strip()
    return text if text.startswith("/") else urlsplit(f"//{text}").hostname or ""
