"""What the documents of commands cost: each is within the limits of a request."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
from graphql import GraphQLError, OperationDefinitionNode, parse

import coe.cli
from coe.api.graphql import limits
from coe.api.schema import make_schema
from coe.cli import review

SCHEMA = make_schema()._schema
MOST = {"first": 100, review.__name__ + "._SHOW": review._AT_ONCE}
"""The items of a page, at most; fewer where a document reads much of each."""


def _documents() -> dict[str, str]:
    """The texts of modules that are GraphQL documents, by their names."""
    found = {}
    for module in pkgutil.walk_packages(coe.cli.__path__, "coe.cli."):
        for name, value in vars(importlib.import_module(module.name)).items():
            texts = value.items() if isinstance(value, dict) else [("", value)]
            for key, text in texts:
                if isinstance(text, str) and _is_document(text):
                    found[f"{module.name}.{name}" + (f".{key}" if key else "")] = text
    return found


def _is_document(text: str) -> bool:
    if not text.lstrip().startswith(("query ", "mutation ")):
        return False
    try:
        parse(text)
    except GraphQLError:  # a part of one
        return False
    return True


DOCUMENTS = _documents()


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_a_document_is_within_the_limits_with_a_whole_page(name: str) -> None:
    document = parse(DOCUMENTS[name])
    first = MOST.get(name, MOST["first"])
    for operation in document.definitions:
        if isinstance(operation, OperationDefinitionNode):
            measured = limits.check_limits(SCHEMA, document, operation, {"first": first})
            assert measured.cost <= limits.MAX_COST


def test_the_documents_are_found() -> None:
    assert len(DOCUMENTS) > 20
