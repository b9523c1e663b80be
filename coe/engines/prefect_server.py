"""The Prefect server as a separate process: its environment, its command, and whether it is up.

Measured on Prefect 3.8.8 over PostgreSQL 18. The server keeps run ids, step names and states; no
data of ours reaches it. This module does not import Prefect.
"""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from coe.errors import Invalid, Problem, Unavailable
from coe.secret_files import create_secret, read_secret
from coe.tls import authorities_text, client_context

QUIET: Final = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_CLI_COLORS": "false",
}
"""For every process with Prefect: no telemetry, no ephemeral server, no prompts."""

TUNING: Final = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
}
"""Batches (they take a task run from 19 to 5 ms of processor time), and only the services that we
need: schedules and lateness are ours. A flush interval below 1 s spins."""

WORKER: Final = {
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_LOGGING_LOGGERS_PREFECT_FLOW_RUNS_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_LOGGERS_PREFECT_WORKERS_LEVEL": "ERROR",
    "PREFECT_LOGGING_COLORS": "false",
    "PREFECT_WORKER_ENABLE_CANCELLATION": "false",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    "PREFECT_CLIENT_MAX_RETRIES": "2",
}
"""For Prefect in a worker: errors are in our journal, not in its logs; a cancellation comes through
our API, so Prefect need not watch for it; few retries, for we notice an absent server in seconds
and connect again ourselves."""


UNVERIFIED: Final = "PREFECT_API_TLS_INSECURE_SKIP_VERIFY"
"""With it Prefect gives its auth string to whoever answers."""


def kept_secret(path: Path, make: Callable[[], str]) -> str:
    """Read the secret in a file (mode 0600); make it if it is missing.

    Raises:
        SecretFileRefused: Others can read the file.
    """
    if not path.exists():
        create_secret(path, make().encode())
    return read_secret(path).decode().strip()


def make_auth_string() -> str:
    """A new `user:password` for a Prefect server's API."""
    return f"coe:{secrets.token_urlsafe(32)}"


def make_encryption_key() -> str:
    """A new Fernet key: 32 random bytes in URL-safe base64."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def worker_environment(
    *, api_url: str, auth: str, home: Path, ca_file: Path | None = None
) -> dict[str, str]:
    """The variables of a process that runs flows; set them before `prefect` is imported.

    Args:
        api_url: The Prefect server's API, or our gateway to it.
        auth: `user:password`: the server's own, or a team's name and token.
        home: The folder of this process alone.
        ca_file: Authorities (PEM) to trust beside the public ones.

    Raises:
        Invalid: The environment tells Prefect to trust every server.
    """
    if os.environ.get(UNVERIFIED, "").lower() not in {"", "0", "false", "f", "no", "n", "off"}:
        message = f"{UNVERIFIED} is set: unset it, and name your authorities in COE_CA_FILE"
        raise Invalid([Problem(Invalid.code, message)], message)
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    trusted = {}
    if ca_file is not None:  # Prefect reads one file
        all_authorities = home.resolve() / "authorities.pem"
        all_authorities.write_text(authorities_text(ca_file))
        trusted = {"PREFECT_API_SSL_CERT_FILE": str(all_authorities)}
    return {
        **QUIET,
        **WORKER,
        **trusted,
        UNVERIFIED: "false",  # also where a file of Prefect's settings says otherwise
        "PREFECT_HOME": str(home.resolve()),
        "PREFECT_PROFILES_PATH": str(home.resolve() / "profiles.toml"),
        "PREFECT_API_URL": api_url,
        "PREFECT_API_AUTH_STRING": auth,
    }


@dataclass(frozen=True, slots=True)
class PrefectServer:
    """A Prefect server: where it listens, its database, and who may use it.

    Attributes:
        home: The folder of its profile and of the key that encrypts its blocks.
        database_url: The PostgreSQL URL of its database, which has the extension pg_trgm.
        auth: `user:password`; whoever has it administers the server.
        host: The address to listen on.
        port: The port to listen on.
    """

    home: Path
    database_url: str
    auth: str
    host: str = "127.0.0.1"
    port: int = 4200

    @property
    def url(self) -> str:
        """The address of its pages."""
        return f"http://{self.host}:{self.port}"

    @property
    def api_url(self) -> str:
        """The address of its API."""
        return f"{self.url}/api"

    def command(self) -> list[str]:
        """The command that runs it in the foreground."""
        start = ["server", "start", "--host", self.host, "--port", str(self.port)]
        return [sys.executable, "-m", "prefect", *start]

    def environment(self) -> dict[str, str]:
        """The environment of its process: ours without `PREFECT_…` and `COE_…`, and its settings.

        Makes the home folder and the encryption key if they are not there.
        """
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = kept_secret(self.home / "encryption.key", make_encryption_key)
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PREFECT_", "COE_"))
        }
        return {
            **inherited,
            **QUIET,
            **TUNING,
            "PREFECT_HOME": str(self.home.resolve()),
            "PREFECT_PROFILES_PATH": str(self.home.resolve() / "profiles.toml"),
            "PREFECT_API_URL": self.api_url,
            "PREFECT_API_AUTH_STRING": self.auth,
            "PREFECT_SERVER_API_AUTH_STRING": self.auth,
            "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
            "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": self.url,
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": self._sqlalchemy_url(),
            "PREFECT_SERVER_ENCRYPTION_KEY": key,
            "PREFECT_SERVER_UI_API_URL": self.api_url,
        }

    def _sqlalchemy_url(self) -> str:
        return self.database_url.replace("postgresql://", "postgresql+asyncpg://", 1)


async def wait_until_healthy(api_url: str, *, patience: float = 120.0) -> None:
    """Wait until the server at `api_url` says that it is healthy; `patience` in seconds.

    Raises:
        Unavailable: It did not in time.
    """
    deadline = time.monotonic() + patience
    async with httpx.AsyncClient(timeout=2.0, trust_env=False, verify=client_context()) as client:
        while time.monotonic() < deadline:
            try:
                if (await client.get(f"{api_url}/health")).is_success:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.2)
    message = f"the Prefect server at {api_url} did not answer within {patience:.0f} s"
    raise Unavailable(message)
