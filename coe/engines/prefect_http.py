"""HTTP client of a Prefect server: authentication, CSRF tokens, translation of its errors.

Prefect's API is versioned by header; this uses the version of 3.8.8. It does not import Prefect.
"""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx

from coe.db import new_id
from coe.errors import CoeError, Conflict, NotFound, Unavailable
from coe.settings import Settings
from coe.telemetry import metrics
from coe.tls import client_context, why_unreached

API_VERSION: Final = "0.8.4"
TIMEOUT: Final = httpx.Timeout(8.0, connect=3.0)

_AGAIN: Final = frozenset({408, 425, 429})
_WORDS: Final = frozenset(
    {
        *("admin", "block_documents", "create_flow_run", "csrf-token", "deployments", "events"),
        *("filter", "flow_runs", "flows", "get_scheduled_flow_runs", "health", "logs", "name"),
        *("queues", "set_state", "task_runs", "work_pools", "work_queues", "workers"),
    }
)
"""What a path is made of, beside names and ids."""


class PrefectRefused(CoeError):
    """The Prefect server refused a call; see the status, and check `COE_PREFECT_AUTH`."""

    code = "INTERNAL"


class PrefectHTTP:
    """A client of one Prefect server, with the server's own auth string.

    Every method may raise `Unavailable` (not reached, overloaded, failing), `NotFound`,
    `Conflict` or `PrefectRefused`; messages hold paths and statuses only.
    """

    def __init__(
        self,
        api_url: str,
        auth: str,
        *,
        ca_file: Path | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Prepare the client; the first call connects.

        Args:
            api_url: Such as `http://127.0.0.1:4200/api`.
            auth: `user:password` of the server.
            ca_file: Authorities (PEM) to trust beside the public ones.
            transport: In place of the network's, at the seam of a test.
        """
        self.api_url = api_url.rstrip("/")
        self.auth = auth
        self.ca_file = ca_file
        self._csrf: dict[str, str] = {}
        self._client = httpx.AsyncClient(
            base_url=self.api_url,
            headers={"Authorization": basic(auth), "X-PREFECT-API-VERSION": API_VERSION},
            timeout=TIMEOUT,
            trust_env=False,
            verify=client_context(ca_file),
            transport=transport,
        )

    @classmethod
    def open(cls, settings: Settings) -> PrefectHTTP:
        """The client of the server that the settings name.

        Raises:
            ValueError: `COE_PREFECT_URL` is not set.
        """
        if settings.prefect_url is None:
            raise ValueError("COE_PREFECT_URL names the Prefect server's API; set it")
        auth = settings.prefect_auth.get_secret_value() if settings.prefect_auth else ""
        return cls(settings.prefect_url, auth, ca_file=settings.ca_file)

    @property
    def pages_url(self) -> str:
        """The address of the server's pages."""
        return self.api_url.removesuffix("/api")

    async def get(self, path: str) -> Any:
        """Read a resource; `path` starts with a slash and is already escaped."""
        return await self.call("GET", path)

    async def post(self, path: str, body: object) -> Any:
        """Post a JSON body and return the JSON response, None if it is empty."""
        return await self.call("POST", path, body)

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """Make a call and return its JSON response."""
        response = await self.send(method, path, body)
        if response.status_code == httpx.codes.FORBIDDEN and "CSRF" in response.text:
            self._csrf = {}
            response = await self.send(method, path, body)
        _raise_for(response, f"{method} {path}")
        return response.json() if response.content else None

    async def send(self, method: str, path: str, body: object = None) -> httpx.Response:
        """Make a call and return the response, whatever its status."""
        headers = {} if method == "GET" else await self._csrf_headers()
        try:
            return await self._request(method, path, json=body, headers=headers)
        except httpx.TransportError as error:
            raise _unreachable(error) from None

    async def _request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Make a call and count it."""
        began, status = time.monotonic(), 0
        try:
            response = await self._client.request(method, path, **more)
            status = response.status_code
        finally:
            spent = time.monotonic() - began
            metrics.ENGINE_CALLS.labels(_kind_of(method, path), str(status)).observe(spent)
        return response

    async def healthy(self) -> bool:
        """Whether the server reports that it is healthy; false if it cannot be reached."""
        try:
            response = await self._request("GET", "/health", timeout=2.0)
        except httpx.TransportError:
            return False
        return response.is_success

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _csrf_headers(self) -> dict[str, str]:
        """The CSRF token that every change needs, fetched once; it is valid for an hour."""
        if not self._csrf:
            client = str(new_id())
            try:
                response = await self._request("GET", "/csrf-token", params={"client": client})
            except httpx.TransportError as error:
                raise _unreachable(error) from None
            if response.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
                return {}  # this server needs none
            _raise_for(response, "GET /csrf-token")
            token = response.json()["token"]
            self._csrf = {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": client}
        return self._csrf


def basic(auth: str) -> str:
    """The header of HTTP basic authentication (RFC 7617) for `user:password`."""
    return "Basic " + base64.b64encode(auth.encode()).decode()


def segment(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")


def _kind_of(method: str, path: str) -> str:
    """A call without its names and ids."""
    parts = path.strip("/").split("/")
    return f"{method} /" + "/".join(part if part in _WORDS else "*" for part in parts)


def _unreachable(error: httpx.TransportError) -> Unavailable:
    return Unavailable(f"the Prefect server does not answer ({why_unreached(error)})")


def _raise_for(response: httpx.Response, call: str) -> None:
    """Translate a status into our errors.

    Raises:
        NotFound: 404.
        Conflict: 409.
        Unavailable: 408, 425, 429 and 5xx: the call may be made again.
        PrefectRefused: Everything else outside 2xx.
    """
    status = response.status_code
    if response.is_success:
        return
    if status == httpx.codes.NOT_FOUND:
        raise NotFound(f"Prefect knows nothing under {call}")
    if status == httpx.codes.CONFLICT:
        raise Conflict(f"Prefect has something else under {call}")
    if status >= httpx.codes.INTERNAL_SERVER_ERROR or status in _AGAIN:
        raise Unavailable(f"the Prefect server answered {status} to {call}")
    raise PrefectRefused(f"the Prefect server answered {status} to {call}")
