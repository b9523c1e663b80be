"""The policy engine: the one module that imports Casbin, and works around its pitfalls.

- Casbin allows with an empty policy or an empty field. Here no enforcer is used without lines, and
  a `PolicyLine` has no empty field.
- Its role manager answers `has_link(x, x)` with true, so a person named like a role would hold it;
  it stores links for every unknown name, and builds them in quadratic time. `RoleLookup` asks
  the memberships instead.
- Loading while another thread reads gives wrong answers. Here an enforcer never changes, and one
  thread at a time uses it.
- Casbin joins fields with commas and parses them again, so a name can become several fields. Here
  lines are passed as lists.
- Its cost grows with the number of lines. An enforcer has only the lines of one permission that can
  match resources of one team.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import casbin
from casbin.model import Model
from casbin.rbac import RoleManager

from coe.access.policy_lines import ANY, Effect, PolicyLine

_Fields: TypeAlias = tuple[str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """The fields of `request_definition` in `policies/model.conf`."""

    subject: str
    team: str
    permission: str
    data_class: str
    marks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EnforcerResult:
    """The answer of the lines, and the line that decided; None if no line matched."""

    allowed: bool
    line: PolicyLine | None


HasRole: TypeAlias = Callable[[str, str, str], bool]
"""Whether a subject holds a role in a team."""


class RoleLookup(RoleManager):  # type: ignore[misc]  # casbin publishes no types
    """Who holds which role in which team: flat, read-only, nothing inherited.

    Implements the part of the interface of Casbin's role manager that an enforcer calls. A role
    that a line names with its team, `team/role`, is held for resources of any team (`*`).
    """

    def __init__(self, has_role: HasRole) -> None:
        self._has_role = has_role

    def has_link(self, name1: str, name2: str, *domain: str) -> bool:
        """Whether exactly this role was given to the subject in the team."""
        if domain == (ANY,):
            team, slash, role = name2.partition("/")
            return bool(slash) and self._has_role(name1, role, team)
        return len(domain) == 1 and self._has_role(name1, name2, domain[0])

    def get_roles(self, name: str, *domain: str) -> list[str]:
        """Refuse: no decision asks."""
        raise TypeError(f"roles are not listed here: {name}, {domain}")

    def get_users(self, name: str, *domain: str) -> list[str]:
        """Refuse: no decision asks."""
        raise TypeError(f"holders are not listed here: {name}, {domain}")

    def clear(self) -> None:
        """Refuse: grants are replaced, not changed."""
        raise TypeError("grants are read-only")

    def add_link(self, name1: str, name2: str, *domain: str) -> None:
        """Refuse: grants are replaced, not changed."""
        raise TypeError(f"grants are read-only: {name1}, {name2}, {domain}")

    def delete_link(self, name1: str, name2: str, *domain: str) -> None:
        """Refuse: grants are replaced, not changed."""
        raise TypeError(f"grants are read-only: {name1}, {name2}, {domain}")

    def print_roles(self) -> None:
        """Print nothing: grants do not belong in a log."""


class Enforcers:
    """The Casbin enforcers of one policy version, each made when it is first used.

    None changes once it is made.

    Raises:
        ValueError: Casbin cannot read the model.
    """

    def __init__(self, model: str, lines: Iterable[PolicyLine], has_role: HasRole) -> None:
        """Group the lines by permission and team.

        Args:
            model: The text of `policies/model.conf`.
            lines: The policy lines.
            has_role: Whether a subject holds a role in a team.
        """
        self._model = model
        self._roles = RoleLookup(has_role)
        self._lock = threading.Lock()
        self._lines: dict[str, dict[_Fields, PolicyLine]] = {}
        self._by_team: dict[tuple[str, str], list[_Fields]] = {}
        for line in lines:
            self._lines.setdefault(line.permission, {})[line.fields] = line
            self._by_team.setdefault((line.permission, line.team), []).append(line.fields)
        self._enforcers: dict[tuple[str, str], casbin.Enforcer] = {}
        if self._lines:
            self._make([])  # an unreadable model fails here, not at the first decision

    def lines(self, permission: str) -> tuple[PolicyLine, ...]:
        """The lines of the permission, in their order."""
        return tuple(self._lines.get(permission, {}).values())

    def evaluate(self, request: AccessRequest) -> EnforcerResult:
        """Evaluate the request; a deny line overrides every allow line.

        Raises:
            Exception: Whatever Casbin or the matcher raises; the caller must refuse.
        """
        with self._lock:
            enforcer = self._enforcer(request.permission, request.team)
            if enforcer is None:
                return EnforcerResult(allowed=False, line=None)
            allowed, matched = enforcer.enforce_ex(*_values(request))
        line = self._lines[request.permission][tuple(matched)] if matched else None
        if allowed is not True:
            denied = line if line is not None and line.effect is Effect.DENY else None
            return EnforcerResult(allowed=False, line=denied)
        if line is None or line.effect is not Effect.ALLOW:
            return EnforcerResult(allowed=False, line=None)
        return EnforcerResult(allowed=True, line=line)

    def matching(self, request: AccessRequest) -> tuple[PolicyLine, ...]:
        """Every line that matches the request, whatever its effect; each is evaluated alone."""
        return tuple(
            line
            for line in self.lines(request.permission)
            if self._make([(*line.fields[:-1], Effect.ALLOW.value)]).enforce(*_values(request))
        )

    def _enforcer(self, permission: str, team: str) -> casbin.Enforcer | None:
        """The enforcer of the lines that can match: one for each named team, one for all others."""
        key = (permission, team if (permission, team) in self._by_team else ANY)
        enforcer = self._enforcers.get(key)
        if enforcer is None:
            lines = list(self._by_team.get((permission, ANY), ()))
            if key[1] != ANY:
                lines += self._by_team[key]
            if not lines:
                return None
            enforcer = self._enforcers[key] = self._make(lines)
        return enforcer

    def _make(self, lines: Iterable[_Fields]) -> casbin.Enforcer:
        model = Model()
        model.load_model_from_text(self._model)
        if any(model[section] is None for section in ("r", "p", "g", "e", "m")):
            raise ValueError("the model lacks a section: it needs r, p, g, e and m")
        enforcer = casbin.Enforcer(model)
        model["p"]["p"].policy = [list(line) for line in lines]
        model["g"]["g"].rm = self._roles
        enforcer.set_named_role_manager("g", self._roles)
        return enforcer


def _values(request: AccessRequest) -> tuple[str, str, str, str, tuple[str, ...]]:
    return (
        request.subject,
        request.team,
        request.permission,
        request.data_class,
        request.marks,
    )
