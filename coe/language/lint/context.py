"""The context of the rules: the definition, the catalog, and the standards."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple, Protocol, TypeVar

from coe.errors import Problem, Severity
from coe.json_types import JSON
from coe.language.fields import Model
from coe.language.json_schema.effort import Allowance
from coe.language.lint.expression_sites import Site, sites
from coe.language.lint.parts import models
from coe.language.lint.standards import Standards
from coe.language.model.definition import Definition
from coe.language.model.task import Task, TaskList
from coe.language.names.directory import KnownNames

MAX_VALIDATION_STEPS: Final = 20_000_000
"""Steps of all validations of one definition: a few tenths of a second."""

PartT = TypeVar("PartT", bound=Model)


@dataclass(frozen=True, slots=True)
class KnownFlow:
    """A flow or decision table of the catalog that a definition calls."""

    # The version that the ref selects; None if no version matches.
    version: str | None
    input_schema: JSON = None
    # DRAFT, IN_REVIEW, PUBLISHED, DEPRECATED or RETIRED.
    lifecycle: str = "PUBLISHED"


class Lookup(Protocol):
    """What a definition can refer to: flows and tables, people, teams and other names."""

    @property
    def known_names(self) -> KnownNames | None:
        """The names of what is neither a flow nor a decision table; None to look none up."""
        ...

    @property
    def complete(self) -> bool:
        """Whether there is no other entry than those that are known here."""
        ...

    def names(self, *, decisions: bool) -> Collection[str] | None:
        """The refs without versions that may be suggested: of flows, or of decision tables.

        None if nothing is known of them here.
        """
        ...

    def flow(self, ref: str) -> KnownFlow | None:
        """The flow of a ref such as `warehouse/pick-and-pack@^1`; None if there is none."""
        ...

    def decision(self, ref: str) -> KnownFlow | None:
        """The decision table of a ref such as `finance/approval-level@^1`, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Catalogued:
    """A lookup in what was fetched before; flows and tables are by the ref in the definition."""

    flows: Mapping[str, KnownFlow]
    decisions: Mapping[str, KnownFlow] = field(default_factory=dict)
    # What may be suggested for a flow, or for a table, that is not there.
    flow_names: Collection[str] = ()
    decision_names: Collection[str] = ()
    complete: bool = True
    known_names: KnownNames | None = None

    def names(self, *, decisions: bool) -> Collection[str]:
        """What may be suggested."""
        return self.decision_names if decisions else self.flow_names

    def flow(self, ref: str) -> KnownFlow | None:
        """The flow of a ref."""
        return self.flows.get(ref)

    def decision(self, ref: str) -> KnownFlow | None:
        """The decision table of a ref."""
        return self.decisions.get(ref)


class ScopeAt(NamedTuple):
    """A list of tasks, its pointer in the document, and the task around it."""

    pointer: str
    tasks: TaskList
    owner: Task | None
    # Its pointer in its owner, such as `/catch/do`.
    part: str


@dataclass(frozen=True)
class LintContext:
    """A definition, and what its rules need."""

    definition: Definition
    standards: Standards
    known: Lookup | None = None

    @cached_property
    def allowance(self) -> Allowance:
        """What validations of all examples and inputs of the definition may take together."""
        return Allowance(MAX_VALIDATION_STEPS)

    @cached_property
    def scopes(self) -> tuple[ScopeAt, ...]:
        """Every list of tasks, outermost first."""
        tops = [
            ScopeAt(scope.pointer, scope.tasks, None, scope.pointer)
            for scope in self.definition.scopes()
        ]
        inner = [
            ScopeAt(task.pointer + scope.pointer, scope.tasks, task, scope.pointer)
            for task in self.tasks
            for scope in task.scopes()
        ]
        return (*tops, *inner)

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """Every task, parents first."""
        return tuple(self.definition.walk())

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of all tasks."""
        return frozenset(task.name for task in self.tasks)

    @cached_property
    def around(self) -> Mapping[str, ScopeAt]:
        """The scope of each task, by the task's pointer."""
        return {task.pointer: scope for scope in self.scopes for task in scope.tasks}

    @cached_property
    def sites(self) -> tuple[Site, ...]:
        """Every text that is, or looks like, an expression."""
        return tuple(sites(self.definition))

    @cached_property
    def _models(self) -> tuple[tuple[str, Model], ...]:
        return tuple(models(self.definition))

    def parts(self, kind: type[PartT]) -> Iterator[tuple[str, PartT]]:
        """Every part of a model type with its JSON pointer, outermost first."""
        for pointer, part in self._models:
            if isinstance(part, kind):
                yield pointer, part

    def ancestors(self, task: Task) -> Iterator[ScopeAt]:
        """The scopes around a task, innermost first."""
        scope = self.around.get(task.pointer)
        while scope is not None:
            yield scope
            scope = self.around.get(scope.owner.pointer) if scope.owner else None

    def problem(
        self,
        code: str,
        message: str,
        pointer: str,
        *,
        severity: Severity = Severity.ERROR,
        value: bool = False,
        help: str | None = None,
    ) -> Problem:
        """A problem located at a pointer's key, or with `value` at its value."""
        return self.definition.source.problem(
            code, message, pointer, severity=severity, value=value, help=help
        )
