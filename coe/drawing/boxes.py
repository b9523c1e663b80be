"""How large a step is drawn: its text in lines, and the room that its shape takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from coe.drawing.edge_routes import Point, Size
from coe.drawing.graph import Edge, Group, Node
from coe.drawing.run_overlay import RunOverlay
from coe.drawing.text import width, wrap

NAME: Final = 13.0
SMALL: Final = 11.5
_LEADING: Final = 1.32
_TEXT: Final = 186.0
_ICON: Final = 26.0
_PAD: Final = 12.0
_LEAST: Final = 124.0
STATUS_LINE: Final = 17.0
# What a shape takes at each side beside its text: pointed ends, double bars, round ends.
_SIDES: Final = {"switch": 16.0, "listen": 16.0, "emit": 8.0, "human": 8.0, "raise": 8.0}
_MARKS: Final = {"start": 24.0, "finish": 26.0, "exit": 18.0, "stop": 24.0, "again": 24.0}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text: what it says, its size in pixels, and its kind (name, words, condition)."""

    text: str
    size: float
    kind: str

    @property
    def height(self) -> float:
        """What it takes of the height."""
        return self.size * _LEADING


@dataclass(slots=True)
class Box:
    """A node with its size; x and y are those of its upper left corner in the drawing."""

    node: Node
    lines: tuple[Line, ...]
    status: tuple[str, ...] = ()
    width: float = 0.0
    height: float = 0.0
    x: float = 0.0
    y: float = 0.0
    # Of what holds steps: the height of its head, and the regions inside.
    head: float = 0.0
    regions: list[Region] = field(default_factory=list)

    @property
    def size(self) -> Size:
        """Its size, and how far from its middle ways may leave it."""
        inset = 22.0 + _SIDES.get(self.node.sign, 0.0)
        port = 0.0 if self.node.is_mark else max(0.0, self.width / 2 - inset)
        return Size(self.width, self.height, port)


@dataclass(slots=True)
class Label:
    """What a way says, around the middle of a place."""

    lines: tuple[str, ...]
    x: float
    y: float
    width: float
    height: float


@dataclass(slots=True)
class Course:
    """A way as it is drawn; one that ends at its own label or a bar has no arrow's head."""

    edge: Edge
    points: list[Point]
    arrow: bool = True


@dataclass(slots=True)
class Region:
    """A group with its place: boxes, courses and labels; bars begin and end what runs at once."""

    group: Group
    width: float = 0.0
    height: float = 0.0
    x: float = 0.0
    y: float = 0.0
    boxes: list[Box] = field(default_factory=list)
    courses: list[Course] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    bars: list[tuple[Point, Point]] = field(default_factory=list)
    framed: bool = False

    def walk(self) -> Iterator[Region]:
        """This region and all inside it, from the outside in."""
        yield self
        for box in self.boxes:
            for region in box.regions:
                yield from region.walk()

    def move(self, right: float, down: float) -> None:
        """Move it with all that is inside."""
        self.x += right
        self.y += down
        for box in self.boxes:
            box.x += right
            box.y += down
            for region in box.regions:
                region.move(right, down)
        for course in self.courses:
            course.points = [(x + right, y + down) for x, y in course.points]
        for label in self.labels:
            label.x += right
            label.y += down
        self.bars = [((a + right, b + down), (c + right, d + down)) for (a, b), (c, d) in self.bars]


def measured(node: Node, overlay: RunOverlay | None) -> Box:
    """A step or mark with its text in lines, and the size that it takes without what it holds."""
    if node.is_mark and not node.words:
        side = _MARKS[node.sign]
        return Box(node, (), width=side, height=side)
    box = Box(node, lines_of(node, _TEXT))
    status = overlay.status(node.key) if overlay and not node.is_mark else ()
    box.status = tuple(
        line for text in status for line in wrap(text, SMALL, _TEXT + _ICON - 18, lines=2)
    )
    sides = 2 * (_PAD + _SIDES.get(node.sign, 8.0 if node.doer == "foreign" else 0.0))
    state = max((width(text, SMALL) + 20 for text in box.status), default=0.0)
    box.width = max(_LEAST, text_width(box.lines) + _ICON + sides, state + sides)
    box.head = 2 * _PAD + sum(line.height for line in box.lines)
    box.height = max(box.head, 44.0) + STATUS_LINE * len(box.status) + (4 if box.status else 0)
    return box


def lines_of(node: Node, most: float) -> tuple[Line, ...]:
    """Name, words and condition of a node, wrapped."""
    names = wrap(node.name, NAME, most, lines=3, bold=True)
    words = wrap(node.words, SMALL, most, lines=3)
    conditions = wrap(node.condition, SMALL, most, lines=2)
    return (
        *(Line(text, NAME, "name") for text in names),
        *(Line(text, SMALL, "words") for text in words),
        *(Line(text, SMALL, "condition") for text in conditions),
    )


def text_width(lines: tuple[Line, ...]) -> float:
    """How wide lines are at most."""
    return max(
        (width(line.text, line.size, bold=line.kind == "name") for line in lines), default=0.0
    )
