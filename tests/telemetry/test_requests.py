"""Requests count by the root field and the route, never by what a client writes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from coe import __version__
from coe.api.schema import make_schema
from coe.demo.api import create_demo_app
from coe.settings import Settings
from coe.telemetry.declaring import REGISTRY
from tests.factories.api import Api, Refused
from tests.factories.metrics import Change
from tests.factories.ports import free_port

OF_GRAPHQL = {"__schema", "__type", "__typename"}
CANCEL = 'mutation { cancelRun(input: {run: "%s", reason: "no longer"}) { run { id } } }'


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    """The application without its loops."""
    app = create_demo_app(settings.model_copy(update={"loops": False}))
    async with app.router.lifespan_context(app):
        yield Api(app)


def _values(name: str, label: str) -> set[str]:
    [family] = [each for each in REGISTRY.collect() if each.name == name]
    return {sample.labels[label] for sample in family.samples}


async def test_a_request_of_graphql_counts_under_its_root_field(api: Api) -> None:
    fine = Change("coe_graphql_requests_total", field="engine", outcome="OK")
    timed = Change("coe_graphql_request_seconds_count", field="engine")
    missing = Change("coe_graphql_requests_total", field="cancelRun", outcome="NOT_FOUND")
    several = Change("coe_graphql_requests_total", field="several", outcome="OK")
    none = Change("coe_graphql_requests_total", field="none", outcome="INVALID")
    auditor = api.persona("auditor")
    await auditor.ask("{ renamed: engine { name } }")
    await auditor.ask("{ engine { name } platform: engine { state } }")
    for query in ("{ engine {", "{ invented }"):
        with pytest.raises(Refused):
            await auditor.ask(query)
    with pytest.raises(Refused, match="NOT_FOUND"):
        await auditor.ask(CANCEL % "01900000-0000-7000-8000-000000000000")
    assert (fine.now, timed.now, several.now, missing.now, none.now) == (1, 1, 1, 1, 2)
    schema = make_schema()._schema  # graphql-core's
    roots = {name for root in (schema.query_type, schema.mutation_type) for name in root.fields}
    assert _values("coe_graphql_requests", "field") <= roots | OF_GRAPHQL | {"several", "none"}


async def test_a_request_without_a_token_counts_too(api: Api) -> None:
    refused = Change("coe_graphql_requests_total", field="none", outcome="UNAUTHENTICATED")
    async with api.client("coe_unknown") as client:
        await client.post("/graphql", json={"query": "{ engine { name } }"})
    assert refused.now == 1


async def test_a_request_counts_under_its_route_or_as_other(api: Api) -> None:
    door = Change("coe_http_requests_total", route="/graphql", status="200")
    timed = Change("coe_http_request_seconds_count", route="/graphql")
    users = Change("coe_http_requests_total", route="/scim/v2/Users/{id}", status="401")
    other = Change("coe_http_requests_total", route="other", status="404")
    await api.persona("auditor").ask("{ engine { name } }")
    async with api.client() as client:
        await client.get("/scim/v2/Users/0190")
        await client.get("/invented/by/somebody")
    assert (door.now, timed.now, other.now) == (1, 1, 1), _values("coe_http_requests", "route")
    assert users.now == 1, _values("coe_http_requests", "route")


async def test_metrics_are_on_the_port_of_the_probes_and_not_on_that_of_the_api(
    settings: Settings,
) -> None:
    probed = settings.model_copy(update={"loops": False, "probe_port": free_port()})
    app = create_demo_app(probed)
    async with app.router.lifespan_context(app):
        async with Api(app).client() as client:
            assert (await client.get("/metrics")).status_code == 404
        async with httpx.AsyncClient(trust_env=False) as prometheus:
            answer = await prometheus.get(f"http://127.0.0.1:{probed.probe_port}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    process = f'coe_process_info{{role="api",version="{__version__}"}} 1.0'
    assert process in answer.text.splitlines()
