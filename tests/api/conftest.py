"""The whole application over HTTP, on a real database, and its personas."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from coe.demo.api import create_demo_app
from coe.settings import Settings
from tests.factories.api import Api
from tests.factories.settings import ONE_CONNECTION


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    """The application with its loops; no engine is configured, so that runs wait.

    It has one connection of each kind: whatever asks for a second while it holds one does not end.
    """
    app = create_demo_app(settings.model_copy(update=ONE_CONNECTION))
    async with app.router.lifespan_context(app):
        yield Api(app)


@pytest.fixture
async def still_api(settings: Settings) -> AsyncIterator[Api]:
    """The application without its loops: it asks the database for nothing by itself."""
    app = create_demo_app(settings.model_copy(update={"loops": False} | ONE_CONNECTION))
    async with app.router.lifespan_context(app):
        yield Api(app)
