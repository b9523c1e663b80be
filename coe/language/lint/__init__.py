"""Lint definitions: the rules of the language (OWS…) and the standards (COE…)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from coe.errors import Problem, Severity
from coe.language.lint.calls import check_arguments, check_flows
from coe.language.lint.context import Catalogued, KnownFlow, LintContext, Lookup
from coe.language.lint.data import check_schemas
from coe.language.lint.effects import check_effects, check_metadata
from coe.language.lint.events import check_events
from coe.language.lint.expressions import check_expressions, check_secrets, compile_sites
from coe.language.lint.loops import check_loops
from coe.language.lint.names import check_names
from coe.language.lint.patterns import check_patterns
from coe.language.lint.portability import check_portability
from coe.language.lint.references import check_functions, check_references
from coe.language.lint.requests import check_requests
from coe.language.lint.retries import check_retries
from coe.language.lint.schedules import check_schedule
from coe.language.lint.stages import Stage, at_stage
from coe.language.lint.standards import NO_STANDARDS, Standard, Standards, load_standards, published
from coe.language.lint.standards_rules import check_standards
from coe.language.lint.structure import (
    check_directives,
    check_profile,
    check_scopes,
    check_supported,
    check_variables,
)
from coe.language.lint.task_times import check_task_times
from coe.language.model.definition import Definition

__all__ = [
    "NO_STANDARDS",
    "Catalogued",
    "KnownFlow",
    "Lookup",
    "Stage",
    "Standard",
    "Standards",
    "at_stage",
    "in_order",
    "lint",
    "lint_all",
    "load_standards",
    "published",
]

# The most problems that are reported for one definition.
MAX_LINT_PROBLEMS: Final = 500

# All but `check_expressions`, which waits for jq.
_RULES: Final[tuple[Callable[[LintContext], Iterator[Problem]], ...]] = (
    check_profile,
    check_scopes,
    check_directives,
    check_loops,
    check_requests,
    check_retries,
    check_variables,
    check_references,
    check_functions,
    check_arguments,
    check_task_times,
    check_flows,
    check_names,
    check_secrets,
    check_schemas,
    check_schedule,
    check_patterns,
    check_portability,
    check_supported,
    check_effects,
    check_events,
    check_metadata,
    check_standards,
)


def lint(
    definition: Definition,
    *,
    known: Lookup | None = None,
    standards: Standards | None = None,
    stage: Stage = Stage.DRAFT,
) -> tuple[Problem, ...]:
    """The problems of a definition that loads, in the order of its text.

    Without `known`, what it refers to is not looked up; without `standards`, the published ones
    apply (`NO_STANDARDS` for none). `stage` says what a draft may still lack.
    Blocks for about 30 ms when it compiles new expressions: call it in a thread
    (`asyncio.to_thread`) from the event loop.
    """
    [found] = lint_all([definition], known=[known], standards=standards, stage=stage)
    return found


def lint_all(
    definitions: Iterable[Definition],
    *,
    known: Sequence[Lookup | None] | None = None,
    standards: Standards | None = None,
    stage: Stage = Stage.DRAFT,
) -> list[tuple[Problem, ...]]:
    """The problems of several definitions, whose expressions are compiled together.

    `known` has what each of them can refer to.
    """
    rules = published() if standards is None else standards
    every = list(definitions)
    lookups = [None] * len(every) if known is None else known
    contexts = [
        LintContext(each, rules, lookup) for each, lookup in zip(every, lookups, strict=True)
    ]
    with ThreadPoolExecutor(max_workers=1) as pool:
        compiled = pool.submit(
            compile_sites, [site for context in contexts for site in context.sites]
        )
        found = [[problem for rule in _RULES for problem in rule(each)] for each in contexts]
        compiled.result()
    return [
        in_order(at_stage([*problems, *check_expressions(context)], stage))
        for context, problems in zip(contexts, found, strict=True)
    ]


def in_order(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """The problems in the order of the text; errors first if there are too many."""
    if len(problems) > MAX_LINT_PROBLEMS:
        problems = sorted(problems, key=lambda problem: problem.severity is not Severity.ERROR)[
            :MAX_LINT_PROBLEMS
        ]
    return tuple(sorted(problems, key=_place))


def _place(problem: Problem) -> tuple[int, int]:
    return problem.line or 0, problem.column or 0
