"""The functions of the `default` catalog: `call: humanTask:1@default` and the others.

Arguments are data with `${ … }`; the linter checks those known before the run against the schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from coe.identifiers import ROLE
from coe.json_types import JSON

REQUESTER: Final = "requester"
"""In a human task's `exclude`: who started the run."""
APPROVERS: Final = "approvers"
"""In a human task's `exclude`: who answered another human task of the run."""
_TEXT: Final[dict[str, JSON]] = {"type": "string", "minLength": 1}
_TEXTS: Final[dict[str, Any]] = {"type": "array", "items": _TEXT, "minItems": 1}
# A name that is stored as it is, without control characters.
_NAMES: Final[dict[str, Any]] = _TEXTS | {
    "items": _TEXT | {"maxLength": 200, "pattern": r"^[^\x00-\x1f\x7f]+$"}
}
_DURATION: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "string", "format": "duration"},
        {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": False,
            "properties": {
                unit: {"type": "integer", "minimum": 0, "maximum": 10**12}
                for unit in ("days", "hours", "minutes", "seconds", "milliseconds")
            },
        },
    ]
}
_ROLE: Final[dict[str, JSON]] = {
    "type": "string",
    "maxLength": 127,
    "pattern": f"^{ROLE}$",
    "description": (
        "`lead` is the lead of the flow's own team, `finance/lead` that of another team, "
        '`"*/lead"` those of every team'
    ),
}
_REF: Final[dict[str, JSON]] = {
    "type": "string",
    "pattern": r"^[a-z][a-z0-9-]{0,62}/[a-z][a-z0-9-]{0,62}(@[^@/\s]{1,60})?$",
}


@dataclass(frozen=True, slots=True)
class CatalogFunction:
    """A function: its name, version and summary, and the schemas of its arguments and output.

    `output` is None for a function whose output is that of the flow or table it calls.
    """

    name: str
    version: str
    summary: str
    arguments: dict[str, Any]
    output: dict[str, Any] | None = None

    @property
    def call(self) -> str:
        """The text of `call`, such as `notify:1@default`."""
        return f"{self.name}:{self.version}@default"


def _object(
    required: tuple[str, ...], properties: Mapping[str, JSON], description: str = ""
) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "required": list(required),
        "additionalProperties": False,
        "properties": dict(properties),
    }
    return schema | ({"description": description} if description else {})


HUMAN_TASK: Final = CatalogFunction(
    "humanTask",
    "1",
    "Asks a person, and waits for the answer without holding a process",
    _object(
        ("title", "candidates"),
        {
            "title": _TEXT,
            "instructions": {"type": "string", "description": "Markdown"},
            "context": {"description": "What the person needs to see in order to decide"},
            "candidates": _object(
                ("roles",), {"roles": _TEXTS | {"items": _ROLE}}, "Who may answer"
            ),
            "exclude": _NAMES
            | {
                "minItems": 0,
                "description": (
                    "Who may not answer: subjects, `requester` (who started the run), `approvers` "
                    "(who answered another task of it; the default of a task with `approvals`)"
                ),
            },
            "form": {
                "type": ["object", "boolean"],
                "description": "JSON Schema (2020-12) of the answer",
            },
            "outcomes": _NAMES | {"uniqueItems": True, "description": "What can be decided"},
            "approvals": {
                "type": "integer",
                "minimum": 1,
                "maximum": 20,
                "description": "How many different persons must answer",
            },
            "dueIn": _DURATION
            | {
                "description": (
                    "How long after its opening the task raises the error `timeout` (408), once no "
                    "stage of `escalate` is left; without it never"
                )
            },
            "remind": {
                "anyOf": [*_DURATION["anyOf"], {"type": "array", "items": _DURATION}],
                "description": "How long after its opening people are reminded of the task",
            },
            "escalate": {
                "type": "array",
                "items": _object(("after", "to"), {"after": _DURATION, "to": _ROLE}),
                "description": (
                    "Who is asked too if the task is not answered: `to`, `after` its opening"
                ),
            },
        },
    ),
    _object(
        ("outcome", "answer", "by", "at"),
        {
            "outcome": _TEXT,
            "answer": {},
            "reason": {"type": ["string", "null"]},
            "by": _TEXT,
            "at": {"type": "string", "format": "date-time"},
        },
    ),
)
LOCAL_FLOW: Final = CatalogFunction(
    "localFlow",
    "1",
    "Runs a team's registered flow and waits for its output",
    _object(("ref",), {"ref": _REF, "input": {}, "timeout": _DURATION}),
)
DECISION: Final = CatalogFunction(
    "decision",
    "1",
    "Asks a decision table; the output carries the rules that fired",
    _object(("ref",), {"ref": _REF, "input": {}}),
)
PARALLEL_MAP: Final = CatalogFunction(
    "parallelMap",
    "1",
    "Does tasks for each item at once; the output is the array of their outputs",
    _object(
        ("in", "do"),
        {
            "in": {"type": ["array", "string"]},
            "each": _TEXT,
            "at": _TEXT,
            "do": {"type": "array"},
            "maxConcurrency": {"type": "integer", "minimum": 1, "maximum": 1000},
        },
    ),
    {"type": "array"},
)
NOTIFY: Final = CatalogFunction(
    "notify",
    "1",
    "Sends a message to people",
    _object(
        ("channel", "to", "subject", "body"),
        {
            "channel": _TEXT | {"description": "A channel that the operator has set up"},
            "to": {"anyOf": [_TEXT, _TEXTS | {"maxItems": 100}]},
            "subject": _TEXT,
            "body": {"type": "string"},
        },
    ),
    _object(("channel", "sent"), {"channel": _TEXT, "sent": {"const": True}}),
)
# Every function of the default catalog, by name and version.
FUNCTIONS: Final[Mapping[tuple[str, str], CatalogFunction]] = {
    (function.name, function.version): function
    for function in (DECISION, HUMAN_TASK, LOCAL_FLOW, NOTIFY, PARALLEL_MAP)
}


def excluded_by(arguments: Mapping[str, JSON]) -> tuple[str, ...]:
    """Who may not answer a human task: its `exclude`, by default `approvers` with `approvals`."""
    given = arguments.get("exclude")
    if given is None:
        return (APPROVERS,) if "approvals" in arguments else ()
    return tuple(map(str, given)) if isinstance(given, list) else (str(given),)
