"""The GraphQL endpoint: which requests it accepts, from whom, and how it refuses them."""

from __future__ import annotations

import asyncio
import json
import logging

import httpx
import pytest
from graphql import get_introspection_query
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from coe.api.graphql import limits
from coe.errors import CoeError
from coe.work import Platform
from tests.factories.api import Api, Persona, Refused

ME = "{ me { subject kind displayName roles permissions teams { slug } } }"


def _code(response: httpx.Response) -> str:
    code: str = response.json()["errors"][0]["extensions"]["code"]
    return code


async def test_a_persona_is_the_subject_of_its_token(api: Api) -> None:
    me = (await api.persona("sales-owner").ask(ME))["me"]
    assert me["subject"] == "sales-owner"
    assert me["kind"] == "PERSON"
    assert me["roles"] == ["sales/process-owner"]
    assert me["teams"] == [{"slug": "sales"}]
    assert "run:start" in me["permissions"]
    assert "audit:read" not in me["permissions"]


@pytest.mark.parametrize("token", [None, "demo-nobody", "coe_" + "x" * 43, "ü"])
async def test_an_unknown_caller_reads_nothing(api: Api, token: str | None) -> None:
    async with api.client() as client:
        headers = {"Authorization": f"Bearer {token}".encode()} if token else {}
        for query in (ME, "{ __schema { types { name } } }", "{ __typename }", "{ mee }", "{"):
            response = await client.post("/graphql", json={"query": query}, headers=headers)
            assert _code(response) == "UNAUTHENTICATED"
            assert "mee" not in response.text.replace('"mee"', "")
            assert "did you mean" not in response.text.lower()


async def test_a_fixed_token_is_accepted_on_loopback_only(api: Api) -> None:
    async with api.client("demo-auditor", address="192.0.2.7") as client:
        assert _code(await client.post("/graphql", json={"query": ME})) == "UNAUTHENTICATED"


async def test_introspection_needs_a_token(api: Api) -> None:
    data = await api.persona("outsider").ask(get_introspection_query())
    assert data["__schema"]["queryType"]["name"] == "Query"


async def test_only_a_post_of_one_json_object_is_accepted(api: Api) -> None:
    async with api.client("demo-auditor") as client:
        assert (await client.get("/graphql", params={"query": ME})).status_code == 405
        mutation = "mutation { revokeToken(id: 1, reason: 2) { id } }"
        assert (await client.get("/graphql", params={"query": mutation})).status_code == 405
        batch = await client.post("/graphql", json=[{"query": ME}, {"query": ME}])
        assert batch.status_code == 422
        assert batch.json()["errors"][0]["extensions"]["problems"][0]["code"] == "INPUT_BATCH"
        large = await client.post("/graphql", json={"query": ME, "variables": {"n": 2**64}})
        assert large.json()["errors"][0]["extensions"]["problems"][0]["code"] == "INPUT_JSON"
        form = await client.post("/graphql", data={"query": ME})
        assert form.json()["errors"][0]["extensions"]["problems"][0]["code"] == "INPUT_CONTENT_TYPE"
        plain = {"Content-Type": "text/plain"}
        text = await client.post("/graphql", content=json.dumps({"query": ME}), headers=plain)
        assert _code(text) == "INVALID"
        broken = {"Content-Type": "application/json"}
        assert _code(await client.post("/graphql", content="{", headers=broken)) == "INVALID"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "INPUT_QUERY"),
        ({"query": 5}, "INPUT_QUERY"),
        ({"query": ME, "variables": []}, "INPUT_VARIABLES"),
        ({"query": ME, "operationName": 1}, "INPUT_OPERATION_NAME"),
        ({"query": f"query A {ME} query B {ME}"}, "INPUT_OPERATION_NAME"),
        ({"query": f"query A {ME}", "operationName": "B"}, "INPUT_OPERATION_NAME"),
        ({"query": "{ me "}, "INPUT_SYNTAX"),
    ],
)
async def test_a_malformed_body_is_refused_with_the_reason(
    api: Api, body: dict[str, object], code: str
) -> None:
    async with api.client("demo-auditor") as client:
        error = (await client.post("/graphql", json=body)).json()["errors"][0]
    assert error["extensions"]["code"] == "INVALID"
    assert error["extensions"]["problems"][0]["code"] == code


@pytest.mark.parametrize("literal", ["18446744073709551616", "[{a: -9223372036854775809}]"])
async def test_a_literal_that_would_be_rounded_is_refused_where_it_stands(
    api: Api, literal: str
) -> None:
    start = 'mutation { startRun(input: {flow: "x/y", input: {n: %s}}) { run { id } } }'
    answer = await api.persona("auditor").send(start % literal)
    [error] = answer["errors"]
    assert error["message"].startswith("A whole number has more than 64 bits")
    assert error["locations"][0]["line"] == 1
    assert error["extensions"]["code"] == "INVALID"


async def test_a_large_body_is_refused(api: Api) -> None:
    async with api.client("demo-auditor") as client:
        body = {"query": ME, "variables": {"x": "y" * limits.MAX_REQUEST_BYTES}}
        response = await client.post("/graphql", json=body)
    assert response.status_code == 413
    assert _code(response) == "TOO_COSTLY"


async def test_statuses_follow_the_specification_for_its_media_type(api: Api) -> None:
    modern = {"Accept": "application/graphql-response+json"}
    async with api.client("demo-auditor") as client:
        good = await client.post("/graphql", json={"query": ME}, headers=modern)
        bad = await client.post("/graphql", json={"query": "{ nothing }"}, headers=modern)
        plain = await client.post("/graphql", json={"query": "{ nothing }"})
    async with api.client() as client:
        nobody = await client.post("/graphql", json={"query": ME}, headers=modern)
        nobody_plain = await client.post("/graphql", json={"query": ME})
    assert (good.status_code, bad.status_code, plain.status_code) == (200, 400, 200)
    assert (nobody.status_code, nobody_plain.status_code) == (401, 200)
    assert good.headers["content-type"].startswith("application/graphql-response+json")
    assert good.headers["x-request-id"] != bad.headers["x-request-id"]


async def test_an_internal_error_is_masked_and_logged_without_values(
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(self: Platform, *_: object) -> None:
        raise RuntimeError("Jane Doe, 4 Privet Drive")

    monkeypatch.setattr(Platform, "read", broken)
    with caplog.at_level(logging.ERROR):
        answer = await api.persona("auditor").send("{ teams { slug } }")
    error = answer["errors"][0]
    assert error["extensions"]["code"] == "INTERNAL"
    assert error["path"] == ["teams"]
    assert "Jane" not in json.dumps(answer)
    assert "RuntimeError" not in json.dumps(answer)
    record = next(r for r in caplog.records if r.name == "coe.api")
    assert record.__dict__["error_id"] == error["extensions"]["errorId"]
    assert record.__dict__["types"][0] == "builtins.RuntimeError"
    assert any("test_endpoint" in frame for frame in record.__dict__["frames"])
    assert "Jane" not in str(record.__dict__)


async def test_an_error_of_the_platform_keeps_its_code_and_extensions(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Teapot(CoeError):
        """Short and stout."""

        code = "CONFLICT"

    def broken(self: Platform, *_: object) -> None:
        raise Teapot(permission="tea:pour")

    monkeypatch.setattr(Platform, "read", broken)
    with pytest.raises(Refused) as refused:
        await api.persona("auditor").ask("{ teams { slug } }")
    assert refused.value.message == "Short and stout."
    assert refused.value.extensions == {"code": "CONFLICT", "permission": "tea:pour"}


async def test_a_lost_database_is_unavailable(api: Api) -> None:
    await _lose_database(api)
    asker = Persona(api, "demo-auditor")
    with pytest.raises(Refused) as refused:
        await asker.ask("{ teams { slug } }")
    assert refused.value.code == "UNAVAILABLE"
    async with api.client() as client:
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/healthz")).status_code == 200


async def test_each_door_refuses_with_the_same_status_and_headers(api: Api) -> None:
    async def statuses(token: str) -> list[int]:
        async with api.client(token) as client:
            modern = {"Accept": "application/graphql-response+json"}
            answers = [
                await client.post("/graphql", json={"query": ME}, headers=modern),
                await client.post("/events", json={}),
                await client.get("/audit/bundle"),
            ]
        assert all(each.headers["x-request-id"] for each in answers)
        assert all(each.headers["cache-control"] == "no-store" for each in answers)
        named = {each.headers.get("www-authenticate") for each in answers}
        assert named == {"Bearer" if answers[0].status_code == 401 else None}
        return [each.status_code for each in answers]

    unknown = "coe_" + "x" * 43
    assert await statuses(unknown) == [401, 401, 401]
    await _lose_database(api)
    assert await statuses(unknown) == [503, 503, 503]


async def _lose_database(api: Api) -> None:
    database = api.services.platform.database
    await database.engine.dispose()
    host = database.engine.url.set(host="127.0.0.1", port=1, query={})
    database._sessions = async_sessionmaker(create_async_engine(host))


async def test_root_fields_run_concurrently_each_in_its_session(api: Api) -> None:
    query = "{ a: teams { slug } b: teams { slug members { subject } } c: me { subject } }"
    answers = await asyncio.gather(*(api.persona("coe-lead").ask(query) for _ in range(10)))
    assert all(answer == answers[0] for answer in answers)
    assert len(answers[0]["a"]) >= 6
