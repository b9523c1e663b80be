"""The typed models of a decision table, which is written in YAML 1.2 or JSON.

    decision: {namespace: finance, name: approval-level, version: 1.0.0, title: …, summary: …}
    hitPolicy: unique              # or first, collect
    inputs:
      - {name: amount, type: number, minimum: 0, decimals: 2, from: /order/total}
      - {name: segment, type: string, enum: [business, private]}
    outputs:
      - {name: level, type: string, enum: [none, finance]}
    rules:
      - {id: small, when: {amount: "<= 10000.00"}, then: {level: none}, because: Within the limit.}
    default: {level: finance}      # where no rule fires

`coe.decisions.load` reads it and reports its problems.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from coe.decisions.values import ValueType
from coe.json_types import JSON
from coe.language.fields import Model

MAX_RULES: Final = 1_000
MAX_COLUMNS: Final = 50
DEFAULT: Final = "default"
"""The id of the default among the rules that fired."""
RESERVED_OUTPUTS: Final = ("decision", "digest", "rules")
"""The members of a decision's answer beside the outputs of the table."""

_NAME: Final = r"^(?=.{1,63}$)[a-z][a-z0-9]*(-[a-z0-9]+)*$"
_WORD: Final = r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"
_ID: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
_VERSION: Final = (
    r"^(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})"
    r"(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$"
)
_POINTER: Final = r"^(/[^/]+)+$"


def _fits(pattern: str, wanted: str) -> Any:
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if compiled.match(text) is None or text.endswith("\n"):
            kind = "wrong_form"
            raise PydanticCustomError(kind, "must be {wanted}", {"wanted": wanted})
        return text

    return AfterValidator(check)


def _not_empty(given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse an empty list, after its entries were checked."""
    if not given:
        kind = "too_short"
        raise PydanticCustomError(kind, "must not be empty")
    return given


_SOME: Final[Any] = {"minItems": 1}


def _schema(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern})


Slug = Annotated[
    str, _fits(_NAME, "words of a-z and 0-9 with hyphens, at most 63 characters"), _schema(_NAME)
]
Word = Annotated[
    str, _fits(_WORD, "a word of letters, digits and _, such as customerClass"), _schema(_WORD)
]
RuleId = Annotated[
    str, _fits(_ID, "a word of letters, digits, hyphens, dots, such as small.eu"), _schema(_ID)
]
Exact = Annotated[str, _fits(_VERSION, "an exact version such as 1.4.0"), _schema(_VERSION)]
Pointer = Annotated[
    str, _fits(_POINTER, "a JSON pointer such as /customer/segment"), _schema(_POINTER)
]
Scalar = Annotated[JSON, WithJsonSchema({"type": ["string", "number", "boolean"]})]
_TEST: Final = {"type": ["string", "number", "boolean"]}
Test = Annotated[
    JSON,
    WithJsonSchema(
        {
            "anyOf": [_TEST, {"type": "array", "items": _TEST, "minItems": 1}],
            "description": 'A value, a list of them, or a test such as "< 10", "[1..5)", "not(a)"',
        }
    ),
]


class DecisionHead(Model):
    """The name and description of a table; `namespace` is its team, `metadata` is as in flows."""

    namespace: Slug
    name: Slug
    version: Exact
    title: str | None = Field(default=None, max_length=200)
    summary: str | None = Field(default=None, max_length=200)
    metadata: dict[str, JSON] = Field(default_factory=dict)

    @property
    def ref(self) -> str:
        """namespace/name@version."""
        return f"{self.namespace}/{self.name}@{self.version}"


class Output(Model):
    """A value that rules give. `enum` lists its values, or `minimum` and `maximum` bound them."""

    name: Word
    type: ValueType
    label: str | None = None
    description: str | None = None
    enum: tuple[Scalar, ...] | None = Field(default=None, min_length=1, max_length=MAX_RULES)
    minimum: Scalar | None = None
    maximum: Scalar | None = None
    decimals: int | None = Field(default=None, ge=0, le=20)
    optional: bool = False


class Input(Output):
    """A value that conditions test. It is found in the data at `from`, by default under its name.

    `decimals` is the number of digits after the point, so that `<= 99.99` and `>= 100.00` leave
    nothing between them. An `optional` value may be missing or null.
    """

    from_: Pointer | None = None


class Rule(Model):
    """If every condition of `when` is true, the outputs are `then`; `because` explains it."""

    # The parser of conditions refuses null with a better message.
    NULLABLE: ClassVar[frozenset[str]] = frozenset()

    id: RuleId
    when: dict[str, Test] = Field(default_factory=dict)
    then: dict[str, Scalar]
    because: str | None = None


class DecisionDocument(Model):
    """A decision table.

    The hit policy `unique` lets one rule fire for a case, `first` takes the first that fires, and
    `collect` takes all and combines them as `collect` says. `default` applies where no rule fires.
    Without a default, the check refuses a table with a case that no rule covers; `complete: false`
    permits such cases, which fault.
    """

    decision: DecisionHead
    hit_policy: Literal["unique", "first", "collect"]
    collect: Literal["list", "sum", "min", "max", "count"] | None = None
    inputs: Annotated[tuple[Input, ...], AfterValidator(_not_empty)] = Field(
        max_length=MAX_COLUMNS, json_schema_extra=_SOME
    )
    outputs: Annotated[tuple[Output, ...], AfterValidator(_not_empty)] = Field(
        max_length=MAX_COLUMNS, json_schema_extra=_SOME
    )
    rules: Annotated[tuple[Rule, ...], AfterValidator(_not_empty)] = Field(
        max_length=MAX_RULES, json_schema_extra=_SOME
    )
    default: dict[str, Scalar] | None = None
    complete: bool = True
