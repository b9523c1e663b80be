"""Fixtures of every test: a PostgreSQL server, a database a test, a platform over it.

With `pytest -n 2` each process has its own server. The tests of one file stay in one process, and
so do those that share something expensive: the demo of the end-to-end tests, the Prefect server.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest

from coe import content
from coe.db import Database
from coe.embedded_postgres import EmbeddedPostgres
from coe.installation.keys import write_keys
from coe.settings import Settings
from coe.work import Platform
from tests.factories.databases import fill_database, fresh_database
from tests.factories.keys import give_keys

pytest_plugins = (
    "tests.factories.gateway",
    "tests.factories.oidc_fixtures",
    "tests.factories.prefect_fixtures",
)

LONGEST = {
    "demo": 0,
    "tests/simulation/test_simulation.py": 1,
    "tests/engines/conformance/test_engine_conformance.py": 2,
    "prefect": 3,
    "tests/engines/test_outages.py": 4,
    "tests/cli/test_with_server.py": 5,
    "tests/mutation/test_mutants.py": 6,
    "tests/simulation/test_twin.py": 7,
}
"""Groups that take minutes, in the order in which they start."""

ROOT = Path(__file__).resolve().parent.parent

# The examples of property tests depend on the test alone, and no example has a deadline: a test
# must not fail by chance or by load. HYPOTHESIS_PROFILE=random looks for new examples.
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None)
hypothesis.settings.register_profile("random", deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests stay in one process of `pytest -n`, and start the longest groups first."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: LONGEST.get(_group(item), len(LONGEST)))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to run where the groups have no effect: two demos would start, and two servers.

    `pytest-xdist` appends the group to the id of a test.
    """
    if not getattr(session.config.option, "loadgroup", False):
        return
    if any(not item.nodeid.endswith(f"@{_group(item)}") for item in session.items):
        raise pytest.UsageError("this pytest-xdist does not group tests with this pytest")


def _group(item: pytest.Item) -> str:
    file = str(item.path.relative_to(ROOT))
    if file.startswith("tests/e2e/"):
        return "demo"
    return "prefect" if "prefect" in getattr(item, "fixturenames", ()) else file


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL server of this test session alone."""
    folder = Path(tempfile.mkdtemp(prefix="coe-tests-", dir=_scratch()))
    server = EmbeddedPostgres(folder / "data", ephemeral=True)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


def _scratch() -> str | None:
    """Where the data of the server goes: memory, if there is a file system of it with room."""
    memory = Path("/dev/shm")  # noqa: S108 - the folder that it makes there is its own
    room = memory.is_dir() and shutil.disk_usage(memory).free > 4 * 2**30
    return str(memory) if room else None


@pytest.fixture(scope="session")
def keys_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The keys of every platform of the tests; that to sign has signed the template's policy."""
    folder = tmp_path_factory.mktemp("keys")
    write_keys(folder, Settings().log_origin)
    return folder


@pytest.fixture(scope="session")
def signing_key_file(keys_folder: Path) -> Path:
    """The signing key of every platform of the tests."""
    return keys_folder / "signing"


@pytest.fixture(scope="session")
def template_database(postgres: EmbeddedPostgres, signing_key_file: Path) -> str:
    """A database with every table and the shipped policies and teams, to be copied."""
    name = "template_coe"

    async def make() -> None:
        await postgres.prepare({name: "postgres"})
        await fill_database(postgres.url(name), signing_key_file, content.root(ROOT))

    asyncio.run(make())
    return name


@pytest.fixture
async def database_url(postgres: EmbeddedPostgres, template_database: str) -> AsyncIterator[str]:
    """The URL of a fresh database, dropped at the end."""
    async with fresh_database(postgres, template_database) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A fresh database with every table."""
    opened = Database(database_url, name="test")
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def content_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped content, with a standard that only warns of flows without tests.

    Most tests publish flows of a few lines; tests of the standard use the shipped content.
    """
    folder = tmp_path_factory.mktemp("content")
    for name in content.FOLDERS:
        (folder / name).mkdir()
        for place in (ROOT / name).iterdir():
            (folder / name / place.name).symlink_to(place)
    file = folder / "policies" / "standards.yaml"
    text = file.read_text()
    file.unlink()
    file.write_text(text.replace("  COE060:\n", "  COE060:\n    severity: WARNING\n"))
    return folder


@pytest.fixture
def settings(
    database_url: str, tmp_path: Path, content_folder: Path, keys_folder: Path
) -> Settings:
    """Settings over the fresh database, with their data in a folder of the test."""
    made = Settings(database_url=database_url, data_dir=tmp_path, content_dir=content_folder)
    return give_keys(made, keys_folder)


@pytest.fixture
async def platform(settings: Settings) -> AsyncIterator[Platform]:
    """A platform over the fresh database, with the shipped policies and teams."""
    opened = Platform.open(settings, name="test")
    yield opened
    await opened.close()
