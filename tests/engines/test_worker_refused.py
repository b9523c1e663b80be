"""A worker that is not let in says why in a sentence."""

from __future__ import annotations

import httpx
import pytest

from coe.engines.prefect_worker import _why


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "does not know this worker"),
        (403, "refuses this worker"),
        (404, "no platform at this address"),
        (504, "cannot be reached"),
        (500, "it answered 500"),
    ],
)
def test_a_refusal_is_a_sentence(status: int, said: str) -> None:
    request = httpx.Request(
        "GET", "http://127.0.0.1/gateway/warehouse/api/work_pools/team-warehouse"
    )
    error = httpx.HTTPStatusError("no", request=request, response=httpx.Response(status))
    assert said in _why(ExceptionGroup("both", [error]))


def test_a_server_that_is_not_there_is_named_by_its_kind() -> None:
    assert _why(httpx.ConnectError("x")) == "it cannot be reached (ConnectError)"
    assert _why(KeyError("a value")) == "KeyError"
