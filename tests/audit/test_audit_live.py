"""Verification of a log that goes on growing, and of one whose file of checkpoints went."""

from __future__ import annotations

import asyncio

from coe.audit.verification import verify
from tests.factories.audit import Log, event


async def test_a_log_that_grows_meanwhile_verifies(log: Log) -> None:
    await log.fill(3)
    done = asyncio.Event()

    async def grow() -> None:
        while not done.is_set():
            await log.write(event())
            await log.seal()

    async def verify_often() -> list[object]:
        found: list[object] = []
        for _ in range(25):
            async with log.database.session() as session:
                told = await verify(session, log.signer.public, log.file)
            found += told.problems
        done.set()
        return found

    _, found = await asyncio.gather(grow(), verify_often())
    assert found == []


async def test_a_file_of_checkpoints_that_went_is_told(log: Log) -> None:
    await log.fill(3)
    log.file.unlink()
    async with log.database.session() as session:
        told = await verify(session, log.signer.public, log.file)
    assert not told.ok
    assert "not there" in told.problems[0].message
