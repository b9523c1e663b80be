"""What the typed models are made of: the base class, and kinds of field that many share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Tag, model_validator
from pydantic_core import PydanticCustomError

from coe.language.wrapping import Program, strip, wrap

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import JsonValue

    JSON: TypeAlias = JsonValue
else:
    JSON = Any  # free data passes unvalidated: YAML and JSON can hold nothing else

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
            for key, value in data.items():
                if value is None and key not in cls.NULLABLE:
                    kind = "empty"
                    raise PydanticCustomError(kind, "`{key}` is empty", {"key": key})
        return data

    def require_one_of(self, *names: str) -> None:
        """Raise a located error unless exactly one of these fields is given in the document."""
        given = [name for name in names if name in self.model_fields_set]
        if len(given) != 1:
            kind, keys = "exactly_one", ", ".join(f"`{alias(name)}`" for name in names)
            found = " and ".join(f"`{alias(name)}`" for name in given) or "none"
            raise PydanticCustomError(
                kind, "needs exactly one of {keys}; it has {found}", {"keys": keys, "found": found}
            )


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


# A field typed as an expression takes `${ … }` and bare jq; it holds the bare `Program`.
Expression = Annotated[str, AfterValidator(lambda text: Program(strip(text)))]
# `input.from`, `output.as`, `export.as` and `set`: text is one expression, held wrapped even where
# it was written bare; an object is data in which every `${ … }` is evaluated.
Transform = Annotated[
    JSON, AfterValidator(_wrapped), AfterValidator(_only((str, dict), "an expression or an object"))
]
# The collection of a `for`: an expression, held wrapped even where written bare, or an array.
Collection = Annotated[
    JSON, AfterValidator(_wrapped), AfterValidator(_only((str, list), "an expression or an array"))
]
# Names and values, such as headers: an object in which `${ … }` is evaluated, or one expression.
Entries = Annotated[JSON, AfterValidator(_only((str, dict), "an object or an expression"))]

# A union of a name (of something declared under `use`) and the thing itself, told apart by its
# shape: Annotated[Name | Annotated[Timeout, INLINE], BY_SHAPE].
NAME: Final = Tag(f"{TAG}name")
Name = Annotated[str, NAME]
INLINE: Final = Tag(f"{TAG}inline")
BY_SHAPE: Final = Discriminator(
    lambda value: f"{TAG}name" if isinstance(value, str) else f"{TAG}inline"
)
