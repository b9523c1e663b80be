"""Channels by which messages go to people, from the operator's `COE_CHANNELS_FILE`.

A flow names a channel. Only the file holds its addresses and credentials; it is read where messages
are sent, and its content is neither stored nor logged::

    channels:
      finance-mail:
        urls: ["mailtos://mailer:password@smtp.acme.example?from=flows@acme.example&to={to}"]
        teams: [finance]
        recipients: ["*@acme.example"]
        reminders: true

`urls` are URLs of Apprise; `{to}` stands for the recipients, `{key}` for the key of the step. When
a URL has no `{to}`, the first line of the message names the recipients.
"""

from __future__ import annotations

import logging
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import parse_qs, quote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from coe.crypto.operator_files import OperatorFile, OperatorFileError, Teams, serves

_ANY_RECIPIENT: Final = "*"
_MAX_RECIPIENTS: Final = 100
_MAX_RECIPIENT_LENGTH: Final = 320
_UNVERIFIED: Final = frozenset({"no", "false", "0", "off", "n", "f", "disable"})
_log = logging.getLogger(__name__)


class Channel(BaseModel):
    """Where messages go, which teams may send them, and to whom. The URLs hold credentials."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    urls: Annotated[tuple[SecretStr, ...], Field(min_length=1, max_length=10)]
    teams: Teams
    recipients: Annotated[tuple[str, ...], Field(min_length=1)] = (_ANY_RECIPIENT,)
    reminders: bool = False

    @field_validator("urls")
    @classmethod
    def _are_verified(cls, urls: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for url in urls:
            parts = urlsplit(url.get_secret_value())
            if not parts.scheme:
                raise ValueError("a URL begins with a scheme, such as mailtos://")
            verify = parse_qs(parts.query.lower()).get("verify", [""])
            if _UNVERIFIED & set(verify):
                raise ValueError("certificates are always checked: leave `verify` out")
        return urls

    def serves(self, team: str) -> bool:
        """Whether flows of the team may use the channel."""
        return serves(self.teams, team)

    def accepts(self, recipient: str) -> bool:
        """Whether the channel may send to this recipient."""
        fits = 0 < len(recipient) <= _MAX_RECIPIENT_LENGTH and recipient.isprintable()
        return fits and any(fnmatchcase(recipient, each) for each in self.recipients)

    def addressed(self, to: tuple[str, ...], key: str) -> list[str]:
        """The URLs with recipients and key; quoted recipients cannot change the URL."""
        joined = ",".join(quote(each, safe="@") for each in to)
        return [
            url.get_secret_value().replace("{to}", joined).replace("{key}", quote(key, safe=""))
            for url in self.urls
        ]

    @property
    def addresses_recipients(self) -> bool:
        """Whether every URL contains the recipients."""
        return all("{to}" in url.get_secret_value() for url in self.urls)


class _ChannelsFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: dict[str, Channel]


class Channels:
    """The channels of the operator's file."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = OperatorFile(file, _ChannelsFile)

    def current(self) -> dict[str, Channel]:
        """The channels as they stand; none without a file. Blocks to read a small file.

        Raises:
            OperatorFileError: The file cannot be used.
        """
        content = self._file.current()
        return {} if content is None else content.channels

    def problem(self) -> str | None:
        """Why the file cannot be used; None if it can."""
        return self._file.problem()

    def for_reminders(self, team: str) -> str | None:
        """The name of the first channel that sends the team's reminders; None without one.

        Raises:
            OperatorFileError: As `current`.
        """
        channels = self.current().items()
        return next((name for name, each in channels if each.reminders and each.serves(team)), None)


def recipients(value: object) -> tuple[str, ...]:
    """The recipients of a call, which are one text or a list, without repetition.

    Raises:
        ValueError: There are too many.
    """
    found = tuple(map(str, value)) if isinstance(value, list) else (str(value),)
    if len(found) > _MAX_RECIPIENTS:
        raise ValueError(f"a message has at most {_MAX_RECIPIENTS} recipients")
    return tuple(dict.fromkeys(found))


def check_at_start(file: Path | None) -> None:
    """Log an error when the file cannot be used, so that it is corrected before it is needed."""
    try:
        Channels(file).current()
    except OperatorFileError as error:
        _log.error("no message can be sent: %s (%s)", error, file)
