"""Reach the API, and open the gateway's WebSocket, which what is between may not pass."""

import asyncio
import ssl
import sys
import urllib.error
import urllib.request
from http import HTTPStatus

import websockets

PATH = "/gateway/installation-test/api/events/in"
SECONDS = 60


def api_problem(address: str) -> str | None:
    """None if the API answers; within the cluster it may refuse who is no proxy of its own."""
    url = address.rstrip("/") + "/healthz"
    try:
        with urllib.request.urlopen(url, timeout=SECONDS):  # noqa: S310  # http and https
            return None
    except urllib.error.HTTPError as error:
        return refusal(address, error.code)
    except OSError as error:
        return f"{url}: {error}"


def refusal(address: str, status: int) -> str | None:
    """None if the platform itself refuses plain HTTP that comes around its proxies."""
    if status == HTTPStatus.FORBIDDEN:
        told = f"{address}: status 403: name the proxy before it in COE_TRUSTED_PROXIES"
        return None if address.startswith("http:") else told
    return f"{address}: status {status}"


async def gateway_problem(address: str) -> str | None:
    """None if the gateway itself answers on a WebSocket."""
    url = "ws" + address.removeprefix("http").rstrip("/") + PATH
    context = ssl.create_default_context() if url.startswith("wss:") else None
    try:
        async with websockets.connect(
            url, subprotocols=["prefect"], ssl=context, open_timeout=SECONDS
        ) as opened:
            await opened.send('{"type": "auth", "token": "none"}')
            await asyncio.wait_for(opened.recv(), SECONDS)
    except websockets.ConnectionClosed:
        return None  # the gateway has closed it, for nobody signed in
    except websockets.InvalidStatus as error:
        found = refusal(address, error.response.status_code)
        return found and f"{found}: does what is before the gateway pass WebSockets?"
    except (OSError, TimeoutError, websockets.InvalidHandshake) as error:
        return f"{url}: {type(error).__name__}: {error}"
    return None


def main(api: str, gateway: str) -> int:
    """0 if both are reached."""
    found = [api_problem(api), asyncio.run(gateway_problem(gateway))]
    wrong = [each for each in found if each]
    sys.stdout.write(
        "\n".join(wrong or ["the API answers, and the gateway's WebSocket opens"]) + "\n"
    )
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
