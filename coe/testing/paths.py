"""Whether a run's steps are in an expected order, where branches at once may interleave."""

from __future__ import annotations

from collections.abc import Sequence

from coe.json_types import JSON


def follows(expected: Sequence[JSON], found: Sequence[str]) -> bool:
    """Whether the names of steps are those that are expected, in an order that is.

    A part is a name, or `{atOnce: [[name, …], …]}`: the names of each branch in their order, those
    of different branches in any.
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
    """Whether the names are those of the branches, each branch's in order."""
    # How far each branch may have come, for all the ways to read the names so far.
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
