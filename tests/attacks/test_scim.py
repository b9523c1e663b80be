"""What a directory, or who has its token, tries beyond provisioning."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from coe.access.models import Person, PersonState
from coe.access.records import read_inactive
from coe.demo.api import create_demo_app
from coe.identity.teams import people
from coe.settings import Settings
from coe.work import Platform
from tests.factories.api import Api
from tests.factories.audit_events import details_of
from tests.factories.people import COE_LEAD, OUTSIDER
from tests.factories.scim import (
    DIRECTORY,
    GROUP,
    PATCH,
    USER,
    Directory,
    hand_to_directory,
    token_for,
)


@pytest.fixture
async def directory(settings: Settings) -> AsyncIterator[Directory]:
    app = create_demo_app(settings.model_copy(update={"loops": False}))
    async with app.router.lifespan_context(app):
        api = Api(app)
        await hand_to_directory(api.services.platform, "sales")
        yield Directory(api, await token_for(api.services.platform, DIRECTORY, "scim:*"))


async def signed_marks(platform: Platform) -> set[str]:
    """What the signed policy says of people who are not active."""
    async with platform.database.session() as session:
        return set(await read_inactive(session))


async def roles(platform: Platform, subject: str) -> set[tuple[str, str]]:
    async with platform.read(OUTSIDER) as read:
        return set(read.policy.roles(subject))


@pytest.mark.parametrize(
    "mutation",
    [
        'issueToken(input: {name: "t", subject: "x", scopes: ["*"], expiresIn: "P1D"}) { id }',
        'suspendPerson(subject: "coe-lead", reason: "r") { problems { code } }',
        'addMember(input: {team: "sales", subject: "x", roles: [], reason: "r"}) { applied }',
        'createTeam(input: {slug: "x", name: "X"}) { problems { code } }',
    ],
)
async def test_using_the_directory_s_token_for_something_else(
    directory: Directory, mutation: str
) -> None:
    async with directory.api.client(directory.token) as client:
        answer = await client.post("/graphql", json={"query": f"mutation {{ {mutation} }}"})
    assert answer.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"


@pytest.mark.parametrize(
    ("subject", "scopes", "status"),
    [
        ("coe-lead", ["*"], 403),
        ("sales-lead", ["scim:*"], 403),
        ("service:web-shop", ["scim:*"], 403),
        (DIRECTORY, ["run:*"], 403),
        (None, [], 401),
    ],
)
async def test_provisioning_without_being_the_directory(
    directory: Directory, subject: str | None, scopes: list[str], status: int
) -> None:
    token = "coe_" + "x" * 43
    if subject is not None:
        token = await token_for(directory.api.services.platform, subject, *scopes)
    other = Directory(directory.api, token)
    for method, path in (("GET", "/Users"), ("GET", "/Schemas"), ("DELETE", f"/Users/{uuid4()}")):
        assert (await other.send(method, path)).status_code == status
    body = {"schemas": [USER], "userName": "mallory"}
    assert (await other.send("POST", "/Users", body)).status_code == status


@pytest.mark.parametrize("name", ["finance/lead", "finance", "coe/lead", "audit/auditor"])
async def test_giving_roles_in_a_team_that_it_does_not_hold(
    directory: Directory, name: str
) -> None:
    mallory = await directory.user("mallory")
    body = {"schemas": [GROUP], "displayName": name, "members": [{"value": mallory}]}
    made = await directory.send("POST", "/Groups", body)
    assert made.status_code == 409
    assert "catalog/teams/" in made.json()["detail"]
    other = await directory.group("harmless", mallory)
    renamed = {"op": "replace", "path": "displayName", "value": name}
    assert (await directory.patch(f"/Groups/{other}", renamed)).status_code == 409
    assert await roles(directory.api.services.platform, "mallory") == set()


@pytest.mark.parametrize("name", ["sales/worker", "sales/no-such-role"])
async def test_giving_a_role_that_no_person_has(directory: Directory, name: str) -> None:
    made = await directory.send("POST", "/Groups", {"schemas": [GROUP], "displayName": name})
    assert made.status_code == 400


async def test_making_a_lead_without_a_second_person(directory: Directory) -> None:
    mallory = await directory.user("mallory")
    await directory.group("sales/lead", mallory)
    await directory.group("sales/process-owner", mallory)
    assert await roles(directory.api.services.platform, "mallory") == set()


@pytest.mark.parametrize(
    "name", ["sales-owner", "Sales-Owner", "coe-lead", "service:central", "a b", "x\u0000", ""]
)
async def test_taking_over_a_subject(directory: Directory, name: str) -> None:
    body = {"schemas": [USER], "userName": name}
    assert (await directory.send("POST", "/Users", body)).status_code in {400, 409}
    mallory = await directory.user("mallory")
    renamed = {"op": "replace", "path": "userName", "value": name}
    assert (await directory.patch(f"/Users/{mallory}", renamed)).status_code in {400, 409}


async def test_coming_back_under_the_name_of_who_has_left(directory: Directory) -> None:
    ines = await directory.user("ines")
    assert (await directory.send("DELETE", f"/Users/{ines}")).status_code == 204
    for name in ("ines", "INES"):
        body = {"schemas": [USER], "userName": name}
        assert (await directory.send("POST", "/Users", body)).status_code == 409
    put = await directory.send("PUT", f"/Users/{ines}", {"schemas": [USER], "userName": "ines"})
    assert put.status_code == 404


@pytest.mark.parametrize(
    "text",
    [
        'userName eq "x" or 1=1; DROP TABLE people --',
        "userName eq \"' OR '1'='1\"",
        "password pr",
        'userName eq "%"',
        "(" * 400,
        'userName eq "' + "a" * 600 + '"',
        "meta.__class__ pr",
    ],
)
async def test_injecting_into_a_filter(directory: Directory, text: str) -> None:
    await directory.user("ines")
    found = await directory.send("GET", "/Users", filter=text)
    if found.status_code == 200:
        assert found.json()["totalResults"] == 0
    else:
        assert (found.status_code, found.json()["scimType"]) == (400, "invalidFilter")


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "id", "value": str(uuid4())},
        {"op": "replace", "path": "meta.created", "value": "2020-01-01T00:00:00Z"},
        {"op": "remove", "path": "userName"},
        {"op": "remove", "path": "active"},
        {"op": "replace", "path": "active", "value": "maybe"},
    ],
)
async def test_patching_what_is_not_the_directory_s(
    directory: Directory, operation: dict[str, Any]
) -> None:
    ines = await directory.user("ines")
    before = (await directory.send("GET", f"/Users/{ines}")).json()
    assert (await directory.patch(f"/Users/{ines}", operation)).status_code == 400
    assert (await directory.send("GET", f"/Users/{ines}")).json() == before


async def test_reaching_accounts_that_others_made(directory: Directory) -> None:
    platform = directory.api.services.platform
    async with platform.database.session() as session:
        person = Person(subject="oidc-person", display_name="O", source="oidc:acme")
        key = str(person.id)
        session.add(person)
        await session.commit()
    assert (await directory.send("GET", "/Users")).json()["totalResults"] == 0
    for method in ("GET", "DELETE"):
        assert (await directory.send(method, f"/Users/{key}")).status_code == 404
    body = {"schemas": [GROUP], "displayName": "sales", "members": [{"value": key}]}
    assert (await directory.send("POST", "/Groups", body)).status_code == 400


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_lifting_a_suspension_that_somebody_here_ordered(
    directory: Directory, method: str
) -> None:
    platform = directory.api.services.platform
    key = await directory.user("mallory")
    await directory.group("sales/developer", key)

    async def send(*, active: bool) -> bool:
        operation = {"op": "replace", "path": "active", "value": active}
        body = {"schemas": [PATCH], "Operations": [operation]}
        if method == "PUT":
            body = {"schemas": [USER], "userName": "mallory", "active": active}
        answer = await directory.send(method, f"/Users/{key}", body)
        assert answer.status_code == 200, answer.text
        return bool(answer.json()["active"])

    assert not await send(active=False)
    assert await send(active=True), "the directory's own suspension"
    for before in (True, False):
        await send(active=before)
        async with platform.work(COE_LEAD) as work:
            await people.suspend_person(work, "mallory", reason="an inquiry")
        assert not await send(active=True)
        assert not await send(active=False)
        assert not await send(active=True)
        assert await signed_marks(platform) == {"mallory"}
        assert await roles(platform, "mallory") == set()
        async with platform.work(COE_LEAD) as work:
            await people.activate_person(work, "mallory", reason="nothing found")
    assert await roles(platform, "mallory") == {("developer", "sales")}


@pytest.mark.parametrize("first", ["directory", "here"])
async def test_a_leaver_does_not_come_back_with_the_lift_of_another_suspension(
    directory: Directory, first: str
) -> None:
    platform = directory.api.services.platform
    key = await directory.user("mallory")
    await directory.group("sales/developer", key)
    await token_for(platform, "mallory", "run:read")
    body = {"schemas": [USER], "userName": "mallory", "active": False}
    if first == "directory":
        await directory.send("PUT", f"/Users/{key}", body)
    async with platform.work(COE_LEAD) as work:
        await people.suspend_person(work, "mallory", reason="an inquiry")
    await directory.send("PUT", f"/Users/{key}", body)
    logged = await details_of(platform, "access:person:suspend")
    assert [len(each["tokens"]) for each in logged if each and "tokens" in each] == [1]
    assert await signed_marks(platform) == {"mallory", "both:mallory"}
    async with platform.work(COE_LEAD) as work:
        lifted = await people.activate_person(work, "mallory", reason="nothing found")
    assert lifted.state is PersonState.SUSPENDED
    assert await signed_marks(platform) == {"mallory", "scim:mallory"}
    assert await roles(platform, "mallory") == set()
    body["active"] = True
    assert (await directory.send("PUT", f"/Users/{key}", body)).json()["active"]
    assert await roles(platform, "mallory") == {("developer", "sales")}


@pytest.mark.parametrize("said", ["scim", "both"])
async def test_saying_in_the_database_that_the_directory_suspended_somebody(
    directory: Directory, said: str
) -> None:
    platform = directory.api.services.platform
    key = await directory.user("mallory")
    async with platform.work(COE_LEAD) as work:
        await people.suspend_person(work, "mallory", reason="an inquiry")
    async with platform.database.session() as session:
        await session.execute(
            text("UPDATE people SET suspended_by = :said WHERE subject = 'mallory'"),
            {"said": said},
        )
        await session.commit()
    body = {"schemas": [USER], "userName": "mallory", "active": True}
    answer = await directory.send("PUT", f"/Users/{key}", body)
    assert answer.status_code == 409
    assert "not what was signed" in answer.json()["detail"]
