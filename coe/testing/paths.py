"""The order of steps: compares names with an expected path, with concurrent branches."""

from __future__ import annotations

from collections.abc import Sequence

from coe.json_types import JSON


def is_expected_path(expected: Sequence[JSON], found: Sequence[str]) -> bool:
    """Whether the names of steps are the expected ones, in an expected order.

    A part is a name, or `{atOnce: [[name, …], …]}`: the names of each branch in their order, the
    branches interleaved in any way.
    """
    position = 0
    for part in expected:
        branches = _branches(part)
        size = sum(len(branch) for branch in branches)
        if not interleaved(branches, found[position : position + size]):
            return False
        position += size
    return position == len(found)


def interleaved(branches: Sequence[Sequence[str]], found: Sequence[str]) -> bool:
    """Whether the names interleave those of the branches, each branch in its order."""
    # The possible positions in the branches after the names so far.
    places = {(0,) * len(branches)}
    for name in found:
        places = {
            (*place[:index], place[index] + 1, *place[index + 1 :])
            for place in places
            for index, branch in enumerate(branches)
            if place[index] < len(branch) and branch[place[index]] == name
        }
    return tuple(len(branch) for branch in branches) in places


def _branches(part: JSON) -> list[list[str]]:
    if not isinstance(part, dict):
        return [[str(part)]]
    given = part.get("atOnce")
    branches = given if isinstance(given, list) else []
    return [[str(name) for name in each] for each in branches if isinstance(each, list)]
