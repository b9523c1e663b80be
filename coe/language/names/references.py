"""References by name: to people, roles, teams, systems, channels and secrets.

Flows and decision tables are called by refs, which `coe.language.lint.calls` looks up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from coe.json_types import JSON
from coe.language.functions import APPROVERS, REQUESTER
from coe.language.model.calls import CallFunction
from coe.language.model.definition import Definition
from coe.language.source import point

# In `exclude` of a human task: relations to the run, not people.
RELATIONS: Final = frozenset((REQUESTER, APPROVERS))


class NameKind(StrEnum):
    """What a name is expected to name; the value is the code of a problem with it."""

    PERSON = "OWS080"
    ROLE = "OWS081"
    TEAM = "OWS082"
    SYSTEM = "OWS083"
    CHANNEL = "OWS084"
    SECRET = "OWS085"  # noqa: S105  # a code

    @property
    def noun(self) -> str:
        """The kind as a word."""
        return self.name.lower()


class Reference(NamedTuple):
    """A name in a document: what it must name, and the pointer of its value."""

    kind: NameKind
    name: str
    pointer: str


def references_of(definition: Definition) -> Iterator[Reference]:
    """The names in a definition, as far as they are literal, in the order of the document."""
    about = definition.document
    yield Reference(NameKind.TEAM, about.namespace, "/document/namespace")
    yield from described_by(about.metadata, "/document/metadata")
    for index, secret in enumerate(definition.use.secrets):
        yield Reference(NameKind.SECRET, secret, point("use", "secrets", index))
    for task in definition.walk():
        if isinstance(task, CallFunction) and task.function.catalogued:
            place = f"{task.pointer}/with"
            if task.function.name == "humanTask":
                yield from _asked(task.with_, place)
            elif task.function.name == "notify":
                yield from _literal(NameKind.CHANNEL, task.with_.get("channel"), f"{place}/channel")


def described_by(metadata: Mapping[str, JSON], place: str = "") -> Iterator[Reference]:
    """The names in the metadata of a document, or at the top of a manifest."""
    for key in ("processOwner", "deputy"):
        yield from _literal(NameKind.PERSON, metadata.get(key), place + point(key))
    systems = metadata.get("systems")
    for index, system in enumerate(systems if isinstance(systems, list) else ()):
        yield from _literal(NameKind.SYSTEM, system, place + point("systems", index))


def named_by_table(document: JSON) -> Iterator[Reference]:
    """The names in the document of a decision table."""
    head = document.get("decision") if isinstance(document, dict) else None
    if isinstance(head, dict):
        yield from _literal(NameKind.TEAM, head.get("namespace"), "/decision/namespace")
        metadata = head.get("metadata")
        yield from described_by(
            metadata if isinstance(metadata, dict) else {}, "/decision/metadata"
        )


def named_by(manifest: JSON) -> Iterator[Reference]:
    """The names in a manifest: of a local flow, a template or a system."""
    if isinstance(manifest, dict):
        yield from _literal(NameKind.TEAM, manifest.get("namespace"), "/namespace")
        yield from described_by(manifest)


def named_by_template(flow: JSON) -> Iterator[Reference]:
    """The names in the flow of a template, as far as its placeholders do not fill them in.

    Its channels and secrets are left out: each team that uses the template has its own.
    """
    document = flow.get("document") if isinstance(flow, dict) else None
    metadata = document.get("metadata") if isinstance(document, dict) else None
    yield from described_by(metadata if isinstance(metadata, dict) else {}, "/document/metadata")
    waiting: list[tuple[JSON, str]] = [(flow, "")]
    while waiting:
        part, place = waiting.pop()
        if isinstance(part, dict):
            arguments, call = part.get("with"), str(part.get("call"))
            if isinstance(arguments, dict) and call.partition(":")[0] == "humanTask":
                yield from _asked(arguments, f"{place}/with")
            waiting.extend((value, place + point(key)) for key, value in part.items())
        elif isinstance(part, list):
            waiting.extend((value, f"{place}/{index}") for index, value in enumerate(part))


def _asked(arguments: Mapping[str, JSON], place: str) -> Iterator[Reference]:
    """The names in the arguments of a human task: who may answer, who may not, who comes next."""
    candidates = arguments.get("candidates")
    if isinstance(candidates, dict):
        yield from _listed(NameKind.ROLE, candidates.get("roles"), f"{place}/candidates/roles")
    for reference in _listed(NameKind.PERSON, arguments.get("exclude"), f"{place}/exclude"):
        if reference.name not in RELATIONS:
            yield reference
    stages = arguments.get("escalate")
    for index, stage in enumerate(stages if isinstance(stages, list) else ()):
        if isinstance(stage, dict):
            yield from _literal(NameKind.ROLE, stage.get("to"), f"{place}/escalate/{index}/to")


def _listed(kind: NameKind, values: JSON, place: str) -> Iterator[Reference]:
    for index, value in enumerate(values if isinstance(values, list) else ()):
        yield from _literal(kind, value, f"{place}/{index}")


def _literal(kind: NameKind, value: Any, place: str) -> Iterator[Reference]:
    """The reference of a text; none of what only a run knows, or that is no text."""
    if isinstance(value, str) and "${" not in value and "$(" not in value:
        yield Reference(kind, value, place)
