"""Somebody on the way answers in place of a server, or has a connection made weaker."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import orjson
import pytest
import websockets
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from coe.app import create_app
from coe.cli.api_client import ApiClient
from coe.cli.audit.bundle import download
from coe.cli.ci import access_token
from coe.crypto import jose
from coe.db import Database, DatabaseNotTrusted
from coe.engines.prefect_http import PrefectHTTP
from coe.engines.prefect_server import UNVERIFIED, worker_environment
from coe.errors import CoeError
from coe.identity.discovery import Discovery
from coe.identity.forwarder import forwarding
from coe.identity.worker_identity import AccessTokens, WorkerIdentity, client_of, enrol
from coe.leaves.leaf import LeafFault, LeafIO
from coe.leaves.run import run_leaf
from coe.leaves.transport import open_client
from coe.sdk import Client
from coe.settings import Settings
from coe.tls import websocket_context
from coe.web.client_address import OnlyByProxy
from tests.factories.certificates import Authority, Pair
from tests.factories.http_service import call
from tests.factories.sockets import LOOPBACK
from tests.factories.tls_postgres import before

SECRET = "coe_a-secret"


@dataclass
class Impostor:
    """A server, and what it was sent once a connection stood."""

    url: str
    sent: bytearray = field(default_factory=bytearray)


@asynccontextmanager
async def answering(context: ssl.SSLContext | None) -> AsyncIterator[Impostor]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            impostor.sent.extend(await reader.read(65536))
            writer.write(b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    impostor = Impostor(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with server:
        yield impostor


async def _issuer(url: str, ca_file: Path, _: Path) -> None:
    discovery = Discovery(ca_file)
    try:
        await discovery.fetch(url, Authorization=SECRET)
    finally:
        await discovery.close()


async def _prefect(url: str, ca_file: Path, _: Path) -> None:
    http = PrefectHTTP(f"{url}/api", f"coe:{SECRET}", ca_file=ca_file)
    try:
        await http.get("/flows")
    finally:
        await http.close()


async def _prefect_events(url: str, ca_file: Path, _: Path) -> None:
    address = url.replace("https", "wss")
    async with websockets.connect(
        address, ssl=websocket_context(address, ca_file), additional_headers={"X": SECRET}
    ):
        pass


async def _worker_enrols(url: str, ca_file: Path, folder: Path) -> None:
    async with client_of(url, ca_file) as http:
        await enrol(http, folder, "warehouse", code=SECRET, name="test")


class _Token(AccessTokens):
    async def current(self) -> str:
        return SECRET


async def _worker_forwards(url: str, ca_file: Path, _: Path) -> None:
    """A worker's WebSocket; refused, it is closed without the platform's answer."""
    identity = WorkerIdentity(url, "warehouse", jose.new_private_key())
    async with (
        client_of(url, ca_file) as http,
        forwarding(http, _Token(identity, http), ca_file) as forwarded,
        websockets.connect(forwarded.url.replace("http", "ws"), proxy=None) as own,
    ):
        await own.send(orjson.dumps({"type": "auth", "token": forwarded.secret}).decode())
        await own.recv()


async def _command(url: str, ca_file: Path, _: Path) -> None:
    async with Client(url, SECRET, ca_file=ca_file) as client:
        await client.execute("{ me { subject } }")


async def _job_of_ci(url: str, ca_file: Path, _: Path) -> None:
    await asyncio.to_thread(access_token, url, {"COE_ID_TOKEN": SECRET}, ca_file=ca_file)


async def _export(url: str, ca_file: Path, folder: Path) -> None:
    with ApiClient(url, SECRET, ca_file) as api:
        await asyncio.to_thread(download, api, folder / "bundle", {})


async def _flow(url: str, ca_file: Path, _: Path) -> None:
    headers = {"Authorization": SECRET}
    async with open_client(ca_file) as client:
        await run_leaf(
            call(f"{url}/", team="sales", headers=headers), LeafIO(client, network=LOOPBACK)
        )


Caller = Callable[[str, Path, Path], Awaitable[None]]
CALLERS: dict[str, Caller] = {
    "an issuer": _issuer,
    "Prefect": _prefect,
    "Prefect's events": _prefect_events,
    "the platform, for a worker": _worker_enrols,
    "the platform, for a forwarder": _worker_forwards,
    "the platform, for a command": _command,
    "the platform, for a job of a CI": _job_of_ci,
    "the platform, for an export": _export,
    "a system of a flow": _flow,
}
FAILURES = (CoeError, LeafFault, OSError, websockets.WebSocketException)


def _old(pair: Pair) -> ssl.SSLContext:
    context = pair.context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


IMPOSTORS: dict[str, Callable[[Authority, Authority], ssl.SSLContext | None]] = {
    "of another authority": lambda _, other: other.issue("127.0.0.1").context(),
    "with another's name": lambda good, _: good.issue("other.example").context(),
    "with an expired one": lambda good, _: good.issue(
        "127.0.0.1", life=-timedelta(minutes=1)
    ).context(),
    "with TLS 1.1 only": lambda good, _: _old(good.issue("127.0.0.1")),
    "without TLS": lambda *_: None,
}


@pytest.fixture
def authorities(tmp_path: Path) -> tuple[Authority, Authority]:
    """The one that counts, and one that does not."""
    return Authority(tmp_path), Authority(tmp_path, "other")


@pytest.mark.parametrize("caller", CALLERS)
async def test_the_honest_server_gets_the_request(
    authorities: tuple[Authority, Authority], tmp_path: Path, caller: str
) -> None:
    good, _ = authorities
    async with answering(good.issue("127.0.0.1").context()) as server:
        with pytest.raises(FAILURES):  # it answers what nobody expects
            await CALLERS[caller](server.url, good.file, tmp_path)
    assert b"HTTP/1.1\r\n" in server.sent


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")  # of asking for it
@pytest.mark.parametrize("impostor", IMPOSTORS)
@pytest.mark.parametrize("caller", CALLERS)
async def test_whoever_answers_in_its_place_gets_nothing(
    authorities: tuple[Authority, Authority], tmp_path: Path, caller: str, impostor: str
) -> None:
    good, other = authorities
    async with answering(IMPOSTORS[impostor](good, other)) as server:
        with pytest.raises(FAILURES):
            await CALLERS[caller](server.url, good.file, tmp_path)
    assert SECRET.encode() not in server.sent
    assert b"HTTP/1.1" not in server.sent


@pytest.mark.parametrize(
    ("peer", "base", "path", "status"),
    [
        ("203.0.113.9", "http://x", "/graphql", 403),
        ("11.1.2.3", "http://x", "/gateway/warehouse/api/health", 403),
        ("::ffff:11.1.2.3", "http://x", "/auth/token", 403),
        ("10.1.2.3", "http://x", "/graphql", 200),
        ("::ffff:10.1.2.3", "http://x", "/graphql", 200),
        ("127.0.0.1", "http://x", "/graphql", 200),
        ("203.0.113.9", "https://x", "/graphql", 200),
        ("203.0.113.9", "http://x", "/healthz", 200),
    ],
)
async def test_around_the_proxy_that_ends_tls(peer: str, base: str, path: str, status: int) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("served")(scope, receive, send)

    proxies = [ipaddress.ip_network("10.0.0.0/8")]
    transport = httpx.ASGITransport(OnlyByProxy(app, proxies), client=(peer, 4711))
    async with httpx.AsyncClient(transport=transport, base_url=base) as client:
        answer = await client.post(path, headers={"X-Forwarded-For": "10.1.2.3"})
    assert answer.status_code == status


async def test_a_socket_around_the_proxy_that_ends_tls(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"trusted_proxies": ("10.0.0.0/8",)}))
    said: list[str] = []

    async def send(message: Message) -> None:
        said.append(message["type"])

    scope = {"type": "websocket", "scheme": "ws", "path": "/gateway/warehouse/api/events/in"}
    more = {"client": ("203.0.113.9", 1), "headers": [], "extensions": {}, "query_string": b""}
    await app(scope | more, _nothing, send)
    assert said == ["websocket.http.response.start", "websocket.http.response.body"]


async def _nothing() -> Message:
    return {"type": "websocket.connect"}


UNPROVEN = {
    "with another's name": ("127.0.0.2", "sslmode=verify-full&sslrootcert={good}", "IP address"),
    "with another's name, by default": ("127.0.0.2", "sslrootcert={good}", "IP address"),
    "of another authority": ("127.0.0.1", "sslmode=verify-full&sslrootcert={other}", "issuer"),
    "of no public authority": (
        "127.0.0.1",
        "sslmode=verify-full&sslrootcert=system",
        "issuer",
    ),
    "of another authority, where any name will do": (
        "127.0.0.2",
        "sslmode=verify-ca&sslrootcert={other}",
        "issuer",
    ),
}


@pytest.mark.parametrize("how", UNPROVEN)
async def test_a_database_that_is_not_proven_gets_no_password(
    authorities: tuple[Authority, Authority], how: str
) -> None:
    good, other = authorities
    host, query, why = UNPROVEN[how]
    behind = "postgresql://postgres@/coe?host=/nowhere"
    async with before(behind, good.issue("127.0.0.1")) as front:
        url = front.url(behind, host, query.format(good=good.file, other=other.file))
        database = Database(url, pool_size=1)
        with pytest.raises(DatabaseNotTrusted, match=why) as refused:
            await database.dedicated()
        with pytest.raises(DatabaseNotTrusted, match=why):
            async with database.session() as session:
                await session.connection()
        await database.close()
    assert not front.sessions
    assert "secret" not in str(refused.value)


async def test_a_database_that_says_it_has_no_tls_gets_no_password() -> None:
    sent = bytearray()

    async def strip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(b"N")
        sent.extend(await reader.read())
        writer.close()

    server = await asyncio.start_server(strip, "127.0.0.2", 0)
    port = server.sockets[0].getsockname()[1]
    database = Database(f"postgresql://coe:secret@127.0.0.2:{port}/coe")
    async with server:
        with pytest.raises(DatabaseNotTrusted, match="does not speak TLS"):
            await database.dedicated()
    await database.close()
    assert not sent


@pytest.mark.parametrize("value", ["1", "true", "yes", "TRUE"])
def test_prefect_is_not_told_to_trust_everybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    given = {"api_url": "https://prefect.example/api", "auth": "a:b", "home": tmp_path}
    monkeypatch.setenv(UNVERIFIED, value)
    with pytest.raises(CoeError, match=UNVERIFIED):
        worker_environment(**given)
    monkeypatch.delenv(UNVERIFIED)
    assert worker_environment(**given)[UNVERIFIED] == "false"  # whatever a file of Prefect says


def test_prefect_trusts_the_authorities_of_the_settings(
    authorities: tuple[Authority, Authority], tmp_path: Path
) -> None:
    good, _ = authorities
    made = worker_environment(
        api_url="https://prefect.example/api", auth="a:b", home=tmp_path, ca_file=good.file
    )
    trusted = ssl.create_default_context(cafile=made["PREFECT_API_SSL_CERT_FILE"])
    names = {
        dict(part[0] for part in each["subject"]).get("commonName")
        for each in trusted.get_ca_certs()
    }
    assert "authority" in names
    assert len(names) > 50
