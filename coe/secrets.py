"""The secrets that definitions may declare: what the operator wrote in `COE_SECRETS_FILE`.

A definition names a secret under `use.secrets`; its value stands in the file alone, with the teams
whose flows may have it. It is read where runs are carried, and neither stored nor logged::

    secrets:
      erp:
        teams: [finance]
        value: {username: flows, password: …}

The file is read again when it changes, so a secret is renewed without a restart.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator

from coe.crypto.secret_files import SecretFileRefused, read_secret
from coe.identifiers import is_slug
from coe.json_types import JSON

ANY: Final = "*"
_log = logging.getLogger(__name__)


class _Secret(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    teams: Annotated[tuple[str, ...], Field(min_length=1)]
    value: JsonValue = Field(repr=False)

    @field_validator("teams")
    @classmethod
    def _are_teams(cls, teams: tuple[str, ...]) -> tuple[str, ...]:
        for team in teams:
            if team != ANY and not is_slug(team):
                raise ValueError("no team; `*` stands for all")
        return teams


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    secrets: dict[str, _Secret]


@dataclass(slots=True)
class SecretStore:
    """The file. While it cannot be used no flow has a secret, and the log says why."""

    file: Path | None = None
    _read: Mapping[str, _Secret] = field(default_factory=dict, repr=False)
    _seen: tuple[int, int] | None = None

    def of(self, team: str) -> dict[str, JSON]:
        """The secrets that flows of the team may have. Blocks for a read of a small file."""
        return {
            name: each.value
            for name, each in self._current().items()
            if ANY in each.teams or team in each.teams
        }

    def _current(self) -> Mapping[str, _Secret]:
        if self.file is None:
            return {}
        try:
            found = self.file.stat()
            now = (found.st_mtime_ns, found.st_size)
            if now != self._seen:
                self._seen, self._read = now, {}
                self._read = _parsed(read_secret(self.file).decode())
        except SecretFileRefused as error:
            _log.error("no flow has a secret: %s", error.message)
        except (OSError, ValueError, yaml.YAMLError) as error:
            _log.error("no flow has a secret: %s is not to be used: %s", self.file, _words(error))
        return self._read


def _parsed(text: str) -> Mapping[str, _Secret]:
    return _File.model_validate(yaml.safe_load(text)).secrets


def _words(error: Exception) -> str:
    """What is wrong, without a value of the file."""
    if not isinstance(error, ValidationError):
        return type(error).__name__
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return ", ".join(".".join(map(str, each["loc"])) or "the whole" for each in found[:5])
