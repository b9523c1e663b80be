"""A person who acts as a second one: as a team's worker, with its key, or with a code of it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from coe.access import tokens as rows
from coe.access.actor import Actor
from coe.access.machine_models import EnrolmentCode, WorkerKey
from coe.crypto import jose
from coe.db import utcnow
from coe.errors import Conflict, Forbidden, Invalid, NotFound, RateLimited, Unauthenticated
from coe.governance import tokens
from coe.governance.tokens import TokenRequest
from coe.identity import workers
from coe.identity.worker_identity import ASSERTION
from coe.runs import actions, local_runs
from coe.runs.disclosure import read_run_data
from coe.runs.records import RunRecord
from coe.work import Platform, RequestInfo
from tests.factories.api import Api, Persona, Refused
from tests.factories.audit_events import events_of
from tests.factories.machines import (
    ADDRESS,
    Machine,
    actor_of,
    enrolled,
    enrolment_code,
    new_identity,
)
from tests.factories.people import WAREHOUSE_DEVELOPER
from tests.factories.runs import CANARY, local, publish
from tests.factories.tokens import new_token

LEAD = Actor.of("warehouse-lead")
WORKER = "service:worker/warehouse"


@pytest.fixture
async def run(platform: Platform) -> RunRecord:
    """A run of the warehouse that waits for a worker, with data in its input."""
    await publish(platform, local("pick"), "warehouse-developer")
    async with platform.work(WAREHOUSE_DEVELOPER) as work:
        return await actions.start_run(work, flow="warehouse/pick", input={"order": CANARY})


# A token in the name of a worker.


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("who", ["warehouse-lead", "coe-lead", "warehouse-developer", "outsider"])
async def test_issuing_oneself_the_token_of_a_worker(standing: Machine, who: str) -> None:
    request = TokenRequest("mine", WORKER, ("*",), timedelta(days=1))
    with pytest.raises(Forbidden):
        async with standing.platform.work(Actor.of(who)) as work:
            await tokens.issue_token(work, request)


@pytest.mark.asyncio(loop_scope="module")
async def test_issuing_the_token_of_a_worker_as_the_operator(standing: Machine) -> None:
    request = TokenRequest("mine", WORKER, ("*",), timedelta(days=1))
    with pytest.raises(Forbidden):
        async with standing.platform.work(Actor.of("service:content")) as work:
            await tokens.issue_token_as_operator(work, request)


async def test_using_the_token_of_a_worker_that_is_left_over(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The platform itself wrote its row, before workers had keys: only its subject is refused."""
    with monkeypatch.context() as earlier:
        earlier.setattr(rows, "is_worker", lambda _: False)
        bearer, _ = await new_token(platform, WORKER, created_by="warehouse-lead")
        assert (await platform.authenticate(bearer, RequestInfo())).subject == WORKER
    with pytest.raises(Unauthenticated):
        await platform.authenticate(bearer, RequestInfo())


# The key of a worker, on the machine of a person.


async def _read(platform: Platform, actor: Actor, run: RunRecord) -> Any:
    async with platform.work(actor) as work:
        return (await read_run_data(work, [run.id])).get(run.id)


async def test_reading_data_of_a_run_that_the_worker_has_not_claimed(
    platform: Platform, run: RunRecord
) -> None:
    thief = await actor_of(platform, await enrolled(platform, "warehouse"))
    assert await _read(platform, thief, run) is None


async def test_reading_data_of_a_run_that_another_worker_of_the_team_has_claimed(
    platform: Platform, run: RunRecord
) -> None:
    first = await actor_of(platform, await enrolled(platform, "warehouse"))
    thief = await actor_of(platform, await enrolled(platform, "warehouse"))
    async with platform.work(first) as work:
        await local_runs.claim_run(work, run.id)
    assert await _read(platform, thief, run) is None
    assert (await _read(platform, first, run)).input == {"order": CANARY}


async def test_reading_data_over_graphql_of_a_run_that_the_worker_has_not_claimed(
    api: Api, platform: Platform, run: RunRecord
) -> None:
    identity = await enrolled(platform, "warehouse")
    token = platform.machines.sign(WORKER, str(identity.credential), platform.clock())
    answer = await Persona(api, token).send(
        "query ($id: ID!) { run(id: $id) { state input output error { detail } } }", id=str(run.id)
    )
    assert CANARY not in json.dumps(answer)


@pytest.mark.parametrize("act", ["report", "step", "heartbeat", "release", "claim"])
async def test_reporting_on_a_run_that_another_worker_has_claimed(
    platform: Platform, run: RunRecord, act: str
) -> None:
    first = await actor_of(platform, await enrolled(platform, "warehouse"))
    thief = await actor_of(platform, await enrolled(platform, "warehouse"))
    async with platform.work(first) as work:
        attempt = (await local_runs.claim_run(work, run.id, token="a" * 8)).attempt
    acts: dict[str, Callable[[Any], Any]] = {
        "report": lambda work: local_runs.report_run(
            work, run.id, attempt=attempt, output={"approved": True}
        ),
        "step": lambda work: local_runs.report_step(
            work, run.id, attempt=attempt, name="approve", state="COMPLETED", output=True
        ),
        "heartbeat": lambda work: local_runs.heartbeat_run(work, run.id, attempt=attempt),
        "release": lambda work: local_runs.release_run(work, run.id, attempt=attempt),
        "claim": lambda work: local_runs.claim_run(work, run.id, token="a" * 8),
    }
    with pytest.raises((Conflict, Invalid)):
        async with platform.work(thief) as work:
            await acts[act](work)


async def test_reporting_approved_as_the_person_who_enrolled_the_worker(
    platform: Platform, run: RunRecord
) -> None:
    worker = await actor_of(platform, await enrolled(platform, "warehouse"))
    async with platform.work(worker) as work:
        attempt = (await local_runs.claim_run(work, run.id)).attempt
    with pytest.raises(NotFound):
        async with platform.work(LEAD) as work:
            await local_runs.report_run(work, run.id, attempt=attempt, output={"approved": True})


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "permission",
    ["event:send", "run:start", "run:cancel", "run:retry", "human_task:claim", "token:issue"],
)
async def test_a_worker_doing_what_a_person_does(standing: Machine, permission: str) -> None:
    worker = await actor_of(standing.platform, await enrolled(standing.platform, "warehouse"))
    async with standing.platform.read(worker) as read:
        assert not read.decide(permission, team="warehouse", relations=["candidate"]).allowed


async def test_sending_the_event_that_starts_a_payout_as_a_worker(
    api: Api, platform: Platform
) -> None:
    identity = await enrolled(platform, "sales", by="sales-lead")
    token = platform.machines.sign(
        "service:worker/sales", str(identity.credential), platform.clock()
    )
    event = {"specversion": "1.0", "id": "1", "source": "/payouts", "type": "payout.asked"}
    async with api.client(token) as client:
        answer = await client.post(
            "/events", json=event, headers={"content-type": "application/cloudevents+json"}
        )
    assert answer.status_code in {403, 404}


@pytest.mark.asyncio(loop_scope="module")
async def test_the_maker_of_a_key_is_known_wherever_it_is_used(standing: Machine) -> None:
    worker = await actor_of(standing.platform, await enrolled(standing.platform, "warehouse"))
    assert worker.maker == "warehouse-lead"


# Codes.


async def _enrol(platform: Platform, code: str, team: str = "warehouse", **more: Any) -> Any:
    identity = more.get("identity") or new_identity(team)
    return await workers.enrol_worker(
        platform,
        team=team,
        code=code,
        proof=more.get("proof") or identity.proof(code),
        name="thief",
        request=RequestInfo(address=more.get("address", ADDRESS)),
    )


async def test_using_a_code_twice(platform: Platform) -> None:
    code = await enrolment_code(platform, "warehouse")
    await _enrol(platform, code)
    with pytest.raises(workers.WrongCode):
        await _enrol(platform, code)


async def test_two_enrolments_with_one_code_at_once(platform: Platform) -> None:
    code = await enrolment_code(platform, "warehouse")
    racing = [_enrol(platform, code) for _ in range(6)]
    results = await asyncio.gather(*racing, return_exceptions=True)
    assert sum(not isinstance(each, BaseException) for each in results) == 1
    async with platform.database.session() as session:
        assert len((await session.scalars(select(WorkerKey))).all()) == 1


async def test_using_a_code_after_it_has_expired(platform: Platform) -> None:
    code = await enrolment_code(platform, "warehouse")
    async with platform.database.session() as session:
        await session.execute(update(EnrolmentCode).values(expires_at=utcnow()))
        await session.commit()
    with pytest.raises(workers.WrongCode):
        await _enrol(platform, code)


async def test_using_the_code_of_another_team(platform: Platform) -> None:
    code = await enrolment_code(platform, "warehouse")
    with pytest.raises(workers.WrongCode):
        await _enrol(platform, code, "finance")
    assert (await _enrol(platform, code)).team == "warehouse"


async def test_a_code_that_was_written_into_the_database(platform: Platform) -> None:
    code = "coew_" + "a" * 32
    row = EnrolmentCode(
        team="warehouse",
        code_mac=hashlib.sha256(code.encode()).digest(),
        created_by="warehouse-lead",
        created_at=utcnow(),
        expires_at=utcnow() + timedelta(hours=1),
    )
    async with platform.database.session() as session:
        session.add(row)
        await session.commit()
    with pytest.raises(workers.WrongCode):
        await _enrol(platform, code)


async def test_guessing_codes(platform: Platform) -> None:
    good = await enrolment_code(platform, "warehouse")
    for each in range(10):
        with pytest.raises(workers.WrongCode):
            await _enrol(platform, f"coew_{each}")
    for each in range(5):
        with pytest.raises(RateLimited):
            await _enrol(platform, f"coew_{each}")
    assert len(await events_of(platform, "access:enrolment:refuse")) == 10
    assert await _enrol(platform, good, address="192.0.2.99")


async def test_seeing_a_code_again_by_its_idempotency_key(api: Api) -> None:
    ask = (
        'mutation { createEnrolmentCode(team: "warehouse", clientMutationId: "same") '
        "{ code expiresAt } }"
    )
    lead = api.persona("warehouse-lead")
    first = (await lead.ask(ask))["createEnrolmentCode"]
    second = (await lead.ask(ask))["createEnrolmentCode"]
    assert first["code"].startswith("coew_")
    assert second == {"code": None, "expiresAt": first["expiresAt"]}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("who", ["warehouse-developer", "finance-lead", "outsider"])
async def test_making_a_code_for_a_team_that_one_does_not_lead(standing: Machine, who: str) -> None:
    with pytest.raises(Refused) as refused:
        await standing.api.persona(who).ask(
            'mutation { createEnrolmentCode(team: "warehouse") { code } }'
        )
    assert refused.value.code == "FORBIDDEN"


@pytest.mark.asyncio(loop_scope="module")
async def test_making_a_code_as_a_worker(standing: Machine) -> None:
    worker = await actor_of(standing.platform, await enrolled(standing.platform, "warehouse"))
    with pytest.raises(Forbidden):
        async with standing.platform.work(worker) as work:
            await workers.create_enrolment_code(work, "warehouse")


# Proofs of possession.


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _foreign_key(code: str) -> str:
    """A proof whose header names a key that did not sign it."""
    victim, thief = new_identity("warehouse"), new_identity("warehouse")
    head = victim.proof(code).partition(".")[0]
    _, body, signature = thief.proof(code).split(".")
    return f"{head}.{body}.{signature}"


def _unsigned(code: str) -> str:
    head, body, _ = new_identity("warehouse").proof(code).split(".")
    header = json.loads(base64.urlsafe_b64decode(head + "=="))
    return f"{_part(header | {'alg': 'none'})}.{body}."


def _of_another_code(_: str) -> str:
    return new_identity("warehouse").proof("coew_another")


def _old(code: str) -> str:
    claims = {"iat": time.time() - 3600, "code": hashlib.sha256(code.encode()).hexdigest()}
    private = jose.new_private_key()
    return jose.sign_with_key(claims, private, typ=workers.PROOF, with_public=True)


def _another_type(code: str) -> str:
    claims = {"iat": time.time(), "code": hashlib.sha256(code.encode()).hexdigest()}
    private = jose.new_private_key()
    return jose.sign_with_key(claims, private, typ=ASSERTION, with_public=True)


@pytest.mark.parametrize(
    "proof", [_foreign_key, _unsigned, _of_another_code, _old, _another_type, lambda _: "x"]
)
async def test_enrolling_a_key_that_one_does_not_have(
    platform: Platform, proof: Callable[[str], str]
) -> None:
    code = await enrolment_code(platform, "warehouse")
    with pytest.raises(Invalid):
        await _enrol(platform, code, proof=proof(code))
    async with platform.database.session() as session:
        assert (await session.scalars(select(WorkerKey))).all() == []


async def test_enrolling_the_key_of_another_worker_with_a_second_code(platform: Platform) -> None:
    identity = new_identity("warehouse")
    await _enrol(platform, await enrolment_code(platform, "warehouse"), identity=identity)
    with pytest.raises(Conflict):
        await _enrol(platform, await enrolment_code(platform, "warehouse"), identity=identity)
