"""A real PgBouncer in transaction mode before the PostgreSQL of the tests."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg

from coe.embedded_postgres import SYSTEM_USER

PORT = 6432
"""In the name of the socket only."""
CONFIGURATION = """\
[databases]
* = host={server}

[pgbouncer]
listen_addr =
listen_port = {port}
unix_socket_dir = {folder}
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 500
query_wait_timeout = 20
"""


def installed() -> str:
    """The program, which Debian has; `make test-more` installs it where it is missing.

    Raises:
        RuntimeError: It cannot be installed; the message says what to do.
    """
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    found = shutil.which("pgbouncer", path=path)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for step in (["update"], ["install", "--yes", "--no-install-recommends", "pgbouncer"]):
            subprocess.run(
                ["apt-get", "-qq", *step], check=False, capture_output=True
            )  # fixed arguments
        found = shutil.which("pgbouncer", path=path)
    if found is None:
        raise RuntimeError("this test needs PgBouncer: apt-get install pgbouncer")
    return found


@contextlib.asynccontextmanager
async def pgbouncer(database_url: str, *, size: int) -> AsyncIterator[str]:
    """The URL of the same database through a pooler that opens at most `size` connections."""
    program = installed()
    parts = urlsplit(database_url)
    folder = Path(tempfile.mkdtemp(prefix="coe-pgbouncer-"))
    server = parse_qs(parts.query)["host"][0]
    text = CONFIGURATION.format(server=server, port=PORT, folder=folder, size=size)
    (folder / "ini").write_text(text)
    (folder / "users").write_text('"postgres" ""\n')
    command = [program, "-q", str(folder / "ini")]
    if os.geteuid() == 0:  # it refuses to run as root
        for place in (folder, folder / "ini", folder / "users"):
            shutil.chown(place, SYSTEM_USER)
        command[1:1] = ["-u", SYSTEM_USER]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd="/", stdout=log, stderr=log)  # our own arguments
    url = f"postgresql://postgres@{parts.path}?host={folder}&port={PORT}"
    try:
        await _answer(url, process, folder / "log")
        yield url
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 20)
        shutil.rmtree(folder)


async def _answer(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until it answers."""
    for _ in range(500):
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError, asyncpg.PostgresError):
            connection = await asyncpg.connect(url, statement_cache_size=0)
            await connection.close()
            return
        await asyncio.sleep(0.02)
    raise RuntimeError(f"PgBouncer did not start:\n{log.read_text(errors='replace')}")
