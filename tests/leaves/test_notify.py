"""Messages by channels, to real receivers on loopback."""

from __future__ import annotations

import ast
import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import apprise.plugins
import pytest

from coe.access.network import Network
from coe.channels import Channels
from coe.leaves.leaf import AddressRefused, LeafFault
from coe.leaves.notify import Notifier
from coe.leaves.notify_process import LOCAL_PLUGINS
from coe.machine.commands import RunLeaf
from tests.factories.http_service import BASE
from tests.factories.receivers import http, smtp
from tests.factories.sockets import LOOPBACK

Write = Callable[..., Notifier]


async def internet() -> Network:
    return Network()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the channels file, and makes a notifier that uses it."""

    def make(text: str, network: Callable[[], Awaitable[Network]] = LOOPBACK) -> Notifier:
        file = tmp_path / "channels.yaml"
        file.write_text(text)
        file.chmod(0o600)
        return Notifier(Channels(file), network, timeout=30)

    return make


def message(team: str = "sales", **more: Any) -> RunLeaf:
    arguments = {"channel": "desk", "to": "ann@acme.example", "subject": "Due", "body": "Look."}
    return RunLeaf("k" * 64, "/do/0/announce", "announce", "notify", arguments | more, team=team)


async def fails(notifier: Notifier, command: RunLeaf) -> dict[str, Any]:
    with pytest.raises(LeafFault) as caught:
        await notifier(command)
    return caught.value.error


async def test_a_message_to_a_service(write: Write) -> None:
    async with http() as receiver:
        url = f"json://localhost:{receiver.port}/hook?+Idempotency-Key={{key}}&:to={{to}}"
        notifier = write(f"channels: {{desk: {{urls: ['{url}'], teams: [sales]}}}}")
        to = ["ann@acme.example", "b&c=d@acme.example"]
        assert await notifier(message(to=to)) == {"channel": "desk", "sent": True}
    [(head, body)] = receiver.requests
    assert f"Idempotency-Key: {'k' * 64}" in head
    assert (body["title"], body["message"]) == ("Due", "Look.")
    assert body["to"] == "ann@acme.example,b&c=d@acme.example"


async def test_a_message_by_mail(write: Write) -> None:
    async with smtp() as receiver:
        url = f"mailto://localhost:{receiver.port}?from=flows@acme.example&to={{to}}"
        notifier = write(f"channels: {{desk: {{urls: ['{url}'], teams: ['*']}}}}")
        body = "Look at <b>this</b>."
        assert await notifier(
            message(subject="Due\r\nBcc: eve@evil.example", body=body, to="ann@acme.example")
        ) == {"channel": "desk", "sent": True}
    recipient, mail = receiver.mails
    assert recipient.upper().startswith("RCPT TO:<ANN@ACME.EXAMPLE>")
    assert "Subject: Due Bcc: eve@evil.example" in mail
    assert "\nBcc:" not in mail
    assert "<b>this" not in mail.partition("text/html")[2]


async def test_a_channel_without_recipients_in_its_url_names_them_in_the_body(write: Write) -> None:
    async with http() as receiver:
        notifier = write(
            f"channels: {{desk: {{urls: ['json://localhost:{receiver.port}'], teams: [sales]}}}}"
        )
        await notifier(message(to=["ann", "ben"]))
    [(_, body)] = receiver.requests
    assert body["message"] == "To: ann, ben\n\nLook."


async def test_a_service_that_refuses_or_is_missing(write: Write) -> None:
    async with http(500) as receiver:
        notifier = write(
            f"channels: {{desk: {{urls: ['json://localhost:{receiver.port}'], teams: [sales]}}}}"
        )
        error = await fails(notifier, message())
    assert (error["type"], error["status"]) == (f"{BASE}communication", 500)
    assert error["title"] == "The channel desk did not accept the message"
    assert error["instance"] == "/do/0/announce"


async def test_a_channel_that_takes_too_long_is_killed(write: Write) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"json://localhost:{port}?rto=60&cto=60"
    slow = write(f"channels: {{desk: {{urls: ['{url}'], teams: [sales]}}}}")
    notifier = Notifier(slow.channels, slow.network, timeout=4)
    error = await fails(notifier, message())
    server.close()
    assert (error["type"], error["status"]) == (f"{BASE}timeout", 408)


# ---------------------------------------------------------------- refusals
async def test_an_address_that_the_policy_does_not_allow(write: Write) -> None:
    async with http() as receiver, smtp() as mail:
        for url in (
            f"json://localhost:{receiver.port}",
            f"json://127.0.0.1:{receiver.port}",
            f"mailto://localhost:{mail.port}?from=a@b.example&to={{to}}",
        ):
            notifier = write(f"channels: {{desk: {{urls: ['{url}'], teams: [sales]}}}}", internet)
            with pytest.raises(AddressRefused) as caught:
                await notifier(message())
            assert (caught.value.error["status"], caught.value.port) in {
                (403, receiver.port),
                (403, mail.port),
            }
        assert not receiver.requests
        assert not mail.mails


async def test_channels_and_recipients_that_are_refused(write: Write) -> None:
    notifier = write(
        "channels:\n"
        "  desk: {urls: ['json://localhost:9'], teams: [sales], recipients: ['*@acme.example']}\n"
        "  books: {urls: ['json://localhost:9'], teams: [finance]}\n"
    )
    unknown = await fails(notifier, message(channel="dask"))
    assert (unknown["type"], unknown["status"]) == (f"{BASE}configuration", 400)
    assert unknown["title"] == "There is no channel dask, did you mean `desk`?"
    assert "books" not in str(await fails(notifier, message(channel="bookz")))
    other = await fails(notifier, message(channel="books"))
    assert (other["type"], other["status"]) == (f"{BASE}authorization", 403)
    for to in ("eve@evil.example", ["ann@acme.example", "x"], "", "a\n@acme.example"):
        refused = await fails(notifier, message(to=to))
        assert (refused["type"], refused["status"]) == (f"{BASE}validation", 400)
        assert "evil" not in str(refused)
    many = await fails(notifier, message(to=[f"a{n}@acme.example" for n in range(101)]))
    assert many["type"] == f"{BASE}validation"


@pytest.mark.parametrize("scheme", ["syslog://localhost", "dbus://", "macosx://", "nosuch://x"])
async def test_plugins_that_act_on_the_machine_are_not_used(write: Write, scheme: str) -> None:
    notifier = write(f"channels: {{desk: {{urls: ['{scheme}'], teams: [sales]}}}}")
    error = await fails(notifier, message())
    assert (error["type"], error["status"]) == (f"{BASE}configuration", 400)


def test_every_plugin_that_acts_on_the_machine_is_known() -> None:
    """Those that start processes, or use the desktop, a device or the log of the machine."""
    local = {"subprocess", "ctypes", "dbus", "gi", "win32api", "win32con", "win32gui", "hid"}
    local |= {"syslog", "serial", "usb"}
    found = set()
    folder = Path(apprise.plugins.__file__).parent
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            if local & {name.partition(".")[0] for name in names}:
                found.add(file.stem)
    assert found
    assert found <= LOCAL_PLUGINS


async def test_a_channels_file_with_errors_is_a_configuration_error(write: Write) -> None:
    error = await fails(write("channels: ["), message())
    assert (error["type"], error["status"]) == (f"{BASE}configuration", 400)
    assert error["detail"] == "the file is not valid YAML"


async def test_nothing_of_a_message_is_logged(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with http(500) as receiver:
        url = f"json://user:canary-0001@localhost:{receiver.port}"
        notifier = write(f"channels: {{desk: {{urls: ['{url}'], teams: [sales]}}}}")
        error = await fails(notifier, message(body="canary-0002", to="canary-0003"))
    assert "canary" not in caplog.text + str(error)
