"""Statements outside of the pool, before a server that does not answer."""

from __future__ import annotations

import pytest

from coe.db import Database

PID = "SELECT pg_backend_pid() AS pid"


@pytest.mark.parametrize("method", ["fetch", "read"])
async def test_a_statement_without_an_answer_ends_with_its_connection(
    database: Database, method: str
) -> None:
    direct = database.direct()
    run = getattr(direct, method)
    [before] = await run(PID)
    enough, direct.seconds = direct.seconds, 0.01
    with pytest.raises(TimeoutError):
        await run("SELECT pg_sleep(60)")
    direct.seconds = enough
    [after] = await run(PID)
    assert after["pid"] != before["pid"], "another connection took its place"
