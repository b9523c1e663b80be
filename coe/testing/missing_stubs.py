"""What a simulated run lacks: the answers that no stub gives, each with a stub to copy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from coe.json_types import JSON
from coe.language.json_schema.violations import violations
from coe.machine.commands import AwaitEvent, OpenHumanTask, PendingCommand, RunLeaf, StartChild

_TYPES: Final[Mapping[str, JSON]] = {
    "string": "…",
    "number": 0,
    "integer": 0,
    "boolean": True,
    "array": [],
    "null": None,
}
_OUTPUTS: Final[Mapping[str, JSON]] = {
    "raw": "",
    "response": {"statusCode": 200, "headers": {}, "content": {}},
}


class NoAnswerError(Exception):
    """Nothing answers a call: no stub, and nobody who carries it out. `host` is not reached."""

    def __init__(self, host: str | None = None) -> None:
        super().__init__(host or "no answer")
        self.host = host


@dataclass(frozen=True, slots=True)
class MissingStub:
    """A step that waits for an answer: what it would do, and a stub that can be copied.

    `stub` is one line of YAML. `section` is where it goes: `stubs` or `events`. `host` is the one
    that a call would have reached, if that is why it was not made.
    """

    step: str
    path: str
    what: str
    stub: str
    section: str = "stubs"
    host: str | None = None

    def __str__(self) -> str:
        """What is missing, and how to give it, on one line."""
        return f"no stub answers {self.step}, which {self.what}: give `{self.stub}`"

    def to_json(self) -> dict[str, JSON]:
        """What is missing, as `coe flow try` prints it."""
        return {
            "step": self.step,
            "path": self.path,
            "what": self.what,
            "section": self.section,
            "stub": self.stub,
            "host": self.host,
        }


def missing_stub(command: PendingCommand, host: str | None = None) -> MissingStub | None:
    """What a pending command waits for; None for one that needs no stub, such as a timer."""
    match command:
        case RunLeaf():
            what, answer = _call(command)
        case OpenHumanTask():
            what, answer = _question(command)
        case StartChild():
            kind = "local flow" if command.local else "flow"
            what, answer = f"runs the {kind} {command.flow}", {"output": {}}
        case AwaitEvent():
            return _event(command)
        case _:
            return None
    line = _line({command.name: answer})
    return MissingStub(command.name, command.path, what, line, host=host)


def _call(command: RunLeaf) -> tuple[str, JSON]:
    given = command.arguments if isinstance(command.arguments, dict) else {}
    match command.kind:
        case "http":
            what = f"calls {str(given.get('method')).upper()} {given.get('endpoint')}"
        case "openapi":
            what = f"calls the operation {given.get('operationId')} of {given.get('document')}"
        case "notify":
            channel = given.get("channel")
            return f"sends a message by {channel}", {"output": {"channel": channel, "sent": True}}
        case "decision":
            what = f"asks the decision table {given.get('ref')}"
        case kind:
            what = f"makes a call of kind {kind}"
    return what, {"output": _OUTPUTS.get(str(given.get("output")), {})}


def _question(command: OpenHumanTask) -> tuple[str, JSON]:
    given = command.arguments if isinstance(command.arguments, dict) else {}
    candidates, outcomes = given.get("candidates"), given.get("outcomes")
    roles = candidates.get("roles") if isinstance(candidates, dict) else None
    whom = " or ".join(map(str, roles)) if isinstance(roles, list) else "somebody"
    outcome = outcomes[0] if isinstance(outcomes, list) and outcomes else "done"
    answer: dict[str, JSON] = {"outcome": outcome}
    if isinstance(given.get("form"), dict):
        answer["answer"] = _example(given["form"])
    return f"asks {whom}", answer


def _event(command: AwaitEvent) -> MissingStub:
    kind = command.types[0] if command.types else "…"
    what = f"waits for an event of type {' or '.join(command.types)}" if command.types else ""
    line = "- " + _line({"type": kind, "source": "/tests", "data": {}})
    what = what or "waits for an event"
    return MissingStub(command.name, command.path, what, line, section="events")


def _example(form: JSON) -> JSON:
    """An answer with all that a form requires; a value that takes a pattern is still to fill in."""
    made = _value(form)
    return made if isinstance(made, dict) or not violations(form, made) else {}


def _value(schema: JSON) -> JSON:
    if not isinstance(schema, dict):
        return {}
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("examples", "enum"):
        listed = schema.get(key)
        if isinstance(listed, list) and listed:
            return listed[0]
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    if kind in _TYPES:
        least = schema.get("minimum", schema.get("exclusiveMinimum"))
        return least if kind in {"number", "integer"} and least is not None else _TYPES[str(kind)]
    properties, required = schema.get("properties"), schema.get("required")
    known = properties if isinstance(properties, dict) else {}
    wanted = required if isinstance(required, list) else []
    return {str(name): _value(known.get(str(name))) for name in wanted}


def _line(value: dict[str, JSON]) -> str:
    """An object with one member as a line of YAML, or one with several in braces."""
    if len(value) == 1:
        [(name, answer)] = value.items()
        return f"{_scalar(name)}: {_flow(answer)}"
    return _flow(value)


def _flow(value: JSON) -> str:
    """A value in the flow style of YAML, without needless quotes."""
    if isinstance(value, dict):
        members = (f"{_scalar(key)}: {_flow(part)}" for key, part in value.items())
        return "{" + ", ".join(members) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value) if isinstance(value, str) else json.dumps(value)


def _scalar(text: str) -> str:
    plain = text[:1].isalpha() and text.replace("-", "").replace("_", "").replace(".", "").isalnum()
    words = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
    return text if plain and text.lower() not in words else json.dumps(text, ensure_ascii=False)
