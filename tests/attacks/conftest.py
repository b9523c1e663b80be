"""The application over HTTP, for those who attack it from outside."""

import pytest_asyncio

from tests.api.conftest import api, still_api
from tests.factories.oidc_fixtures import Site
from tests.factories.rogue_world import World, open_world

__all__ = ["api", "still_api"]


@pytest_asyncio.fixture(loop_scope="module")
async def world(empty_site: Site) -> World:
    return open_world(empty_site)
