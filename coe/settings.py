"""The settings: read once, validated whole, passed down. The only reader of the environment."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Settings(BaseSettings):
    """What an installation decides, from `COE_…` variables and the file named by `COE_CONFIG`.

    The file has `NAME=value` lines with the names of the variables; a variable wins over it.
    Times are seconds.
    """

    model_config = SettingsConfigDict(
        env_prefix="COE_",
        env_nested_delimiter="__",
        extra="ignore",
        frozen=True,
    )

    # Where things are
    database_url: str = "postgresql://coe@127.0.0.1:5432/coe"
    data_dir: Path = Path(".coe")
    content_dir: Path | None = None
    kek_file: Path | None = None
    signing_key_file: Path | None = None
    checkpoint_file: Path | None = None

    # The API
    host: str = "127.0.0.1"
    port: int = 8700
    public_url: str | None = None
    log_origin: str = "coe.local/audit"
    allowed_hosts: tuple[str, ...] = ()

    # Prefect
    prefect_url: str | None = None
    prefect_auth: SecretStr | None = None
    central_pool: str = "coe-central"

    # A worker, a client
    url: str = "http://127.0.0.1:8700"
    token: SecretStr | None = None
    flows_dir: Path | None = None
    worker_limit: int = 50

    # Runs
    ca_file: Path | None = None
    channels_file: Path | None = None
    secrets_file: Path | None = None
    resolve: dict[str, str] = Field(default_factory=dict)
    lease_seconds: float = 6.0
    heartbeat_seconds: float = 1.5
    linger_seconds: float = 3.0
    loops: bool = True
    expression_workers: int = 2
    # How often a task may be entered in a run (and in one iteration of its loops) before it faults.
    max_task_visits: int = Field(default=10_000, ge=1)
    # How long a received event is kept, to know it when it comes again.
    event_days: int = Field(default=30, ge=1)

    # Log
    log_level: str = "INFO"

    @field_validator("url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("an address begins with http:// or https://")
        return value.rstrip("/")

    @property
    def kek_path(self) -> Path:
        """The file with the key-encryption key (mode 0600)."""
        return self.kek_file or self.data_dir / "keys" / "kek"

    @property
    def signing_key_path(self) -> Path:
        """The file with the platform's Ed25519 signing key (mode 0600)."""
        return self.signing_key_file or self.data_dir / "keys" / "signing"

    @property
    def checkpoint_path(self) -> Path:
        """The file outside the database to which checkpoints are appended."""
        return self.checkpoint_file or self.data_dir / "checkpoints"


def read_settings(config: Path | None = None) -> Settings:
    """Read the environment and the file (argument, else `COE_CONFIG`, else none).

    Raises:
        pydantic.ValidationError: A value does not fit; the message names the variable.
        FileNotFoundError: The named file is not there.
    """
    named = os.environ.get("COE_CONFIG")
    file = config or (Path(named) if named else None)
    if file is not None and not file.is_file():
        raise FileNotFoundError(f"the settings file {file} is not there")
    return Settings(_env_file=file)
