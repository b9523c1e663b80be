"""A directory that speaks SCIM to an application in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
from sqlalchemy import update
from sqlmodel import col

from coe.access.models import Team
from coe.access.tokens import NewToken, issue
from coe.work import Platform
from tests.factories.api import Api

DIRECTORY = "service:directory"
BASE = "http://127.0.0.1:8700/scim/v2"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


async def token_for(platform: Platform, subject: str, *scopes: str) -> str:
    """A token of a subject, as the operator makes it."""
    async with platform.database.session() as session:
        new = NewToken(
            name="directory",
            subject=subject,
            scopes=scopes,
            expires_at=platform.clock() + timedelta(days=30),
            created_by="service:content",
        )
        bearer, _ = await issue(session, platform.macs, new, now=platform.clock())
        await session.commit()
    return bearer


async def hand_to_directory(platform: Platform, *teams: str) -> None:
    """Let the people of these teams come from SCIM."""
    async with platform.database.session() as session:
        await session.execute(
            update(Team).where(col(Team.slug).in_(teams)).values(members_source="scim")
        )
        await session.commit()


@dataclass(frozen=True)
class Directory:
    """A client of `/scim/v2` with a token."""

    api: Api
    token: str

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        **query: Any,
    ) -> httpx.Response:
        """One request."""
        async with self.api.client(self.token) as client:
            return await client.request(
                method, f"/scim/v2{path}", json=body, params=query, headers=headers
            )

    async def user(self, name: str, /, **more: Any) -> str:
        """Make an account; its id."""
        body = {"schemas": [USER], "userName": name, **more}
        made = await self.send("POST", "/Users", body)
        assert made.status_code == 201, made.text
        key: str = made.json()["id"]
        return key

    async def group(self, name: str, *members: str) -> str:
        """Make a group; its id."""
        body = {
            "schemas": [GROUP],
            "displayName": name,
            "members": [{"value": each} for each in members],
        }
        made = await self.send("POST", "/Groups", body)
        assert made.status_code == 201, made.text
        key: str = made.json()["id"]
        return key

    async def patch(
        self, path: str, *operations: dict[str, Any], headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Patch a resource."""
        body = {"schemas": [PATCH], "Operations": operations}
        return await self.send("PATCH", path, body, headers=headers)


def wsgi_of(api: Api, loop: asyncio.AbstractEventLoop) -> Callable[..., Iterable[bytes]]:
    """The application for a client that is not asynchronous and runs in another thread."""

    async def send(method: str, url: str, headers: dict[str, str], body: bytes) -> httpx.Response:
        async with api.client() as client:
            return await client.request(method, url, headers=headers, content=body)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        size = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(size) if size else b""
        headers = {
            name[5:].replace("_", "-"): value
            for name, value in environ.items()
            if name.startswith("HTTP_") and name != "HTTP_HOST"
        }
        if environ.get("CONTENT_TYPE"):
            headers["Content-Type"] = environ["CONTENT_TYPE"]
        query = environ.get("QUERY_STRING")
        url = environ["PATH_INFO"] + (f"?{query}" if query else "")
        sent = asyncio.run_coroutine_threadsafe(
            send(environ["REQUEST_METHOD"], url, headers, body), loop
        )
        answer = sent.result(30)
        start_response(f"{answer.status_code} {answer.reason_phrase}", list(answer.headers.items()))
        return [answer.content]

    return application
