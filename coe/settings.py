"""The settings of an installation: read once, validated, and passed down.

docs/settings.md lists them; tests/architecture/test_settings.py compares the two.
"""

from __future__ import annotations

from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from coe.settings_sources import SecretFiles, settings_file
from coe.tls import (
    LOOPBACK,
    check_authorities,
    checked_database_url,
    in_clear,
    is_loopback,
    is_verified,
    place_of,
    verified_database_url,
)

__all__ = ["LOOPBACK", "Settings", "read_settings"]


class Settings(BaseSettings):
    """The settings, from `COE_…` variables and the file that `COE_CONFIG` names.

    The file has lines `NAME=value` with the names of the variables; a variable overrides it. For
    each secret, `<variable>_FILE` may name a file with its value in its place.
    """

    model_config = SettingsConfigDict(
        env_prefix="COE_",
        env_nested_delimiter="__",
        extra="ignore",
        frozen=True,
    )

    # The database and the files of an installation
    database_url: str = Field(
        default="postgresql://coe@127.0.0.1:5432/coe",
        description=(
            "The URL of the PostgreSQL database; on another machine it is verified, as"
            " `sslmode=verify-full` does ([Serve TLS](how-to/tls.md#postgresql))."
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

    # The API
    host: str = Field(default="127.0.0.1", description="The address at which the API listens.")
    port: int = Field(default=8700, description="The port at which the API listens.")
    tls_cert_file: Path | None = Field(
        default=None,
        description=(
            "The PEM file with the certificate that the API serves, and the intermediate ones"
            " after it; without it, plain HTTP."
        ),
    )
    tls_key_file: Path | None = Field(
        default=None,
        validate_default=True,
        description="The PEM file with the certificate's private key, which others cannot read.",
    )
    public_url: str | None = Field(
        default=None,
        description="The address under which people reach the API; links in messages use it.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description=(
            "Further host names (a JSON list) under which the API answers, beside loopback,"
            " `COE_HOST` and the host of `COE_PUBLIC_URL`."
        ),
    )

    trusted_proxies: tuple[str, ...] = Field(
        default=(),
        description=(
            'The addresses or networks (a JSON list, such as `["10.0.0.0/8"]`) of proxies before'
            " the API: what they write into `X-Forwarded-For` is the client's address in the audit"
            " log. Without TLS of its own, the API listens beyond this machine only behind them."
        ),
    )
    rate_limits: dict[str, str] = Field(
        default_factory=dict,
        description=(
            'Other rate limits than the default ones (a JSON object, such as `{"check":'
            ' "600/minute", "export": "off"}`), by the names in'
            " [Security](security.md#rate-limits)."
        ),
    )

    # People who sign in
    issuers_file: Path | None = Field(
        default=None,
        description="The YAML file of the issuers by which people sign in (mode 0600).",
    )
    session_idle_minutes: int = Field(
        default=60,
        ge=1,
        description="The minutes without a request after which a person's session ends.",
    )
    session_hours: int = Field(
        default=12,
        ge=1,
        description="The hours after which a session ends in any case, since its sign-in.",
    )

    # Machines that sign in
    ci_issuers: tuple[str, ...] = Field(
        default=("https://token.actions.githubusercontent.com", "https://gitlab.com"),
        description=(
            "The issuers (a JSON list of addresses) whose tokens teams may trust as those of their"
            " CI."
        ),
    )
    access_token_seconds: float = Field(
        default=600.0,
        gt=0,
        le=3600,
        description=(
            "The seconds for which an access token of a machine is good; a worker renews its own."
        ),
    )

    # Prefect
    prefect_url: str | None = Field(
        default=None,
        description="The address of the Prefect server's API; without it, runs wait.",
    )
    prefect_auth: SecretStr | None = Field(
        default=None, description="The auth string of the Prefect server, `user:password`."
    )
    central_pool: str = Field(
        default="coe-central",
        description="The Prefect work pool of central flows.",
    )
    worker_limit: int = Field(
        default=50,
        description="The number of runs that a worker executes at the same time.",
    )

    # Versions under review
    test_seconds: float = Field(
        default=60.0,
        gt=0,
        description="The seconds after which the tests of a submitted version are ended.",
    )

    # A team's worker
    url: str = Field(
        default="http://127.0.0.1:8700",
        description="The address at which a client reaches the API.",
    )
    token: SecretStr | None = Field(default=None, description="The bearer token of a client.")
    worker_code: SecretStr | None = Field(
        default=None,
        description="The one-time code with which a team's worker enrols when it first starts.",
    )
    worker_key_days: float = Field(
        default=90.0,
        gt=0,
        le=365,
        description="The days after which a team's worker puts a new key in the place of its own.",
    )
    flows_dir: Path | None = Field(
        default=None,
        description="The folder of a team's local flows; by default the working directory.",
    )

    # Runs
    ca_file: Path | None = Field(
        default=None,
        description=(
            "A PEM file of certificate authorities to trust beside the public ones, in every"
            " outgoing connection; for PostgreSQL, in their place."
        ),
    )
    channels_file: Path | None = Field(
        default=None, description="The YAML file of channels for messages to people (mode 0600)."
    )
    secrets_file: Path | None = Field(
        default=None, description="The YAML file of secrets that flows may declare (mode 0600)."
    )
    resolve: dict[str, str] = Field(
        default_factory=dict,
        description="Base URLs by host (a JSON object): calls for the host are sent there.",
    )
    lease_seconds: float = Field(
        default=6.0,
        description=(
            "The seconds after which the lease of a run expires if its holder stops renewing it."
        ),
    )
    heartbeat_seconds: float = Field(
        default=1.5,
        description="The seconds between two renewals of a lease.",
    )
    linger_seconds: float = Field(
        default=3.0,
        description="The seconds for which a run that only waits is kept before it is parked.",
    )
    loops: bool = Field(
        default=True,
        description=(
            "Whether the process also runs the loops in the background: dispatch, timers, reaper;"
            " in the API also the audit log's sealer and the clean-up of expired rows."
        ),
    )
    expression_workers: int = Field(
        default=2,
        description="The number of processes that evaluate expressions.",
    )
    max_task_visits: int = Field(
        default=10_000,
        ge=1,
        description=(
            "How often a task may be entered in a run, and in one iteration of its loops, before"
            " the run faults."
        ),
    )
    event_days: int = Field(
        default=30,
        ge=1,
        description=(
            "The days for which a received event is kept, so that a duplicate is recognised."
        ),
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # pydantic's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the files of secrets too."""
        files = SecretFiles(settings_cls, env_settings, dotenv_settings)
        return init_settings, files, env_settings, dotenv_settings

    @field_validator("port", mode="before")
    @classmethod
    def _is_no_address(cls, value: object) -> object:
        if isinstance(value, str) and "://" in value:
            raise ValueError(
                "this is an address: Kubernetes gives it to pods beside a Service named `coe`; set"
                " enableServiceLinks: false for them"
            )
        return value

    @field_validator("url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("an address begins with http:// or https://")
        return value.rstrip("/")

    @field_validator("database_url", "migrate_database_url", "sealer_database_url")
    @classmethod
    def _is_database(cls, value: str | None) -> str | None:
        return value if value is None else checked_database_url(value)

    @field_validator("ca_file")
    @classmethod
    def _has_authorities(cls, value: Path | None) -> Path | None:
        if value is not None:
            check_authorities(value)
        return value

    @field_validator("tls_key_file")
    @classmethod
    def _is_pair(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if (info.data.get("tls_cert_file") is None) != (value is None):
            missing = "COE_TLS_CERT_FILE" if value is not None else "COE_TLS_KEY_FILE"
            raise ValueError(f"a certificate and its key go together: set {missing} too")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            ip_network(value)
        return values

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
    def migrating_url(self) -> str:
        """The same for the role that migrates."""
        return verified_database_url(self.migrate_database_url or self.database_url, self.ca_file)

    @property
    def sealing_url(self) -> str:
        """The same for the role that seals the audit log."""
        return verified_database_url(self.sealer_database_url or self.database_url, self.ca_file)

    def unprotected(self, *names: str) -> list[str]:
        """What of these settings is reached without proof or in clear, for people.

        `names` are those that the process uses, such as `prefect_url`.
        """
        notes = []
        for name in names:
            url = getattr(self, name)
            variable = f"COE_{name.upper()}"
            if not isinstance(url, str):
                continue
            if name.endswith("database_url"):
                if not is_verified(url):
                    notes.append(
                        f"{variable}: the database does not prove who it is: whoever is on the way"
                        " can read and change everything; use sslmode=verify-full"
                    )
            elif in_clear(url):
                notes.append(
                    f"{variable}: what is sent to {place_of(url)} can be read on the way, with its"
                    " credentials; use an https address"
                )
        return notes

    @property
    def listens_in_clear(self) -> bool:
        """Whether clients on other machines would reach the API over plain HTTP, by no proxy."""
        protected = self.tls_cert_file is not None or bool(self.trusted_proxies)
        return not protected and not is_loopback(self.host)

    @property
    def proxy_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of the proxies that are trusted."""
        return tuple(ip_network(each) for each in self.trusted_proxies)

    @property
    def issuer(self) -> str:
        """The platform, in tokens for it: its public address, or by default its log's origin."""
        return self.public_url.rstrip("/") if self.public_url else f"urn:coe:{self.log_origin}"

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


def read_settings(config: Path | None = None) -> Settings:
    """Read the environment and the file (the argument, else `COE_CONFIG`, else none).

    Raises:
        pydantic.ValidationError: A value is invalid; the message names the variable.
        SettingRefused: A secret is given twice, or its file cannot be read.
        FileNotFoundError: The named file does not exist.
    """
    return Settings(_env_file=settings_file(config))
