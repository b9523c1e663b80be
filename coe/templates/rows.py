"""What the templates' queries give back: plain, frozen, without a session."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from coe.catalog.records import FacetValue
from coe.json_types import JSON


@dataclass(frozen=True, slots=True)
class Instantiation:
    """Which template, into which team's namespace, with which parameters."""

    template: str
    namespace: str
    name: str
    parameters: JSON
    process_owner: str
    title: str | None = None


@dataclass(frozen=True, slots=True)
class TemplateContent:
    """The opened files of a template's version; `parameters` is a JSON Schema."""

    parameters: JSON
    definition: str
    readme: str | None
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class TemplateUsage:
    """Flows made from a template; `by_version` counts them by the version they came from."""

    flows: int
    flows_on_latest: int
    teams: int
    by_version: tuple[FacetValue, ...]


@dataclass(frozen=True, slots=True)
class OriginRow:
    """Where a flow's version came from; `behind_by` counts published versions newer than it.

    `parameters` is null for an actor who may not read the flow's data class.
    """

    template_version_id: UUID
    parameters: JSON
    behind_by: int
