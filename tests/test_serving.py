"""`coe up` over TLS, with a real server and real handshakes."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from click.testing import CliRunner
from cryptography import x509

from coe.cli.main import cli
from coe.demo.api import create_demo_app
from coe.processes.serving import serve
from coe.settings import Settings
from coe.tls import client_context
from tests.factories.api import Api
from tests.factories.certificates import Authority
from tests.factories.ports import free_port

CUT = "UNEXPECTED_EOF|ALERT"
"""What a client gets whose offer the server refuses: asyncio closes before it sends an alert."""


@asynccontextmanager
async def serving(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Serve as `coe up` does, in this loop."""
    made: list[uvicorn.Server] = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda server, **_: made.append(server))
    serve(create_demo_app(settings), settings)
    [server] = made
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, 10)


def handshake(port: int, context: ssl.SSLContext) -> tuple[int, str]:
    """The serial number of the certificate, and the cipher."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        der, cipher = connection.getpeercert(binary_form=True), connection.cipher()
    assert der
    assert cipher
    return x509.load_der_x509_certificate(der).serial_number, cipher[0]


def old(version: ssl.TLSVersion) -> ssl.SSLContext:
    """A client that would take what is broken since long."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")  # of asking for it
async def test_tls_with_a_certificate_that_is_replaced_without_a_restart(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coe.processes.http_process.CERTIFICATE_SECONDS", 0.02)
    authority = Authority(tmp_path)
    pair = authority.issue("127.0.0.1", serial=1, name="served")
    port = free_port()
    given = {"port": port, "tls_cert_file": pair.cert, "tls_key_file": pair.key, "loops": False}
    trusted = client_context(authority.file)

    async def until(serial: int) -> None:
        while (await asyncio.to_thread(handshake, port, trusted))[0] != serial:
            await asyncio.sleep(0.02)

    async with (
        serving(settings.model_copy(update=given), monkeypatch),
        httpx.AsyncClient(
            base_url=f"https://127.0.0.1:{port}", verify=trusted, trust_env=False
        ) as client,
    ):
        first = (await client.get("/readyz")).json()
        assert first["tls"]["detail"] == "the certificate expires soon"
        # What is broken since long is refused, and plain HTTP gets no answer.
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            with pytest.raises(ssl.SSLError, match=CUT):
                await asyncio.to_thread(handshake, port, old(version))
        _, cipher = await asyncio.to_thread(handshake, port, old(ssl.TLSVersion.TLSv1_2))
        assert cipher.startswith("ECDHE-ECDSA-")
        weak = old(ssl.TLSVersion.TLSv1_2)
        weak.set_ciphers("ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")
        with pytest.raises(ssl.SSLError, match=CUT):
            await asyncio.to_thread(handshake, port, weak)
        with pytest.raises(httpx.TransportError):
            await client.get(f"http://127.0.0.1:{port}/healthz")
        # Another pair is served; a broken one is not, and the one before goes on.
        authority.issue("127.0.0.1", serial=2, name="served")
        await asyncio.wait_for(until(2), 10)
        pair.key.write_text("broken")
        while not (ready := (await client.get("/readyz")).json())["tls"]["detail"].startswith(
            "the new certificate or its key cannot be used"
        ):
            await asyncio.sleep(0.02)
        assert (ready["status"], ready["tls"]["state"]) == ("ready", "alarm")
        assert str(tmp_path) not in str(ready)
        assert (await asyncio.to_thread(handshake, port, trusted))[0] == 2
        authority.issue("127.0.0.1", serial=3, name="served")
        await asyncio.wait_for(until(3), 10)


@pytest.mark.parametrize(
    ("public", "base", "strict"),
    [
        ("https://coe.example", "http://coe.example", True),
        ("https://coe.example", "https://coe.example", True),
        ("https://coe.example", "http://127.0.0.1:8700", False),
        (None, "https://coe.example", True),
        (None, "https://localhost:8700", False),
        (None, "https://127.0.0.1:8700", False),
        (None, "http://coe.example", False),
        ("http://coe.example", "http://coe.example", False),
    ],
)
async def test_browsers_are_told_to_come_over_tls_alone(
    settings: Settings, public: str | None, base: str, *, strict: bool
) -> None:
    given = {"public_url": public, "loops": False, "allowed_hosts": ("coe.example",)}
    api = Api(create_demo_app(settings.model_copy(update=given)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api.app), base_url=base) as client:
        answer = await client.get("/healthz")
    wanted = "max-age=31536000" if strict else None
    assert answer.headers.get("strict-transport-security") == wanted


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"COE_HOST": "0.0.0.0"}, "COE_HOST=0.0.0.0: other machines would send"),
        ({"COE_TLS_CERT_FILE": "/nowhere/a.crt"}, "set COE_TLS_KEY_FILE too"),
        (
            {"COE_TLS_CERT_FILE": "/nowhere/a.crt", "COE_TLS_KEY_FILE": "/nowhere/a.key"},
            "/nowhere/a.key cannot be read: No such file",
        ),
        ({"COE_CA_FILE": "/nowhere/ca.pem"}, "COE_CA_FILE: Value error, /nowhere/ca.pem: No such"),
        (
            {"COE_DATABASE_URL": "postgresql://coe@db.example/coe?sslmode=on"},
            "COE_DATABASE_URL: Value error, sslmode=on: it is one of",
        ),
    ],
)
def test_it_does_not_start_without_saying_why(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], message: str
) -> None:
    monkeypatch.setattr(uvicorn.Server, "run", lambda *_, **__: pytest.fail("it is served"))
    own = {"COE_DATABASE_URL": settings.database_url, "COE_DATA_DIR": str(settings.data_dir)}
    for name, value in (own | given).items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(cli, ["up"])
    assert done.exit_code == 1, done.output
    assert message in done.output
