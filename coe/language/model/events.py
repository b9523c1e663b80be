"""CloudEvents in a definition: their attributes, filters, and what a task waits for."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from coe.json_types import JSON
from coe.language.expression_syntax import is_expression
from coe.language.fields import (
    BY_SHAPE,
    INLINE,
    NAME_TAG,
    Alternatives,
    Expression,
    Model,
    Uri,
)


class EventProperties(Model):
    """Attributes of a CloudEvent 1.0: the standard ones, and extensions in `model_extra`.

    To emit, values are data with `${ … }`; in a filter, a value matches an equal value, and
    `${ … }` is a condition on the event.
    """

    model_config = ConfigDict(extra="allow")
    NULLABLE = frozenset({"data"})

    id: str | None = None
    source: Uri | None = None
    type: str | None = None
    time: str | None = None
    subject: str | None = None
    datacontenttype: str | None = None
    dataschema: Uri | None = None
    data: JSON = None

    def given(self) -> dict[str, JSON]:
        """The attributes that the document gives, extensions included."""
        values: dict[str, JSON] = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in values.items() if name in self.model_fields_set} | (
            self.model_extra or {}
        )

    def templates(self) -> dict[str, str]:
        """The attributes that are URI templates: the addresses that are no expression."""
        addresses = {"source": self.source, "dataschema": self.dataschema}
        return {
            name: uri
            for name, uri in addresses.items()
            if uri is not None and not is_expression(uri)
        }


class Correlation(Model):
    """A link between events: the value of `from` for the event must equal `expect`."""

    from_: Expression
    expect: str | None = None


class EventFilter(Model):
    """Which events to take."""

    model_config = ConfigDict(
        json_schema_extra={"allOf": [{"properties": {"with": {"minProperties": 1}}}]}
    )

    with_: EventProperties
    correlate: dict[str, Correlation] = Field(default_factory=dict)


class EventConsumption(Alternatives):
    """Which events to wait for: `all` of them, `any` of them (until …), or `one`."""

    model_config = ConfigDict(json_schema_extra={"dependentRequired": {"until": ["any"]}})
    FORMS = (("all",), ("any",), ("one",))

    all: tuple[EventFilter, ...] | None = None
    any: tuple[EventFilter, ...] | None = None
    one: EventFilter | None = None
    until: (
        Annotated[Annotated[Expression, NAME_TAG] | Annotated[EventConsumption, INLINE], BY_SHAPE]
        | None
    ) = None

    @model_validator(mode="after")
    def _until_any(self) -> EventConsumption:
        if self.until is not None and self.any is None:
            kind = "until"
            raise PydanticCustomError(kind, "`until` is allowed with `any` only")
        return self
