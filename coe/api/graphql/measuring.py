"""Count and time requests of GraphQL by their root field."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from graphql import FieldNode, OperationDefinitionNode

from coe.telemetry import metrics

NONE: Final = "none"
"""The request was refused before its operation was known."""
SEVERAL: Final = "several"
OK: Final = "OK"
CANCELLED: Final = "CANCELLED"
"""The request had no answer: its sender went away, or the process ended."""


def root_field(operation: OperationDefinitionNode) -> str:
    """The root field of a valid operation; `several` of one with more, or with a fragment."""
    first, *more = operation.selection_set.selections
    if more or not isinstance(first, FieldNode):
        return SEVERAL
    return first.name.value


@dataclass(slots=True)
class Measured:
    """One request: its root field, its outcome, and when it began."""

    field: str = NONE
    outcome: str = CANCELLED
    began: float = dataclasses.field(default_factory=time.monotonic)

    def note(self, response: Mapping[str, Any]) -> None:
        """Note the outcome: that of the first error of the response, if it has any."""
        errors = response.get("errors")
        self.outcome = errors[0]["extensions"]["code"] if errors else OK

    def count(self) -> None:
        """Count the request, which is over."""
        metrics.GRAPHQL.labels(self.field, self.outcome).inc()
        metrics.GRAPHQL_SECONDS.labels(self.field).observe(time.monotonic() - self.began)
