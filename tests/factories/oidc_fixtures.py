"""Fixtures of sign-in: the provider of the test session, the application, browsers."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from coe.demo.api import create_demo_app
from coe.settings import Settings
from tests.factories.api import Api
from tests.factories.oidc import Browser, Provider, start_provider, write_issuers

Open = Callable[..., Browser]
_BY_GROUPS = "UPDATE teams SET members_source = 'oidc' WHERE slug IN ('sales', 'finance')"


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


@pytest.fixture
async def site(settings: Settings, provider: Provider, tmp_path: Path) -> AsyncIterator[Api]:
    """The application, whose people sign in by the provider; no loops.

    The groups of the provider say who is in sales and finance.
    """
    file = write_issuers(tmp_path, acme=provider.entry())
    app = create_demo_app(settings.model_copy(update={"issuers_file": file, "loops": False}))
    async with app.router.lifespan_context(app):
        async with app.state.services.platform.database.session() as session:
            await session.execute(text(_BY_GROUPS))
            await session.commit()
        yield Api(app)


@pytest.fixture
async def browser(site: Api) -> AsyncIterator[Open]:
    """Opens browsers of people; by default Anna's."""
    opened: list[Browser] = []

    def open_browser(account: str | None = "u-anna", **options: str) -> Browser:
        opened.append(Browser(site.app, account, **options))
        return opened[-1]

    yield open_browser
    for each in opened:
        await each.close()
