"""People sign in by a certified provider: accounts, memberships, sessions, and the ways out."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio

from coe.access.models import Person
from coe.bootstrap import CONTENT
from coe.governance.access import load_policy
from coe.work import Platform
from tests.factories.oidc import ACCOUNTS, PUBLIC, Provider, private_jwk, write_issuers
from tests.factories.oidc_fixtures import Open, Site

ME = "{ me { subject displayName } }"
ANNA = "u-anna"

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def roles(site: Site, subject: str) -> set[tuple[str, str]]:
    async with site.platform.database.session() as session:
        policy = await site.platform.policies.current(session)
    return set(policy.roles(subject))


def set_clock(platform: Platform, **later: float) -> None:
    now = platform.clock()
    platform.clock = lambda: now + timedelta(**later)


async def test_somebody_new_signs_in_and_works(site: Site, browser: Open) -> None:
    anna = browser()
    back = await anna.sign_in("/auth/acme/login?return=/graphiql%3Fx=1")
    assert (back.status_code, back.headers["location"]) == (303, "/graphiql?x=1")
    who = await anna.whoami()
    assert (who["subject"], who["displayName"]) == ("anna.berg", "Anna Berg")
    assert await roles(site, "anna.berg") == {("developer", "sales")}
    answer = await anna.ask(ME)
    assert answer["data"]["me"] == {"subject": "anna.berg", "displayName": "Anna Berg"}
    for action in ("account:create", "membership:renew", "session:open"):
        assert await site.events(f"access:{action}") == ["anna.berg"]


async def test_the_person_of_a_team_file_gets_their_memberships(site: Site, browser: Open) -> None:
    greta = browser("u-greta")
    await greta.sign_in()
    assert (await greta.whoami())["subject"] == "finance-lead"
    assert ("lead", "finance") in await roles(site, "finance-lead")


async def test_nothing_secret_is_kept_or_recorded(site: Site, browser: Open) -> None:
    anna = browser()
    await anna.sign_in()
    _, cookie = anna.cookie
    secret = cookie.partition(".")[2]
    for table in ("sessions", "audit_events", "people"):
        stored = str(await site.rows(f"SELECT t::text FROM {table} AS t"))
        assert secret not in stored
        assert secret.encode().hex() not in stored
        assert "anna.berg@acme.example" not in stored


async def test_the_name_follows_the_issuer_and_the_subject_stays(
    site: Site, browser: Open, provider: Provider
) -> None:
    await browser().sign_in()
    changed = ACCOUNTS[ANNA] | {"name": "Anna Berg-Holm", "preferred_username": "anna.holm"}
    provider.control(accounts={ANNA: changed})
    again = browser()
    await again.sign_in()
    who = await again.whoami()
    assert (who["subject"], who["displayName"]) == ("anna.berg", "Anna Berg-Holm")
    assert len(await site.rows("SELECT 1 FROM people")) == 1


async def test_memberships_follow_the_groups(site: Site, browser: Open, provider: Provider) -> None:
    await browser().sign_in()
    moved = ACCOUNTS[ANNA] | {"groups": ["coe-finance-developer", "coe-coe-developer", "other"]}
    provider.control(accounts={ANNA: moved})
    await browser().sign_in()
    assert await roles(site, "anna.berg") == {("developer", "finance")}
    assert await site.events("access:membership:renew") == ["anna.berg"] * 2


@pytest.mark.parametrize("state", ["SUSPENDED", "LEFT"])
async def test_who_is_suspended_is_out_at_once_and_cannot_come_back(
    site: Site, browser: Open, state: str
) -> None:
    anna = browser()
    await anna.sign_in()
    async with site.platform.database.session() as session:
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
    site: Site, browser: Open, provider: Provider
) -> None:
    provider.control(disable=ANNA)
    refused = await browser().sign_in()
    assert refused.status_code == 403
    assert await site.events("access:login:refuse") == ["service:sign-in"]


async def test_another_domain_is_refused(site: Site, browser: Open) -> None:
    refused = await browser("u-stranger").sign_in()
    assert refused.status_code == 403
    assert await site.rows("SELECT 1 FROM people") == []


async def test_a_person_signs_out(site: Site, browser: Open) -> None:
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
    assert await site.events("access:session:close") == ["anna.berg"]


async def test_a_person_signs_out_everywhere_or_ends_one_session(site: Site, browser: Open) -> None:
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
async def test_an_idle_session_ends(site: Site, browser: Open, later: int, *, still: bool) -> None:
    anna = browser()
    await anna.sign_in()
    set_clock(site.platform, minutes=later)
    assert (await anna.whoami())["signedIn"] is still


async def test_a_session_in_use_ends_after_its_hours(site: Site, browser: Open) -> None:
    anna = browser()
    await anna.sign_in()
    for _ in range(12):
        assert (await anna.whoami())["signedIn"]
        set_clock(site.platform, minutes=59)
    set_clock(site.platform, minutes=13)
    assert await anna.whoami() == {"signedIn": False}


async def test_the_issuer_ends_sessions_by_the_back_channel(
    site: Site, browser: Open, provider: Provider
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
    assert await site.events("access:session:close") == ["service:sign-in"]


async def sign_out_at_the_issuer(issuer: httpx.AsyncClient, provider: Provider) -> None:
    """Confirm the sign-out on the provider's own page, which then tells its clients."""
    page = (await issuer.get(f"{provider.url}/session/end")).text
    secret = page.partition('name="xsrf" value="')[2].partition('"')[0]
    form = {"xsrf": secret, "logout": "yes"}
    await issuer.post(f"{provider.url}/session/end/confirm", data=form)


async def test_the_issuer_changes_its_keys(site: Site, browser: Open, provider: Provider) -> None:
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
    site: Site, browser: Open, provider: Provider
) -> None:
    key = provider.client_key
    entry = provider.entry(client_id="coe-key", client_secret=None, private_key=key)
    write_issuers(site.folder, acme=entry)
    assert (await browser().sign_in()).status_code == 303


async def test_signing_in_afresh_renews_the_session(site: Site, browser: Open) -> None:
    anna = browser()
    await anna.sign_in()
    before = anna.cookie
    set_clock(site.platform, seconds=2)
    url = await anna.begin("/auth/acme/login?fresh=1&return=/graphiql")
    asked = parse_qs(urlsplit(url).query)
    assert (asked["prompt"], asked["max_age"]) == (["login"], ["0"])
    back = await anna.come_back(await anna.authorize(url))
    assert (back.status_code, back.headers["location"]) == (303, "/graphiql")
    assert anna.cookie != before
    assert len(await site.rows("SELECT 1 FROM sessions WHERE revoked_at IS NULL")) == 1
    assert await site.events("access:session:renew") == ["anna.berg"]


async def test_the_cookie_of_an_https_site(site: Site, browser: Open) -> None:
    platform = site.platform
    platform.settings = platform.settings.model_copy(update={"public_url": PUBLIC})
    anna = browser(base=PUBLIC)
    anna.site.headers["Host"] = "127.0.0.1"
    back = await anna.sign_in()
    cookie = next(each for each in back.headers.get_list("set-cookie") if "=0" in each)
    name, *attributes = (each.strip() for each in cookie.split(";"))
    assert name.startswith("__Host-coe=")
    assert {"HttpOnly", "Path=/", "SameSite=lax", "Secure"} == set(attributes)


async def test_the_page_lists_the_issuers_and_a_link_signs_in(site: Site, browser: Open) -> None:
    nobody = browser(None)
    page = await nobody.site.get("/auth?return=/graphiql")
    assert 'href="/auth/acme/login?return=%2Fgraphiql"' in page.text
    assert "<script" not in page.text
    assert "form-action 'self'" in page.headers["content-security-policy"]


async def test_an_issuer_that_does_not_answer_is_no_fault_of_the_person(
    site: Site, browser: Open, provider: Provider
) -> None:
    write_issuers(site.folder, acme=provider.entry(url="http://127.0.0.1:1"))
    page = await browser().site.get("/auth/acme/login")
    assert page.status_code == 503
    assert "does not answer" in page.text


async def test_a_broken_file_of_issuers_says_so(
    site: Site,
    browser: Open,
) -> None:
    (site.folder / "issuers.yaml").write_text("issuers: {acme: {title: no}}")
    page = await browser().site.get("/auth")
    assert page.status_code == 503
    assert "file of issuers" in page.text


async def load_policies(site: Site, root: Path) -> None:
    async with site.platform.work(CONTENT) as work:
        await load_policy(work, root)


@pytest_asyncio.fixture(loop_scope="module")
async def asks_for_fresh_sign_ins(
    site: Site, content_folder: Path, tmp_path: Path
) -> AsyncIterator[None]:
    """The policy asks for a fresh sign-in before sessions are ended."""
    for name in ("catalog", "policies"):
        shutil.copytree(content_folder / name, tmp_path / name)
    (tmp_path / "policies" / "step-up.csv").write_text("s, *, session:revoke, *, 15\n")
    await site.execute("UPDATE teams SET members_source = 'content'")
    await load_policies(site, tmp_path)
    yield
    await load_policies(site, content_folder)


async def test_what_the_policy_names_needs_a_fresh_sign_in(
    site: Site, browser: Open, asks_for_fresh_sign_ins: None
) -> None:
    end = 'mutation { revokeSessions(subject: "finance-lead", reason: "lost") { ended } }'
    greta = browser("u-greta")
    await greta.sign_in()
    set_clock(site.platform, minutes=16)
    (refused,) = (await greta.ask(end))["errors"]
    assert refused["extensions"]["code"] == "STEP_UP_REQUIRED"
    assert (await greta.whoami())["signedIn"]

    site.platform.clock = site.clock  # the provider has no clock that a test could set
    await greta.sign_in(refused["extensions"]["signIn"])
    assert "errors" not in await greta.ask(end)
    assert await greta.whoami() == {"signedIn": False}
    denied = await site.rows(
        "SELECT outcome FROM audit_events WHERE action = 'access:session:revoke' "
        f"AND id > '{site.begun}' ORDER BY id"
    )
    assert denied == [("DENIED",), ("ALLOWED",)]


async def test_a_token_never_is_a_fresh_sign_in(site: Site, asks_for_fresh_sign_ins: None) -> None:
    end = 'mutation { revokeSessions(subject: "greta.berg", reason: "lost") { ended } }'
    refused = (await site.persona("coe-lead").send(end))["errors"][0]["extensions"]
    assert (refused["code"], refused["signIn"]) == ("STEP_UP_REQUIRED", "/auth")
