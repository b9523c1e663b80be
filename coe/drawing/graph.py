"""A definition as a graph: steps as nodes, what follows what as edges, scopes as groups.

Both drawings, the Mermaid text and the SVG, are made from it. Beside steps there are marks: the
start and the finish of a flow, an early exit from a scope, the end of the run, and the next round
of a loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from coe.drawing.step_labels import icon_of, label_of, performer_of
from coe.language.model.definition import Definition
from coe.language.model.task import Task, TaskList
from coe.language.model.task_types import (
    ForkTask,
    ForTask,
    ListenTask,
    RaiseTask,
    SwitchTask,
    TryTask,
)
from coe.language.schedules import starts_by

EdgeKind = Literal["next", "case", "error", "again"]
GroupRole = Literal["body", "branches", "catch"]

_ICONS: Final = frozenset(
    (
        "human", "flow", "table", "notify", "switch", "timer", "listen", "emit", "raise", "set",
        "loop", "parallel", "fork", "try", "do",
    )
)  # fmt: skip
_MAX_CONDITION_LENGTH: Final = 60


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A step or a mark.

    `key` is the JSON pointer of the step's task; of a mark, the pointer of its scope, `#` and the
    mark's name. `icon` is the icon of the step (`coe.drawing.step_labels.icon_of`), or the mark's
    name. `performer` is who performs the step (`performer_of`), or "terminal" for a mark.
    """

    key: str
    icon: str
    performer: str
    name: str = ""
    label: str = ""
    condition: str = ""
    groups: tuple[NodeGroup, ...] = ()

    @property
    def is_mark(self) -> bool:
        """Whether this is a mark and not a step."""
        return self.performer == "terminal"


@dataclass(frozen=True, slots=True)
class GraphEdge:
    """What may follow what: two nodes of a group, by their indexes in it."""

    source: int
    target: int
    label: str = ""
    kind: EdgeKind = "next"


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """The nodes of one scope, in the order of the text, and the edges between them.

    The role `branches` is for nodes that run at the same time, without edges; `catch` is for the
    steps that handle an error.
    """

    role: GroupRole
    key: str
    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...] = ()
    label: str = ""

    def walk(self) -> Iterator[GraphNode]:
        """Every node of the group and of the groups inside it, parents first."""
        for node in self.nodes:
            yield node
            for group in node.groups:
                yield from group.walk()


def definition_graph(definition: Definition) -> NodeGroup:
    """The graph of a definition, from its start to its finish."""
    scope = _Scope(definition.document.namespace, definition.do, "/do", top=True)
    return scope.group("body", starts_by(definition))


def single_step_graph(title: str) -> NodeGroup:
    """The graph of a flow whose steps are not known: one box between start and finish."""
    nodes = (
        GraphNode("#start", "start", "terminal"),
        GraphNode("", "flow", "automatic", title),
        GraphNode("#finish", "finish", "terminal"),
    )
    return NodeGroup("body", "", nodes, (GraphEdge(0, 1), GraphEdge(1, 2)))


def graph_of_steps(steps: Sequence[tuple[str, str, str]]) -> NodeGroup:
    """The graph of executed steps in sequence, each given as pointer, name and kind.

    It is for readers who may see the steps of a run but not the definition.
    """
    nodes = [GraphNode("#start", "start", "terminal")]
    nodes += [_executed_step(pointer, name, kind) for pointer, name, kind in steps]
    nodes.append(GraphNode("#finish", "finish", "terminal"))
    edges = tuple(GraphEdge(place, place + 1) for place in range(len(nodes) - 1))
    return NodeGroup("body", "", tuple(nodes), edges)


def _executed_step(pointer: str, name: str, kind: str) -> GraphNode:
    icon = {"humanTask": "human", "localFlow": "flow", "decision": "table", "wait": "timer",
            "for": "loop", "parallelMap": "parallel", "run": "flow"}.get(kind, kind)  # fmt: skip
    known = icon if icon in _ICONS else "call"
    performer = {"human": "human", "flow": "foreign"}.get(known)
    quiet = known in ("switch", "timer", "listen")
    return GraphNode(pointer, known, performer or ("control" if quiet else "automatic"), name)


# ---------------------------------------------------------------- one scope
# The target of an edge that leads to no step: the end of the scope, or the end of the run.
_SCOPE_END: Final = -1
_RUN_END: Final = -2


@dataclass(slots=True)
class _Scope:
    """Collects the nodes and edges of one list of tasks."""

    namespace: str
    tasks: TaskList
    key: str
    top: bool = False
    # The label of the edge back to the first step; empty where the scope is not a loop.
    again: str = ""
    labels: dict[tuple[int, int, EdgeKind], list[str]] = field(default_factory=dict)

    def group(self, role: GroupRole, label: str = "") -> NodeGroup:
        """The scope as a group."""
        for index in range(len(self.tasks)):
            self._add_edges_from(index)
        nodes = [_node(task, self.namespace) for task in self.tasks]
        shift = 1 if self.top else 0
        marks, places = self._marks(shift + len(nodes))
        edges: list[GraphEdge] = []
        if self.top:
            name = "Starts" if label else ""
            nodes.insert(0, GraphNode(f"{self.key}#start", "start", "terminal", name, label))
            edges.append(GraphEdge(0, 1 if len(nodes) > 1 else places[_SCOPE_END]))
        for (source, target, kind), labels in self.labels.items():
            if target >= 0 or target in places:
                there = places[target] if target < 0 else target + shift
                edges.append(GraphEdge(source + shift, there, ", ".join(labels), kind))
        if self.again and nodes:
            edges.append(GraphEdge(places[_SCOPE_END], 0, self.again, "again"))
        label = "" if self.top else label
        return NodeGroup(role, self.key, (*nodes, *marks), tuple(edges), label)

    def _marks(self, first: int) -> tuple[list[GraphNode], dict[int, int]]:
        """The marks after the steps, and the index in the group of each end; `first` is free."""
        names = {_SCOPE_END: self._end_mark(), _RUN_END: "finish" if self.top else "stop"}
        found: list[str] = []
        places: dict[int, int] = {}
        for target, name in names.items():
            needed = self._has_edge_to(target) or name in ("finish", "again")
            if name and name not in found and needed:
                found.append(name)
            if name in found:
                places[target] = first + found.index(name)
        return [GraphNode(f"{self.key}#{name}", name, "terminal") for name in found], places

    def _end_mark(self) -> str:
        """The mark at the end of the scope; none where only its last task leads there."""
        if self.top:
            return "finish"
        if self.again:
            return "again"
        early = any(
            target == _SCOPE_END and (source != len(self.tasks) - 1 or kind != "next")
            for source, target, kind in self.labels
        )
        return "exit" if early else ""

    def _has_edge_to(self, target: int) -> bool:
        return any(found == target for _, found, _ in self.labels)

    # ------------------------------------------------------------ edges
    def _add_edges_from(self, index: int) -> None:
        """Add the edges from one task to those that may follow it."""
        task = self.tasks[index]
        if isinstance(task, SwitchTask):
            for case in task.switch:
                self._add_edge(index, case.then, "case", case.name)
            if all(case.when is not None for case in task.switch):
                self._add_edge(index, task.then, "case", "otherwise")
            elif task.if_ is not None:
                self._add_edge(index, task.then, "case", "if not")
            return
        if not isinstance(task, RaiseTask):
            self._add_edge(index, task.then, "next", "")
        elif task.if_ is not None:
            self._add_edge(index, task.then, "case", "if not")
        if isinstance(task, TryTask) and task.catch.then is not None:
            self._add_edge(index, task.catch.then, "error", "after an error")

    def _add_edge(self, index: int, then: str | None, kind: EdgeKind, label: str) -> None:
        target = self._target(index, then)
        if target is not None:
            labels = self.labels.setdefault((index, target, kind), [])
            if label and label not in labels:
                labels.append(label)

    def _target(self, index: int, then: str | None) -> int | None:
        if then in (None, "continue"):
            return index + 1 if index + 1 < len(self.tasks) else _SCOPE_END
        if then in ("exit", "end"):
            return _SCOPE_END if then == "exit" else _RUN_END
        return self.tasks.position(then or "")


# ---------------------------------------------------------------- one step
def _node(task: Task, namespace: str) -> GraphNode:
    condition = "" if task.if_ is None else f"if {' '.join(str(task.if_).split())}"
    if len(condition) > _MAX_CONDITION_LENGTH:
        condition = condition[: _MAX_CONDITION_LENGTH - 1] + "…"
    groups = tuple(_groups(task, namespace))
    performer = performer_of(task, namespace)
    icon, label = icon_of(task), label_of(task)
    return GraphNode(task.pointer, icon, performer, task.name, label, condition, groups)


def _groups(task: Task, namespace: str) -> Iterator[NodeGroup]:
    """The groups inside a step; an empty scope gives none."""
    for scope in task.scopes():
        if not scope.tasks:
            continue
        key = task.pointer + scope.pointer
        inner = _Scope(namespace, scope.tasks, key, again=_next_round(task))
        if isinstance(task, ForkTask):
            nodes = tuple(_node(branch, namespace) for branch in scope.tasks)
            yield NodeGroup("branches", key, nodes)
        elif isinstance(task, TryTask) and scope.pointer == "/catch/do":
            yield inner.group("catch", _caught(task))
        else:
            yield inner.group("body")


def _next_round(task: Task) -> str:
    """The label of the edge back to the first step of a loop; empty for other tasks."""
    if isinstance(task, ForTask):
        return "next item, while it holds" if task.while_ else "next item"
    if isinstance(task, ListenTask):
        return "next event"
    return ""


def _caught(task: TryTask) -> str:
    """The label of a catch: which errors it is for."""
    catch = task.catch
    wanted = catch.errors.with_ if catch.errors else None
    if wanted is None:
        return "on error, if it fits" if catch.when or catch.except_when else "on error"
    kind = (wanted.type or wanted.title or "").rstrip("/").rpartition("/")[2]
    found = [str(part) for part in (kind, wanted.status) if part]
    return f"on error {' '.join(found)}".strip()
