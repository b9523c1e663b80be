"""The executor: graphql-core's, which reads in place what is there already.

Most of an answer are fields without a resolver and without arguments, whose value is an attribute
of a leaf type. graphql-core makes a path, an info and three calls for each of them. Here such a
field is read and serialised at once, if its value is of a type that cannot surprise. Anything else
takes graphql-core's way: a null where none may be, a value that cannot be serialised, an error. So
answers and errors are the same, which `tests/api/test_executor.py` compares.

A field without given arguments whose value a page has read with its rows is in `at_hand` of the
view, by its Python name: then its resolver is not called. And what type an object of a class has is
asked of graphql-core for the first one of an operation only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import Enum
from typing import Any, Final

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLObjectType,
    GraphQLScalarType,
    Undefined,
    get_nullable_type,
    is_abstract_type,
    is_leaf_type,
    is_non_null_type,
    is_object_type,
    specified_scalar_types,
)
from graphql.pyutils import Path
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types.field import StrawberryField

_DEFINITION: Final = "strawberry-definition"
_TYPENAME: Final = "__typename"
_OWN_FORM: Final = {"String": str, "ID": str, "Boolean": bool}
"""Scalars whose serialised value is the value, if it is of exactly this type."""

Leaf = tuple[str, str, type | None, Callable[[Any], Any], bool]
"""Name in the answer, attribute, type that is its own form, serialiser, whether it may be null."""


class QuickExecutor(StrawberryGraphQLCoreExecutionContext):
    """Executes one operation."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._plans: dict[Any, tuple[Any, list[Leaf], dict[str, Any]]] = {}
        self._fields: dict[tuple[str, str], StrawberryField | None] = {}
        self._types: dict[tuple[int, type], GraphQLObjectType] = {}

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: Any,
        position_context: Any,
    ) -> Any:
        """The values of the fields of one object, in the order of the document."""
        leaves, others = self._plan(parent_type, grouped_field_set)
        if not leaves:
            return super().execute_fields(
                parent_type, source_value, path, grouped_field_set, position_context
            )
        ready: dict[str, Any] = {}
        odd: list[str] = []
        for name, attribute, own, serialise, nullable in leaves:
            if not attribute:
                ready[name] = parent_type.name
                continue
            value = getattr(source_value, attribute, Undefined)
            if type(value) is own:
                ready[name] = value
            elif value is None and nullable:
                ready[name] = None
            else:
                written = _written(value, serialise)
                if written is None:
                    odd.append(name)
                else:
                    ready[name] = written
        if odd:
            others = {
                name: details
                for name, details in grouped_field_set.items()
                if name in others or name in odd
            }
        if not others:
            return ready
        rest = super().execute_fields(parent_type, source_value, path, others, position_context)
        if isinstance(rest, dict):
            return _in_order(rest, ready, grouped_field_set)
        return _joined(rest, ready, grouped_field_set)

    def execute_field(
        self,
        parent_type: GraphQLObjectType,
        source: Any,
        field_details_list: Any,
        path: Path,
        position_context: Any,
    ) -> Any:
        """The value of one field; without its resolver if it is there already."""
        node = field_details_list[0].node
        value = Undefined if node.arguments else self._at_hand(parent_type, source, node.name.value)
        if value is Undefined or self.is_awaitable(value):
            return super().execute_field(
                parent_type, source, field_details_list, path, position_context
            )
        found: Any = self.schema.get_field(parent_type, node.name.value)
        nodes = [each.node for each in field_details_list]
        info = self.build_resolve_info(found, nodes, parent_type, path)
        try:
            completed = self.complete_value(
                found.type, field_details_list, info, path, value, position_context
            )
        except Exception as error:  # noqa: BLE001  # as graphql-core handles it
            self.handle_field_error(error, found.type, field_details_list, path)
            return None
        if self.is_awaitable(completed):
            return self._completed(completed, found.type, field_details_list, path)
        return completed

    async def _completed(self, value: Any, kind: Any, details: Any, path: Path) -> Any:
        try:
            return await value
        except Exception as error:  # noqa: BLE001  # the same
            self.handle_field_error(error, kind, details, path)
            return None

    def _at_hand(self, parent_type: GraphQLObjectType, source: Any, name: str) -> Any:
        """The value of a field that needs no resolver; Undefined if it does."""
        key = (parent_type.name, name)
        if key not in self._fields:
            found = self.schema.get_field(parent_type, name)
            field = found.extensions.get(_DEFINITION) if found is not None else None
            self._fields[key] = field if isinstance(field, StrawberryField) else None
        field = self._fields[key]
        if field is None:
            return Undefined
        brought = getattr(source, "at_hand", None)
        if brought is not None and field.python_name in brought:
            return brought[field.python_name]
        return getattr(source, field.python_name, Undefined) if field.is_basic_field else Undefined

    def complete_value(  # noqa: PLR0917  # as graphql-core calls it
        self,
        return_type: Any,
        field_details_list: Any,
        info: Any,
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        """The answer of a value; of an object whose class is known, its fields at once."""
        known = self._types.get((id(return_type), type(result)))
        if known is not None:
            return self.collect_and_execute_subfields(
                known, field_details_list, path, result, position_context
            )
        completed = super().complete_value(
            return_type, field_details_list, info, path, result, position_context
        )
        self._learn(return_type, result, info)
        return completed

    def _learn(self, return_type: Any, result: Any, info: Any) -> None:
        """Remember the type of a class of objects, after one of them was completed."""
        definition = getattr(type(result), "__strawberry_definition__", None)
        if definition is None or definition.is_graphql_generic or definition.is_type_of:
            return
        kind: Any = get_nullable_type(return_type)
        if is_abstract_type(kind):
            name = kind.resolve_type(result, info, kind) if kind.resolve_type else None
            kind = self.schema.get_type(name) if isinstance(name, str) else None
        if is_object_type(kind):
            self._types[id(return_type), type(result)] = kind

    def _plan(
        self, parent_type: GraphQLObjectType, grouped_field_set: Any
    ) -> tuple[list[Leaf], dict[str, Any]]:
        """The leaves of a selection of a type, and its other fields; made once an operation."""
        key = (parent_type.name, id(grouped_field_set))
        known = self._plans.get(key)
        if known is None:
            leaves: list[Leaf] = []
            others: dict[str, Any] = {}
            for name, details in grouped_field_set.items():
                leaf = self._leaf(parent_type, name, details)
                if leaf is None:
                    others[name] = details
                else:
                    leaves.append(leaf)
            # The set is kept, so that its id stays its own as long as the plan is.
            known = self._plans[key] = (grouped_field_set, leaves, others)
        return known[1], known[2]

    def _leaf(self, parent_type: GraphQLObjectType, name: str, details: Any) -> Leaf | None:
        node = details[0].node
        if node.name.value == _TYPENAME:
            return name, "", None, str, False
        found = self.schema.get_field(parent_type, node.name.value)
        return None if found is None or found.args else _leaf_of(found, name)


def _leaf_of(found: GraphQLField, name: str) -> Leaf | None:
    """How a field is read in place; None if it is no plain field of a leaf type."""
    field = found.extensions.get(_DEFINITION)
    if not isinstance(field, StrawberryField) or not field.is_basic_field:
        return None
    nullable = not is_non_null_type(found.type)
    leaf: Any = get_nullable_type(found.type)
    if not is_leaf_type(leaf):
        return None
    own = _OWN_FORM.get(leaf.name) if leaf.name in specified_scalar_types else None
    return name, field.python_name, own, _serialiser(leaf), nullable


def _serialiser(leaf: GraphQLScalarType | GraphQLEnumType) -> Callable[[Any], Any]:
    if not isinstance(leaf, GraphQLEnumType):
        return leaf.coerce_output_value
    known: dict[Any, Any] = {}

    def of_enum(value: Any) -> Any:
        if value not in known:
            known[value] = leaf.coerce_output_value(value)
        return known[value]

    return of_enum


def _written(value: Any, serialise: Callable[[Any], Any]) -> Any:
    """The serialised value; None if it is left to graphql-core, which says what is wrong."""
    if not isinstance(value, str | int | float | datetime | Enum):
        return None
    try:
        written = serialise(value)
    except Exception:  # noqa: BLE001  # graphql-core meets it again, and reports it
        return None
    return None if written is Undefined else written


def _in_order(rest: dict[str, Any], ready: dict[str, Any], names: Any) -> dict[str, Any]:
    return {
        name: ready[name] if name in ready else rest[name]
        for name in names
        if name in ready or name in rest
    }


async def _joined(
    rest: Awaitable[dict[str, Any]], ready: dict[str, Any], names: Any
) -> dict[str, Any]:
    return _in_order(await rest, ready, names)
