"""Somebody asks again and again: guesses credentials, or occupies the platform."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import httpx
import pytest
from sqlalchemy import func, select, text

from coe.audit.models import AuditEvent
from coe.demo.api import create_demo_app
from coe.settings import Settings
from tests.factories.api import Api
from tests.factories.tokens import bearer_of

CHECK = "{" + " ".join(f'a{n}: checkFlow(manifest: "x") {{ digest }}' for n in range(4)) + "}"
BIG = "{ catalog(first: 100) { nodes { id owner { members { subject } } } } }"
ME = "{ me { subject } }"


@asynccontextmanager
async def limited(settings: Settings, **rates: str) -> AsyncIterator[Api]:
    """The application with these rates, without its loops."""
    app = create_demo_app(settings.model_copy(update={"loops": False, "rate_limits": rates}))
    async with app.router.lifespan_context(app):
        yield Api(app)


def assert_refused(answer: httpx.Response, seconds: range) -> None:
    """The answer says that it was too much, and when to try again."""
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) in seconds


async def events(api: Api) -> list[tuple[str, str]]:
    """The actors and the resources of the events that say so."""
    wanted = select(AuditEvent.actor, AuditEvent.resource).where(
        AuditEvent.action == "access:request:limit"
    )
    async with api.services.platform.database.session() as session:
        return [(row.actor, row.resource) for row in await session.execute(wanted)]


@pytest.mark.parametrize(
    ("query", "rates", "resource"),
    [
        (CHECK, {"check": "8/hour"}, "limit:check"),
        (BIG, {"query": "4500/hour"}, "limit:query"),
    ],
    ids=["checks", "large queries"],
)
async def test_more_work_than_one_may_cause(
    settings: Settings, query: str, rates: dict[str, str], resource: str
) -> None:
    async with limited(settings, **rates) as api:
        async with api.client("demo-sales-owner") as client:
            answers = [await client.post("/graphql", json={"query": query}) for _ in range(5)]
            assert [each.status_code for each in answers[:2]] == [200, 200]
            assert_refused(answers[-1], range(1, 3601))
            assert answers[-1].json()["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
            assert (await client.post("/graphql", json={"query": ME})).status_code == 200
        async with api.client("demo-auditor") as other:
            assert (await other.post("/graphql", json={"query": query})).status_code == 200
        assert await events(api) == [("sales-owner", resource)]


async def test_checks_in_one_document_count_each(settings: Settings) -> None:
    async with limited(settings, check="3/hour") as api, api.client("demo-auditor") as client:
        assert (await client.post("/graphql", json={"query": CHECK})).status_code == 200
        assert_refused(await client.post("/graphql", json={"query": CHECK}), range(3000, 3601))


async def test_one_export_after_another(settings: Settings) -> None:
    async with limited(settings, export="2/hour") as api, api.client("demo-auditor") as client:
        answers = [await client.get("/audit/bundle") for _ in range(3)]
        assert 429 not in {each.status_code for each in answers[:2]}
        assert_refused(answers[2], range(1, 1801))


@pytest.mark.parametrize("token", ["coe_" + "x" * 43, "demo-nobody", "eyJ.x.y"])
async def test_guessing_a_token(settings: Settings, token: str) -> None:
    async with limited(settings, refused_credential="4/minute") as api:
        headers = {"Authorization": f"Bearer {token}"}
        async with api.client(address="192.0.2.9") as client:
            answers = [
                await client.post("/graphql", json={"query": ME}, headers=headers) for _ in range(6)
            ]
        assert [each.status_code for each in answers] == [200] * 4 + [429] * 2
        assert_refused(answers[-1], range(1, 61))
        assert await events(api) == [("service:rate-limit", "limit:refused_credential")]
        assert (await api.persona("auditor").ask(ME))["me"]["subject"] == "auditor"


@pytest.mark.parametrize("path", ["/auth", "/auth/session", "/graphql"])
async def test_guessing_a_session(settings: Settings, path: str) -> None:
    async with limited(settings, refused_credential="2/minute") as api:
        async with api.client(address="192.0.2.9") as client:
            client.cookies.set("loopback-coe", f"{UUID(int=7)}.{'x' * 43}")
            method = "POST" if path == "/graphql" else "GET"
            body = {"query": ME} if path == "/graphql" else None
            answers = [await client.request(method, path, json=body) for _ in range(4)]
        assert answers[-1].status_code == 429
        assert 429 not in {each.status_code for each in answers[:2]}


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/auth/token"), ("POST", "/auth/workers"), ("GET", "/auth/nobody/login")],
)
async def test_trying_to_sign_in_again_and_again(
    settings: Settings, method: str, path: str
) -> None:
    async with limited(settings, sign_in="3/minute") as api:
        async with api.client(address="192.0.2.9") as client:
            answers = [await client.request(method, path) for _ in range(4)]
        assert 429 not in {each.status_code for each in answers[:3]}
        assert_refused(answers[3], range(1, 61))
        async with api.client(address="192.0.2.10") as other:
            assert (await other.request(method, path)).status_code != 429


async def test_the_log_is_not_flooded_by_refusals(settings: Settings) -> None:
    async with limited(settings, sign_in="1/day") as api:
        async with api.client(address="192.0.2.9") as client:
            for _ in range(20):
                await client.post("/auth/token")
        async with api.services.platform.database.session() as session:
            total = await session.scalar(select(func.count()).select_from(AuditEvent))
        assert await events(api) == [("service:rate-limit", "limit:sign_in")]
        assert total is not None
        assert total <= 3


@pytest.mark.parametrize(
    "end",
    [
        "UPDATE access_tokens SET revoked_at = now(), mac = NULL",
        "UPDATE access_tokens SET expires_at = '2020-01-01'",
        """INSERT INTO people (subject, id, display_name, source, state, created_at, changed_at)
        VALUES ('auditor', gen_random_uuid(), 'A', 'test', 'SUSPENDED', now(), now())""",
    ],
    ids=["revoked", "expired", "of a suspended person"],
)
async def test_an_old_token_fills_the_log(settings: Settings, end: str) -> None:
    async with limited(settings, refused_credential="8/minute") as api:
        platform = api.services.platform
        headers = {"Authorization": f"Bearer {await bearer_of(platform, 'auditor')}"}
        async with platform.database.session() as session:
            await session.execute(text(end))
            await session.commit()
        for address in ("192.0.2.9", "192.0.2.10"):
            async with api.client(address=address) as client:
                answers = [
                    await client.post("/graphql", json={"query": ME}, headers=headers)
                    for _ in range(10)
                ]
            assert [each.status_code for each in answers] == [200] * 8 + [429] * 2
        wanted = select(AuditEvent.actor, AuditEvent.address).where(
            AuditEvent.action == "access:login:refuse"
        )
        async with platform.database.session() as session:
            found = [tuple(row) for row in await session.execute(wanted)]
        assert found == [("auditor", "192.0.2.9"), ("auditor", "192.0.2.10")]
