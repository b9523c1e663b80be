"""Forged, replayed and foreign assertions and access tokens of machines."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from coe.access.machine_models import WorkerKey
from coe.crypto import jose
from coe.db import utcnow
from coe.errors import Unauthenticated
from coe.identity.worker_identity import ASSERTION, WorkerIdentity
from coe.work import Platform, RequestInfo
from tests.factories.api import Api
from tests.factories.machines import (
    Machine,
    named,
    new_identity,
)

WORKER = "service:worker/warehouse"


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.asyncio(loop_scope="module")
async def test_sending_an_assertion_a_second_time(standing: Machine) -> None:
    assertion = standing.identity.assertion()
    assert (await standing.sign_in(assertion)).status_code == 200
    again = await standing.sign_in(assertion)
    assert again.status_code == 401
    assert again.json() == {
        "error": "invalid_client",
        "error_description": "this assertion was used before",
    }


async def test_sending_an_assertion_twice_at_once(machine: Machine) -> None:
    assertion = machine.identity.assertion()
    answers = await asyncio.gather(*(machine.sign_in(assertion) for _ in range(6)))
    assert sorted(each.status_code for each in answers) == [200, *[401] * 5]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "more",
    [
        {"aud": "https://other.example.com"},
        {"aud": ["https://other.example.com"]},
        {"aud": []},
        {"aud": None},
        {"exp": time.time() - 1},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"exp": time.time() + 86400},
        {"iat": time.time() + 3600},
        {"nbf": time.time() + 3600},
        {"jti": None},
        {"jti": ""},
        {"jti": "x" * 201},
        {"iss": "worker:somebody"},
        {"sub": f"worker:{UUID(int=1)}", "iss": f"worker:{UUID(int=1)}"},
        {"sub": WORKER, "iss": WORKER},
    ],
    ids=named,
)
async def test_signing_in_with_an_assertion_that_is_not_for_this(
    standing: Machine, more: dict[str, Any]
) -> None:
    assert (await standing.sign_in(standing.signed(**more))).status_code == 401


@pytest.mark.asyncio(loop_scope="module")
async def test_an_assertion_for_two_audiences_is_refused(standing: Machine) -> None:
    both = [standing.identity.issuer, "https://other.example.com"]
    assert (await standing.sign_in(standing.signed(aud=both))).status_code == 401


async def _of_another_key(machine: Machine) -> str:
    return replace(machine.identity, private=jose.new_private_key()).assertion()


async def _with_no_algorithm(machine: Machine) -> str:
    return f"{_part({'alg': 'none', 'typ': ASSERTION})}.{_part(machine.claims())}."


async def _with_the_public_key_as_a_secret(machine: Machine) -> str:
    public = jose.public_key_of(machine.identity.private)
    return jose.sign_with_secret(machine.claims(), public.hex())


async def _with_its_own_key_in_the_header(machine: Machine) -> str:
    private = jose.new_private_key()
    return jose.sign_with_key(machine.claims(), private, typ=ASSERTION, with_public=True)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "forged",
    [
        _of_another_key,
        _with_no_algorithm,
        _with_the_public_key_as_a_secret,
        _with_its_own_key_in_the_header,
    ],
)
async def test_signing_in_with_an_assertion_that_the_worker_did_not_sign(
    standing: Machine, forged: Callable[[Machine], Any]
) -> None:
    assert (await standing.sign_in(await forged(standing))).status_code == 401


@pytest.mark.parametrize("column", ["revoked_at", "expires_at"])
async def test_signing_in_with_a_key_that_is_no_longer_good(machine: Machine, column: str) -> None:
    async with machine.platform.database.session() as session:
        await session.execute(update(WorkerKey).values({column: utcnow()}))
        await session.commit()
    assert (await machine.sign_in(machine.identity.assertion())).status_code == 401


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("public_key", b"x" * 32),
        ("team", "finance"),
        ("enrolled_by", "auditor"),
        ("expires_at", utcnow() + timedelta(days=3650)),
    ],
)
async def test_a_key_whose_row_was_changed_in_the_database(
    machine: Machine, column: str, value: Any
) -> None:
    token = machine.platform.machines.sign(
        WORKER, str(machine.identity.credential), machine.platform.clock()
    )
    async with machine.platform.database.session() as session:
        await session.execute(update(WorkerKey).values({column: value}))
        await session.commit()
    with pytest.raises(Unauthenticated):
        await machine.platform.authenticate(token, RequestInfo())


async def test_a_key_that_was_written_into_the_database(platform: Platform, api: Api) -> None:
    identity = new_identity("warehouse")
    row = WorkerKey(
        team="warehouse",
        name="thief",
        public_key=jose.public_key_of(identity.private),
        enrolled_by="warehouse-lead",
        enrolled_at=utcnow(),
        expires_at=utcnow() + timedelta(days=1),
        mac=b"x" * 32,
    )
    async with platform.database.session() as session:
        session.add(row)
        await session.commit()
    forged = replace(identity, credential=f"worker:{row.id}", issuer=platform.machines.issuer)
    answer = await Machine(api, platform, forged).sign_in(forged.assertion())
    assert answer.status_code == 401


def _claims_of(platform: Platform, identity: WorkerIdentity, **more: Any) -> dict[str, Any]:
    return {
        "iss": platform.machines.issuer,
        "aud": platform.machines.issuer,
        "sub": WORKER,
        "client_id": identity.credential,
        "exp": time.time() + 600,
    } | more


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"exp": time.time() - 1},
        {"exp": None},
        {"aud": "https://other.example.com"},
        {"iss": "https://other.example.com"},
        {"sub": "service:worker/finance"},
        {"sub": "warehouse-lead"},
        {"client_id": "worker:x"},
        {"client_id": None},
    ],
    ids=named,
)
@pytest.mark.parametrize("signer", ["the worker", "the platform"])
async def test_an_access_token_that_the_platform_did_not_give(
    standing: Machine, more: dict[str, Any], signer: str
) -> None:
    keys = standing.platform.machines
    key = standing.identity.private if signer == "the worker" else keys._private
    claims = _claims_of(standing.platform, standing.identity, **more)
    token = jose.sign_with_key(claims, key, typ="at+jwt")
    if signer == "the platform" and not more:
        token = jose.sign_with_key(claims, key, typ=ASSERTION)
    with pytest.raises(Unauthenticated):
        await standing.platform.authenticate(token, RequestInfo())


@pytest.mark.asyncio(loop_scope="module")
async def test_using_an_assertion_as_an_access_token(standing: Machine) -> None:
    with pytest.raises(Unauthenticated):
        await standing.platform.authenticate(standing.identity.assertion(), RequestInfo())


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"grant_type=client_credentials&grant_type=password", "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
        (b"", "application/x-www-form-urlencoded"),
        (b"\xff\xfe=%ff", "application/x-www-form-urlencoded"),
        (b"&".join(b"a%d=1" % each for each in range(50)), "application/x-www-form-urlencoded"),
    ],
)
async def test_a_token_request_that_is_none(standing: Machine, body: bytes, kind: str) -> None:
    async with standing.api.client() as client:
        answer = await client.post("/auth/token", content=body, headers={"content-type": kind})
    assert answer.status_code == 400
    assert answer.json()["error"] in {"invalid_request", "unsupported_grant_type"}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("body", [b"", b"[]", b'{"team": 1}', b'{"code": "\\u0000"}', b"[" * 5000])
async def test_an_enrolment_that_is_none(standing: Machine, body: bytes) -> None:
    async with standing.api.client() as client:
        answer = await client.post("/auth/workers", content=body)
    assert answer.status_code in {413, 422}
