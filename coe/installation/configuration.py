"""The settings as they were given: where each comes from, which names are none, what is invalid."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsError

from coe.errors import Problem, Severity
from coe.json_types import JSON
from coe.language.suggestions import closest
from coe.settings import Settings, read_settings
from coe.settings.sources import IN_FILE, PREFIX, SECRETS, SettingRefused, given_variables

GUARDS: Final = frozenset(
    {
        "access_token_seconds",
        "ca_file",
        "checkpoint_file",
        "ci_issuers",
        "issuers_file",
        "kek_file",
        "mac_key_file",
        "migrate_database_url",
        "prefect_auth",
        "rate_limits",
        "sealer_database_url",
        "session_hours",
        "session_idle_minutes",
        "signing_key_file",
        "tls_cert_file",
        "tls_key_file",
        "trusted_proxies",
    }
)
"""Settings that protect: a process whose operator misspelt one does not start without it."""
OF_COMMANDS: Final = frozenset(
    {
        "COE_CLIENT_ID",
        "COE_CLIENT_SECRET",
        "COE_CLIENT_SECRET_FILE",
        "COE_CONFIG",
        "COE_ID_TOKEN",
        "COE_ID_TOKEN_FILE",
        "COE_PROFILE",
        "COE_TEAM",
    }
)
"""Variables that only commands read."""
OF_THE_DEMO: Final = frozenset({"COE_ACME_DATABASE_URL", "COE_ACME_KEY_FILE"})
HIDDEN: Final = "***"
_LIKENESS: Final = 0.8
_LINK: Final = re.compile(r"\[([^\]]+)\]\([^)]+\)")
_OF_KUBERNETES: Final = re.compile(
    r"_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$|_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$"
)
"""What Kubernetes gives to pods beside a Service whose name begins with `coe`."""


@dataclass(frozen=True, slots=True)
class ShownSetting:
    """A setting with its value, without secrets, and where it comes from."""

    name: str
    value: JSON
    source: str
    """`default`, `environment`, or the path of a file."""
    default: JSON
    meaning: str


def shown_settings(config: Path | None = None) -> list[ShownSetting]:
    """Every setting, in the order of the documentation.

    Raises:
        FileNotFoundError, SettingRefused, pydantic.ValidationError: As for `read_settings`.
    """
    settings, given = read_settings(config), given_variables(config)
    return [
        ShownSetting(
            name=f"{PREFIX}{name.upper()}",
            value=_shown(name, getattr(settings, name)),
            source=_source(f"{PREFIX}{name.upper()}", given, secret=name in SECRETS),
            default=_shown(name, field.get_default(call_default_factory=True)),
            meaning=_LINK.sub(r"\1", field.description or ""),
        )
        for name, field in Settings.model_fields.items()
    ]


def unknown_settings(config: Path | None = None) -> list[Problem]:
    """The `COE_…` names that are no settings; an error where one that protects is misspelt."""
    known = _known()
    return [
        _unknown(name, known, file)
        for name, (value, file) in given_variables(config).items()
        if name not in known
        and not any(name.startswith(f"{each}__") for each in known)
        and not _OF_KUBERNETES.search(name)
        and not (name.endswith("_PORT") and "://" in value)
    ]


def invalid_settings(config: Path | None = None) -> list[Problem]:
    """What is wrong with the settings: invalid values, secrets that are given twice."""
    try:
        read_settings(config)
    except FileNotFoundError as error:
        return [Problem("SETTINGS_FILE", str(error))]
    except (SettingRefused, SettingsError) as error:
        return [Problem("SETTING_INVALID", str(error))]
    except ValidationError as error:
        return [
            Problem(
                "SETTING_INVALID",
                item["msg"],
                path=f"{PREFIX}{'_'.join(str(part) for part in item['loc']).upper()}",
            )
            for item in error.errors(include_input=False, include_url=False)
        ]
    return []


def _known() -> frozenset[str]:
    names = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    files = {f"{PREFIX}{name.upper()}{IN_FILE}" for name in SECRETS}
    return frozenset(names | files) | OF_COMMANDS | OF_THE_DEMO


def _unknown(name: str, known: frozenset[str], file: Path | None) -> Problem:
    meant = closest(name, known, likeness=_LIKENESS)
    guards = {f"{PREFIX}{each.upper()}" for each in GUARDS}
    refused = meant is not None and meant.removesuffix(IN_FILE) in guards | {
        each.removesuffix(IN_FILE) for each in guards
    }
    where = f" (in {file})" if file else ""
    return Problem(
        "SETTING_UNKNOWN",
        f"{name} is no setting{where}, and has no effect",
        severity=Severity.ERROR if refused else Severity.WARNING,
        path=name,
        help=f"did you mean {meant}?" if meant else "`coe config show` lists the settings",
    )


def _source(name: str, given: Mapping[str, tuple[str, Path | None]], *, secret: bool) -> str:
    if secret and given.get(name + IN_FILE, ("", None))[0]:
        return given[name + IN_FILE][0]
    if name in given or any(each.startswith(f"{name}__") for each in given):
        file = given.get(name, ("", None))[1]
        return str(file) if file else "environment"
    return "default"


def _shown(name: str, value: object) -> JSON:
    """A value of JSON without secrets: of a URL, only its password is hidden."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, SecretStr):
        return HIDDEN
    if isinstance(value, dict):
        return {str(key): _shown(name, each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_shown(name, each) for each in value]
    text = str(value)
    if "://" in text:
        return _without_password(text)
    return HIDDEN if name in SECRETS else text


def _without_password(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":
        return HIDDEN  # a password with an unencoded / ? or # ends the netloc too early
    user, at, host = parts.netloc.rpartition("@")
    if ":" in user:
        user = f"{user.partition(':')[0]}:{HIDDEN}"
    query = parse_qsl(parts.query, keep_blank_values=True)
    if any("password" in key.lower() for key, _ in query):
        query = [(key, HIDDEN if "password" in key.lower() else each) for key, each in query]
        parts = SplitResult(*parts[:3], urlencode(query, safe="*/"), parts.fragment)
    return parts._replace(netloc=f"{user}{at}{host}").geturl()
