"""The whole application over HTTP, on a real database, and its personas."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from coe.demo.api import create_demo_app
from coe.settings import Settings
from tests.factories.api import Api


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    """The application with its loops; no engine is configured, so that runs wait."""
    app = create_demo_app(settings)
    async with app.router.lifespan_context(app):
        yield Api(app)


@pytest.fixture
async def still_api(settings: Settings) -> AsyncIterator[Api]:
    """The application without its loops: it asks the database for nothing by itself."""
    app = create_demo_app(settings.model_copy(update={"loops": False}))
    async with app.router.lifespan_context(app):
        yield Api(app)
