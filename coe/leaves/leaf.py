"""Leaves carry out the calls of a run: what they need, and how they fail. They log no values.

The arguments of a leaf are evaluated. Its output goes into the journal, so the texts of secrets are
removed from it first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coe.access.network import NETWORK_FILE, Network
from coe.json_types import JSON
from coe.leaves.caches import DocumentCache, TokenCache
from coe.machine.commands import RunLeaf
from coe.machine.errors import standard_error

if TYPE_CHECKING:
    import httpx

LeafHandler = Callable[[RunLeaf], Awaitable[JSON]]
"""Carries out a call and returns its output; raises `LeafFault`."""

MEGABYTE = 1_000_000
HOW_TO_ALLOW = f"A line in {NETWORK_FILE} can allow it."
"""How access to a private address can be allowed, for people who read the error."""


class LeafFault(Exception):
    """A call failed; `error` is the language's error object (RFC 7807)."""

    def __init__(self, error: dict[str, JSON]) -> None:
        super().__init__(str(error.get("type")))
        self.error = error


class AddressRefused(LeafFault):
    """The network policy does not allow the team's flows to reach this host; nothing was sent.

    The error hides the address: authors of flows need not learn the layout of the network.
    """

    def __init__(self, host: str, port: int, *, team: str, how_to_allow: str, path: str) -> None:
        whose = f"Flows of {team}" if team else "Flows"
        title = f"{whose} may not reach {host}"
        detail = f"It leads to an address that is not public. {how_to_allow}"
        super().__init__(standard_error("authorization", title=title, detail=detail, instance=path))
        self.host = host
        self.port = port


class NotSentError(Exception):
    """A request was not sent: `LeafIO.live` is false, and nothing resolves its `host`.

    It is no fault of a call, so that no flow can catch it.
    """

    def __init__(self, host: str) -> None:
        super().__init__(f"nothing is sent to {host}")
        self.host = host


async def _internet_only() -> Network:
    return Network()


@dataclass(frozen=True, slots=True)
class LeafIO:
    """What leaves need for input and output.

    `resolve` sends requests for a host (or host:port) to another base URL, whatever the network
    policy says. `network` returns the policy in force; by default only public addresses are
    allowed, and `how_to_allow` says how that is changed. `handlers` carry out kinds that are not
    HTTP, such as "decision". `timeout` is in seconds, for a whole request; `limit` is the most
    bytes of a response. Without `live`, requests are sent to the hosts of `resolve` only, also
    those for tokens and documents (`NotSentError`).
    """

    client: httpx.AsyncClient
    resolve: Mapping[str, str] = field(default_factory=dict)
    handlers: Mapping[str, LeafHandler] = field(default_factory=dict)
    network: Callable[[], Awaitable[Network]] = _internet_only
    how_to_allow: str = HOW_TO_ALLOW
    tokens: TokenCache = field(default_factory=TokenCache)
    documents: DocumentCache = field(default_factory=DocumentCache)
    timeout: float = 30.0
    limit: int = 10 * MEGABYTE
    live: bool = True
