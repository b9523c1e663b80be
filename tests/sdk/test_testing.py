"""Trials of flows in tests, and the page of local flows: its snippets are run."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect import Flow

from coe.catalog.flows.documents import read_flow
from coe.engines.entrypoints import load_entrypoint
from coe.engines.team_flows import LOAD_PAUSES
from coe.errors import errors_in
from coe.sdk import local_run
from coe.sdk.local_run import MAX_OUTAGE
from coe.sdk.testing import try_flow
from coe.settings import Settings
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "local-flows.md").read_text()
FENCE = re.compile(r"^```(yaml|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
MANIFEST, FLOW, TESTS = [text for _, text in FENCE.findall(PAGE)]


def answer(request: httpx.Request) -> httpx.Response:
    """The warehouse's system: five are on the shelf."""
    if request.method == "GET":
        return httpx.Response(200, json={"quantity": 5})
    assert len(request.headers["Idempotency-Key"]) == 64
    return httpx.Response(201, json={"id": "R-1"})


@pytest.fixture
def count_stock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Flow[..., Any]:
    """The flow of the page, loaded by the entrypoint of its manifest."""
    document, problems = read_flow(MANIFEST)
    assert document is not None, problems
    assert document.manifest is not None
    assert errors_in(problems) == ()
    path, _, _ = document.manifest.entrypoint.partition(":")
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(FLOW)
    found = load_entrypoint(tmp_path, document.manifest.entrypoint)
    client = functools.partial(httpx.AsyncClient, transport=httpx.MockTransport(answer))
    monkeypatch.setattr(httpx, "AsyncClient", client)
    monkeypatch.setenv("WMS_URL", "http://wms.example")
    return found


async def test_the_tests_of_the_page_pass(count_stock: Flow[..., Any]) -> None:
    names: dict[str, Any] = {"count_stock": count_stock}
    exec(compile(TESTS, "docs/local-flows.md", "exec"), names)  # noqa: S102  # our own page
    tests = [test for name, test in names.items() if name.startswith("test_")]
    assert len(tests) == 3
    for test in tests:
        await test()


async def test_the_output_of_the_page_fits_the_schema_of_its_manifest(
    count_stock: Flow[..., Any],
) -> None:
    document, _ = read_flow(MANIFEST)
    assert document is not None
    trial = await try_flow(count_stock, {"sku": "A-1", "quantity": 2})
    assert isinstance(document.output_schema, dict)
    assert set(trial.output) == set(document.output_schema["required"])


def test_the_page_tells_the_numbers_of_the_code() -> None:
    assert (len(LOAD_PAUSES) + 1, sum(LOAD_PAUSES)) == (5, 15)
    assert "tries five times within 15 seconds" in PAGE
    assert Settings().lease_seconds == 6
    assert "Its lease, six seconds" in PAGE
    assert MAX_OUTAGE == 600
    assert "up to ten minutes" in PAGE
    document, _ = read_flow(MANIFEST.replace("timeout: PT10M\n", ""))
    assert document is not None
    assert document.manifest is not None
    assert document.manifest.timeout == "PT1H"


async def test_a_trial_gives_the_error_and_the_outputs_of_steps() -> None:
    async def fails(run_id: str) -> None:
        async with local_run(run_id) as run:
            assert await run.step("first", lambda: _give({"a": run.key("first")}))
            raise ValueError("no")

    trial = await try_flow(fails, None, run_id="r")
    assert trial.error is not None
    assert trial.error["detail"] == "ValueError: no"
    again = await try_flow(fails, None, run_id="r")
    assert trial.outputs == again.outputs
    assert trial.output is None


async def test_a_flow_that_does_nothing_and_one_that_gives_no_json_are_no_good() -> None:
    async def nothing(run_id: str) -> None: ...

    async def no_json(run_id: str) -> None:
        async with local_run(run_id) as run:
            run.output = {"at": object()}

    with pytest.raises(AssertionError, match="local_run"):
        await try_flow(nothing, {})
    trial = await try_flow(no_json, {})
    assert trial.error is not None


async def _give(value: Any) -> Any:
    return value
