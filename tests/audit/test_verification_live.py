"""Verification of a log that grows meanwhile, and of one without its checkpoint file."""

from __future__ import annotations

import asyncio

from coe.audit.verification import verify
from tests.factories.audit import Log, event


async def test_a_log_that_grows_during_its_verification_verifies(log: Log) -> None:
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
                verified = await verify(session, log.signer.public, log.file)
            found += verified.problems
        done.set()
        return found

    _, found = await asyncio.gather(grow(), verify_often())
    assert found == []


async def test_a_missing_checkpoint_file_is_reported(log: Log) -> None:
    await log.fill(3)
    log.file.unlink()
    async with log.database.session() as session:
        verified = await verify(session, log.signer.public, log.file)
    assert not verified.ok
    assert "is missing" in verified.problems[0].message
