"""Leaves: carrying out the calls that the machine asks for. No value is logged here.

A leaf gets its arguments evaluated. What it gives goes into the journal, so texts of secrets are
blotted out of it first, whether the service echoed them or not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coe.language.fields import JSON
from coe.runs.commands import RunLeaf
from coe.runs.machine_errors import standard
from coe.runs.redaction import redacted

if TYPE_CHECKING:
    import httpx

Handler = Callable[[RunLeaf], Awaitable[JSON]]
"""Carries out calls of one kind that needs more than HTTP; raises `LeafFault`."""

MEGABYTE = 1_000_000


@dataclass(slots=True)
class Tokens:
    """Access tokens that are still good, in memory only, by a digest of what was asked with."""

    kept: dict[bytes, tuple[str, float]] = field(default_factory=dict, repr=False)


class LeafFault(Exception):
    """A call failed; `error` is the RFC 7807 object that the language has for it."""

    def __init__(self, error: dict[str, JSON]) -> None:
        """Carry the error object."""
        super().__init__(str(error.get("type")))
        self.error = error


@dataclass(frozen=True, slots=True)
class LeafIO:
    """What leaves reach the outside with.

    `resolve` sends requests for a host (or host:port) to another base URL, and is the one way to a
    loopback, private or link-local address. `handlers` carry out kinds that are not HTTP, such as
    "decision". `tokens` keeps access tokens while they are good. `timeout` is in seconds, for a
    whole request; `limit` is the most bytes of a response.
    """

    client: httpx.AsyncClient
    resolve: Mapping[str, str] = field(default_factory=dict)
    handlers: Mapping[str, Handler] = field(default_factory=dict)
    tokens: Tokens = field(default_factory=Tokens)
    timeout: float = 30.0
    limit: int = 10 * MEGABYTE


async def run_leaf(command: RunLeaf, io: LeafIO) -> JSON:
    """Carry out one call and give its output.

    The same key goes to the service each time that the same call is carried out, so that a call
    that was in flight when a process died can be made again.

    Raises:
        LeafFault: the call failed, or is of a kind that is not carried out here.
    """
    try:
        output = await _carry_out(command, io)
    except LeafFault as fault:
        clean = redacted(fault.error, command.secrets)
        raise LeafFault(clean if isinstance(clean, dict) else fault.error) from None
    return redacted(output, command.secrets)


async def _carry_out(command: RunLeaf, io: LeafIO) -> JSON:
    handler = io.handlers.get(command.kind)
    if handler is not None:
        return await handler(command)
    if command.kind == "http":
        from coe.runs.leaves_http import call_http  # noqa: PLC0415 - loads httpx

        return await call_http(command, io)
    title = f"Calls of kind {command.kind} are not carried out here"
    raise LeafFault(standard("configuration", title=title, instance=command.path))
