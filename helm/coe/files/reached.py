"""Reach the API, and open the gateway's WebSocket, which what is between may not pass."""

import asyncio
import ssl
import sys
import urllib.error
import urllib.request
from http import HTTPStatus

import websockets

PATH = "/gateway/installation-test/api/events/in"


def answered(url: str) -> int:
    """The status of an answer."""
    try:
        with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310  # http and https
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


async def socket_passes(address: str) -> str | None:
    """None if the gateway itself answers the opening of a WebSocket, else what is wrong."""
    url = "ws" + address.removeprefix("http").rstrip("/") + PATH
    context = ssl.create_default_context() if url.startswith("wss:") else None
    try:
        async with websockets.connect(
            url, subprotocols=["prefect"], ssl=context, open_timeout=60
        ) as opened:
            await opened.send('{"type": "auth", "token": "none"}')
            await asyncio.wait_for(opened.recv(), 60)
    except websockets.ConnectionClosed:
        return None  # opened, and closed by the gateway, for nobody signed in
    except websockets.InvalidStatus as error:
        if error.response.status_code in {401, 403}:
            return None  # refused by the gateway before it is opened
        status = error.response.status_code
        return f"{url}: status {status}: what is before the gateway passes no WebSockets"
    except (OSError, TimeoutError, websockets.InvalidHandshake) as error:
        return f"{url}: {type(error).__name__}: {error}"
    return None


def main(api: str, gateway: str) -> int:
    """0 if both are reached."""
    status = answered(api.rstrip("/") + "/healthz")
    wrong = [] if status == HTTPStatus.OK else [f"{api}/healthz: status {status}"]
    wrong += filter(None, [asyncio.run(socket_passes(gateway))])
    sys.stdout.write(
        "\n".join(wrong or ["the API answers, and the gateway's WebSocket opens"]) + "\n"
    )
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
