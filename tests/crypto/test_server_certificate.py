"""The certificate of the API is replaced while it is served, and a broken one never is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from coe.crypto.server_certificate import CertificateRefused, ServerCertificate
from tests.factories.certificates import Authority, Pair


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def served(authority: Authority, tmp_path: Path) -> tuple[ServerCertificate, Pair]:
    """A certificate that is served, and its files."""
    pair = authority.issue("localhost", serial=1, life=timedelta(days=30), name="served")
    return ServerCertificate(pair.cert, pair.key), pair


def _encrypt(pair: Pair) -> None:
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"secret")
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    pair.key.write_bytes(key.private_bytes(pem, form, locked))


BREAKS: dict[str, tuple[Callable[[Pair], object], str]] = {
    "an empty certificate": (lambda pair: pair.cert.write_text(""), "has no certificate"),
    "half a certificate": (
        lambda pair: pair.cert.write_bytes(pair.cert.read_bytes()[:200]),
        "has no certificate",
    ),
    "an empty key": (lambda pair: pair.key.write_text(""), "has no private key"),
    "an encrypted key": (_encrypt, "is encrypted"),
    "a key that others can read": (lambda pair: pair.key.chmod(0o644), "chmod o="),
    "no certificate": (lambda pair: pair.cert.unlink(), "No such file"),
    "no key": (lambda pair: pair.key.unlink(), "No such file"),
}


@pytest.mark.parametrize("how", BREAKS)
def test_a_broken_pair_is_refused_at_the_start_and_not_taken_later(
    authority: Authority,
    served: tuple[ServerCertificate, Pair],
    caplog: pytest.LogCaptureFixture,
    how: str,
) -> None:
    certificate, pair = served
    spoil, why = BREAKS[how]
    spoil(pair)
    with pytest.raises(CertificateRefused, match=why):
        ServerCertificate(pair.cert, pair.key)
    certificate.look()
    certificate.look()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert why in caplog.text
    assert certificate.serial == 1
    assert certificate.problem is not None
    assert str(pair.cert) not in certificate.problem
    pair.key.unlink(missing_ok=True)
    authority.issue("localhost", serial=2, life=timedelta(days=30), name="served")
    certificate.look()
    assert (certificate.serial, certificate.problem) == (2, None)


def test_a_certificate_without_its_key_waits_for_it(
    authority: Authority, served: tuple[ServerCertificate, Pair], caplog: pytest.LogCaptureFixture
) -> None:
    certificate, pair = served
    new = authority.issue("localhost", serial=2, life=timedelta(days=30), name="new")
    new.cert.replace(pair.cert)
    certificate.look()
    assert certificate.serial == 1
    assert f"{pair.key} is not the key of {pair.cert}" in caplog.text
    new.key.replace(pair.key)
    certificate.look()
    assert (certificate.serial, certificate.problem) == (2, None)


def test_a_link_that_is_moved_as_kubernetes_does(authority: Authority, tmp_path: Path) -> None:
    for serial in (1, 2):
        pair = authority.issue("localhost", serial=serial)
        folder = tmp_path / f"..{serial}"
        folder.mkdir()
        shutil.move(pair.cert, folder / "tls.crt")
        shutil.move(pair.key, folder / "tls.key")
    (tmp_path / "..data").symlink_to("..1")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    certificate = ServerCertificate(tmp_path / "tls.crt", tmp_path / "tls.key")
    assert certificate.serial == 1
    (tmp_path / "..new").symlink_to("..2")
    os.replace(tmp_path / "..new", tmp_path / "..data")  # noqa: PTH105  # the link itself
    certificate.look()
    assert certificate.serial == 2


def test_one_that_has_expired_does_not_replace_one_that_is_good(
    authority: Authority, served: tuple[ServerCertificate, Pair]
) -> None:
    certificate, _ = served
    authority.issue("localhost", serial=2, life=timedelta(days=-1), name="served")
    certificate.look()
    assert certificate.serial == 1


@pytest.mark.parametrize(
    ("days", "problem"),
    [
        (-1, "the certificate is not valid yet"),
        (1, None),
        (24, "the certificate expires soon"),
        (31, "the certificate has expired"),
    ],
)
def test_the_end_is_an_alarm_before_it_comes(
    authority: Authority, caplog: pytest.LogCaptureFixture, days: int, problem: str | None
) -> None:
    pair = authority.issue("localhost", serial=1, life=timedelta(days=30))
    at = datetime.now(UTC) + timedelta(days=days)
    certificate = ServerCertificate(pair.cert, pair.key, clock=lambda: at)
    certificate.look()
    certificate.look()
    assert certificate.problem == problem
    assert len(caplog.records) == (problem is not None)
