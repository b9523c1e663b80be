"""Values of labels that come from outside, bounded in number.

Who reads the metrics is seldom who may read the catalog. So only the names of flows of the classes
PUBLIC and INTERNAL are shown, and of at most as many as the operator wants (`COE_METRICS_FLOWS`).
"""

from __future__ import annotations

from typing import Final

OTHER: Final = "other"
HIDDEN: Final = "hidden"
_SHOWN: Final = frozenset({"PUBLIC", "INTERNAL"})


class Bounded:
    """The values of one label: the first `most` are taken, further ones are `other`."""

    def __init__(self, most: int) -> None:
        """Begin with no value."""
        self.most = most
        self._taken: set[str] = set()

    def of(self, value: str) -> str:
        """The value itself, or `other`."""
        if value in self._taken:
            return value
        if len(self._taken) >= self.most:
            return OTHER
        self._taken.add(value)
        return value


FLOWS: Final = Bounded(100)
"""The flows that this process names."""


def flow_of(ref: str, data_class: str) -> str:
    """The label of a flow: its name, `hidden` if its class is not shown, or `other`."""
    return FLOWS.of(ref) if data_class in _SHOWN else HIDDEN
