"""Leaves: carrying out the calls that the machine asks for. No value is logged here.

A leaf gets its arguments evaluated. What it gives goes into the journal, so texts of secrets are
blotted out of it first, whether the service echoed them or not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coe.access.network import FILE, Network
from coe.json_types import JSON
from coe.leaves.caches import Documents, Tokens
from coe.machine.commands import RunLeaf
from coe.machine.errors import standard

if TYPE_CHECKING:
    import httpx

Handler = Callable[[RunLeaf], Awaitable[JSON]]
"""Carries out calls of one kind that needs more than HTTP; raises `LeafFault`."""

MEGABYTE = 1_000_000
WAY = f"A line in {FILE} can allow it."


class LeafFault(Exception):
    """A call failed; `error` is the RFC 7807 object that the language has for it."""

    def __init__(self, error: dict[str, JSON]) -> None:
        """Carry the error object."""
        super().__init__(str(error.get("type")))
        self.error = error


class AddressRefused(LeafFault):
    """The network policy does not let the team's flows reach this host; nothing was sent.

    What it was resolved to is not told: whoever may write a flow need not learn the network.
    """

    def __init__(self, host: str, port: int, *, team: str, way: str, path: str) -> None:
        """Name the host as the flow has it, and the way to have it allowed."""
        whose = f"Flows of {team}" if team else "Flows"
        title = f"{whose} may not reach {host}"
        detail = f"It leads to an address that is not public. {way}"
        super().__init__(standard("authorization", title=title, detail=detail, instance=path))
        self.host = host
        self.port = port


async def _internet_only() -> Network:
    return Network()


@dataclass(frozen=True, slots=True)
class LeafIO:
    """What leaves reach the outside with.

    `resolve` sends requests for a host (or host:port) to another base URL, whatever the network
    policy says. `network` gives that policy as it stands; without it, only what is public is
    reached; `way` says how more is allowed. `handlers` carry out kinds that are not HTTP, such as
    "decision". `tokens` keeps access tokens while they are good, `documents` OpenAPI documents.
    `timeout` is in seconds, for a whole request; `limit` is the most bytes of a response.
    """

    client: httpx.AsyncClient
    resolve: Mapping[str, str] = field(default_factory=dict)
    handlers: Mapping[str, Handler] = field(default_factory=dict)
    network: Callable[[], Awaitable[Network]] = _internet_only
    way: str = WAY
    tokens: Tokens = field(default_factory=Tokens)
    documents: Documents = field(default_factory=Documents)
    timeout: float = 30.0
    limit: int = 10 * MEGABYTE
