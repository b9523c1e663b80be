"""The personas: their tokens are accepted in the demo, from this machine, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

import coe.access
from coe.access.actor import ActorKind
from coe.app import create_app
from coe.demo.api import create_demo_app
from coe.demo.personas import PERSONAS, PersonaTokens, persona_token
from coe.errors import Invalid
from coe.settings import Settings, read_settings

LOCAL = "127.0.0.1"


@pytest.mark.parametrize("persona", list(PERSONAS))
@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_a_persona_signs_in_from_this_machine(persona: str, address: str) -> None:
    actor = PersonaTokens().authenticate(persona_token(persona), address)
    assert actor is not None
    assert (actor.subject, actor.kind, actor.scopes) == (persona, ActorKind.PERSON, None)


@pytest.mark.parametrize(
    ("bearer", "address"),
    [
        ("demo-sales-owner", "10.0.0.9"),
        ("demo-sales-owner", "::ffff:10.0.0.9"),
        ("demo-sales-owner", "2001:db8::1"),
        ("demo-sales-owner", ""),
        ("demo-sales-owner", "localhost"),
        ("demo-sales-owner", "127.0.0.1, 10.0.0.9"),
        ("demo-", LOCAL),
        ("demo-root", LOCAL),
        ("demo-service:central", LOCAL),
        ("demo-sales-owner ", LOCAL),
        ("\ud800", LOCAL),
    ],
)
def test_nothing_else_is_accepted(bearer: str, address: str) -> None:
    assert PersonaTokens().authenticate(bearer, address) is None


async def _who_am_i(app: FastAPI, token: str) -> dict[str, object]:
    transport = httpx.ASGITransport(app, client=(LOCAL, 50000))
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{LOCAL}:8700") as client:
        answer = await client.post(
            "/graphql",
            json={"query": "{ me { subject } }"},
            headers={"Authorization": f"Bearer {token}"},
        )
    body: dict[str, object] = answer.json()
    return body


async def test_the_demo_accepts_a_persona(settings: Settings) -> None:
    app = create_demo_app(settings)
    found = await _who_am_i(app, "demo-auditor")
    await app.state.services.platform.close()
    assert found == {"data": {"me": {"subject": "auditor"}}}


async def test_a_production_process_does_not_whatever_its_settings(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("COE_DATA_DIR", str(settings.data_dir))
    for name in ("COE_DEMO", "COE_AUTHENTICATOR", "COE_PERSONAS"):
        monkeypatch.setenv(name, "true")
    app = create_app(read_settings())
    found = await _who_am_i(app, "demo-auditor")
    await app.state.services.platform.close()
    [error] = found["errors"]
    assert error["extensions"]["code"] == "UNAUTHENTICATED"


def test_the_access_package_knows_nothing_of_the_demo() -> None:
    for module in Path(coe.access.__path__[0]).rglob("*.py"):
        text = module.read_text().lower()
        assert "demo" not in text, module
        assert "persona" not in text.replace("personal", ""), module


def test_the_demo_listens_on_loopback_only(settings: Settings) -> None:
    with pytest.raises(Invalid, match="loopback"):
        create_demo_app(settings.model_copy(update={"host": "0.0.0.0"}))
