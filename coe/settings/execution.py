"""The settings of Prefect, of runs and of the workers."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings


class ExecutionSettings(BaseSettings):
    """The engine, the runs and those who carry them out."""

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

    test_seconds: float = Field(
        default=60.0,
        gt=0,
        description="The seconds after which the tests of a submitted version are ended.",
    )

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
            " in the API also the audit log's sealer and the clean-up of expired rows. Without it,"
            " `coe loops` and `coe sealer` do that."
        ),
    )
    metrics_seconds: float = Field(
        default=15.0,
        gt=0,
        description=(
            "The seconds between two readings of the database for the"
            " [metrics](operations/metrics.md), in the processes that run the loops."
        ),
    )
    metrics_flows: int = Field(
        default=100,
        ge=0,
        description=(
            "The number of flows that the metrics of a process name; further ones are `other`, and"
            " with 0 all are. Flows of the classes CONFIDENTIAL and PERSONAL are never named."
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

    @field_validator("url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("an address begins with http:// or https://")
        return value.rstrip("/")
