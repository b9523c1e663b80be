"""A decision and the sentence that explains it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from coe.access.actor import DataClass
from coe.access.policy_lines import (
    ANY,
    KIND_PREFIX,
    RELATION_PREFIX,
    DerivedRole,
    Effect,
    PolicyLine,
)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the actor is allowed, the policy lines that decided, and why, in a sentence.

    `rules` starts with the deciding line; it is empty if no line matched.
    """

    allowed: bool
    permission: str
    rules: tuple[str, ...]
    explanation: str

    @property
    def rule(self) -> str | None:
        """The deciding line as written, such as `p, process-owner, *, run:start, *, allow`."""
        return self.rules[0] if self.rules else None


def refused(permission: str, explanation: str) -> Decision:
    """A refusal that no line decided."""
    return Decision(allowed=False, permission=permission, rules=(), explanation=explanation)


def matched(permission: str, line: PolicyLine) -> Decision:
    """The decision of the line that matched."""
    allowed = line.effect is Effect.ALLOW
    where = f" ({line.source})" if line.source else ""
    why = f": {line.note}" if line.note else ""
    verb = "Allowed" if allowed else "Refused"
    explanation = f"{verb} by the line '{line}'{where}{why}"
    return Decision(allowed, permission, (str(line),), explanation)


def unmatched(
    permission: str, lines: Iterable[PolicyLine], team: str, data_class: DataClass
) -> Decision:
    """The refusal for want of a matching line; it names what would allow the permission.

    `lines` are those of the permission, `team` is the resource's team.
    """
    enabling = sorted(
        {
            _required(line, team)
            for line in lines
            if line.effect is Effect.ALLOW and line.takes_in(team, data_class.value)
        }
    )
    takes = f"it takes {' or '.join(enabling)}" if enabling else "no line allows it to anyone"
    resource = f"a resource of class {data_class} in {team}"
    return refused(permission, f"No policy line allows {permission} on {resource}: {takes}.")


def _required(line: PolicyLine, team: str) -> str:
    if line.subject.startswith(RELATION_PREFIX):
        return f"being its {line.subject.removeprefix(RELATION_PREFIX)}"
    if line.subject.startswith(KIND_PREFIX):
        return f"being a {line.subject.removeprefix(KIND_PREFIX)}"
    if line.subject == DerivedRole.EMPLOYEE:
        return "being in a team"
    if line.role is None:
        return f"{line.subject} in {team}"
    role, where = line.role
    return f"{role} in {team if where == ANY else where}"
