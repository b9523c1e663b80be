"""The accounts of people: who is let in, whatever the credential."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from coe.access.models import Person, PersonState
from coe.demo.personas import PersonaTokens, persona_token
from coe.errors import Unauthenticated
from coe.work import Platform, RequestInfo
from tests.factories.tokens import bearer_of

ABOUT = RequestInfo(address="127.0.0.1")


async def add(platform: Platform, subject: str, state: PersonState) -> None:
    async with platform.database.session() as session:
        person = Person(subject=subject, display_name="Sofia L.", source="test", state=state)
        session.add(person)
        await session.commit()


async def refusals(platform: Platform) -> list[tuple[str, str]]:
    async with platform.database.session() as session:
        found = await session.execute(
            text("SELECT actor, resource FROM audit_events WHERE action = 'access:login:refuse'")
        )
        return [(row.actor, row.resource) for row in found]


async def test_an_active_person_enters_with_the_name_of_the_account(platform: Platform) -> None:
    await add(platform, "sales-owner", PersonState.ACTIVE)
    actor = await platform.authenticate(await bearer_of(platform, "sales-owner"), ABOUT)
    assert actor.display_name == "Sofia L."
    assert await refusals(platform) == []


@pytest.mark.parametrize("state", [PersonState.SUSPENDED, PersonState.LEFT])
@pytest.mark.parametrize("credential", ["token", "persona"])
async def test_others_do_not_whatever_they_present(
    platform: Platform, state: PersonState, credential: str
) -> None:
    platform.authentication = replace(platform.authentication, authenticator=PersonaTokens())
    bearer = persona_token("sales-owner")
    if credential == "token":
        bearer = await bearer_of(platform, "sales-owner")
    await platform.authenticate(bearer, ABOUT)
    await add(platform, "sales-owner", state)
    with pytest.raises(Unauthenticated) as caught:
        await platform.authenticate(bearer, ABOUT)
    told = {PersonState.SUSPENDED: "account is suspended", PersonState.LEFT: "account is closed"}
    assert told[state] in caught.value.message
    wrong = persona_token("sales-owner")[:-1] if credential == "persona" else bearer[:-6] + "000000"
    with pytest.raises(Unauthenticated) as caught:
        await platform.authenticate(wrong, ABOUT)
    assert caught.value.message == Unauthenticated().message, "only the right credential is told"
    assert await refusals(platform) == [("sales-owner", "person:sales-owner")]


async def test_no_two_subjects_differ_only_in_case(platform: Platform) -> None:
    await add(platform, "sales-owner", PersonState.ACTIVE)
    with pytest.raises(IntegrityError):
        await add(platform, "Sales-Owner", PersonState.ACTIVE)
