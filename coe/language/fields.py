"""The base class of the typed models, and the types of fields that many of them share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    GetJsonSchemaHandler,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError

from coe.json_types import JSON
from coe.language.expression_syntax import JqProgram, is_expression, program_of, to_expression

if TYPE_CHECKING:
    from collections.abc import Callable

# Tags of unions start with a character that no document contains, so that a tag in the location
# of a validation error is never mistaken for a key.
TAG: Final = "\x00"


def alias(name: str) -> str:
    """The key of a field in the document: `exceptWhen` of `except_when`, `if` of `if_`."""
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(word.title() for word in rest)


class Model(BaseModel):
    """The base of every part of a definition: frozen, without unknown keys, built at first use."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=alias,
        defer_build=True,
        protected_namespaces=(),
    )

    # Keys whose value may be null: data, not structure.
    NULLABLE: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _refuse_empty(cls, data: object) -> object:
        """Refuse a key without a value, as the specification's schema does."""
        if isinstance(data, dict):
            free = cls.model_config.get("extra") == "allow"
            for key, value in data.items():
                if value is not None or key in cls.NULLABLE:
                    continue
                if not free or key in cls.model_fields:
                    kind = "empty"
                    raise PydanticCustomError(kind, "`{key}` is empty", {"key": key})
        return data

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The schema for editors: an optional key may be left out, but may not be null."""
        written = handler.resolve_ref_schema(handler(schema))
        for name, part in written.get("properties", {}).items():
            if name not in cls.NULLABLE:
                written["properties"][name] = _not_null(part)
        return written


class Alternatives(Model):
    """A part in exactly one of several forms, with all fields of that form.

    A form with a star excludes every other field.
    """

    FORMS: ClassVar[tuple[tuple[str, ...], ...]]

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        given = self.model_fields_set
        chosen = given & {name for form in self.FORMS for name in form}
        if not any(chosen == set(form) - {"*"} for form in self.FORMS):
            kind = "exactly_one"
            wanted = ", ".join(_keys_of(form) for form in self.FORMS)
            found = " and ".join(sorted(f"`{alias(name)}`" for name in chosen)) or "none"
            context = {"wanted": wanted, "found": found}
            raise PydanticCustomError(
                kind, "needs exactly one of {wanted}; it has {found}", context
            )
        for form in self.FORMS:
            if "*" in form and chosen == set(form) - {"*"} and given != chosen:
                kind = "alone"
                raise PydanticCustomError(
                    kind, "{form} excludes all other keys", {"form": _keys_of(form)}
                )
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The schema with the forms as alternatives."""
        written = super().__get_pydantic_json_schema__(schema, handler)
        every = {name for form in cls.FORMS for name in form if name != "*"}
        written["oneOf"] = [_alternative(form, every) for form in cls.FORMS]
        return written


def _keys_of(form: tuple[str, ...]) -> str:
    return " with ".join(f"`{alias(name)}`" for name in form if name != "*")


def _alternative(form: tuple[str, ...], every: set[str]) -> dict[str, Any]:
    """The schema of one form: its keys, and no key of another form."""
    needed = [alias(name) for name in form if name != "*"]
    others = sorted(alias(name) for name in every - set(form))
    found: dict[str, Any] = {"required": needed}
    if others:
        found["properties"] = dict.fromkeys(others, False)
    if "*" in form:
        found["maxProperties"] = len(needed)
    return found


def _not_null(part: dict[str, Any]) -> dict[str, Any]:
    """A property's schema without `null`, which only means "not given" in the model."""
    if part.get("default", 0) is None:
        part = {key: value for key, value in part.items() if key != "default"}
    choices = part.get("anyOf", [])
    kept = [choice for choice in choices if choice != {"type": "null"}]
    if len(kept) == len(choices):
        return part
    rest = {key: value for key, value in part.items() if key != "anyOf"}
    return rest | (kept[0] if len(kept) == 1 else {"anyOf": kept})


@dataclass(frozen=True, slots=True)
class ItemPosition:
    """An item's name, its JSON pointer, and the line and column of its name, counted from 1."""

    name: str = ""
    pointer: str = ""
    line: int | None = None
    column: int | None = None


def _wrapped(value: object) -> object:
    return to_expression(value) if isinstance(value, str) else value


def _only(kinds: tuple[type, ...], wanted: str) -> Callable[[object], object]:
    def check(value: object) -> object:
        if not isinstance(value, kinds):
            kind = "wrong_type"
            raise PydanticCustomError(kind, "must be {wanted}", {"wanted": wanted})
        return value

    return check


def _no_plain_text(value: object) -> object:
    if isinstance(value, str) and not is_expression(value):
        kind = "wrong_type"
        raise PydanticCustomError(kind, "must be an object or ${ … }")
    return value


_TEXT_OR_OBJECT: Final = {"anyOf": [{"type": "string"}, {"type": "object"}]}
_TEXT_OR_FULL_OBJECT: Final = {
    "anyOf": [{"type": "string"}, {"type": "object", "minProperties": 1}]
}
_EXPRESSION: Final = {"type": "string", "pattern": r"^\s*\$\{(?:.|\n)+\}\s*$"}
_TEXTS: Final = {
    "anyOf": [{"type": "object", "additionalProperties": {"type": "string"}}, _EXPRESSION]
}
_TEXT_OR_OBJECTS: Final = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]
}

# A field of type Expression takes `${ … }` or bare jq, and holds the bare `Program`.
Expression = Annotated[str, AfterValidator(lambda text: JqProgram(program_of(text)))]
# `input.from`, `output.as`, `export.as` and `set`: text is one expression, which the field holds
# in `${ … }`; an object is data in which every `${ … }` is evaluated.
Transform = Annotated[
    JSON,
    AfterValidator(_wrapped),
    AfterValidator(_only((str, dict), "an expression or an object")),
    WithJsonSchema(_TEXT_OR_OBJECT),
]
# The collection of a `for`: an expression, which the field holds in `${ … }`, or an array.
# The specification requires its items to be objects; our profile takes any items.
Collection = Annotated[
    JSON,
    AfterValidator(_wrapped),
    AfterValidator(_only((str, list), "an expression or an array")),
    WithJsonSchema(_TEXT_OR_OBJECTS),
]
# The value of `set`: a transform, which the specification requires not to be empty.
SetValue = Annotated[Transform, WithJsonSchema(_TEXT_OR_FULL_OBJECT)]
# Parameters: an object in which `${ … }` is evaluated, or one expression.
Entries = Annotated[
    JSON,
    AfterValidator(_only((str, dict), "an object or an expression")),
    WithJsonSchema(_TEXT_OR_OBJECT),
]
# Headers and query parameters: the specification requires their values to be text.
Texts = Annotated[Entries, AfterValidator(_no_plain_text), WithJsonSchema(_TEXTS)]
# The specification requires a scheme and `://`; our profile takes any text.
URI: Final = r"^(?:[A-Za-z][A-Za-z0-9+\-.]*://.*|\s*\$\{(?:.|\n)+\}\s*)$"
Uri = Annotated[str, WithJsonSchema({"type": "string", "pattern": URI})]

# A union of the name of something declared under `use` and the thing itself: text is the name.
# Annotated[Name | Annotated[Timeout, INLINE], BY_SHAPE].
NAME_TAG: Final = Tag(f"{TAG}name")
DeclaredName = Annotated[str, NAME_TAG]
INLINE: Final = Tag(f"{TAG}inline")
BY_SHAPE: Final = Discriminator(
    lambda value: f"{TAG}name" if isinstance(value, str) else f"{TAG}inline"
)
