"""Attempts to sign in by answers and tokens that are not the issuer's, or not for this sign-in."""

from __future__ import annotations

import base64
import json
import time
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import ECKey, OctKey, RSAKey

from tests.factories.oidc import Provider
from tests.factories.oidc_fixtures import Open, Site
from tests.factories.rogue_issuer import SECRET, RogueIssuer, asked
from tests.factories.rogue_world import ACME, PARTNER, World, assert_nobody

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_honest_way_works(world: World) -> None:
    anna = world.browser()
    assert (await world.sign_in(anna)).status_code == 303
    assert (await anna.whoami())["subject"] == "anna"


# ------------------------------------------------------------------------- the issuer's tokens
NOW = int(time.time())
CLAIMS = {
    "another nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "another audience": {"aud": "another-client"},
    "no audience": {"aud": None},
    "an audience of objects": {"aud": [{"coe": 1}]},
    "several audiences and no party": {"aud": ["coe", "another-client"]},
    "another party": {"azp": "another-client"},
    "another issuer": {"iss": PARTNER},
    "the issuer with a slash": {"iss": f"{ACME}/"},
    "no issuer": {"iss": None},
    "expired": {"exp": NOW - 3600},
    "without an end": {"exp": None},
    "an end that is no number": {"exp": "tomorrow"},
    "an endless end that is no time": {"exp": True},
    "of the future": {"iat": NOW + 3600, "exp": NOW + 7200},
    "not valid yet": {"nbf": NOW + 3600},
    "long ago": {"iat": NOW - 86_400},
    "of another access token": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
    "nobody": {"sub": None},
    "an empty person": {"sub": ""},
    "a person with a null byte": {"sub": "u\x00anna"},
    "a list of persons": {"sub": ["u-anna"]},
    "a very long person": {"sub": "u" * 5000},
    "a service": {"preferred_username": "service:central"},
    "a run": {"preferred_username": "run:0190f3a1-0000-7000-8000-000000000000"},
    "a subject with a comma": {"preferred_username": "anna,coe-lead"},
    "no subject": {"preferred_username": None},
}


@pytest.mark.parametrize("changes", CLAIMS.values(), ids=CLAIMS.keys())
async def test_an_id_token_with_a_wrong_claim(world: World, changes: dict[str, Any]) -> None:
    await assert_nobody(world, await world.sign_in(world.browser(), **changes))


def _segment(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _unsigned(issuer: RogueIssuer, claims: dict[str, Any], algorithm: str) -> str:
    return f"{_segment({'alg': algorithm, 'kid': 'one'})}.{_segment(claims)}."


def _with_own_key(issuer: RogueIssuer, claims: dict[str, Any]) -> str:
    mine = ECKey.generate_key("P-256")
    return issuer.sign(claims, key=mine, jwk=mine.as_dict(private=False))


def _hmac_of_public_key(issuer: RogueIssuer, claims: dict[str, Any]) -> str:
    public = json.dumps(issuer.key.as_dict(private=False)).encode()
    return issuer.sign(claims, key=OctKey.import_key(public))


def _with_critical_header(issuer: RogueIssuer, claims: dict[str, Any]) -> str:
    """A header that has to be understood, and is not (RFC 7515, section 4.1.11)."""
    content = (
        f"{_segment({'alg': 'ES256', 'kid': 'one', 'crit': ['x'], 'x': 1})}.{_segment(claims)}"
    )
    key = issuer.key.private_key
    signature = decode_dss_signature(key.sign(content.encode(), ECDSA(SHA256())))
    raw = b"".join(part.to_bytes(32, "big") for part in signature)
    return f"{content}.{base64.urlsafe_b64encode(raw).decode().rstrip('=')}"


def _cut(issuer: RogueIssuer, claims: dict[str, Any]) -> str:
    return issuer.sign(claims).rpartition(".")[0] + "."


def _swapped(issuer: RogueIssuer, claims: dict[str, Any]) -> str:
    head, _, signature = issuer.sign(claims | {"sub": "u-mallory"}).split(".")
    return f"{head}.{_segment(claims)}.{signature}"


FORGERIES = {
    "alg none": lambda i, c: _unsigned(i, c, "none"),
    "alg None": lambda i, c: _unsigned(i, c, "None"),
    "HS256 with the client secret": lambda i, c: i.sign(c, key=OctKey.import_key(SECRET)),
    "HS256 with the public key": _hmac_of_public_key,
    "another key under the same id": lambda i, c: i.sign(c, key=ECKey.generate_key("P-256")),
    "a key in the header": _with_own_key,
    "a key elsewhere": lambda i, c: i.sign(
        c, key=ECKey.generate_key("P-256"), jku="https://evil.example/jwks"
    ),
    "an unknown key": lambda i, c: i.sign(c, kid="../../etc/passwd"),
    "a critical header": _with_critical_header,
    "a logout token": lambda i, c: i.sign(c, typ="logout+jwt"),
    "an access token": lambda i, c: i.sign(c, typ="at+jwt"),
    "no signature": _cut,
    "the signature of another": _swapped,
    "no token at all": lambda *_: "not a token",
    "an encrypted token": lambda *_: "a.b.c.d.e",
    "a huge token": lambda *_: "a" * 100_000,
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
async def test_a_forged_id_token(world: World, forge: Any) -> None:
    browser = world.browser()
    url = await world.begin(browser)
    token = forge(world.acme, world.acme.claims(asked(url, "nonce")))
    await assert_nobody(world, await world.finish(browser, url, token))


async def test_a_key_that_the_issuer_publishes_as_a_secret(world: World) -> None:
    shared = OctKey.import_key("a shared secret that stands in the key set")
    world.acme.keys = {"keys": [{**shared.as_dict(private=True), "kid": "one"}]}
    browser = world.browser()
    assert (await browser.site.get("/auth/acme/login")).status_code == 503


@pytest.mark.filterwarnings("ignore:Key size should be")  # of making such a key
async def test_a_weak_key(world: World) -> None:
    weak = RSAKey.generate_key(1024, {"kid": "one"})
    world.acme.keys = {"keys": [weak.as_dict(private=False)]}
    assert (await world.browser().site.get("/auth/acme/login")).status_code == 503


async def test_user_info_of_another_person(world: World) -> None:
    world.acme.user_info = {"sub": "u-lead", "preferred_username": "coe-lead"}
    await assert_nobody(world, await world.sign_in(world.browser()))


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": PARTNER},
        {"authorization_endpoint": "http://login.acme.example/authorize"},
        {"token_endpoint": "http://evil.example/token"},
        {"jwks_uri": "ftp://login.acme.example/jwks"},
        {"jwks_uri": None},
        {"authorization_endpoint": "javascript:alert(1)"},
    ],
    ids=["of another", "login in clear", "token in clear", "no web address", "no keys", "script"],
)
async def test_a_poisoned_discovery_document(world: World, changes: dict[str, Any]) -> None:
    world.acme.metadata = changes
    assert (await world.browser().site.get("/auth/acme/login")).status_code == 503


async def test_a_flood_of_unknown_keys_fetches_once(world: World) -> None:
    for number in range(5):
        browser = world.browser()
        url = await world.begin(browser)
        claims = world.acme.claims(asked(url, "nonce"))
        refused = await world.finish(browser, url, world.acme.sign(claims, kid=f"key-{number}"))
        assert refused.status_code == 403
    assert world.acme.fetched.count("/jwks") == 2


# ------------------------------------------------------------------------ the answer's browser
async def test_an_answer_in_another_browser(world: World) -> None:
    """The attacker gives the victim the end of the attacker's own sign-in (login CSRF)."""
    attacker, victim = world.browser(), world.browser()
    url = await world.begin(attacker)
    token = world.acme.sign(world.acme.claims(asked(url, "nonce")))
    await assert_nobody(world, await world.finish(victim, url, token))


async def test_an_answer_with_the_state_of_another_sign_in(world: World) -> None:
    browser = world.browser()
    first = await world.begin(browser)
    url = await world.begin(browser)
    token = world.acme.sign(world.acme.claims(asked(url, "nonce")))
    await assert_nobody(world, await world.finish(browser, first, token))


async def test_a_cookie_that_was_planted_under_the_name_of_another(world: World) -> None:
    browser = world.browser()
    first = await world.begin(browser)
    (kept,) = browser.site.cookies.jar
    second = await world.begin(browser)
    value = next(each.value for each in browser.site.cookies.jar if each.name != kept.name)
    browser.site.cookies.clear()
    browser.site.cookies.set(kept.name, str(value), domain="127.0.0.1")
    token = world.acme.sign(world.acme.claims(asked(second, "nonce")))
    await assert_nobody(world, await world.finish(browser, first, token))


@pytest.mark.parametrize("state", ["", "guessed", "é", "a" * 9000])
async def test_a_guessed_state(world: World, state: str) -> None:
    browser = world.browser()
    url = await world.begin(browser)
    token = world.acme.sign(world.acme.claims(asked(url, "nonce")))
    await assert_nobody(world, await world.finish(browser, url, token, state=state))


async def test_a_changed_cookie_of_a_pending_sign_in(world: World) -> None:
    browser = world.browser()
    url = await world.begin(browser, query="?return=/docs")
    (cookie,) = browser.site.cookies.jar
    content, _, code = str(cookie.value).partition(".")
    plain = base64.urlsafe_b64decode(content + "==").replace(b'"/docs"', b'"//bad"')
    forged = base64.urlsafe_b64encode(plain).decode().rstrip("=")
    browser.site.cookies.set(cookie.name, f"{forged}.{code}", domain="127.0.0.1")
    browser.site.cookies.delete(cookie.name, domain=cookie.domain)
    token = world.acme.sign(world.acme.claims(asked(url, "nonce")))
    await assert_nobody(world, await world.finish(browser, url, token))


async def test_a_sign_in_that_was_begun_long_ago(world: World) -> None:
    browser = world.browser()
    url = await world.begin(browser)
    platform = world.site.platform
    later = platform.clock() + timedelta(minutes=11)
    platform.clock = lambda: later
    token = world.acme.sign(world.acme.claims(asked(url, "nonce")))
    await assert_nobody(world, await world.finish(browser, url, token))


@pytest.mark.parametrize("named", [PARTNER, "", ACME + "/"])
async def test_a_mixed_up_issuer(world: World, named: str) -> None:
    browser = world.browser()
    url = await world.begin(browser)
    token = world.acme.sign(world.acme.claims(asked(url, "nonce")))
    await assert_nobody(world, await world.finish(browser, url, token, iss=named))


async def test_an_answer_that_hides_its_issuer(world: World) -> None:
    browser = world.browser()
    url = await world.begin(browser)
    world.acme.id_token = world.acme.sign(world.acme.claims(asked(url, "nonce")))
    query = urlencode({"code": "c", "state": asked(url, "state")})
    await assert_nobody(world, await browser.come_back(f"/auth/acme/callback?{query}"))


async def test_an_answer_at_the_door_of_another_issuer(world: World) -> None:
    world.configure({"subjects": ["p*"]}, {"subjects": ["q*"]})
    browser = world.browser()
    url = await world.begin(browser, "acme")
    token = world.partner.sign(world.partner.claims(asked(url, "nonce")))
    await assert_nobody(world, await world.finish(browser, url, token, via="partner"))


async def test_a_code_is_used_twice(site: Site, browser: Open, provider: Provider) -> None:
    anna = browser()
    answer = await anna.authorize(await anna.begin())
    kept = list(anna.site.cookies.jar)
    assert (await anna.come_back(answer)).status_code == 303
    thief = browser()
    for cookie in kept:
        thief.site.cookies.jar.set_cookie(cookie)
    assert (await thief.come_back(answer)).status_code == 403
    assert await thief.whoami() == {"signedIn": False}


ELSEWHERE = [
    "https://evil.example/",
    "//evil.example/",
    "/\\evil.example/",
    "\\\\evil.example/",
    "/\t/evil.example/",
    "/\n/evil.example",
    "javascript:alert(1)",
    "evil.example",
    "/ok\r\nSet-Cookie: x=1",
    "/é",
    "/auth/acme/logout",
    "/" + "a" * 2000,
]


@pytest.mark.parametrize("back", ELSEWHERE)
async def test_a_redirect_to_elsewhere(world: World, back: str) -> None:
    response = await world.sign_in(world.browser(), query="?" + urlencode({"return": back}))
    assert response.headers["location"] == "/"


async def test_a_session_that_the_attacker_fixed(world: World) -> None:
    attacker, victim = world.browser(), world.browser()
    await world.sign_in(attacker, sub="u-mallory", preferred_username="mallory")
    name, planted = attacker.cookie
    victim.site.cookies.set(name, planted, domain="127.0.0.1")
    response = await world.sign_in(victim)
    given = httpx.Cookies()
    given.extract_cookies(response)
    assert given[name] != planted
    assert await attacker.whoami() == {"signedIn": False}
