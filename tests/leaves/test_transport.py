"""Which addresses requests reach, over which connections, and how large responses may be."""

from __future__ import annotations

import asyncio
import gzip
import ipaddress
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette

from coe.access.network import Network
from coe.leaves.leaf import AddressRefused, LeafIO
from coe.leaves.run import run_leaf
from coe.leaves.transport import open_client
from tests.factories.http_service import BASE, call, fails, service
from tests.factories.sockets import LOOPBACK, Answer, hello, listening, opened

__all__ = ["service"]


# ---------------------------------------------------------------- addresses
@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://0.0.0.0/",
        "http://0/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest",
        "http://[fd00:ec2::254]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
    ],
)
async def test_private_addresses_are_refused(url: str) -> None:
    async with open_client() as client:
        error = await fails(call(url, team="sales"), LeafIO(client))
    assert (error["type"], error["status"]) == (f"{BASE}authorization", 403)
    assert error["title"].startswith("Flows of sales may not reach ")
    assert "policies/network.csv" in error["detail"]


async def test_a_refusal_names_the_host_and_not_its_address() -> None:
    async with open_client() as client:
        error = await fails(call("http://localhost:8080/", team="sales"), LeafIO(client))
    assert error["title"] == "Flows of sales may not reach localhost"
    assert "127.0.0.1" not in str(error)


async def test_a_line_of_the_policy_allows_an_address_for_its_team() -> None:
    async with listening(hello) as port, open_client() as client:
        io = LeafIO(client, network=LOOPBACK)
        url = f"http://localhost:{port}/"
        assert await run_leaf(call(url, team="sales", output="raw"), io) == "aGVsbG8="
        with pytest.raises(AddressRefused):
            await run_leaf(call(url, team="finance"), io)


async def test_the_connection_goes_to_the_address_that_was_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that has an allowed address at the first look-up, and another one at the second."""
    asked: list[str] = []

    async def look_up(_: object, host: str, port: int, **more: Any) -> list[Any]:
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "127.9.9.9"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    async with listening(hello) as port, open_client() as client:
        monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", look_up)
        io = LeafIO(client, network=opened("sales rebind.example 127.0.0.1/32 *"))
        url = f"http://rebind.example:{port}/"
        assert await run_leaf(call(url, team="sales", output="raw"), io) == "aGVsbG8="
        assert asked == ["rebind.example"]
        asked[:] = ["again"]
        with pytest.raises(AddressRefused):
            await run_leaf(call(url, team="sales"), io)


async def test_every_address_of_a_name_must_be_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look_up(_: object, host: str, port: int, **more: Any) -> list[Any]:
        found = ("93.184.216.34", "10.0.0.1")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

    async with open_client() as client:
        monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", look_up)
        with pytest.raises(AddressRefused):
            await run_leaf(call("http://both.example/"), LeafIO(client))


async def test_the_next_address_is_tried_where_nobody_listens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = type(asyncio.get_running_loop()).getaddrinfo

    async def look_up(loop: Any, host: str, port: int, **more: Any) -> list[Any]:
        if host != "two.example":
            return list(await original(loop, host, port, **more))
        found = ("127.0.0.9", "127.0.0.1")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

    async with listening(hello) as port, open_client() as client:
        monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", look_up)
        io = LeafIO(client, network=LOOPBACK)
        command = call(f"http://two.example:{port}/", team="sales", output="raw")
        assert await run_leaf(command, io) == "aGVsbG8="


async def test_redirects_to_private_addresses_are_not_followed(
    service: tuple[LeafIO, Starlette],
) -> None:
    io, _ = service
    command = call("https://erp.example/inwards", redirect=True, output="response")
    response: Any = await run_leaf(command, io)
    assert response["statusCode"] == 302
    assert response["headers"]["location"] == "http://169.254.169.254/latest"
    assert response["content"] is None


@pytest.mark.parametrize("path", ["..", "a/../b", "a/./b", "a/%2e%2E/b", "a\\..\\b"])
async def test_a_path_with_dot_segments_is_refused(
    service: tuple[LeafIO, Starlette], path: str
) -> None:
    io, _ = service
    error = await fails(call(f"https://erp.example/echo/{path}"), io)
    assert (error["type"], error["status"]) == (f"{BASE}validation", 400)


async def test_a_tunnel_is_refused(service: tuple[LeafIO, Starlette]) -> None:
    io, _ = service
    error = await fails(call("https://erp.example/echo", "connect"), io)
    assert (error["type"], error["status"]) == (f"{BASE}validation", 400)


# ---------------------------------------------------------------- connections
async def test_a_flow_cannot_set_headers_of_the_connection(
    service: tuple[LeafIO, Starlette],
) -> None:
    io, _ = service
    headers = {
        "Host": "other.example",
        "Connection": "keep-alive",
        "Content-Length": "3",
        "Transfer-Encoding": "chunked",
        "Upgrade": "h2c",
        "TE": "trailers",
    }
    command = call("https://erp.example/echo", "post", headers=headers, body={"whole": True})
    sent: Any = await run_leaf(command, io)
    assert sent["body"] == '{"whole":true}'
    assert sent["headers"]["host"] != "other.example"
    assert sent["headers"]["content-length"] == "14"
    assert sent["headers"]["connection"] == "close"
    assert not sent["headers"].keys() & {"transfer-encoding", "upgrade", "te"}


async def test_cookies_are_not_stored(service: tuple[LeafIO, Starlette]) -> None:
    io, _ = service
    await run_leaf(call("https://erp.example/echo"), io)
    sent: Any = await run_leaf(call("https://erp.example/echo"), io)
    assert "cookie" not in sent["headers"]


async def test_each_request_opens_a_connection() -> None:
    peers: list[object] = []

    async def note(_: bytes, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("peername"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(1)

    async with listening(note) as port, open_client() as client:
        io = LeafIO(client, network=LOOPBACK)
        for _ in range(3):
            await run_leaf(call(f"http://localhost:{port}/", team="sales"), io)
    assert len(set(peers)) == 3


@pytest.fixture
def certified(tmp_path: Path) -> Callable[[str], tuple[ssl.SSLContext, Path]]:
    """A server's context with a self-signed certificate for a name, and the certificate's file."""

    def make(name: str) -> tuple[ssl.SSLContext, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        file = tmp_path / f"{name}.pem"
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        keys = tmp_path / f"{name}.key"
        keys.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file, keys)
        return context, file

    return make


async def test_an_untrusted_certificate_is_refused(
    certified: Callable[[str], tuple[ssl.SSLContext, Path]],
) -> None:
    context, file = certified("localhost")
    async with listening(hello, context) as port:
        command = call(f"https://localhost:{port}/", team="sales", output="raw")
        async with open_client() as client:
            error = await fails(command, LeafIO(client, network=LOOPBACK))
        assert (error["type"], error["status"]) == (f"{BASE}communication", 503)
        assert error["detail"].startswith("its certificate is not trusted: self")
        async with open_client(file) as client:
            assert await run_leaf(command, LeafIO(client, network=LOOPBACK)) == "aGVsbG8="


async def test_a_certificate_of_another_name_is_refused(
    certified: Callable[[str], tuple[ssl.SSLContext, Path]],
) -> None:
    context, file = certified("other.example")
    async with listening(hello, context) as port, open_client(file) as client:
        command = call(f"https://localhost:{port}/", team="sales")
        error = await fails(command, LeafIO(client, network=LOOPBACK))
    assert "localhost" in error["detail"]


# ---------------------------------------------------------------- size and time
async def test_a_response_that_is_too_slow_is_cut_off() -> None:
    async def drip(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with listening(drip) as port, open_client() as client:
        io = LeafIO(client, network=LOOPBACK, timeout=0.3)
        error = await fails(call(f"http://localhost:{port}/", team="sales"), io)
    assert (error["type"], error["status"]) == (f"{BASE}timeout", 408)


async def test_a_head_without_end_is_refused() -> None:
    async def endless(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(100_000):
            writer.write(f"x-{number}: {'y' * 100}\r\n".encode())
            await writer.drain()

    async with listening(endless) as port, open_client() as client:
        io = LeafIO(client, network=LOOPBACK)
        error = await fails(call(f"http://localhost:{port}/", team="sales"), io)
    assert (error["type"], error["status"]) == (f"{BASE}communication", 503)


def compressed(content: bytes, encoding: str = "gzip") -> Answer:
    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Type: text/plain\r\n"
        writer.write(head.encode() + f"Content-Length: {len(content)}\r\n\r\n".encode() + content)
        await writer.drain()

    return answer


async def fetched(answer: Answer, limit: int = 1_000_000) -> Any:
    async with listening(answer) as port, open_client() as client:
        io = replace(LeafIO(client, network=LOOPBACK), limit=limit)
        return await run_leaf(call(f"http://localhost:{port}/", team="sales"), io)


async def failed(answer: Answer, limit: int = 1_000_000) -> dict[str, Any]:
    async with listening(answer) as port, open_client() as client:
        io = replace(LeafIO(client, network=LOOPBACK), limit=limit)
        return await fails(call(f"http://localhost:{port}/", team="sales"), io)


async def test_a_compressed_response_is_decompressed_up_to_the_limit() -> None:
    assert await fetched(compressed(gzip.compress(b"hello"))) == "hello"
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 60_000
    error = await failed(compressed(bomb))
    assert (error["type"], error["status"]) == (f"{BASE}communication", 502)
    assert "larger than 1000000 bytes" in error["title"]


@pytest.mark.parametrize(
    ("content", "encoding", "title"),
    [
        (b"not compressed", "gzip", "cannot be decompressed"),
        (gzip.compress(b"hello" * 100, mtime=0)[:-9], "gzip", "is incomplete"),
        (b"x", "br", "was not requested"),
        (b"x", "gzip, gzip", "was not requested"),
    ],
)
async def test_encodings_that_are_refused(content: bytes, encoding: str, title: str) -> None:
    error = await failed(compressed(content, encoding))
    assert (error["type"], error["status"]) == (f"{BASE}communication", 502)
    assert title in error["title"]


def test_the_loopback_of_these_tests_is_not_public() -> None:
    assert not Network().allows("sales", "localhost", 80, ipaddress.ip_address("127.0.0.1"))
