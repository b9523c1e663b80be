"""Run by test_sealer_crashes: kills a sealer at every step, and continues with another.

Arguments: database URL, folder of the keys and the checkpoint file. Prints a JSON object: how
many sealers were killed, and what the verification of the log says after each.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import event as hooks

from coe.audit import checkpoint_file, signed_file
from coe.audit.verification import verify
from coe.crypto.signing import SigningKey
from coe.db import Database
from tests.factories.audit import Log, event
from tests.factories.keys import keyring_of

EVENTS = 5
STATEMENTS = 9
"""Of a seal, at each of which one is killed."""


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def at_statement(number: int) -> Callable[[Log], None]:
    def arm(log: Log) -> None:
        left = [number]

        def count(*_: object) -> None:
            left[0] -= 1
            if left[0] < 0:
                die()

        hooks.listen(log.database.engine.sync_engine, "before_cursor_execute", count)

    return arm


def at_the_commit(log: Log) -> None:
    hooks.listen(log.database.engine.sync_engine, "commit", die)


def before_the_file(_: Log) -> None:
    checkpoint_file.CheckpointFile.append = die  # type: ignore[method-assign,assignment]


def before_it_is_signed(_: Log) -> None:
    signed_file.SignedFile.write = die  # type: ignore[method-assign,assignment]


def within_the_line(log: Log) -> None:
    def cut(_: object, notes: list[tuple[int, str]]) -> None:
        with log.file.open("ab") as file:
            file.write(json.dumps(notes[0][1]).encode()[:40])
        die()

    checkpoint_file.CheckpointFile.append = cut  # type: ignore[method-assign,assignment]


def before_the_sync(_: Log) -> None:
    checkpoint_file.os.fsync = die  # type: ignore[assignment]


def open_log(url: str, folder: Path) -> Log:
    database = Database(url)
    SigningKey.create(folder / "signing", "coe.test/audit")
    return Log(
        database,
        keyring_of(database, folder / "kek"),
        SigningKey.load(folder / "signing", "coe.test/audit"),
        folder / "checkpoints",
    )


def killed(url: str, folder: Path, arm: Callable[[Log], None]) -> bool:
    """Seal in a process that may be killed; return whether it was."""
    child = os.fork()
    if child == 0:
        log = open_log(url, folder)
        arm(log)
        asyncio.run(log.seal())
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


async def write(url: str, folder: Path) -> None:
    log = open_log(url, folder)
    await log.write(*(event(number) for number in range(EVENTS)))
    await log.database.close()


async def recover(url: str, folder: Path) -> list[str]:
    log = open_log(url, folder)
    await log.seal()
    async with log.database.session() as session:
        found = await verify(session, log.signer.public, log.file)
    stored = await log.rows("SELECT note FROM audit_checkpoints ORDER BY tree_size")
    kept = list(checkpoint_file.CheckpointFile(log.file).notes())
    problems = [problem.message for problem in found.problems]
    if [note for (note,) in stored] != kept:
        problems.append("the file does not have every checkpoint once")
    await log.database.close()
    return problems


def main(url: str, folder: Path) -> None:
    points = [at_statement(number) for number in range(STATEMENTS)]
    points += [at_the_commit, before_it_is_signed]
    points += [before_the_file, within_the_line, before_the_sync]
    kills, problems = 0, []
    for point in points:
        asyncio.run(write(url, folder))
        kills += killed(url, folder, point)
        problems += asyncio.run(recover(url, folder))
    print(json.dumps({"points": len(points), "kills": kills, "problems": problems}))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
