"""Checking definitions beyond their form: rules of the language (OWS…) and standards (COE…)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from coe.errors import Problem
from coe.language.lint.called import check_arguments, check_flows
from coe.language.lint.context import Catalogued, Context, KnownFlow, Lookup
from coe.language.lint.data import check_schemas
from coe.language.lint.expressions import check_expressions, check_secrets, compile_sites
from coe.language.lint.house import check_standards
from coe.language.lint.references import check_functions, check_references
from coe.language.lint.sites import sites
from coe.language.lint.standards import NONE, Standard, Standards, load_standards, shipped
from coe.language.lint.structure import (
    check_directives,
    check_profile,
    check_runnable,
    check_scopes,
    check_variables,
)
from coe.language.model import Definition

__all__ = [
    "NONE",
    "Catalogued",
    "KnownFlow",
    "Lookup",
    "Standard",
    "Standards",
    "lint",
    "load_standards",
    "prepare",
    "shipped",
]

_RULES: Final[tuple[Callable[[Context], Iterator[Problem]], ...]] = (
    check_profile,
    check_scopes,
    check_directives,
    check_variables,
    check_references,
    check_functions,
    check_arguments,
    check_flows,
    check_expressions,
    check_secrets,
    check_schemas,
    check_runnable,
    check_standards,
)


def lint(
    definition: Definition,
    *,
    known: Lookup | None = None,
    standards: Standards | None = None,
    publish: bool = False,
) -> tuple[Problem, ...]:
    """Everything that is wrong with a definition that loads, in the order of its text.

    Without `known`, nothing is said of the flows that it calls; without `standards`, the shipped
    ones hold (`NONE` for none). `publish` makes what is not run here an error, not a warning.
    Blocks for about 30 ms when expressions are to be compiled that were not seen before: call it
    in a thread (`asyncio.to_thread`) from the event loop.
    """
    rules = shipped() if standards is None else standards
    context = Context(definition, rules, known, publish)
    found = [problem for rule in _RULES for problem in rule(context)]
    return tuple(sorted(found, key=lambda problem: (problem.line or 0, problem.column or 0)))


def prepare(definitions: Iterable[Definition]) -> None:
    """Compile the expressions of many definitions at once, so that `lint` of each is quick."""
    compile_sites(site for definition in definitions for site in sites(definition))
