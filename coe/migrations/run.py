"""Run the migrations, and compare the revisions of the database and of the code."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from coe.audit.own_key import require_own_key
from coe.crypto.mac import MacKeys
from coe.db import Database
from coe.errors import CoeError
from coe.migrations.roles import Roles, grant
from coe.migrations.uncoded import CODED, code_page, code_rows, newest_code

ReturnT = TypeVar("ReturnT")
MIGRATION_LOCK = 0x636F655F6D696772
"""The advisory lock by which only one process migrates at a time."""
BEFORE_FIRST = "4e0679de"
"""The last commit whose code has the revisions that the first one here took together."""


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


def _on(url: str, work: Callable[[Connection], ReturnT]) -> ReturnT:
    async def run() -> ReturnT:
        database = Database(url, name="coe-migrate", pool_size=1)
        try:
            async with database.engine.begin() as connection:
                await connection.execute(
                    text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK}
                )
                return await connection.run_sync(work)
        finally:
            await database.close()

    return asyncio.run(run())


def current(url: str) -> str | None:
    """The revision of the database; None if it is empty."""
    return _on(
        url, lambda connection: MigrationContext.configure(connection).get_current_revision()
    )


def head() -> str | None:
    """The newest revision of the code."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def revisions() -> list[str]:
    """The revisions of the code, the oldest first."""
    script = ScriptDirectory.from_config(_config())
    return [each.revision for each in script.walk_revisions()][::-1]


def _require_reachable(revision: str | None) -> None:
    """Require that the revisions here continue that of the database.

    Raises:
        CoeError: It is of before the first one.
    """
    first = revisions()[0]
    if revision is not None and revision < first:
        message = (
            f"the database is at revision {revision}, and the first one of this version is "
            f"{first}: run `coe migrate` of commit {BEFORE_FIRST} once, then this one. Nothing was "
            "changed"
        )
        raise CoeError(message, code="INVALID")


def upgrade(
    url: str,
    to: str = "head",
    *,
    roles: Roles | None = None,
    vouch_with: MacKeys | None = None,
) -> int:
    """Migrate the database to a revision, by default the newest, in one transaction.

    Args:
        url: The database, with the role that owns its tables.
        to: The revision.
        roles: Grant these roles what they need, and revoke the rest.
        vouch_with: Give a code by these keys to rows without one, by which access is decided.

    Returns:
        How many rows were given a code.

    Raises:
        CoeError: A role does not exist, or has powers that no grant takes away; the keys are not
            those of this database; or the database is older than the first revision here.
    """

    def migrate(connection: Connection) -> int:
        before = MigrationContext.configure(connection).get_current_revision()
        _require_reachable(before)
        if vouch_with is not None and before is not None:
            require_own_key(connection, vouch_with)
        command.upgrade(_config(connection), to)
        number = code_rows(connection, vouch_with) if vouch_with is not None else 0
        if roles is not None:
            grant(connection, roles)
        return number

    return _on(url, migrate)


def recode(url: str, keys: MacKeys) -> int:
    """Give a code of the newest key to each row whose code is of an older one of the file.

    Each page is a transaction of its own, so processes serve meanwhile, and it can be repeated.

    Returns:
        How many they are.

    Raises:
        SecretFileRefused: The keys are not those of this database.
    """

    async def run() -> int:
        database = Database(url, name="coe-migrate", pool_size=1)
        number = 0
        try:
            async with database.engine.begin() as connection:
                await connection.run_sync(require_own_key, keys)
            for codes in CODED:
                last: UUID | None = UUID(int=0)
                while last is not None:
                    async with database.engine.begin() as connection:
                        last, given = await connection.run_sync(
                            code_page, keys, codes, last, newest_code
                        )
                    number += given
        finally:
            await database.close()
        return number

    return asyncio.run(run())


def revision(url: str, message: str, name: str) -> None:
    """Write a revision from the difference between the database and the models (development)."""
    _on(
        url,
        lambda connection: command.revision(
            _config(connection),
            message,
            autogenerate=True,
            rev_id=name,
        ),
    )


def check(url: str) -> None:
    """Compare the models with the migrated database.

    Raises:
        alembic.util.AutogenerateDiffsDetected: They differ.
    """
    _on(url, lambda connection: command.check(_config(connection)))
