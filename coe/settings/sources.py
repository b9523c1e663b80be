"""Where settings come from: the variables of the environment, a settings file, files of secrets.

Each secret may be given as a file, which `<variable>_FILE` names: what is in the environment of a
process is shown by more than one reads.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
)

from coe.errors import CoeError
from coe.secret_files import SecretFileRefused, read_secret

PREFIX: Final = "COE_"
IN_FILE: Final = "_FILE"
SECRETS: Final = frozenset(
    {
        "database_direct_url",
        "database_replica_url",
        "database_url",
        "migrate_database_url",
        "prefect_auth",
        "sealer_database_url",
        "token",
        "worker_code",
    }
)
"""The settings that are secrets, or have one in them."""


class SettingRefused(CoeError):
    """A setting is given twice, or the file of a secret cannot be read."""

    code = "INVALID"


def given_secret(variable: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The secret of a variable, or of the file that `<variable>_FILE` names; None without both.

    Raises:
        SettingRefused: Both are given, or the file cannot be read.
    """
    value, file = environment.get(variable), environment.get(variable + IN_FILE)
    if value and file:
        raise SettingRefused(f"{variable} and {variable}{IN_FILE} are both given: give one of them")
    return value or (_content(variable + IN_FILE, Path(file)) if file else None)


def settings_file(config: Path | None) -> Path | None:
    """The file of settings: the given one, else that which `COE_CONFIG` names, else none.

    Raises:
        FileNotFoundError: It does not exist.
    """
    named = os.environ.get("COE_CONFIG")
    file = config or (Path(named) if named else None)
    if file is not None and not file.is_file():
        raise FileNotFoundError(f"the settings file {file} does not exist")
    return file


def given_variables(config: Path | None = None) -> dict[str, tuple[str, Path | None]]:
    """The `COE_…` variables: each with its value, and the settings file if it stands in that.

    Raises:
        FileNotFoundError: The settings file does not exist.
    """
    file = settings_file(config)
    in_file = DotEnvSettingsSource(BaseSettings, env_file=file).env_vars
    found: dict[str, tuple[str, Path | None]] = {
        name.upper(): (value or "", file) for name, value in in_file.items()
    }
    found |= {name.upper(): (value, None) for name, value in os.environ.items()}
    return {name: each for name, each in sorted(found.items()) if name.startswith(PREFIX)}


class SecretFiles(PydanticBaseSettingsSource):
    """The secrets that are given as files, by the variables of other sources."""

    def __init__(self, settings: type[BaseSettings], *sources: PydanticBaseSettingsSource) -> None:
        """Take the variables of the sources, the first one's before the others'."""
        super().__init__(settings)
        self._variables: dict[str, str] = {}
        for each in reversed(sources):
            if isinstance(each, EnvSettingsSource):
                given = {name.upper(): value for name, value in each.env_vars.items() if value}
                self._variables |= given

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002  # pydantic's signature
        """The secret of one field.

        Raises:
            SettingRefused: It is given twice, or its file cannot be read.
        """
        variable = f"{PREFIX}{field_name.upper()}"
        if field_name not in SECRETS or variable + IN_FILE not in self._variables:
            return None, field_name, False
        return given_secret(variable, self._variables), field_name, False

    def __call__(self) -> dict[str, Any]:
        """The secrets that are in files.

        Raises:
            SettingRefused: The message names all that cannot be used.
        """
        found, wrong = {}, []
        for name, field in self.settings_cls.model_fields.items():
            try:
                value, _, _ = self.get_field_value(field, name)
            except SettingRefused as error:
                wrong.append(error.message)
                continue
            if value is not None:
                found[name] = value
        if wrong:
            raise SettingRefused("; ".join(wrong))
        return found


def _content(variable: str, file: Path) -> str:
    """The content of a file without the newline at its end."""
    try:
        return read_secret(file).decode().rstrip("\r\n")
    except SecretFileRefused as error:
        raise SettingRefused(f"{variable}: {error.message}") from None
    except OSError as error:
        raise SettingRefused(f"{variable}: {file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingRefused(f"{variable}: {file} is not text") from None
