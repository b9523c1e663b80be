"""The leaf of `notify:1@default`: send a message by a channel that the operator has set up.

A message that was in flight when a process died is sent once more at most, with the same key. Most
services have no idempotency; for one that has, `{key}` in the URL of the channel carries the key.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from coe.access.network import Network
from coe.channels import Channel, Channels, recipients
from coe.crypto.operator_files import OperatorFileError
from coe.json_types import JSON
from coe.language.suggestions import did_you_mean
from coe.leaves.leaf import HOW_TO_ALLOW, AddressRefused, LeafFault
from coe.machine.commands import RunLeaf
from coe.machine.errors import standard_error
from coe.work import Platform

MAX_CONCURRENT: Final = 4
"""How many messages one notifier sends at the same time."""
_COMMAND: Final = (sys.executable, "-I", "-m", "coe.leaves.notify_process")
_MAX_SUBJECT: Final = 200


@dataclass(frozen=True, slots=True)
class Notifier:
    """Sends messages, each in a process that ends with it.

    `network` returns the policy in force. `ca_file` names authorities to trust beside the public
    ones. `timeout` is in seconds, for a whole message.
    """

    channels: Channels
    network: Callable[[], Awaitable[Network]]
    ca_file: Path | None = None
    timeout: float = 30.0
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_CONCURRENT))

    async def __call__(self, command: RunLeaf) -> JSON:
        """Send the message of a call; the output is `{channel, sent: true}`.

        Raises:
            LeafFault: `configuration` (400) for an unknown channel, `authorization` (403) for a
                channel that the team may not use or an address that it may not reach, `validation`
                for a recipient that the channel does not accept, `communication` when the message
                was not sent, `timeout` (408).
        """
        arguments = command.arguments if isinstance(command.arguments, dict) else {}
        name = str(arguments.get("channel"))
        channel = self._channel(command, name)
        to = self._recipients(command, channel, arguments.get("to"))
        body = str(arguments.get("body", ""))
        if not channel.addresses_recipients:
            body = f"To: {', '.join(to)}\n\n{body}"
        request = {
            "urls": channel.addressed(to, command.key),
            "title": " ".join(str(arguments.get("subject", "")).split())[:_MAX_SUBJECT],
            "body": body,
            "team": command.team,
            "network": [line.fields for line in (await self.network()).lines],
            "ca_file": None if self.ca_file is None else str(self.ca_file),
        }
        self._check_result(command, name, await self._send(command, request))
        return {"channel": name, "sent": True}

    def _channel(self, command: RunLeaf, name: str) -> Channel:
        try:
            channels = self.channels.current()
        except OperatorFileError as error:
            title = "The channels file of this installation cannot be used"
            raise _fault(command, "configuration", title, str(error)) from None
        channel = channels.get(name)
        if channel is None:
            own = [other for other, each in channels.items() if each.serves(command.team)]
            title = f"There is no channel {name}{did_you_mean(name, own)}"
            raise _fault(command, "configuration", title)
        if not channel.serves(command.team):
            title = f"Flows of {command.team} may not send by the channel {name}"
            raise _fault(command, "authorization", title)
        return channel

    @staticmethod
    def _recipients(command: RunLeaf, channel: Channel, given: JSON) -> tuple[str, ...]:
        try:
            to = recipients(given)
        except ValueError as error:
            raise _fault(command, "validation", str(error)) from None
        refused = sum(not channel.accepts(each) for each in to)
        if refused:
            title = f"The channel does not accept {refused} of the {len(to)} recipients"
            raise _fault(command, "validation", title)
        return to

    async def _send(self, command: RunLeaf, request: dict[str, Any]) -> dict[str, Any]:
        """Send in a process and return its result; kill it on timeout or cancellation."""
        try:
            async with self._slots, asyncio.timeout(self.timeout):
                return await _run(orjson.dumps(request) + b"\n")
        except TimeoutError:
            raise _fault(command, "timeout", "The channel took too long") from None

    @staticmethod
    def _check_result(command: RunLeaf, name: str, result: dict[str, Any]) -> None:
        if "refused" in result:
            host, port = str(result["refused"]["host"]), int(result["refused"]["port"])
            raise AddressRefused(
                host, port, team=command.team, how_to_allow=HOW_TO_ALLOW, path=command.path
            )
        if "unusable" in result:
            title = f"The channel {name} has a URL that is not supported"
            raise _fault(command, "configuration", title, f"its scheme is {result['unusable']}")
        if not result.get("sent"):
            raise _fault(command, "communication", f"The channel {name} did not accept the message")


def notifier_of(platform: Platform) -> Notifier:
    """Make a notifier with the channels file of the settings and the policy in force."""
    settings = platform.settings

    async def network() -> Network:
        async with platform.database.session() as session:
            return (await platform.policies.current(session)).network

    return Notifier(Channels(settings.channels_file), network, settings.ca_file)


def _fault(command: RunLeaf, kind: str, title: str, detail: str | None = None) -> LeafFault:
    return LeafFault(standard_error(kind, title=title, detail=detail, instance=command.path))


async def _run(request: bytes) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *_COMMAND,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
        cwd="/",
    )
    try:
        written, _ = await process.communicate(request)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())
    try:
        result: dict[str, Any] = orjson.loads(written)
    except orjson.JSONDecodeError:
        return {"sent": False}
    return result
