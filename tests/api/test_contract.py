"""The schema against the contract: what it has is as promised, what it lacks is named here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
    is_required_argument,
    is_required_input_field,
    print_ast,
)

from coe.api.schema import make_schema

HERE = Path(__file__).parent
SNAPSHOT = HERE.parents[1] / "coe" / "api" / "schema.graphql"

ABSENT = {
    "ChangePolicyInput",
    "Lesson",
    "Mutation.changePolicy",
    "PolicyChange",
    "PolicyImpact",
    "PolicyPayload",
    "Query.simulatePolicy",
    "Subscription",
}
"""What the contract has and the schema lacks. This set only ever shrinks."""


def ours() -> GraphQLSchema:
    return build_schema(make_schema().as_str())


def contract() -> GraphQLSchema:
    return build_schema((HERE / "contract.graphql").read_text(encoding="utf-8"))


def _absent(promised: GraphQLSchema, made: GraphQLSchema) -> Iterator[str]:
    for name, wanted in promised.type_map.items():
        if name.startswith("__"):
            continue
        have = made.type_map.get(name)
        if have is None:
            yield name
            continue
        for field in getattr(wanted, "fields", ()):
            if field not in have.fields:
                yield f"{name}.{field}"


def _breaking(promised: GraphQLSchema, made: GraphQLSchema) -> Iterator[str]:
    for name, wanted in promised.type_map.items():
        have = made.type_map.get(name)
        if have is None or name.startswith("__"):
            continue
        if type(have) is not type(wanted):
            yield f"{name} is a {type(have).__name__}"
        elif isinstance(wanted, GraphQLEnumType):
            yield from (f"{name}.{value}" for value in wanted.values if value not in have.values)
        elif isinstance(wanted, GraphQLUnionType):
            missing = {t.name for t in wanted.types} - {t.name for t in have.types}
            yield from (f"{name} lacks {member}" for member in missing)
        elif isinstance(wanted, GraphQLInputObjectType):
            yield from _input(name, wanted, have)
        elif isinstance(wanted, GraphQLObjectType | GraphQLInterfaceType):
            missing = {i.name for i in wanted.interfaces} - {i.name for i in have.interfaces}
            yield from (f"{name} does not implement {interface}" for interface in missing)
            for field in wanted.fields.keys() & have.fields.keys():
                yield from _field(f"{name}.{field}", wanted.fields[field], have.fields[field])


def _input(
    name: str, wanted: GraphQLInputObjectType, have: GraphQLInputObjectType
) -> Iterator[str]:
    for field in wanted.fields.keys() & have.fields.keys():
        if str(wanted.fields[field].type) != str(have.fields[field].type):
            yield f"{name}.{field}: {have.fields[field].type}"
    for field in have.fields.keys() - wanted.fields.keys():
        if is_required_input_field(have.fields[field]):
            yield f"{name}.{field} is required, but the contract lacks it"


def _field(name: str, wanted: GraphQLField, have: GraphQLField) -> Iterator[str]:
    if str(wanted.type) != str(have.type):
        yield f"{name}: {have.type}, promised {wanted.type}"
    for argument, promised in wanted.args.items():
        made = have.args.get(argument)
        if made is None:
            yield f"{name}({argument}:) is missing"
        else:
            yield from _argument(f"{name}({argument}:)", promised, made)
    for argument in have.args.keys() - wanted.args.keys():
        if is_required_argument(have.args[argument]):
            yield f"{name}({argument}:) is required, but the contract lacks it"


def _argument(name: str, wanted: GraphQLArgument, have: GraphQLArgument) -> Iterator[str]:
    if str(wanted.type) != str(have.type):
        yield f"{name} {have.type}, promised {wanted.type}"
    if _default(wanted) != _default(have):
        yield f"{name} = {_default(have)}, promised {_default(wanted)}"


def _default(argument: GraphQLArgument) -> str:
    node = argument.ast_node.default_value if argument.ast_node else None
    return print_ast(node) if node else "null"


def test_no_promise_of_the_contract_is_broken() -> None:
    assert sorted(_breaking(contract(), ours())) == []


def test_what_the_schema_lacks_is_named() -> None:
    assert set(_absent(contract(), ours())) == ABSENT


def test_the_checks_find_a_break() -> None:
    text = SNAPSHOT.read_text(encoding="utf-8")
    for before, after, seen in (
        ("correlationId: String!", "correlationId: String", "Run.correlationId"),
        ("first: Int = 50", "first: Int = 51", "Query.auditLog(first:)"),
        ("  RETIRED\n", "", "Lifecycle.RETIRED"),
        ("expiresIn: Duration!", "expiresIn: Duration", "IssueTokenInput.expiresIn"),
    ):
        assert before in text
        broken = build_schema(text.replace(before, after))
        assert any(line.startswith(seen) for line in _breaking(contract(), broken)), seen
    without = build_schema(text.replace("  me: Viewer!\n", "  myself: Viewer!\n"))
    assert "Query.me" in set(_absent(contract(), without))


def test_additions_are_described() -> None:
    promised, made = contract(), ours()
    bare = []
    for name, have in made.type_map.items():
        if name.startswith("__") or name in {"Boolean", "Float", "ID", "Int", "String"}:
            continue
        wanted = promised.type_map.get(name)
        if wanted is None and not have.description:
            bare.append(name)
        if wanted is None or isinstance(wanted, GraphQLEnumType):
            continue
        added = getattr(have, "fields", {}).keys() - getattr(wanted, "fields", {}).keys()
        bare += [f"{name}.{field}" for field in added if not have.fields[field].description]
    assert bare == []


def test_the_printed_schema_is_committed() -> None:
    printed = make_schema().as_str() + "\n"
    assert SNAPSHOT.read_text(encoding="utf-8") == printed, (
        "the schema has changed: print it anew with `python -m coe.api.schema`"
    )
