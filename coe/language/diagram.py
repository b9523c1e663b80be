"""Diagrams: a definition as a Mermaid flowchart, with a run's states laid over it on demand.

Classes tell who does a step (see `coe.language.doing`); a state of a run is a second class,
`state-completed` and the like.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from coe.language.doing import doer, words
from coe.language.model import Definition
from coe.language.task import Task, TaskList
from coe.language.tasks import ForkTask, RaiseTask, SwitchTask, TryTask

# The look of each class: fill, line, text. Contrast of text on fill is 7:1 or more (WCAG AAA).
_STYLES: Final = {
    "human": "fill:#fff3c4,stroke:#8a6100,color:#3d2b00",
    "foreign": "fill:#e4ddfb,stroke:#5b3fb5,color:#24145c",
    "automatic": "fill:#dcebfa,stroke:#1f5f99,color:#0b2b4a",
    "control": "fill:#f1f3f5,stroke:#5c6770,color:#20262b",
    "unsupported": "fill:#ffffff,stroke:#8a8f94,color:#3c4247,stroke-dasharray:4 3",
    "terminal": "fill:#20262b,stroke:#20262b,color:#ffffff",
}
_STATE_STYLES: Final = {
    "running": "stroke:#1f5f99,stroke-width:3px",
    "waiting": "stroke:#8a6100,stroke-width:3px,stroke-dasharray:6 3",
    "retrying": "stroke:#b54708,stroke-width:3px,stroke-dasharray:2 2",
    "completed": "fill:#d6f2dd,stroke:#1a7f37,color:#0c3d1a",
    "faulted": "fill:#ffdcd7,stroke:#b42318,color:#5c1009",
    "cancelled": "fill:#e6e8ea,stroke:#5c6770,color:#20262b",
    "skipped": "fill:#ffffff,stroke:#8a8f94,color:#3c4247",
}
_STATE_CLASSES: Final = frozenset(f"state-{name}" for name in _STATE_STYLES)
_SHAPES: Final = {
    "human": ("([", "])"),
    "foreign": ("[[", "]]"),
    "automatic": ("[", "]"),
    "control": ("{{", "}}"),
    "unsupported": ("[", "]"),
    "decision": ("{", "}"),
}
_LONGEST_LABEL: Final = 60
_START, _END = "start", "finish"


def mermaid(definition: Definition, states: Mapping[str, str] | None = None) -> str:
    """The definition as Mermaid flowchart text.

    `states` gives the state of steps by the JSON pointer of their task, such as COMPLETED.
    """
    drawing = _Drawing(definition.document.namespace, states or {})
    return drawing.draw(definition)


@dataclass(slots=True)
class _Drawing:
    namespace: str
    states: Mapping[str, str]
    lines: list[str] = field(default_factory=list)
    classes: dict[str, list[str]] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    indent: int = 1

    def draw(self, definition: Definition) -> str:
        """The whole text."""
        self._line(f'{_START}((" "))')
        self._line(f'{_END}(((" ")))')
        self.classes["terminal"] = [_START, _END]
        self._scope(definition.do, top=True)
        if definition.do:
            self._line(f"{_START} --> {self._id(definition.do[0])}")
        self._styles()
        return "flowchart TD\n" + "\n".join(self.lines) + "\n"

    def _scope(self, tasks: TaskList, *, top: bool = False, sequence: bool = True) -> None:
        """The tasks of a scope, and the ways between them."""
        for task in tasks:
            self._task(task)
        if sequence:
            for index in range(len(tasks)):
                for way in self._ways(tasks, index, top=top):
                    self._line(way)

    # ------------------------------------------------------------ steps
    def _task(self, task: Task) -> None:
        who = doer(task, self.namespace)
        inner = [scope for scope in task.scopes() if scope.tasks]
        if inner:
            self._box(task)
        else:
            shape = "decision" if isinstance(task, SwitchTask) else who
            opening, closing = _SHAPES[shape]
            self._line(f'{self._id(task)}{opening}"{_label(task)}"{closing}')
            self.classes.setdefault(who, []).append(self._id(task))
        state = self.states.get(task.pointer, "").lower()
        if state in _STATE_STYLES:
            self.classes.setdefault(f"state-{state}", []).append(self._id(task))

    def _box(self, task: Task) -> None:
        """A task that holds others, as a box around them."""
        box = self._id(task)
        with_catch = isinstance(task, TryTask) and task.catch.do
        self._line(f'subgraph {box}["{_label(task)}"]')
        self.indent += 1
        for scope in task.scopes():
            if scope.pointer == "/catch/do":
                continue
            self._scope(scope.tasks, sequence=not isinstance(task, ForkTask))
        if with_catch and isinstance(task, TryTask) and task.catch.do:
            self._line(f'subgraph {box}_catch["on error"]')
            self.indent += 1
            self._scope(task.catch.do)
            self.indent -= 1
            self._line("end")
            self._line(f"{self._id(task.try_[0])} -. error .-> {box}_catch")
        self.indent -= 1
        self._line("end")

    def _id(self, task: Task) -> str:
        return self.ids.setdefault(task.pointer, f"t{len(self.ids) + 1}")

    # ------------------------------------------------------------ ways
    def _ways(self, tasks: TaskList, index: int, *, top: bool) -> Iterator[str]:
        """The lines from one task to those that may follow it."""
        task = tasks[index]
        here = self._id(task)
        if isinstance(task, SwitchTask):
            for case in task.switch:
                target = self._target(tasks, index, case.then, top=top)
                if target:
                    yield f'{here} -->|"{_escaped(case.name)}"| {target}'
            if all(case.when is not None for case in task.switch):
                target = self._target(tasks, index, task.then, top=top)
                if target:
                    yield f'{here} -->|"otherwise"| {target}'
            return
        if isinstance(task, TryTask) and task.catch.then is not None:
            target = self._target(tasks, index, task.catch.then, top=top)
            if target:
                yield f'{here} -.->|"after an error"| {target}'
        if not isinstance(task, RaiseTask):
            target = self._target(tasks, index, task.then, top=top)
            if target:
                yield f"{here} --> {target}"

    def _target(self, tasks: TaskList, index: int, then: str | None, *, top: bool) -> str | None:
        """Where a directive leads; None out of the box that the task is in."""
        if then in (None, "continue"):
            if index + 1 < len(tasks):
                return self._id(tasks[index + 1])
            return _END if top else None
        if then == "end" or (then == "exit" and top):
            return _END
        target = tasks.named(then or "")
        return self._id(target) if target else None

    # ------------------------------------------------------------ text
    def _line(self, text: str) -> None:
        self.lines.append("  " * self.indent + text)

    def _styles(self) -> None:
        # A later class wins over an earlier one, so the states come last.
        for name, ids in sorted(self.classes.items(), key=lambda item: item[0] in _STATE_CLASSES):
            style = _STYLES.get(name) or _STATE_STYLES[name.removeprefix("state-")]
            self._line(f"classDef {name} {style}")
            self._line(f"class {','.join(ids)} {name}")


def _label(task: Task) -> str:
    """The name of a step, and below it what it does."""
    doing = words(task)
    return _escaped(task.name) + (f"<br/>{_escaped(doing)}" if doing else "")


def _escaped(text: str) -> str:
    """Text for a quoted label: one line, without what Mermaid or HTML would read."""
    line = " ".join(text.split())
    if len(line) > _LONGEST_LABEL:
        line = line[: _LONGEST_LABEL - 1] + "…"
    entities = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "`": "#96;"}
    return "".join(entities.get(character, character) for character in line)
