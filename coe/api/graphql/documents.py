"""A cache of parsed and validated documents: to prepare one costs more than most answers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from graphql import DocumentNode, GraphQLError, GraphQLSchema, IntValueNode, parse
from graphql.validation import ASTValidationRule, specified_rules
from strawberry.extensions import SchemaExtension
from strawberry.schema.schema import validate_document

from coe.api.graphql.limits import MAX_DOCUMENT_TOKENS
from coe.json_types import InexactNumber, read_whole_number

MAX_CACHED_DOCUMENTS = 256
MAX_CACHED_CHARACTERS = 16_384
"""Characters; a longer document is parsed each time, so that none can fill the memory."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document and the errors of its validation."""

    document: DocumentNode
    errors: tuple[GraphQLError, ...]


class ExactNumbersRule(ASTValidationRule):
    """Refuses a literal that `coe.json_types.read_json` refuses among the variables."""

    def enter_int_value(self, node: IntValueNode, *_: Any) -> None:
        """Check one literal."""
        try:
            read_whole_number(node.value)
        except InexactNumber as error:
            self.report_error(GraphQLError(str(error), node))


_RULES = (*specified_rules, ExactNumbersRule)


class Documents:
    """The most recently used documents, by their text."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._cached: OrderedDict[str, Prepared] = OrderedDict()

    def __len__(self) -> int:
        """How many documents are cached."""
        return len(self._cached)

    def prepare(self, query: str) -> Prepared:
        """Parse and validate a document, or take it from the cache.

        Raises:
            GraphQLSyntaxError: It is not GraphQL, or has too many tokens; it is not cached.
        """
        cached = self._cached.get(query)
        if cached is not None:
            self._cached.move_to_end(query)
            return cached
        document = parse(query, max_tokens=MAX_DOCUMENT_TOKENS)
        errors = validate_document(self._schema, document, _RULES)
        prepared = Prepared(document, tuple(errors))
        if len(query) <= MAX_CACHED_CHARACTERS and not errors:
            self._cached[query] = prepared
            while len(self._cached) > MAX_CACHED_DOCUMENTS:
                self._cached.popitem(last=False)
        return prepared


class TakePrepared(SchemaExtension):
    """Take the valid document of the context, so that it is not parsed and validated again."""

    def on_operation(self) -> Iterator[None]:
        """Set the document, and no rules to validate it by."""
        self.execution_context.graphql_document = self.execution_context.context.document
        self.execution_context.validation_rules = ()
        yield
