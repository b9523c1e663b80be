"""A definition as a graph: its steps, the ways between them, and the scopes inside steps.

The one source of both drawings, the Mermaid text and the SVG. Beside steps there are marks: where
a flow starts and finishes, where a scope is left early, where the run ends, and where a loop goes
on with its next item.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from coe.drawing.step_labels import doer, sign, words
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

Way = Literal["next", "case", "error", "again"]
Role = Literal["body", "branches", "catch"]

MARKS: Final = ("start", "finish", "exit", "stop", "again")
_SIGNS: Final = frozenset(
    (
        "human", "flow", "table", "notify", "switch", "timer", "listen", "emit", "raise", "set",
        "loop", "parallel", "fork", "try", "do",
    )
)  # fmt: skip
_LONGEST_CONDITION: Final = 60


@dataclass(frozen=True, slots=True)
class Node:
    """A step or a mark.

    `key` is the JSON pointer of the step's task; a mark's is that of its scope, `#` and the mark.
    `sign` is the kind of step (`coe.drawing.step_labels.sign`) or the mark; `doer` tells who does
    it.
    """

    key: str
    sign: str
    doer: str
    name: str = ""
    words: str = ""
    condition: str = ""
    groups: tuple[Group, ...] = ()

    @property
    def is_mark(self) -> bool:
        """Whether it is no step."""
        return self.doer == "terminal"


@dataclass(frozen=True, slots=True)
class Edge:
    """A way from one node of a group to another, by their places in it."""

    source: int
    target: int
    label: str = ""
    way: Way = "next"


@dataclass(frozen=True, slots=True)
class Group:
    """What is drawn together: the nodes of one scope, in the order of the text, and their ways.

    `branches` run at once and have no ways between them; `catch` is what is done after an error.
    """

    role: Role
    key: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...] = ()
    label: str = ""

    def walk(self) -> Iterator[Node]:
        """Every node of it and of the groups inside, parents first."""
        for node in self.nodes:
            yield node
            for group in node.groups:
                yield from group.walk()


def graph(definition: Definition) -> Group:
    """The graph of a definition, from its start to its finish."""
    scope = _Scope(definition.document.namespace, definition.do, "/do", top=True)
    return scope.group("body", starts_by(definition))


def single(title: str) -> Group:
    """The graph of a flow of which no steps are known: one box between start and finish."""
    nodes = (
        Node("#start", "start", "terminal"),
        Node("", "flow", "automatic", title),
        Node("#finish", "finish", "terminal"),
    )
    return Group("body", "", nodes, (Edge(0, 1), Edge(1, 2)))


def taken(steps: Sequence[tuple[str, str, str]]) -> Group:
    """The graph of steps that were taken, each as pointer, name and kind, one after the other.

    For who may see these and nothing else of the definition.
    """
    nodes = [Node("#start", "start", "terminal")]
    nodes += [_seen(pointer, name, kind) for pointer, name, kind in steps]
    nodes.append(Node("#finish", "finish", "terminal"))
    edges = tuple(Edge(place, place + 1) for place in range(len(nodes) - 1))
    return Group("body", "", tuple(nodes), edges)


def _seen(pointer: str, name: str, kind: str) -> Node:
    sign = {"humanTask": "human", "localFlow": "flow", "decision": "table", "wait": "timer",
            "for": "loop", "parallelMap": "parallel", "run": "flow"}.get(kind, kind)  # fmt: skip
    known = sign if sign in _SIGNS else "call"
    who = {"human": "human", "flow": "foreign"}.get(known)
    quiet = known in ("switch", "timer", "listen")
    return Node(pointer, known, who or ("control" if quiet else "automatic"), name)


# ---------------------------------------------------------------- one scope
# Where a way leads, if not to a step: out of the scope, or to the end of the run.
_OUT: Final = -1
_END: Final = -2


@dataclass(slots=True)
class _Scope:
    """The nodes and ways of one list of tasks."""

    namespace: str
    tasks: TaskList
    key: str
    top: bool = False
    # What a loop says of its next round; empty where the scope is no loop's.
    again: str = ""
    ways: dict[tuple[int, int, Way], list[str]] = field(default_factory=dict)

    def group(self, role: Role, label: str = "") -> Group:
        """The scope as a group."""
        for index in range(len(self.tasks)):
            self._leave(index)
        nodes = [_node(task, self.namespace) for task in self.tasks]
        shift = 1 if self.top else 0
        marks = {_OUT: self._out(), _END: "finish" if self.top else "stop"}
        places: dict[int, int] = {}
        following: list[Node] = []
        for target, mark in marks.items():
            known = next((n for n, each in enumerate(following) if each.sign == mark), None)
            if mark and known is None and (self._leads(target) or mark in ("finish", "again")):
                known = len(following)
                following.append(Node(f"{self.key}#{mark}", mark, "terminal"))
            if known is not None:
                places[target] = shift + len(nodes) + known
        if self.top:
            nodes.insert(
                0, Node(f"{self.key}#start", "start", "terminal", "Starts" if label else "", label)
            )
        edges = [Edge(0, 1 if len(nodes) > 1 else places[_OUT])] if self.top else []
        for (source, target, way), labels in self.ways.items():
            if target >= 0 or target in places:
                there = places[target] if target < 0 else target + shift
                edges.append(Edge(source + shift, there, _joined(labels), way))
        if self.again and nodes:
            edges.append(Edge(places[_OUT], 0, self.again, "again"))
        label = "" if self.top else label
        return Group(role, self.key, (*nodes, *following), tuple(edges), label)

    def _out(self) -> str:
        """The mark that stands for the end of the scope; none where the text goes to its end."""
        if self.top:
            return "finish"
        if self.again:
            return "again"
        early = any(
            target == _OUT and (source != len(self.tasks) - 1 or way != "next")
            for source, target, way in self.ways
        )
        return "exit" if early else ""

    def _leads(self, target: int) -> bool:
        return any(found == target for _, found, _ in self.ways)

    # ------------------------------------------------------------ ways
    def _leave(self, index: int) -> None:
        """The ways from one task to those that may come after it."""
        task = self.tasks[index]
        if isinstance(task, SwitchTask):
            for case in task.switch:
                self._way(index, case.then, "case", case.name)
            if all(case.when is not None for case in task.switch):
                self._way(index, task.then, "case", "otherwise")
            elif task.if_ is not None:
                self._way(index, task.then, "case", "if not")
            return
        if not isinstance(task, RaiseTask):
            self._way(index, task.then, "next", "")
        elif task.if_ is not None:
            self._way(index, task.then, "case", "if not")
        if isinstance(task, TryTask) and task.catch.then is not None:
            self._way(index, task.catch.then, "error", "after an error")

    def _way(self, index: int, then: str | None, way: Way, label: str) -> None:
        target = self._target(index, then)
        if target is not None:
            labels = self.ways.setdefault((index, target, way), [])
            if label and label not in labels:
                labels.append(label)

    def _target(self, index: int, then: str | None) -> int | None:
        if then in (None, "continue"):
            return index + 1 if index + 1 < len(self.tasks) else _OUT
        if then in ("exit", "end"):
            return _OUT if then == "exit" else _END
        return self.tasks.position(then or "")


def _joined(labels: list[str]) -> str:
    return ", ".join(labels)


# ---------------------------------------------------------------- one step
def _node(task: Task, namespace: str) -> Node:
    condition = "" if task.if_ is None else f"if {' '.join(str(task.if_).split())}"
    if len(condition) > _LONGEST_CONDITION:
        condition = condition[: _LONGEST_CONDITION - 1] + "…"
    groups = tuple(_groups(task, namespace))
    who = doer(task, namespace)
    return Node(task.pointer, sign(task), who, task.name, words(task), condition, groups)


def _groups(task: Task, namespace: str) -> Iterator[Group]:
    """What is drawn inside a step; an empty scope is not."""
    for scope in task.scopes():
        if not scope.tasks:
            continue
        key = task.pointer + scope.pointer
        inner = _Scope(namespace, scope.tasks, key, again=_next_round(task))
        if isinstance(task, ForkTask):
            nodes = tuple(_node(branch, namespace) for branch in scope.tasks)
            yield Group("branches", key, nodes)
        elif isinstance(task, TryTask) and scope.pointer == "/catch/do":
            yield inner.group("catch", _caught(task))
        else:
            yield inner.group("body")


def _next_round(task: Task) -> str:
    """What the way back of a loop says; empty for what is no loop."""
    if isinstance(task, ForTask):
        return "next item, while it holds" if task.while_ else "next item"
    if isinstance(task, ListenTask):
        return "next event"
    return ""


def _caught(task: TryTask) -> str:
    """Which errors a catch is for, in words."""
    catch = task.catch
    wanted = catch.errors.with_ if catch.errors else None
    if wanted is None:
        return "on error, if it fits" if catch.when or catch.except_when else "on error"
    kind = (wanted.type or wanted.title or "").rstrip("/").rpartition("/")[2]
    found = [str(part) for part in (kind, wanted.status) if part]
    return f"on error {' '.join(found)}".strip()
