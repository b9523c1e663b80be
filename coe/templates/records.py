"""Records of templates: frozen results of queries, without a session."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from coe.catalog.records import FacetValue
from coe.json_types import JSON


@dataclass(frozen=True, slots=True)
class Instantiation:
    """A request to instantiate a template in a team's namespace."""

    template: str
    namespace: str
    name: str
    parameters: JSON
    process_owner: str
    title: str | None = None


@dataclass(frozen=True, slots=True)
class TemplateContent:
    """The files of a template version; `parameters` is a JSON Schema."""

    parameters: JSON
    definition: str
    readme: str | None
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class TemplateUsage:
    """The number of flows made from a template; `by_version` counts them by template version."""

    flows: int
    flows_on_latest: int
    teams: int
    by_version: tuple[FacetValue, ...]


@dataclass(frozen=True, slots=True)
class OriginRecord:
    """The origin of a flow version; `behind_by` is the number of newer published versions.

    `changed` says that the draft was changed by hand after it was rendered. The parameters are
    read by themselves, because their reading is recorded.
    """

    template_version_id: UUID
    behind_by: int
    changed: bool
