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

import re
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from coe.access.actor import DataClass
from coe.formats import durations
from coe.json_types import JSON
from coe.language.durations import parse

NAME_PATTERN = r"^(?=.{1,63}$)[a-z][a-z0-9]*(?:-[a-z0-9]+)*\Z"
SEMVER_PATTERN = (
    r"^(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})"
    r"(?:-(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
    r"(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?\Z"
)
REF_PATTERN = r"^[a-z][a-z0-9-]{0,62}/[a-z][a-z0-9-]{0,62}\Z"
ENTRYPOINT_PATTERN = r"^(?!/)(?!.*\.\.)[\w./-]+\.py:[A-Za-z_]\w*\Z"
ENTRYPOINT_EXAMPLE = "flows/teams/warehouse/pick_and_pack.py:pick_and_pack"


def text_of(pattern: str, wanted: str) -> WrapValidator:
    """The check of a text against a pattern, and a sentence in place of the pattern."""

    def check(text: object, inner: ValidatorFunctionWrapHandler) -> str:
        if isinstance(text, str) and re.search(pattern, text) is None:
            raise PydanticCustomError("text", "{wanted}", {"wanted": wanted})
        checked: str = inner(text)
        return checked

    return WrapValidator(check)


def _check_entrypoint(entrypoint: str) -> str:
    """The entrypoint, if it is one; else a sentence on what is wrong with it."""
    if re.fullmatch(ENTRYPOINT_PATTERN, entrypoint):
        return entrypoint
    path, colon, function = entrypoint.rpartition(":")
    if not colon or "/" in function:
        wrong = "it names no function: write one after a colon"
    elif path.startswith("/"):
        wrong = "the path begins at the folder of flows, not with a slash"
    elif ".." in path:
        wrong = "the path stays below the folder of flows, without `..`"
    elif not path.endswith(".py"):
        wrong = f"{path or 'it'} is no file of Python, whose name ends with `.py`"
    elif not function.isidentifier():
        wrong = f"`{function.strip()}` is not the name of a function"
    else:
        wrong = "the path has letters, digits, dots, hyphens, underscores and slashes only"
    message = f"{wrong}; such as {ENTRYPOINT_EXAMPLE}"
    raise PydanticCustomError("entrypoint", "{message}", {"message": message})


def _check_positive(duration: str) -> str:
    if parse(duration).milliseconds == 0:
        message = "a run would fault at once: give more than no time, such as PT10M"
        raise PydanticCustomError("timeout", "{message}", {"message": message})
    return duration


SlugName = Annotated[
    str,
    StringConstraints(pattern=NAME_PATTERN),
    text_of(
        NAME_PATTERN, "words of a-z and 0-9 with hyphens, at most 63 characters: pick-and-pack"
    ),
]
Semver = Annotated[
    str,
    StringConstraints(pattern=SEMVER_PATTERN),
    text_of(
        SEMVER_PATTERN, "three numbers with dots, maybe a label, without build metadata: 1.4.0"
    ),
]
EntryRef = Annotated[
    str,
    StringConstraints(pattern=REF_PATTERN),
    text_of(REF_PATTERN, "a namespace, a slash and a name: warehouse/wms"),
]
_TAG_PATTERN = r"^[a-z0-9][a-z0-9-]{0,40}\Z"
TagName = Annotated[
    str,
    StringConstraints(pattern=_TAG_PATTERN),
    text_of(_TAG_PATTERN, "a tag has a-z, 0-9 and hyphens, at most 41 characters: order"),
]
_LINE_PATTERN = r"^[^\n]*\Z"
SingleLine = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200, pattern=_LINE_PATTERN),
    text_of(_LINE_PATTERN, "it is one line"),
]
DurationText = Annotated[
    str,
    StringConstraints(pattern=durations.PATTERN),
    text_of(durations.PATTERN, "a duration of ISO 8601 without months and years: PT10M"),
]


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
    entrypoint: Annotated[
        str,
        AfterValidator(_check_entrypoint),
        WithJsonSchema({"type": "string", "pattern": ENTRYPOINT_PATTERN}),
    ]
    timeout: Annotated[DurationText, AfterValidator(_check_positive)] = "PT1H"
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
