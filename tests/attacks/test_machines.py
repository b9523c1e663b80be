"""Jobs of a CI and registered clients that would be more than a lead let them be."""

from __future__ import annotations

import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from joserfc.jwk import RSAKey
from sqlalchemy import select, update

from coe.access.actor import Actor
from coe.access.machine_models import MachineClient, TrustRule
from coe.db import utcnow
from coe.demo.api import create_demo_app
from coe.embedded_postgres import EmbeddedPostgres
from coe.errors import Conflict, Forbidden, Invalid, Unauthenticated
from coe.identity.exchange import TOKEN_EXCHANGE
from coe.identity.patterns import fits, pattern_problem
from coe.identity.registrations import (
    ClientRequest,
    TrustRequest,
    add_trust_rule,
    create_client,
    remove_trust_rule,
    revoke_client,
)
from coe.settings import Settings
from coe.work import Platform, RequestInfo
from tests.factories.api import Api
from tests.factories.ci_issuer import AUDIENCE, JOB, CiIssuer, ci_issuer
from tests.factories.machines import named
from tests.factories.shared import shared_settings

LEAD = Actor.of("sales-lead")
SCOPES = ("entry:read", "flow:register")
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def issuer() -> Iterator[CiIssuer]:
    with ci_issuer() as running:
        yield running


@dataclass
class Door:
    """The token endpoint of an API that lets teams trust the issuer."""

    api: Api
    platform: Platform
    issuer: CiIssuer

    async def ask(self, headers: dict[str, str] | None = None, **form: str) -> httpx.Response:
        async with self.api.client() as client:
            return await client.post("/auth/token", data=form, headers=headers or {})

    async def exchange(self, token: str, **more: str) -> httpx.Response:
        kind = "urn:ietf:params:oauth:token-type:id_token"
        form = {"grant_type": TOKEN_EXCHANGE, "subject_token": token, "subject_token_type": kind}
        return await self.ask(**form | more)

    async def trust(
        self, pattern: str = JOB, *, team: str = "sales", name: str = "ci", **more: Any
    ) -> TrustRule:
        given: dict[str, Any] = {
            "issuer": self.issuer.url,
            "audience": AUDIENCE,
            "scopes": SCOPES,
            "lifetime": DAY,
        } | more
        async with self.platform.work(Actor.of(f"{team}-lead")) as work:
            request = TrustRequest(team=team, name=name, subject=pattern, **given)
            return await add_trust_rule(work, request)

    async def actor(self, answer: httpx.Response) -> Actor:
        assert answer.status_code == 200, answer.text
        return await self.platform.authenticate(answer.json()["access_token"], RequestInfo())


@asynccontextmanager
async def _door(settings: Settings, issuer: CiIssuer) -> AsyncIterator[Door]:
    given = settings.model_copy(update={"loops": False, "ci_issuers": (issuer.url,)})
    app = create_demo_app(given)
    async with app.router.lifespan_context(app):
        api = Api(app)
        yield Door(api, api.services.platform, issuer)


@pytest.fixture
async def door(settings: Settings, issuer: CiIssuer) -> AsyncIterator[Door]:
    async with _door(settings, issuer) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def standing(  # noqa: PLR0917  # pytest passes them by name
    postgres: EmbeddedPostgres,
    template_database: str,
    content_folder: Path,
    keys_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    issuer: CiIssuer,
) -> AsyncIterator[Door]:
    """A door with a rule, for attempts that change nothing."""
    folder = tmp_path_factory.mktemp("door")
    async with (
        shared_settings(
            postgres, template_database, folder, content_folder, keys_folder
        ) as settings,
        _door(settings, issuer) as opened,
    ):
        await opened.trust()
        yield opened


# Patterns.


@pytest.mark.parametrize(
    ("pattern", "subject"),
    [
        ("repo:acme/*", "repo:acme-evil/x"),
        ("repo:acme/*", "repo:acme/x/y"),
        ("repo:acme/*", "repo:acme/"),
        ("repo:acme/*", "repo:acme/x:ref:refs/heads/main"),
        ("repo:acme/flows:**", "repo:acme/flows"),
        ("repo:acme/flows:**", "repo:acme/flows:"),
        ("repo:acme/flows:**", "repo:acme/flows-evil:ref:refs/heads/main"),
        ("repo:acme/flows:ref:refs/heads/*", "repo:acme/flows:ref:refs/heads/a/b"),
        ("repo:acme/flows:ref:refs/heads/*", "repo:acme/flows:ref:refs/tags/a"),
        ("repo:acme/flows:ref:refs/heads/main", "repo:acme/flows:ref:refs/heads/main2"),
        ("repo:acme/flows:ref:refs/heads/main", "xrepo:acme/flows:ref:refs/heads/main"),
        ("repo:acme/flows:ref:refs/heads/main", "repo/acme/flows:ref:refs/heads/main"),
        ("repo:acme/flows:environment:prod", "repo:acme/flows:environment/prod"),
        ("repo:Acme/flows:**", "repo:acme/flows:x"),
        ("repo:acme/*", ""),
    ],
)
def test_a_subject_that_only_looks_as_the_pattern(pattern: str, subject: str) -> None:
    assert not fits(pattern, subject)


@pytest.mark.parametrize(
    "pattern",
    [
        "*",
        "**",
        "repo:*",
        "repo:**",
        "*:acme/flows",
        "repo",
        "repo:acme*",
        "repo:acme/fl*ws",
        "repo:acme/**:x",
        "repo:acme/***",
        "repo:acme//x",
        "repo:acme/",
        "",
        "repo:acme/a b",
        "repo:acme/\u00e9",
        "repo:acme/" + "x" * 500,
    ],
)
def test_a_pattern_that_is_too_wide_or_says_something_else(pattern: str) -> None:
    assert pattern_problem(pattern) is not None


@pytest.mark.parametrize(
    ("pattern", "subject"),
    [
        (JOB, JOB),
        ("repo:acme/*", "repo:acme/flows"),
        ("repo:acme/flows:**", JOB),
        ("repo:acme/*:ref:refs/heads/main", JOB),
        (
            "project_path:acme/flows:ref_type:branch:ref:*",
            "project_path:acme/flows:ref_type:branch:ref:main",
        ),
    ],
)
def test_what_a_pattern_is_for(pattern: str, subject: str) -> None:
    assert pattern_problem(pattern) is None
    assert fits(pattern, subject)


# Tokens of the CI.


async def test_an_expired_rule_does_not_stand_in_the_way_of_its_successor(door: Door) -> None:
    await door.trust(name="old")
    async with door.platform.database.session() as session:
        past = utcnow() - DAY
        rule = await session.scalar(select(TrustRule))
        assert rule is not None
        rule.expires_at, rule.created_at = past, past - DAY
        rule.mac = door.platform.machines.mac(rule)
        await session.commit()
    refused = await door.exchange(door.issuer.token())
    assert refused.status_code == 400
    assert "expired" in refused.json()["error_description"]
    await door.trust(name="new")
    assert (await door.exchange(door.issuer.token())).status_code == 200


@pytest.mark.asyncio(loop_scope="module")
async def test_a_job_that_is_trusted_gets_a_narrow_token_of_its_team(standing: Door) -> None:
    answer = await standing.exchange(standing.issuer.token())
    actor = await standing.actor(answer)
    assert (actor.subject, actor.maker, actor.bound_to) == (
        "service:ci/sales",
        "sales-lead",
        "sales",
    )
    assert answer.json()["expires_in"] <= 300
    async with standing.platform.read(actor) as read:
        assert read.decide("flow:register", team="sales").allowed
        assert not read.decide("flow:register", team="finance").allowed
        assert not read.decide("flow:submit", team="sales").allowed
        assert not read.decide("run:read_data", team="sales").allowed


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "repo:acme-evil/flows:ref:refs/heads/main"},
        {"sub": "repo:acme/flows:ref:refs/heads/main2"},
        {"sub": "repo:acme/flows:pull_request"},
        {"sub": None},
        {"sub": [JOB]},
        {"aud": "https://other.example.com"},
        {"aud": [AUDIENCE, "https://other.example.com"]},
        {"aud": None},
        {"exp": time.time() - 1},
        {"exp": None},
        {"nbf": time.time() + 3600},
        {"iss": "https://evil.example.com"},
        {"iss": None},
        {"iss": ["x"]},
    ],
    ids=named,
)
async def test_a_job_that_is_not_the_trusted_one(standing: Door, claims: dict[str, Any]) -> None:
    assert (await standing.exchange(standing.issuer.token(**claims))).status_code in {400, 401}


def _other_key(issuer: CiIssuer) -> str:
    return issuer.token(key=RSAKey.generate_key(2048, {"kid": issuer.key.kid}))


def _unsigned(issuer: CiIssuer) -> str:
    return issuer.token().rpartition(".")[0] + "."


def _secret_of_the_public_key(issuer: CiIssuer) -> str:
    claims = {"iss": issuer.url, "aud": AUDIENCE, "sub": JOB, "exp": time.time() + 60}
    header = {"alg": "HS256", "kid": issuer.key.kid}
    parts = [urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=") for each in (header, claims)]
    signature = hmac.digest(issuer.key.as_pem(private=False), b".".join(parts), "sha256")
    return b".".join([*parts, urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def _named_key(issuer: CiIssuer) -> str:
    own = RSAKey.generate_key(2048, {"kid": "mine"})
    return issuer.token(key=own, header={"jwk": own.as_dict(private=False)})


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "forged", [_other_key, _unsigned, _secret_of_the_public_key, _named_key, lambda _: "x"]
)
async def test_a_token_that_the_issuer_did_not_sign(
    standing: Door, forged: Callable[[CiIssuer], str]
) -> None:
    assert (await standing.exchange(forged(standing.issuer))).status_code == 400


async def test_many_unknown_keys_do_not_ask_the_issuer_again_and_again(door: Door) -> None:
    await door.trust()
    assert (await door.exchange(door.issuer.token())).status_code == 200
    door.issuer.asked.clear()
    for each in range(10):
        key = RSAKey.generate_key(2048, {"kid": f"unknown-{each}"})
        assert (await door.exchange(door.issuer.token(key=key))).status_code == 400
    assert door.issuer.asked.count("/keys") <= 1


async def test_the_rule_of_another_team_is_chosen_by_its_name_only(door: Door) -> None:
    await door.trust()
    await door.trust(team="finance")
    assert (await door.exchange(door.issuer.token())).json()["error"] == "invalid_target"
    actor = await door.actor(await door.exchange(door.issuer.token(), audience="finance"))
    assert actor.subject == "service:ci/finance"
    assert (await door.exchange(door.issuer.token(), audience="warehouse")).status_code == 400


async def test_a_token_of_a_rule_that_was_removed(door: Door) -> None:
    rule = await door.trust()
    token = (await door.exchange(door.issuer.token())).json()["access_token"]
    async with door.platform.work(LEAD) as work:
        await remove_trust_rule(work, rule.id, "moved")
    with pytest.raises(Unauthenticated):
        await door.platform.authenticate(token, RequestInfo())
    assert (await door.exchange(door.issuer.token())).status_code == 400


@pytest.mark.parametrize(
    "values",
    [
        {"subject_pattern": "repo:evil/flows:**"},
        {"scopes": ["flow:*", "run:*"]},
        {"team": "finance"},
        {"created_by": "auditor"},
        {"audience": "https://other.example.com"},
    ],
    ids=named,
)
async def test_a_rule_whose_row_was_changed_in_the_database(
    door: Door, values: dict[str, Any]
) -> None:
    await door.trust("repo:acme/flows:**")
    token = (await door.exchange(door.issuer.token())).json()["access_token"]
    async with door.platform.database.session() as session:
        await session.execute(update(TrustRule).values(values))
        await session.commit()
    with pytest.raises(Unauthenticated):
        await door.platform.authenticate(token, RequestInfo())
    subject = "repo:evil/flows:x" if "subject_pattern" in values else JOB
    changed = door.issuer.token(sub=subject, aud=values.get("audience", AUDIENCE))
    assert (await door.exchange(changed)).status_code == 400


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"issuer": "https://evil.example.com"}, "/issuer"),
        ({"issuer": "http://169.254.169.254/latest"}, "/issuer"),
        ({"audience": ""}, "/audience"),
        ({"pattern": "repo:*/flows"}, "/subject"),
        ({"scopes": ["*"]}, "/scopes/0"),
        ({"scopes": ["token:issue"]}, "/scopes/0"),
        ({"scopes": ["human_task:*"]}, "/scopes/0"),
        ({"scopes": ["run:read_data"]}, "/scopes/0"),
        ({"scopes": []}, "/scopes"),
        ({"name": "worker"}, "/name"),
        ({"name": "A b"}, "/name"),
        ({"lifetime": timedelta(days=400)}, "/expiresIn"),
    ],
    ids=named,
)
async def test_a_rule_that_lets_in_more_than_there_is(
    standing: Door, more: dict[str, Any], path: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await standing.trust(**more)
    assert [each.path for each in refused.value.problems] == [path]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("who", ["sales-owner", "sales-developer", "finance-lead", "coe-lead"])
async def test_letting_a_machine_in_without_being_the_teams_lead(standing: Door, who: str) -> None:
    for act in (
        lambda work: create_client(work, ClientRequest("sales", "shop", SCOPES, DAY)),
        lambda work: add_trust_rule(
            work, TrustRequest("sales", "ci", "https://x", AUDIENCE, JOB, SCOPES, DAY)
        ),
    ):
        with pytest.raises(Forbidden):
            async with standing.platform.work(Actor.of(who)) as work:
                await act(work)


async def test_a_machine_that_is_bound_to_a_team_uses_a_role_in_another(
    platform: Platform,
) -> None:
    bound = replace(Actor.of("service:web-shop"), credential="client:x", bound_to="finance")
    async with platform.read(Actor.of("service:web-shop")) as read:
        assert read.decide("event:send", team="sales").allowed
    async with platform.read(bound) as read:
        assert not read.decide("event:send", team="sales").allowed


# Registered clients.


async def _client(door: Door, **more: Any) -> tuple[str, str, MachineClient]:
    given = {"team": "sales", "name": "shop", "scopes": SCOPES, "lifetime": DAY} | more
    async with door.platform.work(LEAD) as work:
        secret, row = await create_client(work, ClientRequest(**given))
    return str(row.id), str(secret), row


async def test_a_client_signs_in_with_its_secret_by_either_method(door: Door) -> None:
    client, secret, _ = await _client(door)
    form = {"grant_type": "client_credentials"}
    posted = await door.ask(**form, client_id=client, client_secret=secret)
    assert (await door.actor(posted)).subject == "service:shop/sales"
    basic = httpx.BasicAuth(client, secret)._auth_header
    assert (await door.actor(await door.ask({"Authorization": basic}, **form))).bound_to == "sales"
    both = await door.ask({"Authorization": basic}, **form, client_secret=secret)
    assert both.status_code == 400


@pytest.mark.parametrize("scope", ["foo", "*", SCOPES[0] + " run:read_data", "scim:*"])
async def test_asking_for_a_scope_that_is_not_the_machines(door: Door, scope: str) -> None:
    await door.trust()
    client, secret, _ = await _client(door)
    form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret}
    for asked, status in ((scope, 400), (" ".join(reversed(SCOPES)), 200)):
        for answer in (
            await door.exchange(door.issuer.token(), scope=asked),
            await door.ask(**form, scope=asked),
        ):
            assert answer.status_code == status
            assert status == 200 or answer.json()["error"] == "invalid_scope"


@pytest.mark.parametrize("change", ["secret", "case", "revoked", "expired", "stolen", "another"])
async def test_a_client_that_is_not_who_it_says(door: Door, change: str) -> None:
    client, secret, row = await _client(door)
    async with door.platform.database.session() as session:
        match change:
            case "secret":
                secret = "coes_" + "x" * 43
            case "case":
                secret = secret.swapcase()
            case "expired":
                await session.execute(update(MachineClient).values(expires_at=utcnow()))
            case "stolen":
                await session.execute(update(MachineClient).values(secret_mac=b"x" * 32))
            case "another":
                client = (await _client(door, name="other"))[0]
        await session.commit()
    if change == "revoked":
        async with door.platform.work(LEAD) as work:
            await revoke_client(work, row.id, "moved")
    answer = await door.ask(grant_type="client_credentials", client_id=client, client_secret=secret)
    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_client"


async def test_a_second_machine_with_the_name_of_another(door: Door) -> None:
    await _client(door, name="ci")
    with pytest.raises(Conflict):
        await door.trust()


async def test_registering_a_machine_as_a_machine(door: Door) -> None:
    client, secret, _ = await _client(door)
    answer = await door.ask(grant_type="client_credentials", client_id=client, client_secret=secret)
    machine = await door.actor(answer)
    with pytest.raises(Forbidden):
        async with door.platform.work(machine) as work:
            await create_client(work, ClientRequest("sales", "next", SCOPES, DAY))


async def test_seeing_a_secret_again_by_its_idempotency_key(door: Door) -> None:
    ask = (
        'mutation { createClient(input: {team: "finance", name: "bank", scopes: ["event:send"], '
        'expiresIn: "P1D", clientMutationId: "same"}) { clientId secret problems { code } } }'
    )
    lead = door.api.persona("finance-lead")
    first = (await lead.ask(ask))["createClient"]
    second = (await lead.ask(ask))["createClient"]
    assert first["secret"].startswith("coes_")
    said = [{"code": "SHOWN_ONCE"}]
    assert second == {"clientId": first["clientId"], "secret": None, "problems": said}
