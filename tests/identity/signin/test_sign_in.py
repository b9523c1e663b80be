"""People sign in by a certified provider: accounts, memberships, sessions, and the ways out."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import text

from coe.access.models import Person
from coe.work import Platform
from tests.factories.api import Api
from tests.factories.oidc import ACCOUNTS, PUBLIC, Provider, private_jwk, write_issuers
from tests.factories.oidc_fixtures import Open

ME = "{ me { subject displayName } }"
ANNA = "u-anna"


async def rows(site: Api, statement: str) -> list[tuple[object, ...]]:
    async with site.services.platform.database.session() as session:
        return [tuple(row) for row in await session.execute(text(statement))]


async def events(site: Api, action: str) -> list[str]:
    """Who was recorded with this action, in order."""
    found = await rows(
        site, f"SELECT actor FROM audit_events WHERE action = '{action}' ORDER BY at"
    )
    return [str(actor) for (actor,) in found]


async def roles(site: Api, subject: str) -> set[tuple[str, str]]:
    async with site.services.platform.database.session() as session:
        policy = await site.services.platform.policies.current(session)
    return set(policy.roles(subject))


def set_clock(platform: Platform, **later: float) -> None:
    now = platform.clock()
    platform.clock = lambda: now + timedelta(**later)


async def test_somebody_new_signs_in_and_works(site: Api, browser: Open) -> None:
    anna = browser()
    back = await anna.sign_in("/auth/acme/login?return=/graphiql%3Fx=1")
    assert (back.status_code, back.headers["location"]) == (303, "/graphiql?x=1")
    who = await anna.whoami()
    assert (who["subject"], who["displayName"]) == ("anna.berg", "Anna Berg")
    assert await roles(site, "anna.berg") == {("developer", "sales")}
    answer = await anna.ask(ME)
    assert answer["data"]["me"] == {"subject": "anna.berg", "displayName": "Anna Berg"}
    for action in ("account:create", "membership:renew", "session:open"):
        assert await events(site, f"access:{action}") == ["anna.berg"]


async def test_the_person_of_a_team_file_gets_their_memberships(site: Api, browser: Open) -> None:
    greta = browser("u-greta")
    await greta.sign_in()
    assert (await greta.whoami())["subject"] == "finance-lead"
    assert ("lead", "finance") in await roles(site, "finance-lead")


async def test_nothing_secret_is_kept_or_recorded(site: Api, browser: Open) -> None:
    anna = browser()
    await anna.sign_in()
    _, cookie = anna.cookie
    secret = cookie.partition(".")[2]
    for table in ("sessions", "audit_events", "people"):
        stored = str(await rows(site, f"SELECT t::text FROM {table} AS t"))
        assert secret not in stored
        assert secret.encode().hex() not in stored
        assert "anna.berg@acme.example" not in stored


async def test_the_name_follows_the_issuer_and_the_subject_stays(
    site: Api, browser: Open, provider: Provider
) -> None:
    await browser().sign_in()
    changed = ACCOUNTS[ANNA] | {"name": "Anna Berg-Holm", "preferred_username": "anna.holm"}
    provider.control(accounts={ANNA: changed})
    again = browser()
    await again.sign_in()
    who = await again.whoami()
    assert (who["subject"], who["displayName"]) == ("anna.berg", "Anna Berg-Holm")
    assert len(await rows(site, "SELECT 1 FROM people")) == 1


async def test_memberships_follow_the_groups(site: Api, browser: Open, provider: Provider) -> None:
    await browser().sign_in()
    moved = ACCOUNTS[ANNA] | {"groups": ["coe-finance-developer", "coe-coe-developer", "other"]}
    provider.control(accounts={ANNA: moved})
    await browser().sign_in()
    assert await roles(site, "anna.berg") == {("developer", "finance")}
    assert await events(site, "access:membership:renew") == ["anna.berg"] * 2


@pytest.mark.parametrize("state", ["SUSPENDED", "LEFT"])
async def test_who_is_suspended_is_out_at_once_and_cannot_come_back(
    site: Api, browser: Open, state: str
) -> None:
    anna = browser()
    await anna.sign_in()
    async with site.services.platform.database.session() as session:
        person = await session.get(Person, "anna.berg")
        assert person is not None
        person.state = state
        await session.commit()
    assert await anna.whoami() == {"signedIn": False}
    again = await anna.sign_in()
    assert again.status_code == 403
    assert "suspended or has left" in again.text
    assert await anna.whoami() == {"signedIn": False}


async def test_who_is_disabled_at_the_issuer_is_told(
    site: Api, browser: Open, provider: Provider
) -> None:
    provider.control(disable=ANNA)
    refused = await browser().sign_in()
    assert refused.status_code == 403
    assert await events(site, "access:login:refuse") == ["service:sign-in"]


async def test_another_domain_is_refused(site: Api, browser: Open) -> None:
    refused = await browser("u-stranger").sign_in()
    assert refused.status_code == 403
    assert await rows(site, "SELECT 1 FROM people") == []


async def test_a_person_signs_out(site: Api, browser: Open) -> None:
    anna, other = browser(), browser()
    await anna.sign_in()
    await other.sign_in()
    asked = await anna.site.get("/auth/acme/logout")
    assert "Sign out" in asked.text
    assert (await anna.whoami())["signedIn"]
    done = await anna.post("/auth/acme/logout")
    assert "/session/end?client_id=coe" in done.text
    assert await anna.whoami() == {"signedIn": False}
    assert (await other.whoami())["signedIn"]
    assert await events(site, "access:session:close") == ["anna.berg"]


async def test_a_person_signs_out_everywhere_or_ends_one_session(site: Api, browser: Open) -> None:
    first, second, third = browser(), browser(), browser()
    for each in (first, second, third):
        await each.sign_in()
    page = (await first.site.get("/auth")).text
    assert page.count("Test browser") == 3
    second_id = second.cookie[1].partition(".")[0]
    assert second_id in page
    ended = await first.post("/auth/sessions/revoke", session=second_id)
    assert ended.status_code == 303
    assert await second.whoami() == {"signedIn": False}
    await first.post("/auth/acme/logout", everywhere="1")
    assert await third.whoami() == {"signedIn": False}


@pytest.mark.parametrize(("later", "still"), [(59, True), (61, False)])
async def test_an_idle_session_ends(site: Api, browser: Open, later: int, *, still: bool) -> None:
    anna = browser()
    await anna.sign_in()
    set_clock(site.services.platform, minutes=later)
    assert (await anna.whoami())["signedIn"] is still


async def test_a_session_in_use_ends_after_its_hours(site: Api, browser: Open) -> None:
    anna = browser()
    await anna.sign_in()
    for _ in range(12):
        assert (await anna.whoami())["signedIn"]
        set_clock(site.services.platform, minutes=59)
    set_clock(site.services.platform, minutes=13)
    assert await anna.whoami() == {"signedIn": False}


async def test_the_issuer_ends_sessions_by_the_back_channel(
    site: Api, browser: Open, provider: Provider
) -> None:
    anna, greta = browser(), browser("u-greta")
    await anna.sign_in()
    await greta.sign_in()
    await sign_out_at_the_issuer(anna.issuer, provider)
    (sent,) = provider.control()["logouts"]
    answer = await browser(None).site.post(
        urlsplit(sent["url"]).path,
        content=sent["body"],
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert await anna.whoami() == {"signedIn": False}
    assert (await greta.whoami())["signedIn"]
    assert await events(site, "access:session:close") == ["service:sign-in"]


async def sign_out_at_the_issuer(issuer: httpx.AsyncClient, provider: Provider) -> None:
    """Confirm the sign-out on the provider's own page, which then tells its clients."""
    page = (await issuer.get(f"{provider.url}/session/end")).text
    secret = page.partition('name="xsrf" value="')[2].partition('"')[0]
    form = {"xsrf": secret, "logout": "yes"}
    await issuer.post(f"{provider.url}/session/end/confirm", data=form)


async def test_the_issuer_changes_its_keys(site: Api, browser: Open, provider: Provider) -> None:
    await browser().sign_in()
    provider.control(jwks={"keys": [private_jwk("second"), provider.key]})
    again = browser()
    assert (await again.sign_in()).status_code == 303
    provider.control(jwks={"keys": [private_jwk("third")]}, forget=True)
    # The keys were fetched a moment ago, so they are not fetched again for an unknown one.
    assert (await again.sign_in()).status_code == 403
    assert "/jwks" not in provider.control()["requests"]
    discovery = site.services.sign_ins.discovery
    discovery._clock = lambda base=discovery._clock: base() + 61  # type: ignore[misc]
    assert (await again.sign_in()).status_code == 303


async def test_a_client_proves_itself_with_a_key(
    site: Api, browser: Open, provider: Provider, tmp_path: Path
) -> None:
    key = provider.client_key
    entry = provider.entry(client_id="coe-key", client_secret=None, private_key=key)
    write_issuers(tmp_path, acme=entry)
    assert (await browser().sign_in()).status_code == 303


async def test_signing_in_afresh_renews_the_session(site: Api, browser: Open) -> None:
    anna = browser()
    await anna.sign_in()
    before = anna.cookie
    set_clock(site.services.platform, seconds=2)
    url = await anna.begin("/auth/acme/login?fresh=1&return=/graphiql")
    asked = parse_qs(urlsplit(url).query)
    assert (asked["prompt"], asked["max_age"]) == (["login"], ["0"])
    back = await anna.come_back(await anna.authorize(url))
    assert (back.status_code, back.headers["location"]) == (303, "/graphiql")
    assert anna.cookie != before
    assert len(await rows(site, "SELECT 1 FROM sessions WHERE revoked_at IS NULL")) == 1
    assert await events(site, "access:session:renew") == ["anna.berg"]


async def test_the_cookie_of_an_https_site(site: Api, browser: Open) -> None:
    platform = site.services.platform
    platform.settings = platform.settings.model_copy(update={"public_url": PUBLIC})
    anna = browser(base=PUBLIC)
    anna.site.headers["Host"] = "127.0.0.1"
    back = await anna.sign_in()
    cookie = next(each for each in back.headers.get_list("set-cookie") if "=0" in each)
    name, *attributes = (each.strip() for each in cookie.split(";"))
    assert name.startswith("__Host-coe=")
    assert {"HttpOnly", "Path=/", "SameSite=lax", "Secure"} == set(attributes)


async def test_the_page_lists_the_issuers_and_a_link_signs_in(site: Api, browser: Open) -> None:
    nobody = browser(None)
    page = await nobody.site.get("/auth?return=/graphiql")
    assert 'href="/auth/acme/login?return=%2Fgraphiql"' in page.text
    assert "<script" not in page.text
    assert "form-action 'self'" in page.headers["content-security-policy"]


async def test_an_issuer_that_does_not_answer_is_no_fault_of_the_person(
    site: Api, browser: Open, provider: Provider, tmp_path: Path
) -> None:
    write_issuers(tmp_path, acme=provider.entry(url="http://127.0.0.1:1"))
    page = await browser().site.get("/auth/acme/login")
    assert page.status_code == 503
    assert "does not answer" in page.text


async def test_a_broken_file_of_issuers_says_so(site: Api, browser: Open, tmp_path: Path) -> None:
    (tmp_path / "issuers.yaml").write_text("issuers: {acme: {title: no}}")
    page = await browser().site.get("/auth")
    assert page.status_code == 503
    assert "file of issuers" in page.text
