"""Personas that speak to an application in this process, over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI

from coe.app import Services


class Refused(Exception):  # reads as what happened
    """The first error of an answer."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['message']} {error['extensions']}")
        self.message: str = error["message"]
        self.path: list[str | int] = error.get("path", [])
        self.extensions: dict[str, Any] = error["extensions"]
        self.code: str = self.extensions["code"]


@dataclass(frozen=True)
class Api:
    """One application."""

    app: FastAPI

    @property
    def services(self) -> Services:
        services: Services = self.app.state.services
        return services

    def client(self, token: str | None = None, *, address: str = "127.0.0.1") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, client=(address, 50000))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1:8700", headers=headers
        )

    def persona(self, name: str) -> Persona:
        return Persona(self, f"demo-{name}")


@dataclass(frozen=True)
class Persona:
    """Somebody with a token."""

    api: Api
    token: str | None

    async def send(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole answer."""
        async with self.api.client(self.token) as client:
            body = {"query": query, "variables": variables}
            response = await client.post("/graphql", json=body)
        answer: dict[str, Any] = response.json()
        return answer

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data; an error is raised."""
        answer = await self.send(query, **variables)
        if answer.get("errors"):
            raise Refused(answer["errors"][0])
        data: dict[str, Any] = answer["data"]
        return data

    async def do(self, mutation: str, kind: str, payload: str, **given: Any) -> dict[str, Any]:
        """One mutation that takes `input` of this type; its payload, with the problems."""
        query = (
            f"mutation ($input: {kind}!) {{ answer: {mutation}(input: $input) "
            f"{{ {payload} problems {{ code severity message path line column }} }} }}"
        )
        answer: dict[str, Any] = (await self.ask(query, input=given))["answer"]
        return answer
