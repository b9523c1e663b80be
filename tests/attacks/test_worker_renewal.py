"""Somebody tries to put a key of their own in the place of a worker's, or to keep an old one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update
from sqlmodel import col

from coe.access.actor import Actor
from coe.access.machine_models import WorkerKey
from coe.access.machines import name_of_key
from coe.audit.models import AuditEvent
from coe.crypto import jose
from coe.db import utcnow
from coe.errors import Unauthenticated
from coe.formats import uuids
from coe.identity import workers
from coe.identity.sign_in import RENEWAL
from coe.identity.worker_identity import ASSERTION, RENEW_PATH, WorkerIdentity
from coe.identity.worker_renewal import NEW_KEY
from coe.work import RequestInfo
from tests.factories.machines import Machine, enrolled

SUBJECT = "service:worker/warehouse"


def _next(machine: Machine) -> WorkerIdentity:
    return replace(machine.identity, private=jose.new_private_key())


async def _send(machine: Machine, given: dict[str, str]) -> httpx.Response:
    async with machine.api.client() as client:
        return await client.post(RENEW_PATH, json=given)


async def _public(machine: Machine) -> bytes:
    async with machine.platform.database.session() as session:
        found = select(WorkerKey.public_key).where(
            col(WorkerKey.id) == uuids.read(str(machine.identity.credential).partition(":")[2])
        )
        return (await session.scalars(found)).one()


def _assertion(machine: Machine, new: WorkerIdentity, typ: str = RENEWAL, **more: Any) -> str:
    named = name_of_key(jose.public_key_of(new.private))
    claims = machine.claims(**({"key": named} | more))
    return jose.sign_with_key(claims, machine.identity.private, typ=typ)


def _proof(machine: Machine, new: WorkerIdentity, typ: str = NEW_KEY, **more: Any) -> str:
    claims = {"iat": time.time(), "sub": machine.identity.credential} | more
    return jose.sign_with_key(claims, new.private, typ=typ, with_public=True)


def _by_another(machine: Machine, new: WorkerIdentity) -> str:
    """An assertion of the right worker that another key signed."""
    thief = replace(machine, identity=replace(machine.identity, private=new.private))
    return _assertion(thief, new)


Given = Callable[[Machine, WorkerIdentity], dict[str, str]]
FORGED: dict[str, Given] = {
    "the assertion of a sign-in": lambda machine, new: {
        "assertion": machine.identity.assertion(),
        "proof": _proof(machine, new),
    },
    "one of a sign-in that names the key": lambda machine, new: {
        "assertion": _assertion(machine, new, ASSERTION),
        "proof": _proof(machine, new),
    },
    "one for another key": lambda machine, new: {
        "assertion": _assertion(machine, _next(machine)),
        "proof": _proof(machine, new),
    },
    "one that names no key": lambda machine, new: {
        "assertion": _assertion(machine, new, key=None),
        "proof": _proof(machine, new),
    },
    "one that another key signed": lambda machine, new: {
        "assertion": _by_another(machine, new),
        "proof": _proof(machine, new),
    },
    "one for another platform": lambda machine, new: {
        "assertion": _assertion(machine, new, aud="https://other.example"),
        "proof": _proof(machine, new),
    },
    "one that has expired": lambda machine, new: {
        "assertion": _assertion(machine, new, exp=time.time() - 1),
        "proof": _proof(machine, new),
    },
    "one that lasts for long": lambda machine, new: {
        "assertion": _assertion(machine, new, exp=time.time() + 86_400),
        "proof": _proof(machine, new),
    },
    "one without an id": lambda machine, new: {
        "assertion": _assertion(machine, new, jti=""),
        "proof": _proof(machine, new),
    },
    "one of nobody": lambda machine, new: {
        "assertion": _assertion(machine, new, sub="worker:01a204ad-a69e-70a2-985e-cb36c368b5b1"),
        "proof": _proof(machine, new),
    },
    "no token": lambda machine, new: {"assertion": "a.b.c", "proof": _proof(machine, new)},
    "a proof of another worker": lambda machine, new: {
        "assertion": _assertion(machine, new),
        "proof": _proof(machine, new, sub="worker:01a204ad-a69e-70a2-985e-cb36c368b5b1"),
    },
    "an old proof": lambda machine, new: {
        "assertion": _assertion(machine, new),
        "proof": _proof(machine, new, iat=time.time() - 3600),
    },
    "a proof of another type": lambda machine, new: {
        "assertion": _assertion(machine, new),
        "proof": _proof(machine, new, workers.PROOF),
    },
    "no proof": lambda machine, new: {"assertion": _assertion(machine, new), "proof": ""},
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("how", FORGED)
async def test_a_renewal_that_the_worker_did_not_ask_for(standing: Machine, how: str) -> None:
    before = await _public(standing)
    answer = await _send(standing, FORGED[how](standing, _next(standing)))
    assert answer.status_code in {401, 422}, answer.text
    assert await _public(standing) == before


@pytest.mark.asyncio(loop_scope="module")
async def test_an_assertion_that_renews_signs_nobody_in(standing: Machine) -> None:
    answer = await standing.sign_in(_assertion(standing, _next(standing)))
    assert answer.status_code == 401


async def test_the_key_of_another_worker(machine: Machine) -> None:
    other = await enrolled(machine.platform, "finance")
    taken = replace(machine.identity, private=other.private)
    answer = await _send(machine, machine.identity.renewal(taken))
    assert answer.status_code == 409
    assert await _public(machine) == jose.public_key_of(machine.identity.private)


async def test_a_renewal_is_sent_again_after_the_next_one(machine: Machine) -> None:
    second, third = _next(machine), _next(machine)
    given = machine.identity.renewal(second)
    assert (await _send(machine, given)).status_code == 200
    assert (await _send(machine, second.renewal(third))).status_code == 200
    assert (await _send(machine, given)).status_code == 401
    assert await _public(machine) == jose.public_key_of(third.private)


async def test_the_old_key_and_what_it_got(machine: Machine) -> None:
    token = (await machine.sign_in(machine.identity.assertion())).json()["access_token"]
    waiting = machine.identity.assertion()
    new = _next(machine)
    assert (await _send(machine, machine.identity.renewal(new))).status_code == 200
    for connected in (False, True):
        with pytest.raises(Unauthenticated):
            await machine.platform.authenticate(token, RequestInfo(), connected=connected)
    assert (await machine.sign_in(waiting)).status_code == 401
    assert (await _send(machine, machine.identity.renewal(_next(machine)))).status_code == 401
    assert (await machine.sign_in(new.assertion())).status_code == 200
    async with machine.platform.database.session() as session:
        refused = await session.scalars(
            select(AuditEvent.resource).where(col(AuditEvent.action) == "access:machine:refuse")
        )
        assert set(refused) == {machine.identity.credential}


async def test_a_revoked_key_is_not_renewed(machine: Machine) -> None:
    key = uuids.read(str(machine.identity.credential).partition(":")[2])
    async with machine.platform.work(Actor.of("warehouse-lead")) as work:
        await workers.revoke_worker(work, key, "sold")
    answer = await _send(machine, machine.identity.renewal(_next(machine)))
    assert answer.status_code == 401
    assert "it was revoked" in answer.json()["detail"]


@pytest.mark.parametrize("what", ["the key", "the time", "both"])
async def test_whoever_writes_the_table_brings_no_old_key_back(machine: Machine, what: str) -> None:
    old = {"public_key": await _public(machine), "renewed_at": None}
    new = _next(machine)
    assert (await _send(machine, machine.identity.renewal(new))).status_code == 200
    if what == "the time":
        old = {"renewed_at": utcnow()}
    values = old if what != "the key" else {"public_key": old["public_key"]}
    async with machine.platform.database.session() as session:
        await session.execute(update(WorkerKey).values(**values))
        await session.commit()
    for identity in (machine.identity, new):
        assert (await machine.sign_in(identity.assertion())).status_code == 401
        assert (await _send(machine, identity.renewal(_next(machine)))).status_code == 401
