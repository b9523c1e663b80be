"""The settings of an installation: read once, validated, and passed down.

docs/settings.md lists them; tests/architecture/test_settings.py compares the two.
"""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from coe.settings.database import DatabaseSettings
from coe.settings.execution import ExecutionSettings
from coe.settings.serving import ServingSettings
from coe.settings.sources import SecretFiles, settings_file
from coe.tls import LOOPBACK, in_clear, is_verified, place_of

__all__ = ["LOOPBACK", "Settings", "read_settings"]


class Settings(ExecutionSettings, ServingSettings, DatabaseSettings):
    """The settings, from `COE_…` variables and the file that `COE_CONFIG` names.

    The file has lines `NAME=value` with the names of the variables; a variable overrides it. For
    each secret, `<variable>_FILE` may name a file with its value in its place. The fields of the
    last base come first.
    """

    model_config = SettingsConfigDict(
        env_prefix="COE_",
        env_nested_delimiter="__",
        extra="ignore",
        frozen=True,
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
            if "database_" in name:
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
    def issuer(self) -> str:
        """The platform, in tokens for it: its public address, or by default its log's origin."""
        return self.public_url.rstrip("/") if self.public_url else f"urn:coe:{self.log_origin}"


def read_settings(config: Path | None = None) -> Settings:
    """Read the environment and the file (the argument, else `COE_CONFIG`, else none).

    Raises:
        pydantic.ValidationError: A value is invalid; the message names the variable.
        SettingRefused: A secret is given twice, or its file cannot be read.
        FileNotFoundError: The named file does not exist.
    """
    return Settings(_env_file=settings_file(config))
