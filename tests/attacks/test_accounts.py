"""Attempts to sign in to the account of somebody else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories.rogue_world import World, assert_nobody

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_another_issuer_names_the_subject_of_the_first(world: World) -> None:
    await world.sign_in(world.browser())
    world.configure({}, {})
    thief = world.browser()
    response = await world.sign_in(thief, "partner", preferred_username="anna")
    assert response.status_code == 403
    assert "belongs to another" in response.text
    assert await thief.whoami() == {"signedIn": False}


async def test_another_issuer_has_the_same_sub(world: World) -> None:
    await world.sign_in(world.browser())
    world.configure({"subjects": ["a*"]}, {"subjects": ["p*"]})
    thief = world.browser()
    await world.sign_in(thief, "partner", sub="u-anna")
    assert (await thief.whoami())["subject"] == "paul"


async def test_another_issuer_names_the_lead_of_a_team_file_first(world: World) -> None:
    world.configure({}, {})
    response = await world.sign_in(world.browser(), "partner", preferred_username="coe-lead")
    await assert_nobody(world, response)


async def test_another_issuer_names_subjects_beyond_its_pattern(world: World) -> None:
    world.configure({"subjects": ["*"]}, {"subjects": ["partner-*"]})
    response = await world.sign_in(world.browser(), "partner", preferred_username="coe-lead")
    await assert_nobody(world, response)


@pytest.mark.parametrize("name", ["anna", "ANNA", "Anna"])
async def test_a_colleague_takes_the_name_of_another(world: World, name: str) -> None:
    await world.sign_in(world.browser())
    thief = world.browser()
    response = await world.sign_in(thief, sub="u-mallory", preferred_username=name)
    assert response.status_code == 403
    assert await thief.whoami() == {"signedIn": False}


async def test_a_renamed_person_does_not_become_another(world: World) -> None:
    await world.sign_in(world.browser())
    renamed = world.browser()
    await world.sign_in(renamed, preferred_username="coe-lead")
    assert (await renamed.whoami())["subject"] == "anna"


async def test_a_new_person_gets_the_account_of_one_who_left(world: World) -> None:
    await world.sign_in(world.browser())
    await world.site.execute("UPDATE people SET state = 'LEFT'")
    response = await world.sign_in(world.browser(), sub="u-new")
    assert response.status_code == 403


@pytest.mark.parametrize(
    "claims",
    [
        {"email": "anna@acme.example", "email_verified": False},
        {"email": "anna@acme.example", "email_verified": "true"},
        {"email": "anna@acme.example"},
        {"email": "anna@evil.example", "email_verified": True},
        {"email": "anna@acme.example@evil.example", "email_verified": True},
        {"email": "anna@acme.example.evil.example", "email_verified": True},
        {},
    ],
)
async def test_an_address_that_is_not_the_persons(world: World, claims: dict[str, Any]) -> None:
    world.configure({"email_domains": ["acme.example"]})
    await assert_nobody(world, await world.sign_in(world.browser(), **claims))


async def test_a_group_leads_to_the_platforms_team_by_a_star(world: World) -> None:
    rule = {"group": "coe-*-lead", "team": "*", "roles": ["lead"]}
    world.configure({"groups": [rule]})
    await world.site.execute("UPDATE teams SET members_source = 'oidc'")
    await world.sign_in(world.browser(), groups=["coe-coe-lead", "coe-sales-lead"])
    found = "memberships WHERE subject = 'anna' AND team = "
    assert await world.site.count(f"{found} 'coe'") == 0
    assert await world.site.count(f"{found} 'sales'") == 1


async def test_a_name_with_markup(world: World) -> None:
    anna = world.browser()
    await world.sign_in(anna, name="<script>alert(1)</script>")
    page = (await anna.site.get("/auth")).text
    assert "<script" not in page
    assert "&lt;script&gt;" in page
