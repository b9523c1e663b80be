"""YAML files that the operator writes and that may hold credentials, such as secrets and channels.

A file must be readable by its owner alone (mode 0600). It is read again when it changes, without a
restart. While it cannot be used it has no content: its earlier content is no longer used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Generic, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, Field, ValidationError

from coe.identifiers import is_slug
from coe.secret_files import SecretFileRefused, read_secret

ALL_TEAMS: Final = "*"
_MAX_REPORTED: Final = 5
"""How many faults of a file an error names."""
_Content = TypeVar("_Content", bound=BaseModel)


class OperatorFileError(Exception):
    """The file cannot be used; the message names the place and never a value."""


def _check_teams(teams: tuple[str, ...]) -> tuple[str, ...]:
    if not all(team == ALL_TEAMS or is_slug(team) for team in teams):
        raise ValueError("a team is named by its slug; `*` stands for all teams")
    return teams


Teams = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_check_teams)]
"""The slugs of the teams whose flows may use an entry, or `*`."""


def serves(teams: tuple[str, ...], team: str) -> bool:
    """Whether the teams of an entry include this one."""
    return ALL_TEAMS in teams or team in teams


@dataclass(slots=True)
class OperatorFile(Generic[_Content]):
    """One file and the model of its content; `path` is None where there is no such file."""

    path: Path | None
    model: type[_Content]
    _content: _Content | None = field(default=None, repr=False)
    _error: str | None = None
    _version: tuple[int, int, int] | None = None

    def current(self) -> _Content | None:
        """The content as it stands; None without a path. Blocks to read a small file.

        Raises:
            OperatorFileError: The file is missing, readable by others, not YAML, or does not fit
                its model.
        """
        if self.path is None:
            return None
        try:
            status = self.path.stat()
            # Of the inode, as that changes with the mode too, and with another file in its place.
            version = (status.st_ino, status.st_ctime_ns, status.st_size)
            if version != self._version:
                self._parse(read_secret(self.path))
                self._version = version
        except OSError as error:
            self._fail(f"the file cannot be read: {type(error).__name__}")
        except SecretFileRefused as error:
            self._fail(error.message)
        if self._error is not None:
            raise OperatorFileError(self._error)
        return self._content

    def problem(self) -> str | None:
        """Why the file cannot be used; None if it can, or if there is none."""
        try:
            self.current()
        except OperatorFileError as error:
            return str(error)
        return None

    def _parse(self, text: bytes) -> None:
        try:
            data = yaml.safe_load(text)
        except (yaml.YAMLError, RecursionError, ValueError, LookupError, AttributeError):
            # A scalar that does not fit its tag is not a YAMLError, and its message has the value.
            self._fail("the file is not valid YAML")
            return
        try:
            self._content, self._error = self.model.model_validate(data), None
        except ValidationError as error:
            # Places only: a message of pydantic may show a value.
            faults = error.errors(include_url=False, include_input=False, include_context=False)
            places = [".".join(map(str, each["loc"])) or "the top" for each in faults]
            listed = ", ".join(places[:_MAX_REPORTED])
            self._fail(f"the file has errors at: {listed}")

    def _fail(self, error: str) -> None:
        self._content, self._error, self._version = None, error, None
