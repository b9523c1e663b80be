"""Whether something has the names that a document refers to.

A directory knows names: those in the content folders (`folders`), or those of an installation
(`coe.catalog.names`). Both are `KnownNames`, so that a file is told offline what the catalog will
say of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from coe.errors import Problem, Severity
from coe.identifiers import EVERY_TEAM, qualified_role
from coe.language.names.references import NameKind, Reference
from coe.language.source import Source
from coe.language.suggestions import did_you_mean

MAX_GUESSES: Final = 20
"""Names of one document for which a similar one is looked for: there may be very many people."""


class Names(NamedTuple):
    """The names of one kind: those that exist, and those that may be suggested to the reader."""

    exist: Collection[str]
    suggested: Collection[str]


@dataclass(frozen=True, slots=True)
class KnownNames:
    """The names that are known here; a kind without names in `by_kind` is not known.

    Roles are kept apart from who holds them: `held` has (team, role).
    """

    by_kind: Mapping[NameKind, Names] = field(default_factory=dict)
    held: Collection[tuple[str, str]] = ()
    # Where names would be found, by kind, for the note that they are not known.
    missing: Mapping[NameKind, str] = field(default_factory=dict)


NOTHING_KNOWN: Final = KnownNames()


def name_problems(
    source: Source, references: Iterable[Reference], known: KnownNames, *, team: str
) -> Iterator[Problem]:
    """The problems of names: OWS080 to OWS085, each located at its name.

    Args:
        source: The document.
        references: Its names.
        known: The names that exist.
        team: The team of the document, which a role without a team means.
    """
    noted: set[NameKind] = set()
    faults = 0
    held_roles = {role for _, role in known.held}
    for kind, name, place in references:
        if kind not in known.by_kind:
            if kind not in noted:
                noted.add(kind)
                yield _not_known(source, Reference(kind, name, place), known)
            continue
        if kind is NameKind.ROLE:
            found = _role_fault(name, team, known, held_roles)
        else:
            found = _fault(kind, name, known)
        if found is not None:
            faults += 1
            if faults == MAX_GUESSES:
                known = _without_guesses(known)
            message, severity = found
            yield source.problem(kind.value, message, place, severity=severity, value=True)


def _without_guesses(known: KnownNames) -> KnownNames:
    by_kind = {kind: Names(names.exist, ()) for kind, names in known.by_kind.items()}
    return replace(known, by_kind=by_kind)


def _not_known(source: Source, reference: Reference, known: KnownNames) -> Problem:
    kind = reference.kind
    why = known.missing.get(kind, f"no {kind.noun}s are known here")
    message = f"the {kind.noun} `{reference.name}` is not looked up: {why}"
    return source.problem(
        kind.value, message, reference.pointer, severity=Severity.INFO, value=True
    )


_Fault = tuple[str, Severity]


def _fault(kind: NameKind, name: str, known: KnownNames) -> _Fault | None:
    names = known.by_kind[kind]
    if name in names.exist:
        return None
    guess = did_you_mean(name, names.suggested)
    return f"there is no {kind.noun} `{name}`{guess}", Severity.ERROR


def _role_fault(
    name: str, own_team: str, known: KnownNames, held: Collection[str]
) -> _Fault | None:
    """What is wrong with `role`, `team/role` or `*/role`.

    That nobody holds an existing role is a warning: people come and go without a new version.
    """
    lacks = missing_of_role(name, own_team, known)
    if lacks is not None:
        kind, missing = lacks
        guess = did_you_mean(missing, known.by_kind[kind].suggested)
        return f"there is no {kind.noun} `{missing}`{guess}", Severity.ERROR
    team, _, role = qualified_role(name, own_team).partition("/")
    if team == EVERY_TEAM:
        return None if role in held else _unheld("no team", role)
    return None if (team, role) in known.held else _unheld(f"the team `{team}`", role)


def missing_of_role(name: str, own_team: str, known: KnownNames) -> tuple[NameKind, str] | None:
    """What does not exist of `role`, `team/role` or `*/role`: the team or the role, by its name.

    Only what is known counts: without names of a kind, nothing of that kind is missing.
    """
    team, _, role = qualified_role(name, own_team).partition("/")
    roles, teams = known.by_kind.get(NameKind.ROLE), known.by_kind.get(NameKind.TEAM)
    if team not in (EVERY_TEAM, own_team) and teams is not None and team not in teams.exist:
        return NameKind.TEAM, team
    if roles is not None and role not in roles.exist:
        return NameKind.ROLE, role
    return None


def _unheld(where: str, role: str) -> _Fault:
    return f"nobody in {where} is `{role}`, so nobody could answer", Severity.WARNING
