"""Which changes of memberships a second person approves: the lines of `policies/approvals.csv`.

A line, `a, team, role`, says that nobody alone gives or takes this role in this team. `*` is every
team, or every role and the membership itself. Who approves is a matter of the policy
(`team:approve`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from coe.access.policy_lines import ANY, is_role
from coe.identifiers import is_slug

APPROVAL_FIELDS: Final = ("team", "role")
APPROVALS_FILE: Final = "policies/approvals.csv"


@dataclass(frozen=True, slots=True)
class ApprovalLine:
    """A role that two people give and take; `note` is the reason."""

    team: str
    role: str
    note: str | None = None
    source: str = ""

    @classmethod
    def of(cls, fields: Iterable[str], *, note: str | None = None, source: str = "") -> Self:
        """The line of these two fields, each checked.

        Raises:
            ValueError: A field is missing or not allowed; the message says which.
        """
        values = tuple(fields)
        if len(values) != len(APPROVAL_FIELDS):
            raise ValueError(f"a line has 2 fields after its a: {', '.join(APPROVAL_FIELDS)}")
        team, role = values
        if team != ANY and not is_slug(team):
            raise ValueError(f"{team!r} is not a team")
        if role != ANY and not is_role(role):
            raise ValueError(f"{role!r} is not a role")
        return cls(team, role, note, source)

    @property
    def fields(self) -> tuple[str, str]:
        """The two fields, as stored."""
        return (self.team, self.role)
