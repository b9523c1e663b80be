"""A definition as a Mermaid flowchart, on request with the states of a run.

The class of a node is its performer (`coe.drawing.step_labels`). The state of a run is a second
class, such as `state-completed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from coe.drawing.graph import GraphNode, NodeGroup, definition_graph
from coe.language.model.definition import Definition

# Fill, line and text of each class. The contrast of text on fill is 7:1 or more (WCAG AAA).
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
    "switch": ("{", "}"),
    "start": ("((", "))"),
    "finish": ("(((", ")))"),
    "stop": ("(((", ")))"),
    "exit": ("((", "))"),
    "again": ("((", "))"),
}
_MAX_LABEL_LENGTH: Final = 60


def mermaid(definition: Definition, states: Mapping[str, str] | None = None) -> str:
    """Give the Mermaid flowchart text of a definition.

    `states` maps the JSON pointer of a task to its state, such as COMPLETED.
    """
    return mermaid_of(definition_graph(definition), states)


def mermaid_of(group: NodeGroup, states: Mapping[str, str] | None = None) -> str:
    """Give the Mermaid flowchart text of a graph."""
    return _Drawing(states or {}).draw(group)


@dataclass(slots=True)
class _Drawing:
    states: Mapping[str, str]
    lines: list[str] = field(default_factory=list)
    classes: dict[str, list[str]] = field(default_factory=dict)
    count: int = 0
    indent: int = 1

    def draw(self, group: NodeGroup) -> str:
        self._group(group)
        self._styles()
        return "flowchart TD\n" + "\n".join(self.lines) + "\n"

    def _group(self, group: NodeGroup) -> list[str]:
        """Write the nodes and edges of a group; give the ids of the nodes."""
        ids = [self._node(node) for node in group.nodes]
        for edge in group.edges:
            arrow = "-.->" if edge.kind == "error" else "-->"
            label = f'|"{_escaped(edge.label)}"|' if edge.label else ""
            self._line(f"{ids[edge.source]} {arrow}{label} {ids[edge.target]}")
        return ids

    # ------------------------------------------------------------ nodes
    def _node(self, node: GraphNode) -> str:
        """Write a step or a mark; give its id."""
        known = node.icon if node.icon in ("start", "finish") else None
        if known is None:
            self.count += 1
        ident = known or f"t{self.count}"
        if node.groups:
            self._box(node, ident)
        else:
            shape = node.icon if node.is_mark or node.icon == "switch" else node.performer
            opening, closing = _SHAPES[shape]
            self._line(f'{ident}{opening}"{_label(node)}"{closing}')
            self.classes.setdefault(node.performer, []).append(ident)
        state = self.states.get(node.key, "").lower()
        if state in _STATE_STYLES:
            self.classes.setdefault(f"state-{state}", []).append(ident)
        return ident

    def _box(self, node: GraphNode, ident: str) -> None:
        """Write a step that holds others, as a box around them."""
        self._line(f'subgraph {ident}["{_label(node)}"]')
        self.indent += 1
        body = ""
        for group in node.groups:
            if group.role != "catch":
                body = self._group(group)[0]
                continue
            self._line(f'subgraph {ident}_catch["{_escaped(group.label)}"]')
            self.indent += 1
            self._group(group)
            self.indent -= 1
            self._line("end")
            if body:
                self._line(f"{body} -. error .-> {ident}_catch")
        self.indent -= 1
        self._line("end")

    # ------------------------------------------------------------ text
    def _line(self, text: str) -> None:
        self.lines.append("  " * self.indent + text)

    def _styles(self) -> None:
        # A later class wins over an earlier one, so the states come last.
        for name, ids in sorted(self.classes.items(), key=lambda item: item[0] in _STATE_CLASSES):
            style = _STYLES.get(name) or _STATE_STYLES[name.removeprefix("state-")]
            self._line(f"classDef {name} {style}")
            self._line(f"class {','.join(ids)} {name}")


def _label(node: GraphNode) -> str:
    """The name of a step and, below it, its label and condition."""
    if node.is_mark:
        return _escaped(node.label) or " "
    parts = (node.name, node.label, node.condition)
    return "<br/>".join(_escaped(part) for part in parts if part)


def _escaped(text: str) -> str:
    """Text for a quoted label: one line, with the characters that Mermaid or HTML read escaped."""
    line = " ".join(text.split())
    if len(line) > _MAX_LABEL_LENGTH:
        line = line[: _MAX_LABEL_LENGTH - 1] + "…"
    entities = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "`": "#96;"}
    return "".join(entities.get(character, character) for character in line)
