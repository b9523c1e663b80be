"""The event buffer of a run: keeps events until a listening task consumes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from coe.json_types import JSON
from coe.machine.fibers import Mailbox, Scheduler


@dataclass(slots=True, eq=False)
class BufferedEvent:
    """An event that the run received; `taken` once a task has consumed it."""

    event: Mapping[str, JSON]
    taken: bool = False


@dataclass(frozen=True, slots=True)
class EventUse:
    """What a listening task made of an event: it took it, or an expression failed on it.

    `pointer` leads to the task that took the event, or to the expression.
    """

    event: Mapping[str, JSON] = field(repr=False)
    pointer: str
    taken: bool


@dataclass(slots=True)
class EventBuffer:
    """Offers each event to all listening tasks, and keeps it until one consumes it."""

    scheduler: Scheduler
    wanted: frozenset[str] | None
    kept: list[BufferedEvent] = field(default_factory=list)
    seen: set[tuple[str, str]] = field(default_factory=set)
    listening: dict[str, Mailbox] = field(default_factory=dict)
    uses: list[EventUse] = field(default_factory=list)

    def receive(self, event: JSON) -> None:
        """Buffer an event, unless it is known or of a type that the run never consumes."""
        if not isinstance(event, dict):
            return
        name = (str(event.get("source")), str(event.get("id")))
        if name in self.seen or (self.wanted is not None and event.get("type") not in self.wanted):
            return
        self.seen.add(name)
        buffered = BufferedEvent(event)
        self.kept = [one for one in self.kept if not one.taken]
        self.kept.append(buffered)
        for box in self.listening.values():
            self.scheduler.post(box, buffered)

    def listen(self, key: str) -> Mailbox:
        """A mailbox with the buffered events, to which later ones are posted."""
        box = Mailbox()
        box.items.extend(buffered for buffered in self.kept if not buffered.taken)
        self.listening[key] = box
        return box

    def note(self, event: Mapping[str, JSON], pointer: str, *, taken: bool) -> None:
        """Note what a listening task made of an event."""
        self.uses.append(EventUse(event, pointer, taken))
