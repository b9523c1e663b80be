"""Fixtures of sign-in: the provider of the test session, an application a module, browsers.

The tests of a module share one application and one database, because both take longer to make than
most of these tests run: `site` puts back what a test can change. A module that uses them has
`pytestmark = pytest.mark.asyncio(loop_scope="module")`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy import text

from coe.access.replacement import replace_memberships
from coe.db import new_id
from coe.demo.api import create_demo_app
from coe.embedded_postgres import EmbeddedPostgres
from coe.identity.discovery import Discovery
from coe.settings import Settings
from coe.work import Platform
from tests.factories.api import Api
from tests.factories.databases import fresh_database
from tests.factories.keys import give_keys
from tests.factories.oidc import Browser, Provider, start_provider, write_issuers
from tests.factories.policies import sign_policy

Open = Callable[..., Browser]
_RESET = (
    "DELETE FROM sessions",
    "DELETE FROM people",
    "DELETE FROM rate_limits",
    "UPDATE teams SET members_source = 'oidc' WHERE slug IN ('sales', 'finance')",
)


@dataclass(frozen=True)
class Site(Api):
    """An application whose people sign in by the issuers of a file."""

    folder: Path
    begun: UUID
    settings: Settings
    clock: Callable[[], datetime]

    @property
    def platform(self) -> Platform:
        return self.services.platform

    async def rows(self, statement: str) -> list[tuple[object, ...]]:
        async with self.platform.database.session() as session:
            return [tuple(row) for row in await session.execute(text(statement))]

    async def execute(self, statement: str) -> None:
        async with self.platform.database.session() as session:
            await session.execute(text(statement))
            await session.commit()

    async def count(self, what: str) -> int:
        return len(await self.rows(f"SELECT 1 FROM {what}"))

    async def events(self, action: str) -> list[str]:
        """Who was recorded with this action since the test began, in order."""
        found = await self.rows(
            f"SELECT actor FROM audit_events WHERE action = '{action}' "
            f"AND id > '{self.begun}' ORDER BY id"
        )
        return [str(actor) for (actor,) in found]


@pytest.fixture(scope="session")
def running_provider() -> Iterator[Provider]:
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "coe-tests"
    provider = start_provider(cache)
    yield provider
    provider.process.terminate()
    provider.process.wait()


@pytest.fixture
def provider(running_provider: Provider) -> Provider:
    """The provider, as it was at its start."""
    running_provider.reset()
    return running_provider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_site(
    postgres: EmbeddedPostgres,
    template_database: str,
    content_folder: Path,
    keys_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Site]:
    """The application of a module; no loops."""
    folder = tmp_path_factory.mktemp("site")
    async with fresh_database(postgres, template_database) as url:
        settings = Settings(
            database_url=url,
            data_dir=folder,
            content_dir=content_folder,
            issuers_file=folder / "issuers.yaml",
            loops=False,
        )
        app = create_demo_app(give_keys(settings, keys_folder))
        async with app.router.lifespan_context(app):
            platform = app.state.services.platform
            yield Site(app, folder, new_id(), settings, platform.clock)


@pytest_asyncio.fixture(loop_scope="module")
async def empty_site(shared_site: Site) -> Site:
    """The application of the module, as it was at its start; the caller writes the issuers."""
    site = Site(
        shared_site.app,
        shared_site.folder,
        new_id(),
        shared_site.settings,
        shared_site.clock,
    )
    site.platform.clock, site.platform.settings = site.clock, site.settings
    await site.services.sign_ins.close()
    site.services.sign_ins.discovery = Discovery()
    async with site.platform.database.session() as session:
        for statement in _RESET:
            await session.execute(text(statement))
        await sign_policy(session)
        await replace_memberships(session, "oidc:acme", [])
        await session.commit()
    return site


@pytest_asyncio.fixture(loop_scope="module")
async def site(empty_site: Site, provider: Provider) -> Site:
    """The application, whose people sign in by the provider.

    The groups of the provider say who is in sales and finance.
    """
    write_issuers(empty_site.folder, acme=provider.entry())
    return empty_site


@pytest_asyncio.fixture(loop_scope="module")
async def browser(shared_site: Site) -> AsyncIterator[Open]:
    """Opens browsers of people; by default Anna's."""
    opened: list[Browser] = []

    def open_browser(account: str | None = "u-anna", **options: str) -> Browser:
        opened.append(Browser(shared_site.app, account, **options))
        return opened[-1]

    yield open_browser
    for each in opened:
        await each.close()
