"""The rule about names: each leads to something."""

from __future__ import annotations

from collections.abc import Iterator

from coe.errors import Problem
from coe.language.lint.context import LintContext
from coe.language.names.directory import name_problems
from coe.language.names.references import references_of


def check_names(context: LintContext) -> Iterator[Problem]:
    """OWS080 to OWS085: people, roles, teams, systems, channels and secrets that do not exist."""
    known = context.known.known_names if context.known is not None else None
    if known is not None:
        yield from name_problems(
            context.definition.source,
            references_of(context.definition),
            known,
            team=context.definition.document.namespace,
        )
