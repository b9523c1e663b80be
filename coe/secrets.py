"""Secrets that definitions may declare, from the operator's `COE_SECRETS_FILE`.

A definition names a secret under `use.secrets`. Only the file holds its value, and the teams whose
flows may use it; it is read where runs are executed, and its content is neither stored nor logged::

    secrets:
      erp:
        teams: [finance]
        value: {username: flows, password: …}

The file is read again when it changes, so a secret is renewed without a restart.
"""

from __future__ import annotations

import logging
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from coe.crypto.operator_files import OperatorFile, OperatorFileError, Teams, serves
from coe.json_types import JSON

_log = logging.getLogger(__name__)


class _Secret(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    teams: Teams
    value: JsonValue = Field(repr=False)


class _SecretsFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    secrets: dict[str, _Secret]


class SecretStore:
    """The secrets of the file; while it cannot be used there are none, and the log says why."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = OperatorFile(file, _SecretsFile)
        self._logged: str | None = None

    def of(self, team: str) -> dict[str, JSON]:
        """The secrets that flows of the team may use. Blocks to read a small file."""
        return {
            name: each.value for name, each in self._current().items() if serves(each.teams, team)
        }

    def names(self, team: str) -> frozenset[str] | None:
        """The names of these secrets; None if they are not known here: no file, or a wrong one."""
        if self._file.path is None:
            return None
        names = frozenset(self.of(team))
        return names if self._logged is None else None

    def naming(self, team: str) -> frozenset[str] | None:
        """The names of those that name this team; None if they are not known here."""
        if self._file.path is None:
            return None
        found = frozenset(n for n, each in self._current().items() if team in each.teams)
        return found if self._logged is None else None

    def problem(self) -> str | None:
        """Why the file cannot be used; None if it can."""
        return self._file.problem()

    def _current(self) -> dict[str, _Secret]:
        try:
            content = self._file.current()
        except OperatorFileError as error:
            if str(error) != self._logged:
                _log.error("no flow has a secret: %s (%s)", error, self._file.path)
            self._logged = str(error)
            return {}
        self._logged = None
        return {} if content is None else content.secrets
