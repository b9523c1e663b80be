"""The application over HTTP, for those who attack it from outside, and a worker's machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from coe.demo.api import create_demo_app
from coe.embedded_postgres import EmbeddedPostgres
from coe.work import Platform
from tests.api.conftest import api, still_api
from tests.factories.api import Api
from tests.factories.machines import Machine, enrolled
from tests.factories.oidc_fixtures import Site
from tests.factories.rogue_world import World, open_world
from tests.factories.shared import shared_settings

__all__ = ["api", "still_api"]


@pytest_asyncio.fixture(loop_scope="module")
async def world(empty_site: Site) -> World:
    return open_world(empty_site)


@pytest.fixture
async def machine(api: Api, platform: Platform) -> Machine:  # the fixture
    return Machine(api, platform, await enrolled(platform, "warehouse"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def standing(
    postgres: EmbeddedPostgres,
    template_database: str,
    content_folder: Path,
    keys_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Machine]:
    """A machine for attempts that change nothing."""
    folder = tmp_path_factory.mktemp("standing")
    async with shared_settings(
        postgres, template_database, folder, content_folder, keys_folder
    ) as settings:
        app = create_demo_app(settings)
        async with app.router.lifespan_context(app):
            api = Api(app)
            platform = api.services.platform
            yield Machine(api, platform, await enrolled(platform, "warehouse"))
