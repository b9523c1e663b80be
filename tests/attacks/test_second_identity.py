"""A person who acts as a second one: as a team's worker, with its key, or with a code of it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select, update
from sqlmodel import col

from coe.access import tokens as rows
from coe.access.actor import Actor
from coe.access.machine_models import EnrolmentCode, WorkerKey
from coe.access.models import AccessToken
from coe.crypto import jose
from coe.db import new_id, utcnow
from coe.demo.api import create_demo_app
from coe.errors import Conflict, Forbidden, Invalid, NotFound, RateLimited, Unauthenticated
from coe.governance import tokens
from coe.governance.tokens import TokenRequest
from coe.identity import workers
from coe.identity.sign_in import CLIENT_CREDENTIALS, JWT_BEARER
from coe.identity.worker_identity import ASSERTION, WorkerIdentity
from coe.runs import actions, local_runs
from coe.runs.disclosure import read_run_data
from coe.runs.records import RunRecord
from coe.settings import Settings
from coe.work import Platform, RequestInfo
from tests.factories.api import Api, Persona, Refused
from tests.factories.machines import ADDRESS, actor_of, enrolled, enrolment_code, new_identity
from tests.factories.people import WAREHOUSE_DEVELOPER
from tests.factories.runs import CANARY, local, publish

LEAD = Actor.of("warehouse-lead")
WORKER = "service:worker/warehouse"


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    app = create_demo_app(settings.model_copy(update={"loops": False}))
    async with app.router.lifespan_context(app):
        yield Api(app)


@pytest.fixture
async def run(platform: Platform) -> RunRecord:
    """A run of the warehouse that waits for a worker, with data in its input."""
    await publish(platform, local("pick"), "warehouse-developer")
    async with platform.work(WAREHOUSE_DEVELOPER) as work:
        return await actions.start_run(work, flow="warehouse/pick", input={"order": CANARY})


# A token in the name of a worker.


@pytest.mark.parametrize("who", ["warehouse-lead", "coe-lead", "warehouse-developer", "outsider"])
async def test_issuing_oneself_the_token_of_a_worker(platform: Platform, who: str) -> None:
    request = TokenRequest("mine", WORKER, ("*",), timedelta(days=1))
    with pytest.raises(Forbidden):
        async with platform.work(Actor.of(who)) as work:
            await tokens.issue_token(work, request)


async def test_issuing_the_token_of_a_worker_as_the_operator(platform: Platform) -> None:
    request = TokenRequest("mine", WORKER, ("*",), timedelta(days=1))
    with pytest.raises(Forbidden):
        async with platform.work(Actor.of("service:content")) as work:
            await tokens.issue_token_as_operator(work, request)


async def test_using_the_token_of_a_worker_that_is_left_over(platform: Platform) -> None:
    async with platform.database.session() as session:
        bearer, row = await rows.issue(
            session,
            name="old",
            subject="service:web-shop",
            scopes=["*"],
            expires_at=utcnow() + timedelta(days=1),
            created_by="warehouse-lead",
        )
        await session.flush()
        await session.execute(
            update(AccessToken).where(col(AccessToken.id) == row.id).values(subject=WORKER)
        )
        await session.commit()
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


@pytest.mark.parametrize(
    "permission",
    ["event:send", "run:start", "run:cancel", "run:retry", "human_task:claim", "token:issue"],
)
async def test_a_worker_doing_what_a_person_does(platform: Platform, permission: str) -> None:
    worker = await actor_of(platform, await enrolled(platform, "warehouse"))
    async with platform.read(worker) as read:
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


async def test_the_maker_of_a_key_is_known_wherever_it_is_used(platform: Platform) -> None:
    worker = await actor_of(platform, await enrolled(platform, "warehouse"))
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
    for each in range(workers.MAX_FAILURES):
        with pytest.raises(workers.WrongCode):
            await _enrol(platform, f"coew_{each}")
    with pytest.raises(RateLimited):
        await _enrol(platform, good)
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


@pytest.mark.parametrize("who", ["warehouse-developer", "finance-lead", "outsider"])
async def test_making_a_code_for_a_team_that_one_does_not_lead(api: Api, who: str) -> None:
    with pytest.raises(Refused) as refused:
        await api.persona(who).ask('mutation { createEnrolmentCode(team: "warehouse") { code } }')
    assert refused.value.code == "FORBIDDEN"


async def test_making_a_code_as_a_worker(platform: Platform) -> None:
    worker = await actor_of(platform, await enrolled(platform, "warehouse"))
    with pytest.raises(Forbidden):
        async with platform.work(worker) as work:
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


# Assertions and access tokens.


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


@pytest.fixture
async def machine(api: Api, platform: Platform) -> Machine:
    return Machine(api, platform, await enrolled(platform, "warehouse"))


async def test_sending_an_assertion_a_second_time(machine: Machine) -> None:
    assertion = machine.identity.assertion()
    assert (await machine.sign_in(assertion)).status_code == 200
    again = await machine.sign_in(assertion)
    assert again.status_code == 401
    assert again.json() == {
        "error": "invalid_client",
        "error_description": "this assertion was used before",
    }


async def test_sending_an_assertion_twice_at_once(machine: Machine) -> None:
    assertion = machine.identity.assertion()
    answers = await asyncio.gather(*(machine.sign_in(assertion) for _ in range(6)))
    assert sorted(each.status_code for each in answers) == [200, *[401] * 5]


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
    ids=str,
)
async def test_signing_in_with_an_assertion_that_is_not_for_this(
    machine: Machine, more: dict[str, Any]
) -> None:
    assert (await machine.sign_in(machine.signed(**more))).status_code == 401


async def test_an_assertion_for_two_audiences_is_refused(machine: Machine) -> None:
    both = [machine.identity.issuer, "https://other.example.com"]
    assert (await machine.sign_in(machine.signed(aud=both))).status_code == 401


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
    machine: Machine, forged: Callable[[Machine], Any]
) -> None:
    assert (await machine.sign_in(await forged(machine))).status_code == 401


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
    ids=str,
)
@pytest.mark.parametrize("signer", ["the worker", "the platform"])
async def test_an_access_token_that_the_platform_did_not_give(
    machine: Machine, more: dict[str, Any], signer: str
) -> None:
    keys = machine.platform.machines
    key = machine.identity.private if signer == "the worker" else keys._private
    claims = _claims_of(machine.platform, machine.identity, **more)
    token = jose.sign_with_key(claims, key, typ="at+jwt")
    if signer == "the platform" and not more:
        token = jose.sign_with_key(claims, key, typ=ASSERTION)
    with pytest.raises(Unauthenticated):
        await machine.platform.authenticate(token, RequestInfo())


async def test_using_an_assertion_as_an_access_token(machine: Machine) -> None:
    with pytest.raises(Unauthenticated):
        await machine.platform.authenticate(machine.identity.assertion(), RequestInfo())


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
async def test_a_token_request_that_is_none(api: Api, body: bytes, kind: str) -> None:
    async with api.client() as client:
        answer = await client.post("/auth/token", content=body, headers={"content-type": kind})
    assert answer.status_code == 400
    assert answer.json()["error"] in {"invalid_request", "unsupported_grant_type"}


@pytest.mark.parametrize("body", [b"", b"[]", b'{"team": 1}', b'{"code": "\\u0000"}', b"[" * 5000])
async def test_an_enrolment_that_is_none(api: Api, body: bytes) -> None:
    async with api.client() as client:
        answer = await client.post("/auth/workers", content=body)
    assert answer.status_code in {413, 422}
