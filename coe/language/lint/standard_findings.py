"""The findings of the standards' rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from coe.language.lint.context import LintContext
from coe.language.lint.standards import Standard


class StandardFinding(NamedTuple):
    """A finding of a rule, and its pointer."""

    message: str
    pointer: str
    help: str | None = None
    value: bool = False


StandardRule = Callable[[LintContext, Standard], Iterator[StandardFinding]]
