"""The layout: nothing overlaps, and no edge passes through a box."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from coe.drawing.boxes import Box, Region
from coe.drawing.edge_tracks import TRACK, Net, assign
from coe.drawing.graph import definition_graph
from coe.drawing.layers import assign_layers, cycle_closing_edges
from coe.drawing.layout import lay_out
from tests.drawing.definitions import DEFINITIONS, defined
from tests.factories.definitions import loaded

Rectangle = tuple[float, float, float, float]
CLOSE = 0.5  # an edge may touch the border of the box that it leads to


def rectangle(box: Box | Region) -> Rectangle:
    return box.x, box.y, box.x + box.width, box.y + box.height


def overlap(one: Rectangle, other: Rectangle) -> bool:
    return (
        min(one[2], other[2]) - max(one[0], other[0]) > CLOSE
        and min(one[3], other[3]) - max(one[1], other[1]) > CLOSE
    )


def holds(outer: Rectangle, inner: Rectangle) -> bool:
    return (
        outer[0] <= inner[0] + CLOSE
        and outer[1] <= inner[1] + CLOSE
        and outer[2] >= inner[2] - CLOSE
        and outer[3] >= inner[3] - CLOSE
    )


def check(region: Region) -> None:
    """Every rule of a good drawing that can be computed."""
    boxes = [rectangle(box) for box in region.boxes]
    labels = [
        (each.x - each.width / 2, each.y - each.height / 2, each.x + each.width / 2,
         each.y + each.height / 2)
        for each in region.labels
    ]  # fmt: skip
    for one, other in combinations([*boxes, *labels], 2):
        assert not overlap(one, other)
    for route in region.routes:
        for (x1, y1), (x2, y2) in pairwise(route.points):
            assert abs(x1 - x2) < CLOSE or abs(y1 - y2) < CLOSE, "neither down nor sideways"
            line = (min(x1, x2) - 1, min(y1, y2) + 1, max(x1, x2) + 1, max(y1, y2) - 1)
            if abs(y1 - y2) < CLOSE:
                line = (min(x1, x2), y1 - 1, max(x1, x2), y1 + 1)
            assert not any(overlap(line, box) for box in boxes)
    for box in region.boxes:
        for inner in box.regions:
            assert holds(rectangle(box), rectangle(inner))
            assert inner.y >= box.y + box.head - CLOSE
            check(inner)
        for first, second in combinations(box.regions, 2):
            assert not overlap(rectangle(first), rectangle(second))
    place = rectangle(region)
    assert all(holds(place, each) for each in [*boxes, *labels])
    assert all(holds(place, (x, y, x, y)) for route in region.routes for x, y in route.points)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(DEFINITIONS)
def test_nothing_lies_on_anything_else(data: dict[str, Any]) -> None:
    check(lay_out(definition_graph(defined(data))))


def test_every_step_and_every_edge_is_drawn() -> None:
    definition = loaded(
        """
        - decide: {switch: [{a: {when: .a, then: first}}, {b: {when: .b, then: last}}]}
        - first: {set: {a: 1}}
        - loop: {for: {in: .l}, do: [{one: {wait: PT1S}}, {two: {wait: PT1S}}]}
        - last: {set: {a: 1}, then: decide}
        """,
    )
    drawn = lay_out(definition_graph(definition))
    names = {box.node.name for region in drawn.walk() for box in region.boxes}
    assert names >= {"decide", "first", "loop", "one", "two", "last"}
    assert {label.lines for label in drawn.labels} == {("a, otherwise",), ("b",)}
    # An edge with a label is drawn in two parts, with the arrow head at the end of the second.
    arrows = sum(route.arrow for route in drawn.routes)
    assert (arrows, len(drawn.routes)) == (6, 8)


def test_a_backward_edge_runs_beside_the_steps() -> None:
    definition = loaded("- a: {set: {x: 1}}\n- b: {set: {x: 1}, then: a}")
    drawn = lay_out(definition_graph(definition))
    [back] = [route for route in drawn.routes if route.edge.target < route.edge.source]
    assert max(x for x, _ in back.points) > max(box.x + box.width for box in drawn.boxes)


def test_a_long_edge_runs_beside_the_steps() -> None:
    tasks = "".join(f"- s{n}: {{set: {{x: 1}}}}\n" for n in range(30))
    definition = loaded(f"- choose: {{switch: [{{go: {{when: .x, then: s29}}}}]}}\n{tasks}")
    drawn = lay_out(definition_graph(definition))
    far = [route for route in drawn.routes if route.edge.label == "go"]
    assert min(x for route in far for x, _ in route.points) < min(box.x for box in drawn.boxes)
    check(drawn)


def test_branches_stand_side_by_side_and_many_in_rows() -> None:
    for count, rows in ((3, 1), (40, 4)):
        branches = ", ".join(f"{{b{n}: {{wait: PT1S}}}}" for n in range(count))
        drawn = lay_out(definition_graph(loaded(f"- split: {{fork: {{branches: [{branches}]}}}}")))
        [fork] = [box for box in drawn.boxes if box.regions]
        [inner] = fork.regions
        found = len({box.y for box in inner.boxes})
        assert found == 1 if rows == 1 else found > 1
        assert bool(inner.bars) is (rows == 1)
        check(drawn)


def test_edges_that_close_a_cycle_are_found() -> None:
    assert cycle_closing_edges(3, [(0, 1), (1, 2), (2, 0), (1, 1)]) == {(2, 0), (1, 1)}
    assert cycle_closing_edges(3, [(0, 2), (2, 1)]) == set()


def test_a_node_is_below_all_that_lead_to_it() -> None:
    found = assign_layers(4, [(0, 1), (0, 2), (1, 3), (2, 3), (0, 3)])
    assert found.of[:4] == [0, 1, 1, 2]
    assert found.chains[0, 3] == [0, 4, 3]
    assert sorted(node for layer in found.layers for node in layer) == [0, 1, 2, 3, 4]


def test_nets_take_tracks_that_do_not_touch() -> None:
    low, high = Net({0.0}, {100.0}), Net({100.0}, {200.0})
    apart = Net({300.0}, {400.0})
    height = assign([low, high, apart])
    # The line down to 100 would lie on the line down from 100, were the other one not above it.
    assert high.track < low.track
    assert apart.track == 0
    assert height == assign([Net({0.0}, {9.0})]) + TRACK


@pytest.mark.parametrize("nets", [[], [Net({5.0}, {5.0})]])
def test_a_channel_without_turns_has_no_tracks(nets: list[Net]) -> None:
    assert assign(nets) in (0.0, 30.0)
