"""Attempts to use a session that is not one's own: forged requests, stolen cookies, old proofs."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from coe.access.models import Person
from coe.identity.signin.id_token import LOGOUT_EVENT
from tests.factories.oidc import PUBLIC, SITE, write_issuers
from tests.factories.rogue_issuer import RogueIssuer
from tests.factories.rogue_world import PARTNER, World

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOW = int(time.time())


# ------------------------------------------------------------------------- forged requests
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": SITE},
        {"X-CSRF-Token": "right"},
        {"X-CSRF-Token": "right", "Origin": "https://evil.example"},
        {"X-CSRF-Token": "right", "Origin": "null"},
        {"X-CSRF-Token": "right", "Origin": "http://127.0.0.1:8700.evil.example"},
        {"X-CSRF-Token": "right", "Origin": "http://127.0.0.1:9999"},
        {"X-CSRF-Token": "right", "Sec-Fetch-Site": "cross-site"},
        {"X-CSRF-Token": "right", "Sec-Fetch-Site": "same-site"},
        {"X-CSRF-Token": "of another", "Origin": SITE},
        {"X-CSRF-Token": "", "Origin": SITE},
    ],
)
async def test_another_page_sends_a_mutation(world: World, headers: dict[str, str]) -> None:
    anna, other = world.browser(), world.browser()
    await world.sign_in(anna)
    await world.sign_in(other, sub="u-mallory", preferred_username="mallory")
    tokens = {
        "right": (await anna.whoami())["csrfToken"],
        "of another": (await other.whoami())["csrfToken"],
    }
    sent = {name: tokens.get(value, value) for name, value in headers.items()}
    body = {"query": 'mutation { revokeSessions(subject: "anna", reason: "x") { ended } }'}
    answer = await anna.site.post("/graphql", json=body, headers=sent)
    assert answer.json()["errors"][0]["extensions"]["code"] in {"FORBIDDEN", "UNAUTHENTICATED"}
    assert (await anna.whoami())["signedIn"]


@pytest.mark.parametrize("path", ["/auth/acme/logout", "/auth/sessions/revoke"])
@pytest.mark.parametrize(
    ("token", "origin"),
    [(True, "https://evil.example"), (False, SITE), (True, None)],
    ids=["another origin", "no token", "no origin"],
)
async def test_another_page_sends_a_form(
    world: World,
    path: str,
    token: bool,  # noqa: FBT001
    origin: str | None,
) -> None:
    anna = world.browser()
    await world.sign_in(anna)
    form = {"csrf_token": await anna.csrf() if token else ""}
    form["session"] = anna.cookie[1].partition(".")[0]
    headers = {"Origin": origin} if origin else {}
    assert (await anna.site.post(path, data=form, headers=headers)).status_code == 403
    assert (await anna.whoami())["signedIn"]


async def test_a_form_ends_after_its_session(world: World) -> None:
    anna, thief = world.browser(), world.browser()
    await world.sign_in(anna)
    form = urlencode({"csrf_token": await anna.csrf(), "everywhere": "1"}).encode()
    thief.site.headers["Cookie"] = "=".join(anna.cookie)

    async def parts() -> AsyncIterator[bytes]:
        yield form[:-1]
        await anna.post("/auth/acme/logout")
        await world.sign_in(anna)
        yield form[-1:]

    headers = {"Origin": SITE, "Content-Type": "application/x-www-form-urlencoded"}
    answer = await thief.site.post("/auth/acme/logout", content=parts(), headers=headers)
    assert answer.status_code == 401
    assert (await anna.whoami())["signedIn"]


@pytest.mark.parametrize(
    "path", ["/auth/acme/logout", "/auth/acme/logout?everywhere=1", "/auth/sessions/revoke"]
)
async def test_a_link_ends_nothing(world: World, path: str) -> None:
    anna = world.browser()
    await world.sign_in(anna)
    await anna.site.get(path)
    assert (await anna.whoami())["signedIn"]


@pytest.mark.parametrize("path", ["/auth/session", "/audit/bundle"])
async def test_another_site_reads_with_the_cookie(world: World, path: str) -> None:
    anna = world.browser()
    await world.sign_in(anna)
    answer = await anna.site.get(path, headers={"Sec-Fetch-Site": "cross-site"})
    assert "csrfToken" not in answer.text
    assert answer.status_code == 401 or answer.json() == {"signedIn": False}
    assert "access-control-allow-origin" not in answer.headers


# ------------------------------------------------------------------------------ stolen cookies
async def replay(world: World, cookie: tuple[str, str], base: str = SITE) -> dict[str, Any]:
    thief = world.browser(base)
    thief.site.headers["Cookie"] = "=".join(cookie)
    return await thief.whoami()


async def test_a_cookie_after_the_sign_out(world: World) -> None:
    anna = world.browser()
    await world.sign_in(anna)
    stolen = anna.cookie
    assert (await replay(world, stolen))["signedIn"]
    await anna.post("/auth/acme/logout")
    assert await replay(world, stolen) == {"signedIn": False}


async def test_a_cookie_after_the_step_up(world: World) -> None:
    anna = world.browser()
    await world.sign_in(anna)
    stolen = anna.cookie
    await world.sign_in(anna, query="?fresh=1")
    assert anna.cookie != stolen
    assert await replay(world, stolen) == {"signedIn": False}


WRITES = {
    "revives a revoked session": (
        "UPDATE sessions SET revoked_at = NULL, revoked_by = NULL",
        True,
    ),
    "gives it to another person": ("UPDATE sessions SET subject = 'coe-lead'", False),
    "makes it last": (
        "UPDATE sessions SET expires_at = expires_at + interval '10 years'",
        False,
    ),
    "makes it fresh": ("UPDATE sessions SET authenticated_at = now() + interval '1 hour'", False),
    "makes it strong": ("UPDATE sessions SET acr = 'strong'", False),
    "copies it under another id": (
        "UPDATE sessions SET id = '0190f3a1-0000-7000-8000-000000000000'",
        False,
    ),
    "replaces the code by a plain hash": (
        "UPDATE sessions SET mac = sha256(convert_to('guessed', 'UTF8'))",
        False,
    ),
    "empties the code": ("UPDATE sessions SET mac = ''", False),
}


@pytest.mark.parametrize(("write", "after"), WRITES.values(), ids=WRITES.keys())
async def test_a_writer_of_the_database(world: World, write: str, after: bool) -> None:  # noqa: FBT001
    anna = world.browser()
    await world.sign_in(anna)
    stolen = anna.cookie
    if after:
        await anna.post("/auth/acme/logout")
    await world.site.execute(write)
    assert await replay(world, stolen) == {"signedIn": False}


@pytest.mark.parametrize(
    "value",
    [
        "",
        ".",
        "0190f3a1-0000-7000-8000-000000000000.x",
        "' OR 1=1 --",
        "\x00.\x00",
        "a" * 5000,
        "{id}",
        "{id}.",
        "{id}.x",
        "{secret}.{id}",
    ],
)
async def test_a_guessed_cookie(world: World, value: str) -> None:
    anna = world.browser()
    await world.sign_in(anna)
    name, cookie = anna.cookie
    key, _, secret = cookie.partition(".")
    guess = value.replace("{id}", key).replace("{secret}", secret)
    assert await replay(world, (name, guess)) == {"signedIn": False}


async def test_a_cookie_that_another_site_of_the_domain_can_set(world: World) -> None:
    """Only the name with `__Host-` counts where TLS is spoken."""
    anna = world.browser()
    await world.sign_in(anna)
    _, value = anna.cookie
    platform = world.site.platform
    platform.settings = platform.settings.model_copy(update={"public_url": PUBLIC})
    for name in ("coe", "loopback-coe", "__Secure-coe", "__host-coe"):
        assert await replay(world, (name, value)) == {"signedIn": False}
    assert (await replay(world, ("__Host-coe", value)))["signedIn"]


async def test_a_sign_in_in_clear_from_elsewhere(world: World) -> None:
    platform = world.site.platform
    platform.settings = platform.settings.model_copy(
        update={"public_url": "http://coe.acme.example"}
    )
    page = await world.browser().site.get("/auth/acme/login")
    assert page.status_code == 503
    assert "https" in page.text


async def test_a_suspended_person_uses_a_session(world: World) -> None:
    anna = world.browser()
    await world.sign_in(anna)
    async with world.site.platform.database.session() as session:
        person = await session.get(Person, "anna")
        assert person is not None
        person.state = "SUSPENDED"
        await session.commit()
    assert await replay(world, anna.cookie) == {"signedIn": False}


async def test_a_session_of_an_issuer_that_was_taken_out(world: World) -> None:
    anna = world.browser()
    await world.sign_in(anna)
    write_issuers(world.site.folder, partner=world.partner.entry())
    assert await replay(world, anna.cookie) == {"signedIn": False}


# ----------------------------------------------------------------------------------- step-up
STALE = {
    "signed in long before": {"auth_time": NOW - 3600},
    "does not say when": {"auth_time": None},
    "in a weaker way": {"acr": "weak"},
    "as another person": {"sub": "u-greta", "preferred_username": "greta"},
}


@pytest.mark.parametrize("claims", STALE.values(), ids=STALE.keys())
async def test_a_step_up_that_is_none(world: World, claims: dict[str, Any]) -> None:
    world.configure({"step_up": {"acr": ["strong"]}})
    anna = world.browser()
    await world.sign_in(anna, acr="strong")
    response = await world.sign_in(anna, query="?fresh=1", **({"acr": "strong"} | claims))
    assert response.status_code == 403
    assert await world.site.count("sessions") == 1


# ----------------------------------------------------------------------- back-channel logout
LOGOUTS = {
    "an ID token": {"events": None, "nonce": "n"},
    "without the event": {"events": {}},
    "with an event that is none": {"events": {LOGOUT_EVENT: "yes"}},
    "with a nonce": {"nonce": "n"},
    "for another client": {"aud": "another-client"},
    "of another issuer": {"iss": PARTNER},
    "long ago": {"iat": NOW - 3600},
    "expired": {"exp": NOW - 600},
    "without an id": {"jti": None},
    "about nobody": {"sub": None, "sid": None},
    "about another person": {"sub": "u-greta"},
    "about another session": {"sid": "another session"},
}


async def send_logout(world: World, token: str) -> int:
    body = urlencode({"logout_token": token})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    path = "/auth/acme/backchannel-logout"
    answer = await world.browser().site.post(path, content=body, headers=headers)
    return answer.status_code


def logout_claims(issuer: RogueIssuer, **changes: Any) -> dict[str, Any]:
    honest = {"jti": "one", "events": {LOGOUT_EVENT: {}}, "at_hash": None, "auth_time": None}
    return issuer.claims(None, **(honest | changes))


@pytest.mark.parametrize("changes", LOGOUTS.values(), ids=LOGOUTS.keys())
async def test_a_forged_logout(world: World, changes: dict[str, Any]) -> None:
    anna = world.browser()
    await world.sign_in(anna)
    await send_logout(world, world.acme.sign(logout_claims(world.acme, **changes)))
    assert (await anna.whoami())["signedIn"]


async def test_a_logout_that_another_key_signed(world: World) -> None:
    anna = world.browser()
    await world.sign_in(anna)
    claims = logout_claims(world.acme)
    assert await send_logout(world, world.acme.sign(claims, key=world.partner.key)) == 400
    assert (await anna.whoami())["signedIn"]
    assert await send_logout(world, world.acme.sign(claims, typ="logout+jwt")) == 200
    assert await anna.whoami() == {"signedIn": False}


async def test_a_logout_is_replayed_against_a_later_session(world: World) -> None:
    anna = world.browser()
    await world.sign_in(anna)
    token = world.acme.sign(logout_claims(world.acme))
    assert await send_logout(world, token) == 200
    platform = world.site.platform
    later = platform.clock() + timedelta(minutes=3)
    platform.clock = lambda: later
    at = int(later.timestamp())
    again = world.browser()
    await world.sign_in(again, iat=at, exp=at + 300, auth_time=at)
    await send_logout(world, token)
    assert (await again.whoami())["signedIn"]


async def test_keeping_the_stolen_session_of_somebody_who_is_in_no_team(world: World) -> None:
    """She sees it among her own and ends it, though no role gives her anything."""
    eva, thief = world.browser(), world.browser()
    for each in (eva, thief):
        await world.sign_in(each, sub="u-eva", preferred_username="eva")
    assert (await eva.ask("{ me { roles } }"))["data"]["me"]["roles"] == []
    listed = await eva.ask("{ sessions { nodes { id current subject } } }")
    nodes = listed["data"]["sessions"]["nodes"]
    assert [each["subject"] for each in nodes] == ["eva", "eva"]
    (stolen,) = [each["id"] for each in nodes if not each["current"]]
    revoke = 'mutation ($id: ID!) { revokeSession(id: $id, reason: "stolen") { ended } }'
    assert (await eva.ask(revoke, id=stolen))["data"]["revokeSession"]["ended"] == 1
    assert await thief.whoami() == {"signedIn": False}
    everywhere = 'mutation { revokeSessions(subject: "eva", reason: "stolen") { ended } }'
    assert (await eva.ask(everywhere))["data"]["revokeSessions"]["ended"] == 1
