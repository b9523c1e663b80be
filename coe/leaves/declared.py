"""What a definition names: a run may use nothing else, whatever its data say.

A run acts as itself (`run:<uuid>`), with what the policy gives to runs, narrowed to the flows and
decision tables that its definition calls, the channels that it names, and the types of events that
it emits. A reference may be an expression, but what it evaluates to must be named elsewhere in the
definition as it is. An event of a type that is not named reaches the runs of its own team only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from coe.catalog.links import Link, call_links, decision_links
from coe.catalog.refs import read_ref
from coe.catalog.semver import parse_range
from coe.json_types import JSON
from coe.language.model.calls import CallFunction
from coe.language.model.definition import Definition
from coe.language.model.task_types import EmitTask
from coe.leaves.decision import DECISION_KIND
from coe.machine.commands import PendingCommand, RunLeaf, StartChild

_NOTIFY: Final = "notify"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a command wants to use, and its definition does not name."""

    resource: str
    title: str


@dataclass(frozen=True, slots=True)
class Declared:
    """The references as a definition has them."""

    flows: frozenset[str]
    decisions: frozenset[str]
    channels: frozenset[str]
    event_types: frozenset[str]

    @classmethod
    def of(cls, definition: Definition) -> Self:
        """What the definition names."""
        tasks = list(definition.tasks.values())
        notices = (
            task.with_.get("channel")
            for task in tasks
            if isinstance(task, CallFunction) and task.function.name == _NOTIFY
        )
        types = (task.emit.event.with_.type for task in tasks if isinstance(task, EmitTask))
        return cls(
            flows=frozenset(ref for link in call_links(tasks) for ref in _refs(link)),
            decisions=frozenset(ref for link in decision_links(tasks) for ref in _refs(link)),
            channels=frozenset(each for each in notices if isinstance(each, str)),
            event_types=frozenset(each for each in types if isinstance(each, str)),
        )

    def refusal(self, command: PendingCommand, resolved: Mapping[str, str]) -> Refusal | None:
        """Why the run may not carry out a command; None if its definition names what it uses.

        `resolved` are the exact refs by the refs as written, from the start of the run.
        """
        match command:
            case StartChild(flow=ref) if ref not in _with_exact(self.flows, resolved):
                return Refusal(f"flow:{ref}", f"The definition names no flow {ref}")
            case RunLeaf(kind=kind, arguments=arguments) if kind == DECISION_KIND:
                ref = _text(arguments, "ref")
                if ref not in _with_exact(self.decisions, resolved):
                    return Refusal(f"decision:{ref}", f"The definition names no table {ref}")
            case RunLeaf(kind=kind, arguments=arguments) if kind == _NOTIFY:
                channel = _text(arguments, "channel")
                if channel not in self.channels:
                    title = f"The definition names no channel {channel}"
                    return Refusal(f"channel:{channel}", title)
        return None


def may_mean(written: str, exact: str) -> bool:
    """Whether a ref as written, which nothing has resolved, may be this exact version."""
    one, other = read_ref(written), read_ref(exact)
    if one is None or other is None or other.exact is None or one.entry != other.entry:
        return False
    bounds = parse_range(one.selector) if one.selector and not one.exact else None
    return one.exact == other.exact if one.exact else bounds is None or bounds.contains(other.exact)


def used_ref(command: PendingCommand) -> str | None:
    """The ref of the flow or table that a command uses; None of another command."""
    match command:
        case StartChild(flow=ref):
            return ref
        case RunLeaf(kind=kind, arguments=arguments) if kind == DECISION_KIND:
            return _text(arguments, "ref")
    return None


def _refs(link: Link) -> tuple[str, ...]:
    """A link as the machine has it: a process without a version is `name@latest` there."""
    return (
        (f"{link.entry}@{link.selector}",)
        if link.selector
        else (
            link.entry,
            f"{link.entry}@latest",
        )
    )


def _with_exact(written: frozenset[str], resolved: Mapping[str, str]) -> frozenset[str]:
    return written | {resolved[each] for each in written if each in resolved}


def _text(arguments: JSON, name: str) -> str:
    return str(arguments.get(name))[:200] if isinstance(arguments, dict) else ""
