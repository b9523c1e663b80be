"""The certificate that the API serves: read from its files, and again when they change.

The new pair gets a context of its own, which the next handshakes use once it is complete: neither a
certificate without its key nor half a file is ever served. A pair that cannot be used is not taken,
and the one before it goes on.
"""

from __future__ import annotations

import logging
import ssl
import stat
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from coe.db import utcnow
from coe.errors import CoeError
from coe.formats import instants

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: forward secrecy and authenticated encryption only. TLS 1.3 has no others."""
SOON: Final = timedelta(days=7)
"""How long before its end a certificate is an alarm."""

_log = logging.getLogger(__name__)
_Stamp = tuple[tuple[int, int, int, int] | None, ...]


class CertificateRefused(CoeError):
    """The certificate or its key cannot be served."""

    code = "INVALID"


@dataclass(frozen=True, slots=True)
class _Served:
    context: ssl.SSLContext
    serial: int
    begins: datetime
    ends: datetime


class ServerCertificate:
    """A certificate with its key, in two files that may be replaced while it is served."""

    def __init__(
        self, cert_file: Path, key_file: Path, *, clock: Callable[[], datetime] = utcnow
    ) -> None:
        """Read the files.

        Raises:
            CertificateRefused: They cannot be served.
        """
        self._cert_file, self._key_file, self._clock = cert_file, key_file, clock
        self._stamp = self._stamped()
        self._served = self._read()
        self._refused = False
        self._warned = False
        self.context = self._served.context
        """What the server is started with. Each handshake uses the pair of its moment."""
        self.context.sni_callback = self._choose

    @classmethod
    def of(cls, cert_file: Path | None, key_file: Path | None) -> ServerCertificate | None:
        """The certificate in these files; None without them.

        Raises:
            CertificateRefused: They cannot be served.
        """
        return cls(cert_file, key_file) if cert_file and key_file else None

    @property
    def serial(self) -> int:
        """The serial number of the certificate that is served."""
        return self._served.serial

    @property
    def ends(self) -> datetime:
        """Until when the certificate that is served is good."""
        return self._served.ends

    @property
    def problem(self) -> str | None:
        """What is wrong, without names of files; None if nothing is."""
        if self._refused:
            return "the new certificate or its key cannot be used; the one before is served"
        now = self._clock()
        if now >= self.ends:
            return "the certificate has expired"
        if now < self._served.begins:
            return "the certificate is not valid yet"
        return "the certificate expires soon" if now >= self.ends - SOON else None

    def look(self) -> None:
        """Serve the pair in the files if they have changed; keep the one before if it is broken."""
        stamp = self._stamped()
        if stamp != self._stamp:
            self._stamp = stamp
            self._renew()
        if not self._refused and bool(self.problem) != self._warned:
            self._warned = bool(self.problem)
            if self.problem:
                _log.warning(
                    "%s: %s (%s)", self._cert_file, self.problem, instants.write_seconds(self.ends)
                )

    def _renew(self) -> None:
        try:
            found = self._read()
            self._check_times(found)
        except CertificateRefused as error:
            self._refused = True
            _log.error("%s; the certificate before it is served", error.message)
            return
        self._served, self._refused = found, False
        _log.info("a new certificate is served, good until %s", instants.write_seconds(found.ends))

    def _check_times(self, found: _Served) -> None:
        """Refuse a certificate that is not valid now in place of one that is."""
        now = self._clock()
        if not found.begins <= now < found.ends and now < self.ends:
            raise CertificateRefused(f"{self._cert_file} is not valid now")

    def _choose(
        self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _: ssl.SSLContext
    ) -> None:
        """Give a handshake the context of now; also one whose client names no host."""
        connection.context = self._served.context

    def _read(self) -> _Served:
        """The pair that is in the files.

        Raises:
            CertificateRefused: It cannot be served.
        """
        context = _context()
        try:
            _check_mode(self._key_file)
            [first, *_] = x509.load_pem_x509_certificates(self._cert_file.read_bytes())
            context.load_cert_chain(self._cert_file, self._key_file, password=self._no_password)
        except ssl.SSLError as error:
            wrong = error.reason == "KEY_VALUES_MISMATCH"
            why = "is not the key of" if wrong else "has no private key (PEM) for"
            raise CertificateRefused(f"{self._key_file} {why} {self._cert_file}") from None
        except ValueError:
            raise CertificateRefused(f"{self._cert_file} has no certificate (PEM)") from None
        except OSError as error:
            place = error.filename or self._cert_file
            raise CertificateRefused(f"{place} cannot be read: {error.strerror}") from None
        return _Served(
            context, first.serial_number, first.not_valid_before_utc, first.not_valid_after_utc
        )

    def _no_password(self) -> str:
        raise CertificateRefused(
            f"{self._key_file} is encrypted, and nobody is there to type its password: "
            "keep it without one, in a file that others cannot read"
        )

    def _stamped(self) -> _Stamp:
        """What changes when a file is written, or replaced by another, also behind a link."""
        return tuple(_stamp(each) for each in (self._cert_file, self._key_file))


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _check_mode(key_file: Path) -> None:
    """Refuse a key that everybody on the machine can read; a group may, as in a container."""
    mode = stat.S_IMODE(key_file.stat().st_mode)
    if mode & stat.S_IRWXO:
        message = f"{key_file} has mode {mode:04o}, so others can use it: chmod o= {key_file}"
        raise CertificateRefused(message)


def _stamp(path: Path) -> tuple[int, int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_ctime_ns, found.st_size
