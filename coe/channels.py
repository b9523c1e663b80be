"""The channels by which messages go to people: what the operator wrote in `COE_CHANNELS_FILE`.

A flow names a channel; where it leads and with which credentials stands in the file alone, which
is read where messages are sent, and neither stored nor logged::

    channels:
      finance-mail:
        urls: ["mailtos://mailer:password@smtp.acme.example?from=flows@acme.example&to={to}"]
        teams: [finance]
        recipients: ["*@acme.example"]
        reminders: true

`urls` are Apprise's; `{to}` stands for the recipients, `{key}` for the key of the step. A URL
without `{to}` goes where it goes, and the recipients stand in the message's first line.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import parse_qs, quote, urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from coe.crypto.secret_files import SecretFileRefused, read_secret
from coe.identifiers import is_slug

ANY: Final = "*"
_MOST_RECIPIENTS: Final = 100
_LONGEST_RECIPIENT: Final = 320
_UNVERIFIED: Final = frozenset({"no", "false", "0", "off", "n", "f", "disable"})
_log = logging.getLogger(__name__)


class Channel(BaseModel):
    """Where messages go, for which teams, to whom. The URLs hold credentials."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    urls: Annotated[tuple[SecretStr, ...], Field(min_length=1, max_length=10)]
    teams: Annotated[tuple[str, ...], Field(min_length=1)]
    recipients: Annotated[tuple[str, ...], Field(min_length=1)] = (ANY,)
    reminders: bool = False

    @field_validator("urls")
    @classmethod
    def _are_verified(cls, urls: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for url in urls:
            parts = urlsplit(url.get_secret_value())
            if not parts.scheme:
                raise ValueError("a URL begins with a scheme, such as mailtos://")
            asked = parse_qs(parts.query.lower()).get("verify", [""])
            if _UNVERIFIED & set(asked):
                raise ValueError("certificates are always checked: leave `verify` out")
        return urls

    @field_validator("teams")
    @classmethod
    def _are_teams(cls, teams: tuple[str, ...]) -> tuple[str, ...]:
        for team in teams:
            if team != ANY and not is_slug(team):
                raise ValueError(f"{team!r} is no team; `*` stands for all")
        return teams

    def serves(self, team: str) -> bool:
        """Whether flows of the team may send by it."""
        return ANY in self.teams or team in self.teams

    def takes(self, recipient: str) -> bool:
        """Whether it may be sent to this recipient."""
        fits = 0 < len(recipient) <= _LONGEST_RECIPIENT and recipient.isprintable()
        return fits and any(fnmatchcase(recipient, each) for each in self.recipients)

    def addressed(self, to: tuple[str, ...], key: str) -> list[str]:
        """The URLs with recipients and key; recipients are quoted, so that they stay values."""
        joined = ",".join(quote(each, safe="@") for each in to)
        return [
            url.get_secret_value().replace("{to}", joined).replace("{key}", quote(key, safe=""))
            for url in self.urls
        ]

    @property
    def named(self) -> bool:
        """Whether every URL says where the recipients belong."""
        return all("{to}" in url.get_secret_value() for url in self.urls)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: dict[str, Channel]


class ChannelsError(Exception):
    """The file of channels cannot be used; the message holds nothing of what stands in it."""


@dataclass(slots=True)
class Channels:
    """The file, read again when it changes."""

    file: Path | None = None
    _read: dict[str, Channel] = field(default_factory=dict, repr=False)
    _seen: tuple[int, int] | None = None

    def current(self) -> dict[str, Channel]:
        """The channels as they stand; none without a file. Blocks for a read of a small file.

        Raises:
            ChannelsError: The file is not there, not for the owner alone, or not as it should be.
        """
        if self.file is None:
            return {}
        try:
            found = self.file.stat()
            now = (found.st_mtime_ns, found.st_size)
            if now != self._seen:
                self._read, self._seen = _parsed(read_secret(self.file).decode()), now
        except SecretFileRefused as error:
            raise ChannelsError(error.message) from None
        except (OSError, UnicodeDecodeError) as error:
            raise ChannelsError(f"the file cannot be read: {type(error).__name__}") from None
        return self._read

    def for_reminders(self, team: str) -> str | None:
        """The name of the channel by which the team is reminded of human tasks, if there is one.

        Raises:
            ChannelsError: As `current`.
        """
        served = (name for name, each in self.current().items() if each.serves(team))
        return next((name for name in served if self._read[name].reminders), None)


def _parsed(text: str) -> dict[str, Channel]:
    """The channels of a text. What pydantic says of a value would show it: only places are told."""
    try:
        return _File.model_validate(yaml.safe_load(text)).channels
    except yaml.YAMLError:
        raise ChannelsError("the file is no YAML") from None
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        where = ", ".join(".".join(map(str, each["loc"])) or "the whole" for each in found[:5])
        raise ChannelsError(f"the file is not as it should be at: {where}") from None


def recipients(value: object) -> tuple[str, ...]:
    """Recipients as a call gives them: one text, or a list.

    Raises:
        ValueError: There are too many.
    """
    found = tuple(map(str, value)) if isinstance(value, list) else (str(value),)
    if len(found) > _MOST_RECIPIENTS:
        raise ValueError(f"a message has at most {_MOST_RECIPIENTS} recipients")
    return tuple(dict.fromkeys(found))


def check_at_start(file: Path | None) -> None:
    """Say in the log when the file cannot be used, so that it is mended before it is needed."""
    try:
        Channels(file).current()
    except ChannelsError as error:
        _log.error("no message can be sent: %s (%s)", error, os.fspath(file or ""))
