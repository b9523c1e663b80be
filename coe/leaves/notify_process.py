"""Sends one message with Apprise, in a process of its own that ends with it.

A process, because Apprise blocks, logs what it sends, and has plugins that reach out each in its
own way: here every socket of the process is guarded by the network policy, whatever plugin opens
it, and when time is up the process is killed. The request comes on standard input::

    {urls, title, body, team, network: [[team, host, network, port], …], ca_file}

and the result goes to standard output: `{sent}`, `{refused: {host, port}}` or `{unusable: scheme}`.
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

LOCAL: Final = frozenset(
    {"blink1", "dbus", "glib", "gnome", "macosx", "rsyslog", "syslog", "windows"}
)
"""Plugins that act on the machine itself, by the names of their modules."""


class _RefusedError(OSError):
    """The network policy does not let this connection be made."""


class Guard:
    """Lets sockets reach what the network policy lets the team reach; notes what it refused."""

    def __init__(self, network: Network, team: str) -> None:
        """Take the policy; nothing is guarded before `install`."""
        self._network = network
        self._team = team
        self._names: dict[str, str] = {}
        self._look_up = socket.getaddrinfo
        self.refused: tuple[str, int] | None = None

    def install(self) -> None:
        """Put the guard before every way in which this process can reach an address."""
        socket.getaddrinfo = self._noting
        for name, at in (("connect", 0), ("connect_ex", 0), ("sendto", -1), ("sendmsg", 3)):
            setattr(socket.socket, name, self._guarded(getattr(socket.socket, name), at))

    def _noting(self, host: Any, *rest: Any, **more: Any) -> Any:
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
            raise _RefusedError("no sockets of the machine")
        text, port = str(address[0]), int(address[1])
        name = self._names.get(text, text)
        try:
            parsed = ipaddress.ip_address(text)
        except ValueError:
            raise _RefusedError("a name that was not looked up") from None
        if not self._network.allows(self._team, name, port, parsed):
            self.refused = (name, port)
            raise _RefusedError("the network policy")


def _trust(ca_file: str | None, folder: str) -> None:
    """Have both ways in which plugins check certificates trust our authorities too."""
    if ca_file is None:
        return
    import certifi  # noqa: PLC0415 - seldom needed

    both = Path(folder) / "authorities.pem"
    both.write_text(Path(certifi.where()).read_text() + "\n" + Path(ca_file).read_text())
    os.environ["REQUESTS_CA_BUNDLE"] = os.environ["SSL_CERT_FILE"] = str(both)


def _send(request: dict[str, Any], guard: Guard) -> dict[str, Any]:
    from apprise import Apprise, AppriseAsset, NotifyFormat  # noqa: PLC0415 - after the guard
    from apprise.manager_plugins import NotificationManager  # noqa: PLC0415

    plugins: Any = NotificationManager()  # type: ignore[no-untyped-call]
    sender = Apprise(asset=AppriseAsset(async_mode=False))
    for url in request["urls"]:
        scheme = url.partition("://")[0].lower()
        module = plugins[scheme].__module__.split(".") if scheme in plugins else []
        if not module or LOCAL & set(module) or not sender.add(url):
            return {"unusable": scheme}
    sent = sender.notify(
        body=request["body"], title=request["title"], body_format=NotifyFormat.TEXT
    )
    if guard.refused is not None:
        return {"refused": {"host": guard.refused[0], "port": guard.refused[1]}}
    return {"sent": bool(sent)}


def main(lines: Iterable[str]) -> dict[str, Any]:
    """Carry out the request of the first line."""
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
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what plugins print is no result
    os.write(out, json.dumps(main(sys.stdin)).encode())
