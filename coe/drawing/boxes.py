"""The size of a drawn step: its lines of text and the space that its shape needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from coe.drawing.edge_routes import Point, Size
from coe.drawing.graph import GraphEdge, GraphNode, NodeGroup
from coe.drawing.run_overlay import RunOverlay
from coe.drawing.text import text_width, wrap_text

NAME_SIZE: Final = 13.0
SMALL_SIZE: Final = 11.5
_LEADING: Final = 1.32
_TEXT: Final = 186.0
_ICON: Final = 26.0
_PAD: Final = 12.0
_MIN_WIDTH: Final = 124.0
STATUS_LINE: Final = 17.0
# The space that a shape needs at each side of its text: pointed ends, double bars, round ends.
_SIDES: Final = {"switch": 16.0, "listen": 16.0, "emit": 8.0, "human": 8.0, "raise": 8.0}
_MARKS: Final = {"start": 24.0, "finish": 26.0, "exit": 18.0, "stop": 24.0, "again": 24.0}


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text, its font size in pixels, and its kind (name, label or condition)."""

    text: str
    size: float
    kind: str

    @property
    def height(self) -> float:
        """The height of the line in pixels."""
        return self.size * _LEADING


@dataclass(slots=True)
class Box:
    """A node with its size and the position of its upper left corner."""

    node: GraphNode
    lines: tuple[TextLine, ...]
    status: tuple[str, ...] = ()
    width: float = 0.0
    height: float = 0.0
    x: float = 0.0
    y: float = 0.0
    # Of a step that holds others: the height of its head, and the regions inside.
    head: float = 0.0
    regions: list[Region] = field(default_factory=list)

    @property
    def size(self) -> Size:
        """The size of the box, and how far from its middle edges may leave it."""
        inset = 22.0 + _SIDES.get(self.node.icon, 0.0)
        port = 0.0 if self.node.is_mark else max(0.0, self.width / 2 - inset)
        return Size(self.width, self.height, port)


@dataclass(slots=True)
class Label:
    """The label of an edge, centred at (x, y)."""

    lines: tuple[str, ...]
    x: float
    y: float
    width: float
    height: float


@dataclass(slots=True)
class EdgeRoute:
    """The route of an edge; one that ends at its own label or at a bar has no arrow head."""

    edge: GraphEdge
    points: list[Point]
    arrow: bool = True


@dataclass(slots=True)
class Region:
    """A group with its position: boxes, edge routes, labels, and the bars around branches."""

    group: NodeGroup
    width: float = 0.0
    height: float = 0.0
    x: float = 0.0
    y: float = 0.0
    boxes: list[Box] = field(default_factory=list)
    routes: list[EdgeRoute] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    bars: list[tuple[Point, Point]] = field(default_factory=list)
    framed: bool = False

    def walk(self) -> Iterator[Region]:
        """This region and all regions inside it, outer ones first."""
        yield self
        for box in self.boxes:
            for region in box.regions:
                yield from region.walk()

    def move(self, right: float, down: float) -> None:
        """Move the region with everything inside it."""
        self.x += right
        self.y += down
        for box in self.boxes:
            box.x += right
            box.y += down
            for region in box.regions:
                region.move(right, down)
        for route in self.routes:
            route.points = [(x + right, y + down) for x, y in route.points]
        for label in self.labels:
            label.x += right
            label.y += down
        self.bars = [((a + right, b + down), (c + right, d + down)) for (a, b), (c, d) in self.bars]


def measure(node: GraphNode, overlay: RunOverlay | None) -> Box:
    """The box of a node: its lines of text and its size without the groups inside it."""
    if node.is_mark and not node.label:
        side = _MARKS[node.icon]
        return Box(node, (), width=side, height=side)
    box = Box(node, lines_of(node, _TEXT))
    status = overlay.status(node.key) if overlay and not node.is_mark else ()
    box.status = tuple(
        line for text in status for line in wrap_text(text, SMALL_SIZE, _TEXT + _ICON - 18, lines=2)
    )
    sides = 2 * (_PAD + _SIDES.get(node.icon, 8.0 if node.performer == "foreign" else 0.0))
    state = max((text_width(text, SMALL_SIZE) + 20 for text in box.status), default=0.0)
    box.width = max(_MIN_WIDTH, widest_line(box.lines) + _ICON + sides, state + sides)
    box.head = 2 * _PAD + sum(line.height for line in box.lines)
    box.height = max(box.head, 44.0) + STATUS_LINE * len(box.status) + (4 if box.status else 0)
    return box


def lines_of(node: GraphNode, most: float) -> tuple[TextLine, ...]:
    """Name, label and condition of a node, wrapped."""
    names = wrap_text(node.name, NAME_SIZE, most, lines=3, bold=True)
    labels = wrap_text(node.label, SMALL_SIZE, most, lines=3)
    conditions = wrap_text(node.condition, SMALL_SIZE, most, lines=2)
    return (
        *(TextLine(text, NAME_SIZE, "name") for text in names),
        *(TextLine(text, SMALL_SIZE, "label") for text in labels),
        *(TextLine(text, SMALL_SIZE, "condition") for text in conditions),
    )


def widest_line(lines: tuple[TextLine, ...]) -> float:
    """The width of the widest of some lines."""
    return max(
        (text_width(line.text, line.size, bold=line.kind == "name") for line in lines), default=0.0
    )
