"""Sessions by the API: each their own, those responsible for a team those of its people."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories.api import Refused
from tests.factories.oidc_fixtures import Open, Site

LIST = "query ($subject: String) { sessions(subject: $subject) { nodes { id subject current } } }"
REVOKE = 'mutation ($id: ID!) { revokeSession(id: $id, reason: "lost") { ended } }'
REVOKE_ALL = 'mutation ($who: String!) { revokeSessions(subject: $who, reason: "lost") { ended } }'


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def sessions(site: Site, who: str, **given: Any) -> list[dict[str, Any]]:
    answer = await site.persona(who).ask(LIST, **given)
    nodes: list[dict[str, Any]] = answer["sessions"]["nodes"]
    return nodes


async def refused(site: Site, actor: str, query: str, **given: Any) -> str:
    try:
        await site.persona(actor).ask(query, **given)
    except Refused as error:
        return error.code
    return "done"


async def test_who_sees_and_ends_which(site: Site, browser: Open) -> None:
    greta, anna = browser("u-greta"), browser()
    await greta.sign_in()
    await anna.sign_in()
    own = (await anna.ask(LIST))["data"]["sessions"]["nodes"]
    assert [(each["subject"], each["current"]) for each in own] == [("anna.berg", True)]
    assert await sessions(site, "warehouse-lead") == []
    assert await sessions(site, "warehouse-lead", subject="anna.berg") == []
    assert len(await sessions(site, "coe-lead")) == 2
    (seen,) = await sessions(site, "finance-lead")
    assert (seen["subject"], seen["current"]) == ("finance-lead", False)

    key = own[0]["id"]
    assert await refused(site, "warehouse-lead", REVOKE, id=key) == "NOT_FOUND"
    assert await refused(site, "warehouse-lead", REVOKE_ALL, who="anna.berg") == "NOT_FOUND"
    assert (await anna.whoami())["signedIn"]
    assert await refused(site, "coe-lead", REVOKE, id=key) == "done"
    assert await anna.whoami() == {"signedIn": False}
    assert await refused(site, "coe-lead", REVOKE, id=key) == "CONFLICT"

    ended = await site.persona("coe-lead").ask(REVOKE_ALL, who="finance-lead")
    assert ended["revokeSessions"]["ended"] == 1
    assert await greta.whoami() == {"signedIn": False}
    assert await sessions(site, "coe-lead") == []


async def test_pages_of_sessions(site: Site, browser: Open) -> None:
    anna = browser()
    for _ in range(3):
        await browser().sign_in()
    await anna.sign_in()
    query = (
        "query ($after: String) { sessions(first: 3, after: $after) "
        "{ totalCount pageInfo { hasNextPage endCursor } nodes { id } } }"
    )
    first = (await anna.ask(query))["data"]["sessions"]
    rest = (await anna.ask(query, after=first["pageInfo"]["endCursor"]))["data"]["sessions"]
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (4, True)
    assert (len(rest["nodes"]), rest["pageInfo"]["hasNextPage"]) == (1, False)
    assert not {each["id"] for each in first["nodes"]} & {each["id"] for each in rest["nodes"]}
