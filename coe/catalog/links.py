"""Links of a document: the flows and tables that it calls, the systems that it uses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from coe.catalog.models import LinkKind
from coe.catalog.refs import read_ref
from coe.language.model.calls import CallFunction
from coe.language.model.task import Task
from coe.language.model.task_types import RunTask

_LOCAL_FLOW = "localFlow"
_DECISION = "decision"


@dataclass(frozen=True, slots=True)
class Link:
    """A reference of a document to another entry; `selector` is empty without one."""

    kind: LinkKind
    namespace: str
    name: str
    selector: str = ""

    @property
    def entry(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    def __str__(self) -> str:
        """The link as a ref."""
        return f"{self.entry}@{self.selector}" if self.selector else self.entry


def call_links(tasks: Iterable[Task]) -> tuple[Link, ...]:
    """The flows that the tasks call: `localFlow` with a literal ref, and `run.workflow`."""
    found: dict[Link, None] = {}
    for task in tasks:
        match task:
            case CallFunction() if (link := _target(task, _LOCAL_FLOW)) is not None:
                found[link] = None
            case RunTask() if task.run.workflow is not None:
                called = task.run.workflow
                selector = "" if called.version == "latest" else called.version
                found[Link(LinkKind.CALLS, called.namespace, called.name, selector)] = None
    return tuple(found)


def decision_links(tasks: Iterable[Task]) -> tuple[Link, ...]:
    """The decision tables that the tasks call: `decision` with a literal ref."""
    links = (_target(task, _DECISION) for task in tasks if isinstance(task, CallFunction))
    return tuple(dict.fromkeys(link for link in links if link is not None))


def _target(task: CallFunction, function: str) -> Link | None:
    """The target of a call of a catalogued function with a literal `ref`."""
    if task.function.name != function or not task.function.catalogued:
        return None
    ref = task.with_.get("ref")
    parsed = read_ref(ref) if isinstance(ref, str) else None
    if parsed is None:
        return None
    return Link(LinkKind.CALLS, parsed.namespace, parsed.name, parsed.selector or "")


def system_links(refs: Iterable[str]) -> tuple[Link, ...]:
    """Links to the systems of these refs, `namespace/name`."""
    pairs = [ref.split("/", 1) for ref in dict.fromkeys(refs)]
    return tuple(Link(LinkKind.SYSTEM, namespace, name) for namespace, name in pairs)
