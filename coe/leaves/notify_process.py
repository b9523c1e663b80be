"""Sends one message with Apprise, in a process that ends with it.

Apprise blocks, logs what it sends, and its plugins open connections with different libraries. In
this process every socket obeys the network policy, whichever plugin opens it, and after the timeout
the process is killed. It reads the request from standard input::

    {urls, title, body, team, network: [[team, host, network, port], …], ca_file}

and writes the result to standard output: `{sent}`, `{refused: {host, port}}` or
`{unusable: scheme}`.
"""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from coe.access.network import Network, NetworkLine
from coe.tls import authorities_text

LOCAL_PLUGINS: Final = frozenset(
    {"blink1", "dbus", "glib", "gnome", "macosx", "rsyslog", "syslog", "windows"}
)
"""Plugins that act on this machine, by the names of their modules."""


class _RefusedError(OSError):
    """The network policy does not allow this connection."""


class Guard:
    """Restricts the sockets of this process to what the network policy allows the team to reach.

    `refused` is the last host and port that were refused.
    """

    def __init__(self, network: Network, team: str) -> None:
        self._network = network
        self._team = team
        self._names: dict[str, str] = {}
        self._look_up = socket.getaddrinfo
        self.refused: tuple[str, int] | None = None

    def install(self) -> None:
        """Check every call by which this process can reach an address."""
        socket.getaddrinfo = self._look_up_and_remember
        for name, at in (("connect", 0), ("connect_ex", 0), ("sendto", -1), ("sendmsg", 3)):
            setattr(socket.socket, name, self._guarded(getattr(socket.socket, name), at))

    def _look_up_and_remember(self, host: Any, *rest: Any, **more: Any) -> Any:
        found = self._look_up(host, *rest, **more)
        name = host.decode() if isinstance(host, bytes) else str(host or "")
        self._names.update({str(entry[4][0]): name for entry in found})
        return found

    def _guarded(self, original: Any, at: int) -> Any:
        def call(this: socket.socket, *given: Any) -> Any:
            if at < len(given):
                self._check(this, given[at])
            return original(this, *given)

        return call

    def _check(self, this: socket.socket, address: Any) -> None:
        if this.family not in {socket.AF_INET, socket.AF_INET6}:
            raise _RefusedError("not a network socket")
        text, port = str(address[0]), int(address[1])
        name = self._names.get(text, text)
        try:
            parsed = ipaddress.ip_address(text)
        except ValueError:
            raise _RefusedError("a name instead of an address") from None
        if not self._network.allows(self._team, name, port, parsed):
            self.refused = (name, port)
            raise _RefusedError("the network policy")


def _trust(ca_file: str | None, folder: str) -> None:
    """Trust the operator's authorities in both libraries with which plugins check certificates."""
    if ca_file is None:
        return
    all_authorities = Path(folder) / "authorities.pem"
    all_authorities.write_text(authorities_text(Path(ca_file)))
    os.environ["REQUESTS_CA_BUNDLE"] = os.environ["SSL_CERT_FILE"] = str(all_authorities)


def _send(request: dict[str, Any], guard: Guard) -> dict[str, Any]:
    from apprise import Apprise, AppriseAsset, NotifyFormat  # noqa: PLC0415 - after the guard
    from apprise.manager_plugins import NotificationManager  # noqa: PLC0415

    plugins: Any = NotificationManager()  # type: ignore[no-untyped-call]
    sender = Apprise(asset=AppriseAsset(async_mode=False))
    for url in request["urls"]:
        scheme = url.partition("://")[0].lower()
        module = plugins[scheme].__module__.split(".") if scheme in plugins else []
        if not module or LOCAL_PLUGINS & set(module) or not sender.add(url):
            return {"unusable": scheme}
    sent = sender.notify(
        body=request["body"], title=request["title"], body_format=NotifyFormat.TEXT
    )
    if guard.refused is not None:
        return {"refused": {"host": guard.refused[0], "port": guard.refused[1]}}
    return {"sent": bool(sent)}


def main(lines: Iterable[str]) -> dict[str, Any]:
    """Carry out the request in the first line; return the result."""
    request = json.loads(next(iter(lines)))
    network = Network(NetworkLine.of(fields) for fields in request["network"])
    guard = Guard(network, request["team"])
    guard.install()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HOME"] = folder
        _trust(request.get("ca_file"), folder)
        return _send(request, guard)


if __name__ == "__main__":
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # plugins print to standard output
    os.write(out, json.dumps(main(sys.stdin)).encode())
