"""SCIM 2.0: the public compliance tester, and joining, moving and leaving by a directory."""

from __future__ import annotations

import asyncio

import pytest
from scim2_client.engines.wsgi import WSGISCIMClient
from scim2_tester import Status, check_server

from coe.access.actor import Actor
from coe.access.membership_changes import MembersSource
from coe.access.models import Person
from coe.access.people import find_person
from coe.errors import Unauthenticated
from coe.identity.teams import proposals
from coe.identity.teams.actions import NewTeam, create_team
from coe.work import Platform, RequestInfo
from tests.factories.api import Api
from tests.factories.audit_events import details_of, events_of
from tests.factories.databases import statements_about
from tests.factories.people import COE_LEAD, OUTSIDER
from tests.factories.scim import BASE, DIRECTORY, Directory, hand_to_directory, token_for, wsgi_of


@pytest.fixture
async def directory(still_api: Api) -> Directory:
    platform = still_api.services.platform
    await hand_to_directory(platform, "sales", "finance")
    return Directory(still_api, await token_for(platform, DIRECTORY, "scim:*"))


async def test_the_compliance_tester_finds_nothing(directory: Directory) -> None:
    client = WSGISCIMClient(
        wsgi_of(directory.api, asyncio.get_running_loop()),
        base_url=BASE,
        headers={"Authorization": f"Bearer {directory.token}"},
    )
    results = await asyncio.to_thread(check_server, client)
    found = [
        f"{each.title}: {each.reason}"
        for each in results
        if each.status not in {Status.SUCCESS, Status.SKIPPED, Status.ACCEPTABLE}
    ]
    assert not found, "\n".join(found)
    assert sum(each.status is Status.SUCCESS for each in results) > 50


async def roles(platform: Platform, subject: str) -> set[str]:
    async with platform.read(OUTSIDER) as read:
        return {f"{team}/{role}" for role, team in read.policy.roles(subject)}


async def test_people_join_move_and_leave(directory: Directory) -> None:
    platform = directory.api.services.platform
    ines = await directory.user("ines", displayName="Ines", externalId="u-1")
    developers = await directory.group("sales/developer", ines)
    operators = await directory.group("finance/operator")
    assert await roles(platform, "ines") == {"sales/developer"}
    bearer = await token_for(platform, "ines", "*")
    moved = {"op": "add", "path": "members", "value": [{"value": ines}]}
    assert (await directory.patch(f"/Groups/{operators}", moved)).status_code == 200
    gone = {"op": "remove", "path": f'members[value eq "{ines}"]'}
    assert (await directory.patch(f"/Groups/{developers}", gone)).status_code == 200
    assert await roles(platform, "ines") == {"finance/operator"}
    off = {"op": "replace", "path": "active", "value": False}
    assert (await directory.patch(f"/Users/{ines}", off)).json()["active"] is False
    with pytest.raises(Unauthenticated):
        await platform.authenticate(bearer, RequestInfo())
    on = {"op": "replace", "path": "active", "value": True}
    assert (await directory.patch(f"/Users/{ines}", on)).json()["active"] is True
    with pytest.raises(Unauthenticated):
        await platform.authenticate(bearer, RequestInfo())
    assert await roles(platform, "ines") == {"finance/operator"}, "who comes back is in the team"
    bearer = await token_for(platform, "ines", "*")
    assert await platform.authenticate(bearer, RequestInfo())
    assert (await directory.send("DELETE", f"/Users/{ines}")).status_code == 204
    assert (await directory.send("GET", f"/Users/{ines}")).status_code == 404
    assert await roles(platform, "ines") == set()
    with pytest.raises(Unauthenticated):
        await platform.authenticate(bearer, RequestInfo())
    left = await events_of(platform, "access:person:leave")
    assert left[-1].resource == "person:ines"
    assert {event.actor for event in left} == {DIRECTORY}


async def test_a_new_lead_waits_and_a_former_one_does_not(directory: Directory) -> None:
    platform = directory.api.services.platform
    ines = await directory.user("ines")
    leads = await directory.group("sales/lead", ines)
    await directory.group("sales", ines)
    assert await roles(platform, "ines") == set()
    async with platform.work(COE_LEAD) as work:
        (waiting,) = (await proposals.list_proposals(work)).items
        await proposals.approve(work, waiting.id)
    assert await roles(platform, "ines") == {"sales/lead"}
    assert (await directory.send("DELETE", f"/Groups/{leads}")).status_code == 204
    assert await roles(platform, "ines") == set(), "what the directory takes is gone at once"
    async with platform.read(Actor.of("ines")) as read:
        assert read.policy.teams("ines") == {"sales"}


async def test_a_group_that_is_older_than_its_team_counts_when_it_is_sent_again(
    directory: Directory,
) -> None:
    platform = directory.api.services.platform
    ines = await directory.user("ines")
    group = await directory.group("returns/developer", ines)
    async with platform.work(COE_LEAD) as work:
        new = NewTeam("returns", "Returns", source=MembersSource.SCIM)
        await create_team(work, new)
    again = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "displayName": "returns/developer",
        "members": [{"value": ines}],
    }
    assert (await directory.send("PUT", f"/Groups/{group}", again)).status_code == 200
    assert await roles(platform, "ines") == {"returns/developer"}


@pytest.mark.parametrize("members", [2, 40])
async def test_a_group_renews_and_reads_the_policy_once_however_large_it_is(
    directory: Directory, members: int
) -> None:
    platform = directory.api.services.platform
    people = [Person(subject=f"new-{n}", display_name="New", source="scim") for n in range(members)]
    keys = [str(each.id) for each in people]
    async with platform.database.session() as session:
        session.add_all(people)
        await session.commit()
    with statements_about(platform.database, "policy_state") as given:
        group = await directory.group("sales/developer", *keys)
    with statements_about(platform.database, "policy_state") as taken:
        assert (await directory.send("DELETE", f"/Groups/{group}")).status_code == 204
    assert max(len(given), len(taken)) <= 20
    assert len([each for each in given if each.startswith("UPDATE")]) == 1
    assert await roles(platform, "new-1") == set()


async def test_pages_and_filters(directory: Directory) -> None:
    for name in ("anna", "berta", "clara"):
        await directory.user(name, externalId=f"x-{name}")
    page = (await directory.send("GET", "/Users", startIndex=2, count=1)).json()
    assert (page["totalResults"], page["startIndex"], page["itemsPerPage"]) == (3, 2, 1)
    assert page["Resources"][0]["userName"] == "berta"
    for text in ('userName eq "CLARA"', 'externalId eq "x-clara" and active eq true'):
        found = (await directory.send("GET", "/Users", filter=text)).json()
        assert [each["userName"] for each in found["Resources"]] == ["clara"]


ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
INES = {
    "name": {"givenName": "Ines", "familyName": "Roth", "formatted": "Ines Roth"},
    "emails": [{"value": "ines@acme.example", "type": "work", "primary": True}],
    "title": "Buyer",
    "preferredLanguage": "de-DE",
    "timezone": "Europe/Berlin",
    ENTERPRISE: {"department": "Purchasing"},
}


async def test_what_directories_say_of_people_is_kept_sealed_and_erased(
    directory: Directory,
) -> None:
    platform = directory.api.services.platform
    ines = await directory.user("ines", externalId="u-1", **INES, shoeSize="38")
    shown = (await directory.send("GET", f"/Users/{ines}")).json()
    assert {name: shown[name] for name in INES} == INES
    assert ENTERPRISE in shown["schemas"]
    assert "displayName" not in shown
    assert "shoeSize" not in shown
    async with platform.database.session() as session:
        person = await find_person(session, "ines")
        assert person is not None
        assert person.display_name == "Ines Roth", "the name for people"
        assert b"Purchasing" not in (person.attributes_sealed or b"Purchasing")
    moved = {"op": "replace", "path": f"{ENTERPRISE}:department", "value": "Sales"}
    married = {"op": "replace", "path": "name.familyName", "value": "Berg"}
    patched = (await directory.patch(f"/Users/{ines}", moved, married)).json()
    assert patched[ENTERPRISE] == {"department": "Sales"}
    assert patched["name"]["familyName"] == "Berg"
    assert patched["emails"] == INES["emails"]
    made, changed = await details_of(platform, "access:person:provision")
    assert changed["attributes"] == ["name", ENTERPRISE], "the log says what, and not to what"
    assert "Roth" not in str(made)
    big = await directory.send("PUT", f"/Users/{ines}", {"userName": "ines", "title": "x" * 20_000})
    assert (big.status_code, "16000 bytes" in big.json()["detail"]) == (400, True)
    assert (await directory.send("DELETE", f"/Users/{ines}")).status_code == 204
    async with platform.database.session() as session:
        person = await find_person(session, "ines")
        assert person is not None
        assert person.attributes_sealed is None


async def test_people_are_found_and_ordered_by_what_is_sealed(directory: Directory) -> None:
    for name, family in (("anna", "Zorn"), ("berta", "Adler"), ("clara", "Moser")):
        await directory.user(name, name={"familyName": family}, title=f"T-{family}")
    found = (await directory.send("GET", "/Users", filter='name.familyName sw "Ad"')).json()
    assert [each["userName"] for each in found["Resources"]] == ["berta"]
    query = {"sortBy": "name.familyName", "sortOrder": "descending", "count": 2}
    page = (await directory.send("GET", "/Users", **query)).json()
    assert [each["userName"] for each in page["Resources"]] == ["anna", "clara"]
    quoted = {"filter": 'userName eq "name"', "sortBy": "userName"}
    assert (await directory.send("GET", "/Users", **quoted)).json()["totalResults"] == 0


async def test_a_version_keeps_changes_apart(directory: Directory) -> None:
    ines = await directory.user("ines", title="Buyer")
    group = await directory.group("anything", ines)
    config = (await directory.send("GET", "/ServiceProviderConfig")).json()
    assert (config["etag"]["supported"], config["sort"]["supported"]) == (True, True)
    for path, change in (
        (f"/Users/{ines}", {"op": "replace", "path": "title", "value": "Head"}),
        (f"/Groups/{group}", {"op": "replace", "path": "displayName", "value": "other"}),
    ):
        read = await directory.send("GET", path)
        version = read.json()["meta"]["version"]
        assert read.headers["ETag"] == version
        same = await directory.send("GET", path, headers={"If-None-Match": f'"x", {version}'})
        assert (same.status_code, same.content) == (304, b"")
        changed = await directory.patch(path, change, headers={"If-Match": version})
        assert changed.status_code == 200, changed.text
        assert changed.headers["ETag"] == changed.json()["meta"]["version"] != version
        for method in ("PATCH", "PUT", "DELETE"):
            late = await directory.send(method, path, {}, headers={"If-Match": version})
            assert (late.status_code, late.json()["status"]) == (412, "412"), method
        fresh = await directory.send("GET", path, headers={"If-None-Match": version})
        assert fresh.status_code == 200
        assert (await directory.send("DELETE", path, headers={"If-Match": "*"})).status_code == 204


async def test_patches_as_entra_sends_them(directory: Directory) -> None:
    ines = await directory.user("ines")
    group = await directory.group("anything", ines)
    mail = {
        "op": "Add",
        "path": 'emails[type eq "work"].value',
        "value": "ines@acme.example",
    }
    phone = {"op": "Add", "path": 'phoneNumbers[type eq "work"].value', "value": "1"}
    off = {"op": "Replace", "path": "active", "value": "False"}
    patched = await directory.patch(f"/Users/{ines}", mail, phone, off)
    assert patched.status_code == 200, patched.text
    assert patched.json()["emails"] == [{"type": "work", "value": "ines@acme.example"}]
    assert patched.json()["active"] is False
    gone = {"op": "Remove", "path": "members", "value": [{"value": ines}]}
    patched = await directory.patch(f"/Groups/{group}", gone)
    assert (patched.status_code, "members" in patched.json()) == (200, False)


WRONG = (
    ("/Users", '{"userName": "a", "userName": "b"}', "stands twice"),
    ("/Users", '{"userName": "a", "name": {"givenName": "A", "givenName": "B"}}', "stands twice"),
    ("/Groups", '{"displayName": "a", "displayName": "b"}', "stands twice"),
    ("/Users", '{"userName": "a", "title": "a\\u0000b"}', "NUL"),
    ("/Users", '{"userName": "a", "active": "no"}', "true or false"),
    ("/Users", '{"userName": "a", "active": 0}', "true or false"),
    ("/Users", '{"userName": "a", "emails": [{"primary": "off"}]}', "true or false"),
    ("/Users", "[]", "not a JSON object"),
    ("/Groups", "7", "not a JSON object"),
    ("/Users", '{"userName": "a", "name": []}', "should be an object: name"),
)


async def test_what_is_ambiguous_or_of_another_type_is_refused(directory: Directory) -> None:
    for path, body, told in WRONG:
        async with directory.api.client(directory.token) as client:
            headers = {"Content-Type": "application/scim+json"}
            answer = await client.post(f"/scim/v2{path}", content=body, headers=headers)
        assert answer.status_code == 400, answer.text
        assert told in answer.json()["detail"], body
        assert "instance of" not in answer.text
    for path in ("/Users", "/Groups"):
        assert (await directory.send("GET", path)).json()["totalResults"] == 0
