"""Parsed and validated documents, kept: parsing and validating cost more than most answers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from graphql import DocumentNode, GraphQLError, GraphQLSchema, parse
from graphql.validation import specified_rules
from strawberry.extensions import SchemaExtension
from strawberry.schema.schema import validate_document

from coe.api.limits import MAX_TOKENS

MOST_DOCUMENTS = 256
LONGEST_KEPT = 16_384
"""Characters: a longer document is parsed anew each time, so that none can fill the memory."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document and what validation says of it."""

    document: DocumentNode
    errors: tuple[GraphQLError, ...]


class Documents:
    """The documents used last, by their text."""

    def __init__(self, schema: GraphQLSchema) -> None:
        """Keep documents of this schema."""
        self._schema = schema
        self._kept: OrderedDict[str, Prepared] = OrderedDict()

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def prepare(self, query: str) -> Prepared:
        """Parse and validate, or take what was kept.

        Raises:
            GraphQLSyntaxError: It is no GraphQL, or has too many tokens; such is not kept.
        """
        kept = self._kept.get(query)
        if kept is not None:
            self._kept.move_to_end(query)
            return kept
        document = parse(query, max_tokens=MAX_TOKENS)
        errors = validate_document(self._schema, document, tuple(specified_rules))
        prepared = Prepared(document, tuple(errors))
        if len(query) <= LONGEST_KEPT and not errors:
            self._kept[query] = prepared
            while len(self._kept) > MOST_DOCUMENTS:
                self._kept.popitem(last=False)
        return prepared


class TakePrepared(SchemaExtension):
    """Hands the document that the context brings to the execution, already valid."""

    def on_operation(self) -> Iterator[None]:
        """Spare a second parsing and validation."""
        self.execution_context.graphql_document = self.execution_context.context.document
        self.execution_context.validation_rules = ()
        yield
