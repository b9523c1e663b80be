"""The settings of the API."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from coe.tls import is_loopback


class ServingSettings(BaseSettings):
    """The API, and who signs in to it."""

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
    probe_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description=(
            "The port of the probes alone (`/startupz`, `/livez`, `/readyz`), in plain HTTP and for"
            " any `Host`; by default none. Each process of a machine has its own."
        ),
    )
    probe_host: str = Field(
        default="127.0.0.1",
        description=(
            "The address at which the probes are served, such as `0.0.0.0` in a pod; whoever"
            " reaches it sees how the process is."
        ),
    )
    gateway: bool = Field(
        default=True,
        description=(
            "Whether the API also serves the gateway of teams' workers (`/gateway`), which `coe"
            " gateway` serves alone."
        ),
    )
    drain_seconds: float = Field(
        default=20.0,
        ge=0,
        description=(
            "The seconds that a process which is to end has for what it has begun: requests in"
            " flight, leaves and local runs; then it ends them."
        ),
    )
    drain_delay_seconds: float = Field(
        default=0.0,
        ge=0,
        description=(
            "The seconds for which an API or a gateway that is to end still takes requests, while"
            " `/readyz` is 503 already: as long as a load balancer takes to notice."
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

    @field_validator("port", mode="before")
    @classmethod
    def _is_no_address(cls, value: object) -> object:
        if isinstance(value, str) and "://" in value:
            raise ValueError(
                "this is an address: Kubernetes gives it to pods beside a Service named `coe`; set"
                " enableServiceLinks: false for them"
            )
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

    @property
    def proxy_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of the proxies that are trusted."""
        return tuple(ip_network(each) for each in self.trusted_proxies)

    @property
    def listens_in_clear(self) -> bool:
        """Whether clients on other machines would reach the API over plain HTTP, by no proxy."""
        protected = self.tls_cert_file is not None or bool(self.trusted_proxies)
        return not protected and not is_loopback(self.host)
