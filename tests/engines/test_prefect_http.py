"""Statuses and failures of the server in our words. The seam is httpx's transport."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from coe.engines.prefect_http import PrefectHTTP, PrefectRefused
from coe.engines.prefect_server import PrefectServer
from coe.errors import CoeError, Conflict, NotFound, Unavailable

MAPPING: dict[int, type[CoeError]] = {
    400: PrefectRefused,
    401: PrefectRefused,
    403: PrefectRefused,
    404: NotFound,
    405: PrefectRefused,
    408: Unavailable,
    409: Conflict,
    422: PrefectRefused,
    425: Unavailable,
    429: Unavailable,
    500: Unavailable,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def client(answer: Callable[[httpx.Request], httpx.Response]) -> PrefectHTTP:
    return PrefectHTTP("http://prefect/api", "a:b", transport=httpx.MockTransport(answer))


@pytest.mark.parametrize(("status", "kind"), MAPPING.items())
async def test_every_status_has_its_error(status: int, kind: type[CoeError]) -> None:
    http = client(lambda _: httpx.Response(status, json={"detail": "Ms Zwicknagel"}))
    with pytest.raises(CoeError) as caught:
        await http.get("/flow_runs/1")
    assert type(caught.value) is kind
    assert "Zwicknagel" not in caught.value.message


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in vars(httpx).values()
        if isinstance(kind, type) and issubclass(kind, httpx.TransportError)
    ],
)
async def test_every_failure_of_the_network_is_unavailable(
    kind: type[httpx.TransportError],
) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise kind("Ms Zwicknagel", request=request)

    with pytest.raises(Unavailable) as caught:
        await client(fail).post("/flow_runs/1/set_state", {})
    assert "Zwicknagel" not in caught.value.message
    assert await client(fail).healthy() is False


async def test_a_stale_csrf_token_is_fetched_again(http: PrefectHTTP) -> None:
    made = await http.post("/flows/", {"name": "csrf"})
    http._csrf["Prefect-Csrf-Token"] = "stale"
    assert (await http.post("/flows/", {"name": "csrf"}))["id"] == made["id"]


async def test_another_auth_string_is_refused(prefect: PrefectServer) -> None:
    stranger = PrefectHTTP(prefect.api_url, "tests:guess")
    with pytest.raises(PrefectRefused):
        await stranger.get("/admin/version")
    await stranger.close()
