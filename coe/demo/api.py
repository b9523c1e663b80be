"""The API of the demo: the composition root that adds the personas and their fixed tokens."""

from __future__ import annotations

from fastapi import FastAPI

from coe.app import create_app
from coe.demo.personas import PERSONAS, PersonaTokens, persona_token
from coe.errors import Invalid
from coe.execution.engine import Engine
from coe.settings import LOOPBACK, Settings
from coe.web.pages import Persona


def create_demo_app(settings: Settings, *, engine: Engine | None = None) -> FastAPI:
    """Create the API with the personas, who may be chosen in the explorer.

    Raises:
        Invalid: `COE_HOST` is not a loopback address: fixed tokens are no secret.
    """
    if settings.host not in LOOPBACK:
        message = (
            "the demo accepts fixed tokens, so it listens on loopback only; "
            f"COE_HOST is {settings.host!r}: set it to 127.0.0.1"
        )
        raise Invalid((), message)
    return create_app(
        settings,
        engine=engine,
        authenticator=PersonaTokens(),
        personas=[Persona(name, persona_token(subject)) for subject, name in PERSONAS.items()],
    )
