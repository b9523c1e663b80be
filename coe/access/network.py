"""Which addresses flows may reach: those of the internet, and what `policies/network.csv` names.

A line is `n, team, host, network, port`. It lets a team's flows reach addresses of a network that
is not public, under a name and at a port. Without a line nothing private is reached. An address is
checked after its name was looked up, and the connection goes to the address that was checked.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from coe.identifiers import is_slug

IP = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

ANY: Final = "*"
NETWORK_FIELDS: Final = ("team", "host", "network", "port")
NETWORK_FILE: Final = "policies/network.csv"
_HOST: Final = re.compile(r"(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?(?:\.[a-z0-9_-]+)*")
_LAST_PORT: Final = 65535

# What a line may name (IANA's special-purpose registries): private use, shared, loopback,
# link-local, benchmarking; and an address of a cloud that looks public (see METADATA).
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
# Where clouds answer every machine with its credentials, beside the link-local addresses.
METADATA: Final = frozenset(
    ipaddress.ip_address(each)
    for each in ("100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254")
)
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
# All that is assigned to the internet (IANA's registry of IPv6 unicast addresses): not site-local
# addresses, nor those that hold an IPv4 address in yet another form.
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
    """That a team's flows may reach addresses of a network, under a name, at a port.

    `team` is a slug or `*`; `host` is a name as flows write it, `*.name` for all below it, or `*`;
    `port` is None for every port. `note` is the reason.
    """

    team: str
    host: str
    network: IPNetwork
    port: int | None
    note: str | None = None
    source: str = ""

    @classmethod
    def of(cls, fields: Iterable[str], *, note: str | None = None, source: str = "") -> Self:
        """Make a line of its four fields, each checked.

        Raises:
            ValueError: A field is missing or holds what it may not; the message says what.
        """
        values = tuple(fields)
        if len(values) != len(NETWORK_FIELDS):
            raise ValueError(
                f"a network line has 4 fields after its n: {', '.join(NETWORK_FIELDS)}"
            )
        team, host, network, port = values
        if team != ANY and not is_slug(team):
            raise ValueError(f"{team!r} is no team of a network line")
        if host != ANY and not _HOST.fullmatch(host):
            raise ValueError(f"{host!r} is no host of a network line: a name in lower case")
        return cls(team, host, _network(network), _port(port), note, source)

    @property
    def fields(self) -> tuple[str, str, str, str]:
        """The four fields, as stored."""
        port = ANY if self.port is None else str(self.port)
        return (self.team, self.host, str(self.network), port)

    def takes_in(self, team: str, host: str, port: int, address: IP) -> bool:
        """Whether the line lets the team reach this address, under this name, at this port."""
        if address.version != self.network.version or address not in self.network:
            return False
        if _named_exactly_only(address) and self.network.num_addresses > 1:
            return False
        named = self.host in {ANY, host} or (
            self.host.startswith("*.") and host.endswith(self.host[1:])
        )
        return named and self.team in {ANY, team} and self.port in {None, port}

    def __str__(self) -> str:
        """The line as written in its file."""
        return ", ".join(("n", *self.fields))


class Network:
    """The lines of one version of the policy. It never changes."""

    def __init__(self, lines: Iterable[NetworkLine] = ()) -> None:
        """Take the lines; without any, only the internet is reached."""
        self.lines: Final = tuple(lines)

    def allows(self, team: str, host: str, port: int, address: IP) -> bool:
        """Whether flows of the team may connect to the address that the name was found to have.

        Args:
            team: The slug of the team that owns the flow; "" for none.
            host: The name or address as the flow has it.
            port: The port to connect to.
            address: What the name was resolved to.
        """
        if is_public(address):
            return True
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        name = host.rstrip(".").lower()
        return any(line.takes_in(team, name, port, address) for line in self.lines)


def _named_exactly_only(address: IP) -> bool:
    return address.is_link_local or address in METADATA


def _network(value: str) -> IPNetwork:
    try:
        network = ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is no network of a network line: {error}") from None
    within = [
        each
        for each in _NAMEABLE
        if each.version == network.version
        and int(each.network_address) <= int(network.network_address)
        and int(network.broadcast_address) <= int(each.broadcast_address)
    ]
    if not within:
        private = ", ".join(str(each) for each in _NAMEABLE)
        raise ValueError(f"{value} is in none of {private}; what is public needs no line")
    if _named_exactly_only(network.network_address) and network.num_addresses > 1:
        raise ValueError(f"{value} is link-local: name each address alone")
    return network


def _port(value: str) -> int | None:
    if value == ANY:
        return None
    if not (value.isascii() and value.isdigit() and 0 < int(value) <= _LAST_PORT):
        raise ValueError(f"{value!r} is no port of a network line: 1 to {_LAST_PORT}, or *")
    return int(value)
