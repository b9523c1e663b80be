"""`clientMutationId`: carried out once, with the same answer for 24 hours."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from coe.db import utcnow
from coe.idempotency import ANSWER_RETENTION, forget_expired
from tests.factories.api import Api, Persona, Refused
from tests.factories.api_story import publish_welcome, with_token

START = """
mutation ($input: StartRunInput!) {
  startRun(input: $input) { run { id state } problems { code path } }
}
"""


def _given(key: str | None, name: str = "Jane") -> dict[str, Any]:
    return {"flow": "sales/welcome", "input": {"name": name}, "clientMutationId": key}


async def _runs(asker: Persona) -> int:
    count: int = (await asker.ask("{ runs { totalCount } }"))["runs"]["totalCount"]
    return count


async def test_the_same_key_and_input_give_the_first_answer(api: Api) -> None:
    owner = await publish_welcome(api)
    first = (await owner.ask(START, input=_given("a")))["startRun"]
    again = (await owner.ask(START, input=_given("a")))["startRun"]
    assert again == first
    other = (await owner.ask(START, input=_given("b")))["startRun"]
    assert other["run"]["id"] != first["run"]["id"]
    await owner.ask(START, input=_given(None))
    await owner.ask(START, input=_given(None))
    assert await _runs(owner) == 4


async def test_the_same_key_with_another_input_is_a_conflict(api: Api) -> None:
    owner = await publish_welcome(api)
    await owner.ask(START, input=_given("a"))
    with pytest.raises(Refused) as refused:
        await owner.ask(START, input=_given("a", "John"))
    assert refused.value.code == "CONFLICT"
    with pytest.raises(Refused) as refused:
        await owner.ask(
            'mutation { deprecate(input: {ref: "sales/welcome@1.0.0", clientMutationId: "a"}) '
            "{ problems { code } } }"
        )
    assert refused.value.code == "CONFLICT"
    assert await _runs(owner) == 1


async def test_a_key_belongs_to_its_actor(api: Api) -> None:
    owner = await publish_welcome(api)
    developer = await with_token(api, "sales-developer")
    await owner.ask(START, input=_given("a"))
    await developer.ask(START, input=_given("a", "John"))
    assert await _runs(owner) == 2


async def test_of_many_at_once_one_is_carried_out(api: Api) -> None:
    owner = await publish_welcome(api)
    answers = await asyncio.gather(*(owner.ask(START, input=_given("a")) for _ in range(8)))
    assert len({answer["startRun"]["run"]["id"] for answer in answers}) == 1
    assert await _runs(owner) == 1


async def test_problems_keep_no_key(api: Api) -> None:
    owner = await publish_welcome(api)
    wrong = {**_given("a"), "input": {"nom": "Jane"}}
    refused = (await owner.ask(START, input=wrong))["startRun"]
    assert refused["run"] is None
    assert refused["problems"][0]["path"].startswith("/input")
    started = (await owner.ask(START, input=_given("a")))["startRun"]
    assert started["run"]["state"] == "REQUESTED"
    empty = (await owner.ask(START, input=_given("")))["startRun"]
    assert empty["problems"][0]["code"] == "INPUT_CLIENT_MUTATION_ID"


async def test_a_refusal_keeps_no_key_and_is_recorded_each_time(api: Api) -> None:
    await publish_welcome(api)
    outsider = api.persona("finance-lead")
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            await outsider.ask(START, input=_given("a"))
        assert refused.value.code == "FORBIDDEN"
        assert refused.value.extensions["permission"] == "run:start"
    async with api.services.platform.database.session() as session:
        denied = await session.scalar(
            text("SELECT count(*) FROM audit_events WHERE outcome = 'DENIED'"),
        )
        kept = await session.scalar(text("SELECT count(*) FROM client_mutations"))
    assert denied == 2
    assert kept == 0


async def test_after_a_day_a_key_is_free_again(api: Api) -> None:
    owner = await publish_welcome(api)
    await owner.ask(START, input=_given("a"))
    database = api.services.platform.database
    age = {"age": ANSWER_RETENTION + timedelta(minutes=1)}
    async with database.session() as session:
        await session.execute(
            text("UPDATE client_mutations SET created_at = created_at - CAST(:age AS interval)"),
            age,
        )
        await session.commit()
    await owner.ask(START, input=_given("a", "John"))
    assert await _runs(owner) == 2
    async with database.session() as session:
        await forget_expired(session, utcnow())
        assert await session.scalar(text("SELECT count(*) FROM client_mutations")) == 1
        await session.execute(
            text("UPDATE client_mutations SET created_at = created_at - CAST(:age AS interval)"),
            age,
        )
        await forget_expired(session, utcnow())
        assert await session.scalar(text("SELECT count(*) FROM client_mutations")) == 0


async def test_the_kept_answer_is_sealed(api: Api) -> None:
    lead = api.persona("coe-lead")
    issue = """
    mutation ($input: IssueTokenInput!) { issueToken(input: $input) { token id problems { code } } }
    """
    given = {
        "name": "laptop",
        "subject": "coe-lead",
        "scopes": ["entry:read"],
        "expiresIn": "P1D",
        "clientMutationId": "secret key of Jane",
    }
    first = (await lead.ask(issue, input=given))["issueToken"]
    assert first["problems"] == []
    repeated = (await lead.ask(issue, input=given))["issueToken"]
    assert repeated["id"] == first["id"]
    async with api.services.platform.database.session() as session:
        rows = (await session.execute(text("SELECT * FROM client_mutations"))).all()
    assert len(rows) == 1
    seen = repr(rows).encode() + b"".join(v for v in rows[0] if isinstance(v, bytes))
    assert first["token"].encode() not in seen
    assert b"Jane" not in seen
