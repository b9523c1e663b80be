"""The definitions that an actor reads and that are recorded: how a process with such data works."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from coe.access.actor import DataClass

RECORDED: Final = (DataClass.CONFIDENTIAL, DataClass.PERSONAL)
"""The data classes of which each reading of a definition is recorded."""


@dataclass(frozen=True, slots=True, order=True)
class Reading:
    """A version that was read: its exact ref, the kind of its entry, its team and data class."""

    team: str
    ref: str
    kind: str
    data_class: DataClass


@dataclass(frozen=True, slots=True)
class TeamReadings:
    """The versions of one team that were read: one event of the log."""

    team: str
    refs: tuple[str, ...]
    resource: str
    data_class: DataClass


class Readings:
    """What is noted between two points at which it is recorded; each version counts once.

    Only `coe.work` makes one, because whoever makes one must record it.
    """

    def __init__(self) -> None:
        self._noted: set[Reading] = set()

    def __bool__(self) -> bool:
        """Whether anything is to be recorded."""
        return bool(self._noted)

    def note(self, reading: Reading) -> None:
        """Note a reading, if its data class is recorded."""
        if reading.data_class in RECORDED:
            self._noted.add(reading)

    def take(self) -> Iterator[TeamReadings]:
        """Remove everything that was noted: one event for each team.

        The resource of the event is the version if it is one, else the team.
        """
        noted, self._noted = self._noted, set()
        return _by_team(noted)


def _by_team(noted: Iterable[Reading]) -> Iterator[TeamReadings]:
    by_team: defaultdict[str, list[Reading]] = defaultdict(list)
    for reading in sorted(noted):
        by_team[reading.team].append(reading)
    for team, read in by_team.items():
        first = read[0]
        one = f"{first.kind.lower()}:{first.ref}"
        yield TeamReadings(
            team=team,
            refs=tuple(each.ref for each in read),
            resource=one if len(read) == 1 else f"team:{team}",
            data_class=first.data_class,
        )
