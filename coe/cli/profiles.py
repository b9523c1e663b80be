"""Profiles: named servers with their tokens, in one file of the user's configuration.

The file is `coe/profiles.json` in `$XDG_CONFIG_HOME` (by default `~/.config`). Only the user may
read it (mode 0600). A token of a profile is sent to the server of that profile only.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import click

from coe.cli.user_files import user_file, write_user_file
from coe.errors import CoeError, NotFound

DEFAULT: Final = "default"
"""The name of a profile if none is given."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FORBIDDEN_MODE: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Profile:
    """A server's address, the token to use there, and the file of authorities to trust there."""

    url: str
    token: str
    ca_file: str | None = None

    @property
    def authorities(self) -> Path | None:
        """The file of authorities to trust beside the public ones."""
        return Path(self.ca_file) if self.ca_file else None


@dataclass(frozen=True, slots=True)
class Profiles:
    """All profiles by their name, and the name of the current one."""

    current: str | None = None
    profiles: Mapping[str, Profile] = field(default_factory=dict)

    def chosen(self, name: str | None) -> Profile | None:
        """The profile of this name, or the current one; None if there is none.

        Raises:
            NotFound: There is no profile of this name.
        """
        if name is None:
            return self.profiles.get(self.current or "")
        if name not in self.profiles:
            known = ", ".join(sorted(self.profiles)) or "none yet: coe login"
            raise NotFound(f"there is no profile `{name}` in {profiles_file()}; there is: {known}")
        return self.profiles[name]

    def with_profile(self, name: str, profile: Profile) -> Profiles:
        """These profiles and this one."""
        return replace(self, profiles={**self.profiles, name: profile})

    def using(self, name: str) -> Profiles:
        """These profiles; this one is the current one."""
        return replace(self, current=name)

    def without(self, name: str) -> Profiles:
        """These profiles without one; if it was the current one, none is from then on."""
        left = {key: each for key, each in self.profiles.items() if key != name}
        return Profiles(self.current if self.current in left else None, left)


def profiles_file() -> Path:
    """Where the profiles of this user are kept."""
    return user_file("profiles.json")


def read_profiles() -> Profiles:
    """Read the profiles; none without the file.

    Raises:
        CoeError: The file cannot be read, is not of this form, or others may read it.
    """
    path = profiles_file()
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read()
    except FileNotFoundError:
        return Profiles()
    except OSError as error:
        raise CoeError(f"{path} cannot be read: {error.strerror}", code="INVALID") from None
    if mode & _FORBIDDEN_MODE:
        message = f"others may read {path}, which holds tokens: chmod 600 {path}"
        raise CoeError(message, code="INVALID")
    try:
        data = json.loads(content)
        profiles = {str(name): _profile(each) for name, each in data["profiles"].items()}
        return Profiles(_text_or_none(data.get("current")), profiles)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        message = f"{path} is not a file of profiles: correct it, or remove it and coe login"
        raise CoeError(message, code="INVALID") from None


def checked_name(name: str) -> str:
    """The name of a profile that is to be written.

    Raises:
        BadParameter: It is not a name.
    """
    if not _NAME.fullmatch(name):
        message = f"{name!r} is not a name of letters, digits, dots, dashes and underscores"
        raise click.BadParameter(message, param_hint="--profile")
    return name


def choose(kept: Profiles) -> str:
    """How to choose one of the profiles."""
    return f"coe profile use {'|'.join(sorted(kept.profiles))}"


def _profile(given: Any) -> Profile:
    """The profile of an object of the file.

    Raises:
        TypeError: It has other members, or a member is not a text.
    """
    found = Profile(**given)
    for each in (found.url, found.token):
        if not isinstance(each, str):
            raise TypeError
    _text_or_none(found.ca_file)
    return found


def _text_or_none(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError
    return value


def save_profiles(profiles: Profiles) -> None:
    """Write the profiles, in one step, so that only the user may read them.

    Raises:
        CoeError: The file cannot be written.
    """
    write_user_file(
        profiles_file(),
        {
            "current": profiles.current,
            "profiles": {name: asdict(each) for name, each in sorted(profiles.profiles.items())},
        },
    )
