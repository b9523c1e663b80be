"""The manifest of a local flow: one YAML file beside the team's Prefect flow.

Example:
    kind: localFlow
    namespace: warehouse
    name: pick-and-pack
    version: 1.0.0
    title: Pick and pack
    summary: Reserves the stock of an order and packs it.
    description: Longer text, in Markdown.
    processOwner: warehouse-developer
    domain: logistics
    dataClass: INTERNAL
    tags: [order, warehouse]
    entrypoint: flows/teams/warehouse/pick_and_pack.py:pick_and_pack
    timeout: PT10M
    systems: [warehouse/wms]
    input:
      schema:
        document: {type: object, required: [orderId], properties: {orderId: {type: string}}}
    output:
      schema:
        document: {type: object}

`input` and `output` have the form of the process language. `entrypoint` is
`<path below the content root>:<function>`, as in Prefect.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from coe.access.actor import DataClass
from coe.json_types import JSON

NAME_PATTERN = r"^(?=.{1,63}$)[a-z][a-z0-9]*(?:-[a-z0-9]+)*\Z"
SEMVER_PATTERN = (
    r"^(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})"
    r"(?:-(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
    r"(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?\Z"
)
REF_PATTERN = r"^[a-z][a-z0-9-]{0,62}/[a-z][a-z0-9-]{0,62}\Z"
ENTRYPOINT_PATTERN = r"^(?!/)(?!.*\.\.)[\w./-]+\.py:[A-Za-z_]\w*\Z"
DURATION_PATTERN = r"^P(?!$)(?:\d+W|(?:\d+D)?(?:T(?=\d)(?:\d+H)?(?:\d+M)?(?:\d+(?:\.\d+)?S)?)?)\Z"

SlugName = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Semver = Annotated[str, StringConstraints(pattern=SEMVER_PATTERN)]
EntryRef = Annotated[str, StringConstraints(pattern=REF_PATTERN)]
TagName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,40}\Z")]
SingleLine = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\n]*\Z")]


class ManifestModel(BaseModel):
    """The base of all parts of a manifest: camelCase keys, and no unknown keys."""

    model_config = ConfigDict(
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        regex_engine="python-re",
    )


class SchemaPart(ManifestModel):
    """A JSON Schema (2020-12), in the form of the process language."""

    format: Literal["json"] = "json"
    document: dict[str, JSON]


class DataPart(ManifestModel):
    """The `input` or the `output` of a flow."""

    schema_: SchemaPart = Field(alias="schema")


class LocalFlowManifest(ManifestModel):
    """The manifest of a flow that its team runs."""

    kind: Literal["localFlow"]
    namespace: SlugName
    name: SlugName
    version: Semver
    title: SingleLine
    summary: SingleLine
    description: str = ""
    process_owner: str | None = None
    deputy: str | None = None
    domain: SlugName | None = None
    data_class: DataClass = DataClass.INTERNAL
    tags: list[TagName] = Field(default_factory=list)
    entrypoint: Annotated[str, StringConstraints(pattern=ENTRYPOINT_PATTERN)]
    timeout: Annotated[str, StringConstraints(pattern=DURATION_PATTERN)] = "PT1H"
    systems: list[EntryRef] = Field(default_factory=list)
    input: DataPart
    output: DataPart


class FlowMetadata(ManifestModel):
    """The keys of a central flow's `document.metadata` that the catalog reads; others are allowed.

    `owner`, if given, must be the namespace: its team owns the flow.
    """

    model_config = ConfigDict(extra="allow")

    owner: SlugName | None = None
    process_owner: str | None = None
    deputy: str | None = None
    domain: SlugName | None = None
    data_class: DataClass = DataClass.INTERNAL
    tags: list[TagName] = Field(default_factory=list)
    systems: list[EntryRef] = Field(default_factory=list)
    description: str = ""
