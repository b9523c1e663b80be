"""The stages of a version at which it is checked: what a draft may still lack.

Every rule reports the severity that a publication gives. `at_stage` is the one place that lets a
draft pass: it turns the problems of `ALLOWED_IN_DRAFTS` into warnings. A submission for review is
checked as a publication is, so that nothing is refused first after an approval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Final

from coe.errors import Problem, Severity
from coe.language.names.references import NameKind


class Stage(StrEnum):
    """What a definition is checked for."""

    DRAFT = "draft"
    """It is saved as a draft, which may be unfinished."""
    TEMPLATE = "template"
    """It is an example of a template: the names that it calls depend on the flow to come."""
    PUBLICATION = "publication"
    """It is submitted for review, or published."""


ALLOWED_IN_DRAFTS: Final[dict[str, str]] = {
    "OWS050": "publication refuses what is not supported: replace it before you submit",
    "OWS052": "it must be published before this flow is submitted",
    "OWS053": "it must be published before this flow is submitted",
    **{kind.value: "it must exist before this is submitted" for kind in NameKind},
}
"""Codes of errors that are warnings in a draft, each with the advice for it."""
_UNFINISHED: Final = frozenset({"OWS050"})
"""Those of them that no name can mend."""


def at_stage(problems: Sequence[Problem], stage: Stage) -> tuple[Problem, ...]:
    """The problems with the severities of a stage."""
    if stage is Stage.PUBLICATION:
        return tuple(problems)
    allowed = ALLOWED_IN_DRAFTS
    if stage is Stage.TEMPLATE:
        allowed = {code: advice for code, advice in allowed.items() if code not in _UNFINISHED}
    return tuple(_allowed(each, allowed) for each in problems)


def _allowed(problem: Problem, allowed: Mapping[str, str]) -> Problem:
    advice = allowed.get(problem.code)
    if advice is None or problem.severity is not Severity.ERROR:
        return problem
    return replace(problem, severity=Severity.WARNING, help=problem.help or advice)
