"""Machines of tests: teams' workers that are enrolled."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import httpx

from coe.access.actor import Actor
from coe.crypto import jose
from coe.db import new_id
from coe.identity.sign_in import CLIENT_CREDENTIALS, JWT_BEARER
from coe.identity.worker_identity import ASSERTION, WorkerIdentity
from coe.identity.workers import create_enrolment_code, enrol_worker
from coe.work import Platform, RequestInfo
from tests.factories.api import Api

ADDRESS = "192.0.2.7"


async def enrolment_code(platform: Platform, team: str, *, by: str | None = None) -> str:
    """A one-time code that the lead of the team made, or somebody else."""
    async with platform.work(Actor.of(by or f"{team}-lead")) as work:
        code, _ = await create_enrolment_code(work, team)
    return code


async def enrolled(
    platform: Platform, team: str, *, by: str | None = None, name: str = "test"
) -> WorkerIdentity:
    """A worker of the team with a key of its own."""
    code = await enrolment_code(platform, team, by=by)
    identity = new_identity(team)
    made = await enrol_worker(
        platform,
        team=team,
        code=code,
        proof=identity.proof(code),
        name=name,
        request=RequestInfo(address=ADDRESS),
    )
    return replace(identity, credential=made.credential, issuer=made.issuer)


def new_identity(team: str) -> WorkerIdentity:
    """A worker with a new key that has not enrolled."""
    return WorkerIdentity("http://127.0.0.1:8700", team, jose.new_private_key())


async def actor_of(platform: Platform, identity: WorkerIdentity) -> Actor:
    """The actor that the worker's access token stands for."""
    subject = f"service:worker/{identity.team}"
    token = platform.machines.sign(subject, str(identity.credential), platform.clock())
    return await platform.authenticate(token, RequestInfo(address=ADDRESS))


@dataclass
class Machine:
    """An enrolled worker, and the API that it signs in to."""

    api: Api
    platform: Platform
    identity: WorkerIdentity

    async def sign_in(self, assertion: str, **more: str) -> httpx.Response:
        form = {
            "grant_type": CLIENT_CREDENTIALS,
            "client_assertion_type": JWT_BEARER,
            "client_assertion": assertion,
        }
        async with self.api.client() as client:
            return await client.post("/auth/token", data=form | more)

    def claims(self, **more: Any) -> dict[str, Any]:
        return {
            "iss": self.identity.credential,
            "sub": self.identity.credential,
            "aud": self.identity.issuer,
            "iat": time.time(),
            "exp": time.time() + 60,
            "jti": str(new_id()),
        } | more

    def signed(self, **more: Any) -> str:
        return jose.sign_with_key(self.claims(**more), self.identity.private, typ=ASSERTION)


def named(value: object) -> str:
    """The id of a parameter; a time is not part of it, as each collection has another."""
    if isinstance(value, dict):
        return " ".join(f"{name}={named(each)}" for name, each in value.items())
    return "a time" if isinstance(value, float) else str(value)
