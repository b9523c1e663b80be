"""The legend: the meaning of the shapes, marks and states that a drawing contains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from coe.drawing import icons
from coe.drawing.boxes import SMALL_SIZE
from coe.drawing.graph import GraphNode
from coe.drawing.palette import icon_colours, shape_colours, text_colours
from coe.drawing.run_overlay import STATES, RunOverlay
from coe.drawing.shapes import look_of, mark, node_icon, outline
from coe.drawing.text import number as n
from coe.drawing.text import safe, text_width

ICON_MEANINGS: Final = {
    "human": "A person does it",
    "foreign": "Another team's flow",
    "flow": "A flow of the own team",
    "call": "A system is called",
    "set": "Data is made",
    "notify": "A message is sent",
    "table": "Decision table",
    "switch": "Decision",
    "timer": "Waits for a time",
    "listen": "Waits for events",
    "emit": "Sends an event",
    "raise": "Raises an error",
    "unsupported": "Not run here",
    "loop": "For each, one after the other",
    "parallel": "For each, all at once",
    "fork": "Branches, at once",
    "try": "Errors are caught",
    "do": "Steps together",
}
MARK_MEANINGS: Final = {
    "start": "Start",
    "finish": "End",
    "exit": "Leaves the box",
    "stop": "Ends the run",
    "again": "Goes on with the next",
}
_ROW: Final = 30.0
_SAMPLE: Final = 44.0
_GAP: Final = 22.0


def legend_key(node: GraphNode) -> str:
    """The key of the legend entry that explains a node."""
    return "foreign" if node.performer == "foreign" else node.icon


@dataclass(frozen=True, slots=True)
class Legend:
    """A legend laid out in rows; each entry is its key, its text and its position."""

    entries: tuple[tuple[str, str, float, float], ...]
    height: float

    def elements(self, left: float, top: float) -> Iterator[str]:
        """The legend as SVG elements."""
        for key, text, x, y in self.entries:
            yield from _sample(key, left + x, top + y)
            yield (
                f'<text x="{n(left + x + _SAMPLE + 8)}" y="{n(top + y + 4)}" '
                f'font-size="{SMALL_SIZE}" {text_colours("page")}>{safe(text)}</text>'
            )


def legend(nodes: Iterable[GraphNode], overlay: RunOverlay | None, most: float) -> Legend:
    """Lay out the legend of a drawing in rows of at most `most` pixels."""
    keys = {legend_key(node) for node in nodes}
    texts = [(key, text) for key, text in (ICON_MEANINGS | MARK_MEANINGS).items() if key in keys]
    if overlay is not None:
        seen = {step.state for step in overlay.steps.values()}
        texts += [(name, name.capitalize()) for state, name in STATES.items() if state in seen]
        texts.append(("unreached", "Not reached (without a state)"))
    entries = []
    x, y = 0.0, _ROW / 2
    for key, text in texts:
        wide = _SAMPLE + 8 + text_width(text, SMALL_SIZE) + _GAP
        if x and x + wide - _GAP > most:
            x, y = 0.0, y + _ROW
        entries.append((key, text, x, y))
        x += wide
    return Legend(tuple(entries), y + _ROW / 2)


def _sample(key: str, x: float, y: float) -> Iterator[str]:
    """The sample of an entry, with the middle of its left side at (x, y)."""
    if key in MARK_MEANINGS:
        yield from mark(key, x + _SAMPLE / 2, y)
        return
    box = (x, y - 11, _SAMPLE, 22.0)
    place = f'x="{n(x)}" y="{n(y - 11)}" width="{n(_SAMPLE)}" height="22"'
    middle = x + _SAMPLE / 2
    if key in STATES.values():
        yield f'<rect {place} rx="4" {shape_colours(key)}/>'
        yield icons.icon_path(key, middle - 7, y - 7, icon_colours(key), 14)
    elif key == "unreached":
        yield f'<rect {place} rx="4" {shape_colours("inner")}/>'
    elif key in _HOLDERS:
        yield f'<rect {place} rx="5" {shape_colours("box")}/>'
        yield icons.icon_path(key, middle - 7, y - 7, icon_colours("box"), 14)
    else:
        node = GraphNode("", "flow" if key == "foreign" else key, _PERFORMERS.get(key, "automatic"))
        yield from outline(node, box)
        yield icons.icon_path(node_icon(node), middle - 7, y - 7, icon_colours(look_of(node)), 14)


_HOLDERS: Final = frozenset(("loop", "parallel", "fork", "try", "do"))
_PERFORMERS: Final = {
    "human": "human",
    "foreign": "foreign",
    "switch": "control",
    "timer": "control",
    "listen": "control",
    "unsupported": "unsupported",
}
