"""The names in the content folders: `catalog/` and `policies/`, beside the files to be checked.

Files that are wrong have no say: their own checks report them. Where one cannot be read, the names
that it may have are not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from coe.language.names.directory import KnownNames, Names
from coe.language.names.references import NameKind
from coe.language.source import Unreadable, read

TEAMS: Final = Path("catalog") / "teams"
SYSTEMS: Final = Path("catalog") / "systems"
ROLES: Final = Path("policies") / "roles.yaml"
_OPERATOR: Final = "only the installation has its file"


def root_above(place: Path) -> Path | None:
    """The nearest folder at or above a file or folder that has `catalog/teams`."""
    place = place.resolve()
    return next((each for each in (place, *place.parents) if (each / TEAMS).is_dir()), None)


@lru_cache(maxsize=16)
def names_in(root: Path | None) -> KnownNames:
    """The names in the content folders below a root; without one, nothing is known."""
    teams = None if root is None else _documents(root / TEAMS)
    systems = None if root is None else _documents(root / SYSTEMS)
    found: dict[NameKind, Names] = {}
    held: set[tuple[str, str]] = set()
    if teams is not None:
        held = set(_held(teams))
        people = {str(each.get("subject")) for _, each in _people(teams)}
        found[NameKind.TEAM] = _names(str(each.get("team")) for each in teams)
        found[NameKind.PERSON] = _names(people)
        found[NameKind.ROLE] = _names(_roles(root) or {role for _, role in held})
    if systems is not None:
        found[NameKind.SYSTEM] = _names(
            f"{each.get('namespace')}/{each.get('name')}" for each in systems
        )
    missing = dict.fromkeys(NameKind, f"there is no folder `{TEAMS}` at or above the file")
    missing[NameKind.SYSTEM] = f"there is no folder `{SYSTEMS}` at or above the file"
    missing |= {NameKind.CHANNEL: _OPERATOR, NameKind.SECRET: _OPERATOR}
    return KnownNames(found, held, missing)


def _names(names: Iterable[str]) -> Names:
    listed = frozenset(names)
    return Names(listed, listed)


def _documents(folder: Path) -> list[dict[str, Any]] | None:
    """The objects in the files of a folder; None if there is no folder, or a file is no object."""
    if not folder.is_dir():
        return None
    found = [_document(file) for file in sorted(folder.glob("*.yaml"))]
    return None if None in found else [each for each in found if each is not None]


def _document(file: Path) -> dict[str, Any] | None:
    try:
        data: Any = read(file.read_text(encoding="utf-8-sig"), file=str(file)).data
    except (OSError, UnicodeDecodeError, Unreadable):
        return None
    return data if isinstance(data, dict) else None


def _people(teams: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for team in teams:
        for part in ("members", "services"):
            people = team.get(part)
            for person in people if isinstance(people, list) else ():
                if isinstance(person, dict):
                    yield str(team.get("team")), person


def _held(teams: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for team, person in _people(teams):
        roles = person.get("roles")
        yield from ((team, str(role)) for role in (roles if isinstance(roles, list) else ()))


def _roles(root: Path | None) -> list[str]:
    document = None if root is None else _document(root / ROLES)
    roles = document.get("roles") if document else None
    return list(roles) if isinstance(roles, dict) else []
