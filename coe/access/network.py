"""The addresses that flows may reach: the internet, and the lines of `policies/network.csv`.

A line, `n, team, host, network, port`, lets a team's flows reach addresses of a private network,
under a host name and at a port. Without a line no private address is reachable. The name is looked
up first; then the address is checked, and the connection goes to exactly that address.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from coe.access.policy_lines import ANY
from coe.identifiers import is_slug

IP = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

NETWORK_FIELDS: Final = ("team", "host", "network", "port")
NETWORK_FILE: Final = "policies/network.csv"
_HOST: Final = re.compile(r"(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?(?:\.[a-z0-9_-]+)*")
_LAST_PORT: Final = 65535

# The networks that a line may name (IANA's special-purpose registries): private use, shared,
# loopback, link-local, benchmarking; and a cloud's address that looks public (see METADATA).
_NAMEABLE: Final[tuple[IPNetwork, ...]] = tuple(
    ipaddress.ip_network(each)
    for each in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)
# Beside link-local addresses, those at which clouds hand out the credentials of a machine.
METADATA: Final = frozenset(
    ipaddress.ip_address(each)
    for each in ("100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254")
)
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
# All that is assigned to the internet (IANA's registry of IPv6 unicast addresses); it excludes
# site-local addresses and further forms that embed an IPv4 address.
_UNICAST: Final = ipaddress.ip_network("2000::/3")


def is_public(address: IP) -> bool:
    """Whether an address is neither private, loopback, link-local nor otherwise special."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address not in _UNICAST:
            return False
    return address.is_global and not address.is_multicast and address not in METADATA


@dataclass(frozen=True, slots=True)
class NetworkLine:
    """A permission for a team's flows: a private network, under a host name, at a port.

    `team` is a slug or `*`; `host` is a name as flows write it, `*.name` for all names below it, or
    `*`; `port` is None for every port. `note` is the reason.
    """

    team: str
    host: str
    network: IPNetwork
    port: int | None
    note: str | None = None
    source: str = ""

    @classmethod
    def of(cls, fields: Iterable[str], *, note: str | None = None, source: str = "") -> Self:
        """The line of these four fields, each checked.

        Raises:
            ValueError: A field is missing or not allowed; the message says which.
        """
        values = tuple(fields)
        if len(values) != len(NETWORK_FIELDS):
            raise ValueError(
                f"a network line has 4 fields after its n: {', '.join(NETWORK_FIELDS)}"
            )
        team, host, network, port = values
        if team != ANY and not is_slug(team):
            raise ValueError(f"{team!r} is not a team of a network line")
        if host != ANY and not _HOST.fullmatch(host):
            raise ValueError(f"{host!r} is not a host of a network line: use lower case")
        return cls(team, host, _network(network), _port(port), note, source)

    @property
    def fields(self) -> tuple[str, str, str, str]:
        """The four fields, as stored."""
        port = ANY if self.port is None else str(self.port)
        return (self.team, self.host, str(self.network), port)

    def takes_in(self, team: str, host: str, port: int, address: IP) -> bool:
        """Whether the line allows the team this address, under this name, at this port."""
        if address.version != self.network.version or address not in self.network:
            return False
        if _needs_exact_line(address) and self.network.num_addresses > 1:
            return False
        named = self.host in {ANY, host} or (
            self.host.startswith("*.") and host.endswith(self.host[1:])
        )
        return named and self.team in {ANY, team} and self.port in {None, port}

    def __str__(self) -> str:
        """The line as its file has it."""
        return ", ".join(("n", *self.fields))


class Network:
    """The network lines of one policy version; without any, only the internet is reachable."""

    def __init__(self, lines: Iterable[NetworkLine] = ()) -> None:
        self.lines: Final = tuple(lines)

    def allows(self, team: str, host: str, port: int, address: IP) -> bool:
        """Whether flows of the team may connect to the address that the host resolved to.

        Args:
            team: The slug of the team that owns the flow; "" for none.
            host: The name or address as the flow has it.
            port: The port to connect to.
            address: The resolved address.
        """
        if is_public(address):
            return True
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        name = host.rstrip(".").lower()
        return any(line.takes_in(team, name, port, address) for line in self.lines)


def _needs_exact_line(address: IP) -> bool:
    return address.is_link_local or address in METADATA


def _network(value: str) -> IPNetwork:
    try:
        network = ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is not a network of a network line: {error}") from None
    within = [
        each
        for each in _NAMEABLE
        if each.version == network.version
        and int(each.network_address) <= int(network.network_address)
        and int(network.broadcast_address) <= int(each.broadcast_address)
    ]
    if not within:
        private = ", ".join(str(each) for each in _NAMEABLE)
        raise ValueError(f"{value} is in none of {private}; a public address needs no line")
    if _needs_exact_line(network.network_address) and network.num_addresses > 1:
        raise ValueError(f"{value} is link-local: write a line for each address")
    return network


def _port(value: str) -> int | None:
    if value == ANY:
        return None
    if not (value.isascii() and value.isdigit() and 0 < int(value) <= _LAST_PORT):
        raise ValueError(f"{value!r} is not a port of a network line: 1 to {_LAST_PORT}, or *")
    return int(value)
