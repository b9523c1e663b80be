"""The document of a decision table: its typed models, as YAML 1.2 or JSON writes it.

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

`coe.decisions.load` loads it, and says what is wrong with it.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from coe.decisions.values import ValueType
from coe.json_types import JSON
from coe.language.fields import Model

MOST_RULES: Final = 1_000
MOST_COLUMNS: Final = 50
HIT_POLICIES: Final = ("unique", "first", "collect")
DEFAULT: Final = "default"
"""The id under which the default is told among the rules that fired."""
TOLD: Final = ("decision", "digest", "rules")
"""What a decision's output carries beside the table's own outputs."""

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
    """Refuse an empty list, once its entries are as they should be."""
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
    """What a table says of itself; `namespace` is the team that owns it, `metadata` as in flows."""

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
    """A value that rules give. `enum` names the only values, else `minimum` and `maximum` bound."""

    name: Word
    type: ValueType
    label: str | None = None
    description: str | None = None
    enum: tuple[Scalar, ...] | None = Field(default=None, min_length=1, max_length=MOST_RULES)
    minimum: Scalar | None = None
    maximum: Scalar | None = None
    decimals: int | None = Field(default=None, ge=0, le=20)
    optional: bool = False


class Input(Output):
    """A value that conditions ask about, found in the data at `from`, else under its own name.

    `decimals` says how many digits a number has after its point, so that `<= 99.99` and
    `>= 100.00` leave nothing between them. An `optional` one may be missing or null.
    """

    from_: Pointer | None = None


class Rule(Model):
    """If every condition of `when` is true, `then` holds; `because` says why to people."""

    # The conditions' own nulls are told with what to write in their place.
    NULLABLE: ClassVar[frozenset[str]] = frozenset()

    id: RuleId
    when: dict[str, Test] = Field(default_factory=dict)
    then: dict[str, Scalar]
    because: str | None = None


class DecisionDocument(Model):
    """A decision table.

    `unique`: at most one rule fires; `first`: the first that does; `collect`: all, and `collect`
    says what is made of them. `default` is what holds where none fires. Without it, a case for
    which there is no rule is refused when the table is checked; `complete: false` lets the table
    have such cases, which fault.
    """

    decision: DecisionHead
    hit_policy: Literal["unique", "first", "collect"]
    collect: Literal["list", "sum", "min", "max", "count"] | None = None
    inputs: Annotated[tuple[Input, ...], AfterValidator(_not_empty)] = Field(
        max_length=MOST_COLUMNS, json_schema_extra=_SOME
    )
    outputs: Annotated[tuple[Output, ...], AfterValidator(_not_empty)] = Field(
        max_length=MOST_COLUMNS, json_schema_extra=_SOME
    )
    rules: Annotated[tuple[Rule, ...], AfterValidator(_not_empty)] = Field(
        max_length=MOST_RULES, json_schema_extra=_SOME
    )
    default: dict[str, Scalar] | None = None
    complete: bool = True
