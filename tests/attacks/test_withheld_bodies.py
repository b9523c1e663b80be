"""Somebody who may send a request holds back its end, until it would be refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import httpx
import orjson
import pytest
from fastapi import FastAPI
from sqlalchemy import delete
from sqlmodel import col

from coe.access.models import Membership
from coe.engines.prefect_http import PrefectHTTP
from coe.gateway.router import Gateway
from coe.governance.tokens import revoke_token
from coe.identifiers import is_worker
from coe.identity.teams.people import suspend_person
from coe.identity.workers import revoke_worker
from coe.web import bodies
from coe.work import Platform
from tests.factories.api import Api
from tests.factories.machines import enrolled
from tests.factories.people import COE_LEAD
from tests.factories.policies import sign_policy
from tests.factories.ports import free_port
from tests.factories.scim import DIRECTORY
from tests.factories.tokens import new_token

PERSON: Final = "sales-owner"
WORKER: Final = "service:worker/warehouse"
MUTATION: Final = {"query": 'mutation { revokeSessions(subject: "anna", reason: "x") { ended } }'}
ME: Final = {"query": "{ me { roles } }"}
EVENT: Final = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.placed"}
USER: Final = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "mallory"}
STRUCTURED: Final = {"Content-Type": "application/cloudevents+json"}
JSON: Final = {"Content-Type": "application/json"}
SCIM: Final = {"Content-Type": "application/scim+json"}
GATEWAY: Final = "/gateway/warehouse/api/logs/"
DOORS: Final[dict[str, tuple[str, str, dict[str, str], object]]] = {
    "a query": (PERSON, "/graphql", JSON, ME),
    "a mutation": (PERSON, "/graphql", JSON, MUTATION),
    "an event": ("service:web-shop", "/events", STRUCTURED, EVENT),
    "an account": (DIRECTORY, "/scim/v2/Users", SCIM, USER),
    "a call to Prefect": (WORKER, GATEWAY, JSON, []),
}
doors = pytest.mark.parametrize("door", DOORS)


@asynccontextmanager
async def client_of(api: Api, path: str, bearer: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, or of a gateway whose Prefect server does not answer."""
    if path != GATEWAY:
        async with api.client(bearer) as client:
            yield client
        return
    http = PrefectHTTP(f"http://127.0.0.1:{free_port()}/api", "secret")
    gateway, app = Gateway(api.services.platform, http), FastAPI()
    app.include_router(gateway.router())
    async with Api(app).client(bearer) as client:
        yield client
    await gateway.close()


async def withheld(
    api: Api, door: str, bearer: str, until: Callable[[], Awaitable[object]]
) -> httpx.Response:
    """Send a request whose last byte follows only after something else."""
    _, path, headers, body = DOORS[door]
    content = orjson.dumps(body)

    async def parts() -> AsyncIterator[bytes]:
        yield content[:-1]
        await until()
        yield content[-1:]

    async with client_of(api, path, bearer) as client:
        return await client.post(path, content=parts(), headers=headers)


def code_of(answer: httpx.Response) -> str:
    """The code of a GraphQL error, or else the status."""
    found = answer.json()
    if "errors" in found and "extensions" in found["errors"][0]:
        return str(found["errors"][0]["extensions"]["code"])
    return "UNAUTHENTICATED" if answer.status_code == 401 else str(answer.status_code)


async def credential(platform: Platform, subject: str) -> tuple[str, UUID]:
    """A bearer token of a subject, and the id of what is revoked to end it."""
    if not is_worker(subject):
        bearer, row = await new_token(platform, subject)
        return bearer, row.id
    worker = await enrolled(platform, "warehouse")
    name = str(worker.credential)
    return platform.machines.sign(subject, name, platform.clock()), UUID(name.partition(":")[2])


async def revoke(platform: Platform, subject: str, key: UUID) -> None:
    """Revoke a token, or the key of a worker."""
    async with platform.work(COE_LEAD) as work:
        verb = revoke_worker if is_worker(subject) else revoke_token
        await verb(work, key, "was stolen")


async def suspend(platform: Platform) -> None:
    async with platform.work(COE_LEAD) as work:
        await suspend_person(work, PERSON, reason="is being investigated")


async def remove(platform: Platform) -> None:
    async with platform.database.session() as session:
        await session.execute(delete(Membership).where(col(Membership.subject) == PERSON))
        await sign_policy(session)
        await session.commit()


@pytest.fixture
def never_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every sender be found again, as after a long time."""
    monkeypatch.setattr(bodies, "FRESH_SECONDS", 0.0)


@doors
@pytest.mark.usefixtures("never_fresh")
async def test_the_token_is_revoked_before_the_last_byte(still_api: Api, door: str) -> None:
    platform = still_api.services.platform
    subject = DOORS[door][0]
    bearer, key = await credential(platform, subject)
    answer = await withheld(still_api, door, bearer, lambda: revoke(platform, subject, key))
    assert code_of(answer) == "UNAUTHENTICATED"


@pytest.mark.parametrize("door", ["a query", "a mutation"])
@pytest.mark.usefixtures("never_fresh")
async def test_the_person_is_suspended_before_the_last_byte(still_api: Api, door: str) -> None:
    platform = still_api.services.platform
    bearer, _ = await new_token(platform, PERSON)
    answer = await withheld(still_api, door, bearer, lambda: suspend(platform))
    assert code_of(answer) == "UNAUTHENTICATED"


@pytest.mark.usefixtures("never_fresh")
async def test_the_person_leaves_the_team_before_the_last_byte(still_api: Api) -> None:
    platform = still_api.services.platform
    bearer, _ = await new_token(platform, PERSON)
    before = await withheld(still_api, "a query", bearer, lambda: asyncio.sleep(0))
    assert before.json()["data"]["me"]["roles"]
    answer = await withheld(still_api, "a query", bearer, lambda: remove(platform))
    assert not (answer.json()["data"] or {"me": {"roles": []}})["me"]["roles"]


@doors
async def test_the_last_byte_never_comes(
    still_api: Api, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    bearer, _ = await credential(still_api.services.platform, DOORS[door][0])
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.01)
    answer = await withheld(still_api, door, bearer, asyncio.Event().wait)
    assert "did not arrive in time" in answer.text
    assert answer.status_code == 408
    assert answer.headers["connection"] == "close"
