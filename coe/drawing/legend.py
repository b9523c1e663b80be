"""The legend: what the shapes, marks and states of a drawing mean, as far as they are in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from coe.drawing import icons
from coe.drawing.boxes import SMALL
from coe.drawing.graph import Node
from coe.drawing.palette import icon, ink, shape
from coe.drawing.run_overlay import STATES, RunOverlay
from coe.drawing.shapes import icon_of, look_of, mark, outline
from coe.drawing.text import number as n
from coe.drawing.text import safe, width

SIGN_NAMES: Final = {
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
MARK_NAMES: Final = {
    "start": "Start",
    "finish": "End",
    "exit": "Leaves the box",
    "stop": "Ends the run",
    "again": "Goes on with the next",
}
_ROW: Final = 30.0
_SAMPLE: Final = 44.0
_GAP: Final = 22.0


def legend_key(node: Node) -> str:
    """The entry of the legend that explains a node."""
    return "foreign" if node.doer == "foreign" else node.sign


@dataclass(frozen=True, slots=True)
class Legend:
    """A legend laid out in rows; each entry is its key, its words and its place."""

    entries: tuple[tuple[str, str, float, float], ...]
    height: float

    def elements(self, left: float, top: float) -> Iterator[str]:
        """The legend as SVG elements."""
        for key, words, x, y in self.entries:
            yield from _sample(key, left + x, top + y)
            yield (
                f'<text x="{n(left + x + _SAMPLE + 8)}" y="{n(top + y + 4)}" '
                f'font-size="{SMALL}" {ink("page")}>{safe(words)}</text>'
            )


def legend(nodes: Iterable[Node], overlay: RunOverlay | None, most: float) -> Legend:
    """The legend of a drawing that may be so wide."""
    keys = {legend_key(node) for node in nodes}
    told = [(key, words) for key, words in (SIGN_NAMES | MARK_NAMES).items() if key in keys]
    if overlay is not None:
        seen = {step.state for step in overlay.steps.values()}
        told += [(word, word.capitalize()) for state, word in STATES.items() if state in seen]
        told.append(("unreached", "Not reached (without a state)"))
    entries = []
    x, y = 0.0, _ROW / 2
    for key, words in told:
        wide = _SAMPLE + 8 + width(words, SMALL) + _GAP
        if x and x + wide - _GAP > most:
            x, y = 0.0, y + _ROW
        entries.append((key, words, x, y))
        x += wide
    return Legend(tuple(entries), y + _ROW / 2)


def _sample(key: str, x: float, y: float) -> Iterator[str]:
    """What an entry looks like, its left middle at a place."""
    if key in MARK_NAMES:
        yield from mark(key, x + _SAMPLE / 2, y)
        return
    box = (x, y - 11, _SAMPLE, 22.0)
    place = f'x="{n(x)}" y="{n(y - 11)}" width="{n(_SAMPLE)}" height="22"'
    middle = x + _SAMPLE / 2
    if key in STATES.values():
        yield f'<rect {place} rx="4" {shape(key)}/>'
        yield icons.drawn(key, middle - 7, y - 7, icon(key), 14)
    elif key == "unreached":
        yield f'<rect {place} rx="4" {shape("inner")}/>'
    elif key in _HOLDERS:
        yield f'<rect {place} rx="5" {shape("box")}/>'
        yield icons.drawn(key, middle - 7, y - 7, icon("box"), 14)
    else:
        node = Node("", "flow" if key == "foreign" else key, _DOERS.get(key, "automatic"))
        yield from outline(node, box)
        yield icons.drawn(icon_of(node), middle - 7, y - 7, icon(look_of(node)), 14)


_HOLDERS: Final = frozenset(("loop", "parallel", "fork", "try", "do"))
_DOERS: Final = {
    "human": "human",
    "foreign": "foreign",
    "switch": "control",
    "timer": "control",
    "listen": "control",
    "unsupported": "unsupported",
}
