"""The settings of the database, of the keys and of the audit log."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings

from coe.tls import check_authorities, checked_database_url, verified_database_url


class DatabaseSettings(BaseSettings):
    """The database, and the files of an installation."""

    database_url: str = Field(
        default="postgresql://coe@127.0.0.1:5432/coe",
        description=(
            "The URL of the PostgreSQL database; on another machine it is verified, as"
            " `sslmode=verify-full` does ([Serve TLS](how-to/tls.md#postgresql))."
        ),
    )
    database_direct_url: str | None = Field(
        default=None,
        description=(
            "The URL of the same database without a pooler; by default that of"
            " `COE_DATABASE_URL`. `COE_DATABASE_POOLER=transaction` needs it."
        ),
    )
    database_pooler: Literal["none", "transaction"] = Field(
        default="none",
        description=(
            "`transaction` if a pooler in transaction mode, such as PgBouncer, is at"
            " `COE_DATABASE_URL` ([Pooler](operations/postgresql.md#pooler))."
        ),
    )
    database_pool_size: int | None = Field(
        default=None,
        ge=1,
        description=(
            "The connections that the pool of a process keeps open; by default 10, of a sealer 2,"
            " of a central worker 20 ([Sizes](operations/postgresql.md#sizes))."
        ),
    )
    database_pool_overflow: int | None = Field(
        default=None,
        ge=0,
        description=(
            "The connections that a process opens beyond its pool while all of that are in use; by"
            " default as many as the pool has."
        ),
    )
    database_pool_seconds: float = Field(
        default=10.0,
        gt=0,
        description=(
            "The seconds that a request waits for a free connection; then it is refused as"
            " `UNAVAILABLE`."
        ),
    )
    database_readers: int = Field(
        default=8,
        ge=1,
        description=(
            "The connections of a process beside its pool, for reads of one statement such as the"
            " look-up of a token."
        ),
    )
    database_replica_url: str | None = Field(
        default=None,
        description=(
            "The URL of a standby, from which the catalog's search, lists of runs and exports of"
            " the audit log are read"
            " ([Reads from a standby](operations/postgresql.md#reads-from-a-standby))."
        ),
    )
    replica_max_lag_seconds: float = Field(
        default=0.2,
        gt=0,
        description=(
            "The seconds that a read waits until the standby has everything that was committed"
            " when it began; then the primary answers."
        ),
    )
    database_transaction_seconds: float = Field(
        default=300.0,
        gt=0,
        description=(
            "The age at which PostgreSQL 17 or later ends a transaction of a process: an open one"
            " that writes holds up the audit log"
            " ([What bounds it](operations/postgresql.md#open-transactions))."
        ),
    )
    migrate_database_url: str | None = Field(
        default=None,
        description=(
            "The URL with the role of the database that owns the tables and migrates them; by"
            " default that of `COE_DATABASE_URL`."
        ),
    )
    sealer_database_url: str | None = Field(
        default=None,
        description=(
            "The URL with the role of the database that seals the audit log; by default that of"
            " `COE_DATABASE_URL`."
        ),
    )
    data_dir: Path = Field(
        default=Path(".coe"),
        description="The folder of keys, checkpoints and the workers' own files.",
    )
    content_dir: Path | None = Field(
        default=None,
        description=(
            "The folder with `catalog`, `templates`, `flows` and `policies`; by default the shipped"
            " one."
        ),
    )
    kek_file: Path | None = Field(
        default=None,
        description=(
            "The file with the key-encryption key, which [is given](operations.md#keys); by default"
            " `keys/kek` in the data folder."
        ),
    )
    mac_key_file: Path | None = Field(
        default=None,
        description=(
            "The file with the keys of message authentication codes, of tokens, sessions and"
            " unsealed events, which [is given](operations.md#keys); by default `keys/mac` in the"
            " data folder."
        ),
    )
    signing_key_file: Path | None = Field(
        default=None,
        description=(
            "The file with the Ed25519 key that signs the audit log, publications and the policy,"
            " which [is given](operations.md#keys); by default `keys/signing` in the data folder."
        ),
    )
    checkpoint_file: Path | None = Field(
        default=None,
        description=(
            "The file outside the database to which checkpoints of the audit log are appended; by"
            " default `checkpoints` in the data folder."
        ),
    )
    checkpoint_sinks_file: Path | None = Field(
        default=None,
        description=(
            "The YAML file of further places that keep checkpoints of the audit log (mode 0600)."
        ),
    )
    log_origin: str = Field(
        default="coe.local/audit",
        description="The name of the audit log in its checkpoints and in its verifier key.",
    )
    seal_alarm_seconds: float = Field(
        default=60.0,
        gt=0,
        description=(
            "The seconds that an event of the audit log may wait for its seal: then it is an alarm"
            " in the log records and in `/readyz`, and a problem of `verifyAudit`."
        ),
    )
    audit_unsigned_until: datetime | None = Field(
        default=None,
        description=(
            "Until when events without a code are sealed, as earlier releases write them (a time"
            " with its zone): for the hour of a rolling upgrade."
        ),
    )
    log_level: str = Field(
        default="INFO",
        description="The lowest level of log records that are written to stderr.",
    )
    ca_file: Path | None = Field(
        default=None,
        description=(
            "A PEM file of certificate authorities to trust beside the public ones, in every"
            " outgoing connection; for PostgreSQL, in their place."
        ),
    )

    @field_validator(
        "database_url",
        "database_direct_url",
        "database_replica_url",
        "migrate_database_url",
        "sealer_database_url",
    )
    @classmethod
    def _is_database(cls, value: str | None) -> str | None:
        return value if value is None else checked_database_url(value)

    @model_validator(mode="after")
    def _is_reached_directly_too(self) -> Self:
        if self.pooled and self.database_direct_url is None:
            raise ValueError(
                "COE_DATABASE_POOLER=transaction needs COE_DATABASE_DIRECT_URL too: notifications,"
                " data keys, the journal, migrations and the sealer do not go through a pooler"
            )
        return self

    @field_validator("ca_file")
    @classmethod
    def _has_authorities(cls, value: Path | None) -> Path | None:
        if value is not None:
            check_authorities(value)
        return value

    @field_validator("audit_unsigned_until")
    @classmethod
    def _has_zone(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a time has its zone, such as 2026-01-31T09:00:00Z")
        return value

    @property
    def serving_url(self) -> str:
        """The URL of the database for the role that serves, with how the server is verified."""
        return verified_database_url(self.database_url, self.ca_file)

    @property
    def pooled(self) -> bool:
        """Whether a pooler in transaction mode is between."""
        return self.database_pooler == "transaction"

    @property
    def direct_url(self) -> str:
        """The same without the pooler."""
        return verified_database_url(self._direct, self.ca_file)

    @property
    def replica_url(self) -> str | None:
        """The URL of the standby, with how it is verified."""
        url = self.database_replica_url
        return None if url is None else verified_database_url(url, self.ca_file)

    @property
    def migrating_url(self) -> str:
        """The same for the role that migrates."""
        return verified_database_url(self.migrate_database_url or self._direct, self.ca_file)

    @property
    def sealing_url(self) -> str:
        """The same for the role that seals the audit log."""
        return verified_database_url(self.sealer_database_url or self._direct, self.ca_file)

    @property
    def _direct(self) -> str:
        return self.database_direct_url or self.database_url

    @property
    def kek_path(self) -> Path:
        """The file with the key-encryption key (mode 0600)."""
        return self.kek_file or self.data_dir / "keys" / "kek"

    @property
    def mac_key_path(self) -> Path:
        """The file with the keys of message authentication codes (mode 0600)."""
        return self.mac_key_file or self.data_dir / "keys" / "mac"

    @property
    def signing_key_path(self) -> Path:
        """The file with the platform's Ed25519 signing key (mode 0600)."""
        return self.signing_key_file or self.data_dir / "keys" / "signing"

    @property
    def checkpoint_path(self) -> Path:
        """The file outside the database to which checkpoints are appended."""
        return self.checkpoint_file or self.data_dir / "checkpoints"
