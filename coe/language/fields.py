"""What the typed models are made of: the base class, and kinds of field that many share."""

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
from coe.language.expression_syntax import Program, is_expression, strip, wrap

if TYPE_CHECKING:
    from collections.abc import Callable

# Tags of unions start with a character that no document can hold, so that a tag in the location
# of a validation error is never mistaken for a key.
TAG: Final = "\x00"


def alias(name: str) -> str:
    """The document's key of a field: `except_when` is `exceptWhen`, `if_` is `if`."""
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(word.title() for word in rest)


class Model(BaseModel):
    """Base of every part of a definition: frozen, closed to unknown keys, built at first use."""

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
        """Refuse `key:` with nothing behind it, which the specification's schema refuses too."""
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
        """The schema as editors need it: what may be left out may not be null."""
        written = handler.resolve_ref_schema(handler(schema))
        for name, part in written.get("properties", {}).items():
            if name not in cls.NULLABLE:
                written["properties"][name] = _not_null(part)
        return written


class Alternatives(Model):
    """A part of which exactly one form is given: the fields that the form needs, all of them.

    A form with a star stands alone: no other field may be given with it.
    """

    FORMS: ClassVar[tuple[tuple[str, ...], ...]]

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        given = self.model_fields_set
        telling = given & {name for form in self.FORMS for name in form}
        if not any(telling == set(form) - {"*"} for form in self.FORMS):
            kind = "exactly_one"
            wanted = ", ".join(_words(form) for form in self.FORMS)
            found = " and ".join(sorted(f"`{alias(name)}`" for name in telling)) or "none"
            told = {"wanted": wanted, "found": found}
            raise PydanticCustomError(kind, "needs exactly one of {wanted}; it has {found}", told)
        for form in self.FORMS:
            if "*" in form and telling == set(form) - {"*"} and given != telling:
                kind = "alone"
                raise PydanticCustomError(kind, "{form} stands alone", {"form": _words(form)})
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The forms as alternatives."""
        written = super().__get_pydantic_json_schema__(schema, handler)
        every = {name for form in cls.FORMS for name in form if name != "*"}
        written["oneOf"] = [_alternative(form, every) for form in cls.FORMS]
        return written


def _words(form: tuple[str, ...]) -> str:
    return " with ".join(f"`{alias(name)}`" for name in form if name != "*")


def _alternative(form: tuple[str, ...], every: set[str]) -> dict[str, Any]:
    """One form as a schema: its keys, and none of the other forms'."""
    needed = [alias(name) for name in form if name != "*"]
    others = sorted(alias(name) for name in every - set(form))
    found: dict[str, Any] = {"required": needed}
    if others:
        found["properties"] = dict.fromkeys(others, False)
    if "*" in form:
        found["maxProperties"] = len(needed)
    return found


def _not_null(part: dict[str, Any]) -> dict[str, Any]:
    """A property's schema without the null that stands for "not given"."""
    if part.get("default", 0) is None:
        part = {key: value for key, value in part.items() if key != "default"}
    choices = part.get("anyOf", [])
    kept = [choice for choice in choices if choice != {"type": "null"}]
    if len(kept) == len(choices):
        return part
    rest = {key: value for key, value in part.items() if key != "anyOf"}
    return rest | (kept[0] if len(kept) == 1 else {"anyOf": kept})


@dataclass(frozen=True, slots=True)
class Place:
    """Where an item stands: name, JSON pointer, and the 1-based line and column of its name."""

    name: str = ""
    pointer: str = ""
    line: int | None = None
    column: int | None = None


def _wrapped(value: object) -> object:
    return wrap(value) if isinstance(value, str) else value


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

# A field typed as an expression takes `${ … }` and bare jq; it holds the bare `Program`.
Expression = Annotated[str, AfterValidator(lambda text: Program(strip(text)))]
# `input.from`, `output.as`, `export.as` and `set`: text is one expression, held wrapped even where
# it was written bare; an object is data in which every `${ … }` is evaluated.
Transform = Annotated[
    JSON,
    AfterValidator(_wrapped),
    AfterValidator(_only((str, dict), "an expression or an object")),
    WithJsonSchema(_TEXT_OR_OBJECT),
]
# The collection of a `for`: an expression, held wrapped even where written bare, or an array.
# The specification wants its items to be objects; ours may be anything.
Collection = Annotated[
    JSON,
    AfterValidator(_wrapped),
    AfterValidator(_only((str, list), "an expression or an array")),
    WithJsonSchema(_TEXT_OR_OBJECTS),
]
# What `set` makes: a transform, which the specification does not want to be empty.
Making = Annotated[Transform, WithJsonSchema(_TEXT_OR_FULL_OBJECT)]
# Parameters: an object in which `${ … }` is evaluated, or one expression.
Entries = Annotated[
    JSON,
    AfterValidator(_only((str, dict), "an object or an expression")),
    WithJsonSchema(_TEXT_OR_OBJECT),
]
# Headers and the like: the specification wants their values to be text.
Texts = Annotated[Entries, AfterValidator(_no_plain_text), WithJsonSchema(_TEXTS)]
# The specification wants a scheme and `://`; ours may be any text.
URI: Final = r"^(?:[A-Za-z][A-Za-z0-9+\-.]*://.*|\s*\$\{(?:.|\n)+\}\s*)$"
Uri = Annotated[str, WithJsonSchema({"type": "string", "pattern": URI})]

# A union of a name (of something declared under `use`) and the thing itself, told apart by its
# shape: Annotated[Name | Annotated[Timeout, INLINE], BY_SHAPE].
NAME: Final = Tag(f"{TAG}name")
Name = Annotated[str, NAME]
INLINE: Final = Tag(f"{TAG}inline")
BY_SHAPE: Final = Discriminator(
    lambda value: f"{TAG}name" if isinstance(value, str) else f"{TAG}inline"
)
