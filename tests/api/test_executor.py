"""The quick executor answers as graphql-core does: values, nulls, errors and their order."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import pytest
import strawberry
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from coe.api.graphql.executor import QuickExecutor
from coe.api.graphql.scalars import SCALARS, DateTime, Json


@strawberry.enum
class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@strawberry.interface
class Named:
    at_hand: strawberry.Private[Mapping[str, object]] = dataclasses.field(default_factory=dict)
    name: str


@strawberry.type
class Leaf(Named):
    colour: Colour
    number: int
    share: float
    is_good: bool
    at: DateTime
    maybe: str | None
    data: Json
    tags: list[str]

    @strawberry.field
    async def later(self) -> str:
        return f"later {self.name}"

    @strawberry.field
    def refused(self) -> str:
        raise ValueError("no")

    @strawberry.field
    async def friend(self, of: str | None = None) -> Leaf | None:
        return leaf(name=f"friend {of}")

    @strawberry.field
    async def needed(self) -> Leaf:
        return leaf(name="loaded")


@strawberry.type
class Other(Named):
    number: str


def leaf(**changed: Any) -> Leaf:
    values: dict[str, Any] = {
        "name": "a",
        "colour": Colour.RED,
        "number": 1,
        "share": 0.5,
        "is_good": True,
        "at": DateTime(datetime(2026, 1, 1, tzinfo=UTC)),
        "maybe": None,
        "data": Json({"a": [1]}),
        "tags": ["x"],
    }
    return Leaf(**(values | changed))


BAD: Any = object()


@strawberry.type
class Query:
    @strawberry.field
    def one(self) -> Leaf:
        return leaf()

    @strawberry.field
    async def many(self) -> list[Named]:
        return [leaf(), Other(name="o", number="two"), leaf(name="b", at_hand=_brought())]

    @strawberry.field
    def bad(self) -> Leaf | None:
        return leaf(number=2**40, maybe="m")

    @strawberry.field
    def missing(self) -> list[Leaf | None]:
        return [leaf(name=None), leaf(colour=BAD), leaf(at=BAD), leaf(share=float("nan")), None]

    @strawberry.field
    def faulty(self) -> list[Named | None]:
        return [BAD, leaf()]


def _brought() -> dict[str, object]:
    return {"friend": leaf(name="at hand"), "needed": leaf(name="here", number=2**40)}


def schema(executor: Any) -> strawberry.Schema:
    return strawberry.Schema(
        Query,
        types=[Leaf, Other],
        execution_context_class=executor,
        config=StrawberryConfig(scalar_map=SCALARS),
    )


QUICK, PLAIN = schema(QuickExecutor), schema(StrawberryGraphQLCoreExecutionContext)
ALL = "name colour number share isGood at maybe data tags"
DOCUMENTS = {
    "leaves": f"{{ one {{ __typename {ALL} }} }}",
    "aliases and order": "{ one { later second: name colour __typename name kind: __typename } }",
    "twice": "{ one { name name ...N } } fragment N on Named { name again: name }",
    "types": "{ many { __typename name ... on Leaf { number } ... on Other { text: number } } }",
    "directives": "{ one { name @skip(if: true) colour @include(if: true) } }",
    "an error of a resolver": "{ many { name ... on Leaf { refused } } one { name } }",
    "a value that cannot be": "{ bad { maybe number name } one { name } }",
    "nulls where none may be": f"{{ missing {{ {ALL} later }} }}",
    "one bad leaf": "{ missing { name later } }",
    "an object of no type": "{ faulty { name } }",
    "edges": "{ one { friend { name later } needed { name } } }",
    "introspection": '{ __schema { queryType { name } } __type(name: "Leaf") { kind name } }',
}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS.keys())
async def test_the_answer_is_that_of_graphql_core(document: str) -> None:
    quick, plain = await QUICK.execute(document), await PLAIN.execute(document)
    assert repr(quick.data) == repr(plain.data), "in the same order too"
    assert [each.formatted for each in quick.errors or ()] == [
        each.formatted for each in plain.errors or ()
    ]


async def test_what_a_page_brought_is_not_loaded() -> None:
    document = "{ many { ... on Leaf { friend { name } same: friend { name } } } }"
    answer = await QUICK.execute(document)
    assert answer.data is not None
    assert answer.data["many"][2] == {"friend": {"name": "at hand"}, "same": {"name": "at hand"}}


async def test_an_argument_is_never_answered_by_what_a_page_brought() -> None:
    document = '{ many { ... on Leaf { friend(of: "b") { name } } } }'
    answer = await QUICK.execute(document)
    assert answer.data is not None
    assert answer.data["many"][2] == {"friend": {"name": "friend b"}}


async def test_an_error_below_what_a_page_brought_has_its_place() -> None:
    answer = await QUICK.execute("{ many { ... on Leaf { name needed { number } } } }")
    assert answer.data is None
    assert [each.path for each in answer.errors or ()] == [["many", 2, "needed", "number"]]
