"""Limits of one request: depth, aliases, directives, and a cost that is known before it runs.

The cost is a bound on the rows that an answer can touch. A field that returns an object costs its
weight (one, unless `WEIGHTS` names it); the selection below a list costs once for each element. A
connection has `first` elements, any other list counts as ten. Each fragment is measured once, so
that measuring is linear in the document, however fragments nest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
    value_from_ast_untyped,
)

from coe.errors import TooCostly
from coe.paging import MAX_PAGE_SIZE

MAX_REQUEST_BYTES = 2 * 1024 * 1024
"""Bytes of a request: a template's files or a flow's definition fit."""
MAX_JSON_NESTING = 100
"""Levels of the JSON of a request."""
MAX_DOCUMENT_TOKENS = 2_000
MAX_DEPTH = 15
MAX_ALIASES = 30
MAX_DIRECTIVES = 30
MAX_ROOTS = 30
MAX_COST = 5_000

LIST_SIZE = 10
"""How many elements a list without `first` counts as."""

WEIGHTS: Mapping[str, int] = {
    "Query.verifyAudit": 200,
    "Query.accessReview": 50,
    "Query.auditLog": 10,
    "Query.catalog": 10,
    "Query.previewTemplate": 50,
    "Query.checkFlow": 50,
    "Query.checkDecision": 50,
    "Query.replayDecision": 200,
    "DecisionTable.versions": 5,
    "DecisionTableVersion.cases": 5,
    "DecisionTableVersion.definition": 1,
    "DecisionTableVersion.problems": 1,
    "DecisionCase.input": 1,
    "DecisionCase.output": 1,
    "Flow.runs": 5,
    "Flow.versions": 5,
    "FlowVersion.diff": 20,
    "FlowVersion.diagram": 5,
    "FlowVersion.diagramSvg": 20,
    "FlowPreview.diagramSvg": 20,
    "Run.diagram": 10,
    "Run.diagramSvg": 25,
    "FlowVersion.definition": 1,
    "FlowVersion.problems": 1,
    "TemplateVersion.definition": 1,
    "Run.input": 1,
    "Team.flows": 5,
    "Template.versions": 5,
    "Run.output": 1,
    "HumanTask.context": 1,
    "HumanTask.answer": 1,
    "AuditEvent.detail": 1,
}
"""Fields that cost more than their rows: they open sealed values, compute, or read a page."""

COUNTED_COST = 100
"""From this cost on, an operation counts for the rate limit of queries."""

CHECKS = frozenset(
    {
        "Query.checkDecision",
        "Query.checkFlow",
        "Query.previewTemplate",
        "Query.replayDecision",
        "Mutation.instantiateTemplate",
        "Mutation.registerDecision",
        "Mutation.registerFlow",
        "Mutation.registerTemplate",
        "Mutation.submitForReview",
        "Mutation.updateDraft",
    }
)
"""Fields that check, render or test what a caller sends: they have a rate limit of their own."""


COMPUTED = CHECKS | {
    "FlowPreview.diagramSvg",
    "FlowVersion.diagram",
    "FlowVersion.diagramSvg",
    "FlowVersion.diff",
    "Mutation.publish",
    "Review.diff",
    "Review.unifiedDiff",
    "Run.diagram",
    "Run.diagramSvg",
}
"""Fields that work on a caller's text: an operation with one of them waits for its turn."""


@dataclass(frozen=True, slots=True)
class Measure:
    """The size of an operation, or of a part of one.

    `checks` are how many of `CHECKS` it has, and `computes` says whether it has one of `COMPUTED`.
    """

    depth: int = 0
    aliases: int = 0
    directives: int = 0
    cost: int = 0
    checks: int = 0
    computes: bool = False

    def beside(self, other: Measure) -> Measure:
        """The measure of two parts at one level."""
        return Measure(
            max(self.depth, other.depth),
            self.aliases + other.aliases,
            self.directives + other.directives,
            self.cost + other.cost,
            self.checks + other.checks,
            self.computes or other.computes,
        )


@dataclass(slots=True)
class Measuring:
    """A walk over one operation that measures it."""

    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: Mapping[str, Any]
    _known: dict[tuple[str, int], Measure] = field(default_factory=dict)

    def selections(
        self, parent: GraphQLNamedType, chosen: SelectionSetNode, elements: int
    ) -> Measure:
        """Measure the selection of a type; `elements` is the `first` of a connection, else 0."""
        total = Measure()
        for node in chosen.selections:
            if isinstance(node, FieldNode):
                part = self._field(parent, node, elements)
            elif isinstance(node, InlineFragmentNode):
                part = self._inline(parent, node, elements)
            elif isinstance(node, FragmentSpreadNode):
                part = self._fragment(node.name.value, elements)
            else:  # a kind of selection of a later GraphQL
                raise TooCostly("The document has a kind of selection that is not supported.")
            own = Measure(directives=len(node.directives or ()))
            total = total.beside(part).beside(own)
        return total

    def _field(self, parent: GraphQLNamedType, node: FieldNode, elements: int) -> Measure:
        name = node.name.value
        aliases = 1 if node.alias else 0
        known = _fields(parent).get(name)
        if known is None:  # __typename, __schema and __type: validation bounds their depth
            return Measure(depth=1, aliases=aliases, cost=1 if name.startswith("__s") else 0)
        weight = WEIGHTS.get(f"{parent.name}.{name}", 0)
        checks = 1 if f"{parent.name}.{name}" in CHECKS else 0
        computes = f"{parent.name}.{name}" in COMPUTED
        if node.selection_set is None:
            return Measure(1, aliases, cost=weight, checks=checks, computes=computes)
        first = self._first(known, node)
        inner = self.selections(get_named_type(known.type), node.selection_set, first)
        many = _many(known, elements)
        return Measure(
            depth=1 + inner.depth,
            aliases=aliases + inner.aliases,
            directives=inner.directives,
            cost=max(weight, 1) + many * inner.cost + (many if many > 1 else 0),
            checks=checks + inner.checks,
            computes=computes or inner.computes,
        )

    def _inline(self, parent: GraphQLNamedType, node: InlineFragmentNode, elements: int) -> Measure:
        if node.type_condition is not None:
            parent = self.schema.type_map[node.type_condition.name.value]
        return self.selections(parent, node.selection_set, elements)

    def _fragment(self, name: str, elements: int) -> Measure:
        if (name, elements) not in self._known:
            fragment = self.fragments[name]
            parent = self.schema.type_map[fragment.type_condition.name.value]
            measured = self.selections(parent, fragment.selection_set, elements)
            self._known[name, elements] = measured
        return self._known[name, elements]

    def _first(self, known: GraphQLField, node: FieldNode) -> int:
        """The elements of a connection, 0 for any other field; the resolver refuses too many."""
        argument = known.args.get("first")
        if argument is None:
            return 0
        given = next((one.value for one in node.arguments or () if one.name.value == "first"), None)
        if isinstance(given, IntValueNode):
            value: object = int(given.value)
        elif isinstance(given, VariableNode):
            value = self.variables.get(given.name.value, argument.default_value)
        else:
            value = argument.default_value
        return max(1, min(value, MAX_PAGE_SIZE)) if isinstance(value, int) else MAX_PAGE_SIZE


def _fields(parent: GraphQLNamedType) -> Mapping[str, GraphQLField]:
    found: Mapping[str, GraphQLField] = {}
    if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
        found = parent.fields
    return found


def _many(known: GraphQLField, elements: int) -> int:
    """How many objects a field returns: one, or the elements of its connection, or ten."""
    if not is_list_type(get_nullable_type(known.type)):
        return 1
    return elements or LIST_SIZE


def check_limits(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any] | None,
) -> Measure:
    """Measure a valid operation, and refuse it if it exceeds a limit.

    Raises:
        TooCostly: With the name of the limit, the limit, and the measured value.
    """
    fragments = {
        node.name.value: node
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    root = schema.get_root_type(operation.operation)
    if root is None:
        raise TooCostly("This kind of operation is not supported.")
    measuring = Measuring(schema, fragments, {**_defaults(operation), **(variables or {})})
    measure = measuring.selections(root, operation.selection_set, 0)
    roots = _roots(operation.selection_set, fragments)
    for name, asked, most in (
        ("depth", measure.depth, MAX_DEPTH),
        ("aliases", measure.aliases, MAX_ALIASES),
        ("directives", measure.directives + len(operation.directives or ()), MAX_DIRECTIVES),
        ("root fields", roots, MAX_ROOTS),
        ("cost", measure.cost, MAX_COST),
    ):
        if asked > most:
            message = f"The {name} of this operation is {asked}; at most {most} is allowed."
            raise TooCostly(message, limit=name, asked=asked, most=most)
    return measure


def _defaults(operation: OperationDefinitionNode) -> dict[str, Any]:
    """The default values of the operation's variables."""
    return {
        given.variable.name.value: value_from_ast_untyped(given.default_value)
        for given in operation.variable_definitions or ()
        if given.default_value is not None
    }


def _roots(chosen: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]) -> int:
    """How many root fields it has; each opens a session. A fragment counts once."""
    waiting, seen, count = [chosen], set[str](), 0
    while waiting:
        for node in waiting.pop().selections:
            if isinstance(node, FieldNode):
                count += 1
            elif isinstance(node, InlineFragmentNode):
                waiting.append(node.selection_set)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                seen.add(node.name.value)
                waiting.append(fragments[node.name.value].selection_set)
    return count
