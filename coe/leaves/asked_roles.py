"""The roles that a human task asks: what does not exist cannot answer, so the task faults."""

from __future__ import annotations

from coe.json_types import JSON
from coe.language.names.directory import KnownNames, missing_of_role
from coe.machine.commands import OpenHumanTask
from coe.machine.errors import standard_error


def unknown_role(command: OpenHumanTask, team: str, known: KnownNames) -> JSON:
    """The error of a task of the team that asks a role that does not exist; None of another task.

    A definition with such a name cannot be published, so it is one that an expression gave. A role
    that exists and that nobody holds is no error: people come and go.
    """
    for role in command.every_role:
        lacks = missing_of_role(role, team, known)
        if lacks is not None:
            kind, name = lacks
            return standard_error(
                "configuration",
                title="The task asks a role that does not exist",
                detail=f"there is no {kind.noun} {name}, so nobody could answer",
                instance=command.path,
            )
    return None
