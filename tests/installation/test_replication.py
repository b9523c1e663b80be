"""What is told of a synchronous standby that is to have each commit before it answers."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from coe.installation.backup import wal_check
from coe.installation.checks import Check, Health
from coe.installation.database_checks import commits_check, commits_told
from coe.work import Platform


async def told(standbys: str, connected: int, *, sees: bool = True) -> Check:
    """What the check says of a server with these settings."""
    row: Any = SimpleNamespace(
        mode="off",
        timeout=0,
        standbys=standbys,
        commit="on",
        fsync="on",
        sees=sees,
        connected=connected,
        archived=None,
        failed=None,
        failing=False,
    )

    async def execute(_: object) -> Any:
        return SimpleNamespace(one=lambda: row)

    session = cast("AsyncSession", SimpleNamespace(execute=execute))
    return await wal_check(session, timedelta(minutes=5))


@pytest.mark.parametrize(
    ("standbys", "needed"),
    [
        ("pg_receivewal", 1),
        ("*", 1),
        ("a, b", 1),
        ("2 (a, b, c)", 2),
        ("FIRST 2 (a, b)", 2),
        ("any 1 (a, b)", 1),
    ],
)
async def test_as_many_standbys_are_connected_as_have_to_confirm(
    standbys: str, needed: int
) -> None:
    there, away = await told(standbys, needed), await told(standbys, needed - 1)
    assert (there.health, away.health) == (Health.OK, Health.PROBLEM)
    assert f"{needed - 1} of {needed} synchronous standbys are connected" in away.detail
    unseen = await told(standbys, 0, sees=False)
    assert (unseen.health, "pg_read_all_stats" in unseen.detail) == (Health.WARNING, True)


async def test_commits_that_wait_for_a_standby_are_told(platform: Platform) -> None:
    waits = commits_told(3, 90)
    assert (waits.health, "3 sessions wait" in waits.detail) == (Health.PROBLEM, True)
    async with platform.database.session() as session:
        assert (await commits_check(session)).health is Health.OK
        found = await wal_check(session, timedelta(minutes=5))
    assert found.data["connectedStandbys"] in (0, None)
