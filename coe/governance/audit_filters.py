"""What a filter of the audit log means: short forms are completed, what matches nothing is refused.

An event's action has three parts and its resource has a kind. Whoever leaves the first one out
would be shown an empty list, and take it for an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from coe.access.actor import ActorKind, subject_kind
from coe.audit.events import Tag
from coe.audit.queries import AuditEventFilter
from coe.catalog.refs import read_ref
from coe.errors import Invalid, Problem
from coe.formats import uuids
from coe.identifiers import is_slug
from coe.language.suggestions import did_you_mean
from coe.paging import check_span

_ACTIONS: Final = tuple(tag.value for tag in Tag)
_ENTRIES: Final = ("decision", "flow", "lesson", "system", "template")
_BY_UUID: Final = ("event", "human_task", "run", "token")
_NAMED: Final = ("audit:log", "event:new", "policy:content")
_KINDS: Final = (*_ENTRIES, *_BY_UUID, "audit", "person", "policy", "team")
_ALL: Final = "*"


def as_meant(wanted: AuditEventFilter) -> AuditEventFilter:
    """The filter with its short forms completed.

    `run:cancel` is `runs:run:cancel`, `sales/order` is the entry of any kind with that name, and a
    UUID is the run, task, token or event that has it.

    Raises:
        Invalid: A part can match no event because of its form; each is located.
    """
    found = _Meant()
    actions = found.each("actions", wanted.actions, _actions)
    resources = found.each("resources", wanted.resources, _resources)
    actors = found.each("actors", wanted.actors, _actors)
    teams = found.each("teams", wanted.teams, _teams)
    if found.problems:
        raise Invalid(found.problems)
    check_span(wanted.after, wanted.before, path="/filter/before")
    return replace(wanted, actions=actions, resources=resources, actors=actors, teams=teams)


@dataclass
class _Meant:
    problems: list[Problem] = field(default_factory=list)

    def each(
        self, name: str, values: Collection[str], meaning: Callable[[str], Sequence[str]]
    ) -> tuple[str, ...]:
        """The values in their full forms; a problem for each that has none."""
        meant: dict[str, None] = {}
        for index, value in enumerate(values):
            try:
                meant |= dict.fromkeys(meaning(value))
            except _Unmatched as reason:
                path = f"/filter/{name}/{index}"
                problem = Problem("INPUT_FILTER", str(reason), path=path, help=reason.help)
                self.problems.append(problem)
        return tuple(meant)


class _Unmatched(ValueError):
    """A value of a filter that can match no event."""

    def __init__(self, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.help = help


def _actions(text: str) -> Sequence[str]:
    if text in _ACTIONS:
        return [text]
    if text.endswith(_ALL):
        start = text[:-1]
        found = [each for each in _ACTIONS if each.startswith(start) or f":{start}" in each]
    else:
        found = [each for each in _ACTIONS if each.endswith(f":{text}")]
    if not found or not text:
        help = "an action is source:subject:verb, such as runs:run:cancel; * at its end is any"
        raise _Unmatched(f"no event has the action {text!r}{_similar_action(text)}", help)
    return found


def _similar_action(text: str) -> str:
    verbs = [each.rpartition(":")[2] for each in _ACTIONS]
    return did_you_mean(text, _ACTIONS if ":" in text else verbs)


def _resources(text: str) -> Sequence[str]:
    kind, colon, key = text.partition(":")
    if text == _ALL or text in _NAMED:
        return [text]
    if not colon:
        return list(_any_kind(text))
    if kind not in _KINDS:
        help = f"a resource is one of {', '.join(f'{each}:…' for each in _KINDS)}"
        raise _Unmatched(f"no event has a resource {text!r}{did_you_mean(kind, _KINDS)}", help)
    entry = kind in _ENTRIES and _is_entry(key)
    if key.endswith(_ALL) or entry or (kind == "team" and is_slug(key)):
        return [text]
    if kind == "person" and _is_person(key):
        return [text]
    if kind in _BY_UUID and _uuid(key):
        return [f"{kind}:{_uuid(key)}"]
    helps = dict.fromkeys(_ENTRIES, "namespace/name, or namespace/name@1.0.0")
    helps |= dict.fromkeys(_BY_UUID, "a UUID")
    help = f"write {kind}: and {helps.get(kind, 'a name')}; * at its end is any"
    raise _Unmatched(f"no event has a resource {text!r}", help)


def _any_kind(text: str) -> Iterator[str]:
    """The resources that a name without a kind stands for."""
    if _is_entry(text) or ("/" in text and text.endswith(_ALL)):
        yield from (f"{kind}:{text}" for kind in _ENTRIES)
    elif _uuid(text):
        yield from (f"{kind}:{_uuid(text)}" for kind in _BY_UUID)
    elif text.endswith(_ALL) and any(each.startswith(text[:-1]) for each in _KINDS):
        yield text
    else:
        help = "write its kind, such as flow:sales/order-to-cash, team:sales or run: and its id"
        raise _Unmatched(f"no event has a resource {text!r}", help)


def _is_entry(text: str) -> bool:
    ref = read_ref(text)
    return ref is not None and (ref.selector is None or ref.exact is not None)


def _is_person(text: str) -> bool:
    try:
        return subject_kind(text) is ActorKind.PERSON
    except ValueError:
        return False


def _uuid(text: str) -> UUID | None:
    try:
        return uuids.read(text)
    except ValueError:
        return None


def _actors(text: str) -> Sequence[str]:
    try:
        subject_kind(text)
    except ValueError as error:
        raise _Unmatched(str(error)) from None
    return [text]


def _teams(text: str) -> Sequence[str]:
    if not is_slug(text):
        raise _Unmatched(f"{text!r} is not the name of a team", "such as sales")
    return [text]
