"""The events that came to a run: offered to whoever listens, kept for who will."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from coe.json_types import JSON
from coe.machine.fibers import Mailbox, Scheduler


@dataclass(slots=True, eq=False)
class BufferedEvent:
    """An event that came to the run; taken by a task that listens, or kept for one that will."""

    event: Mapping[str, JSON]
    taken: bool = False


@dataclass(slots=True)
class EventBuffer:
    """The events of a run: each is offered to whoever listens, and kept until somebody takes it."""

    scheduler: Scheduler
    wanted: frozenset[str] | None
    kept: list[BufferedEvent] = field(default_factory=list)
    seen: set[tuple[str, str]] = field(default_factory=set)
    listening: dict[str, Mailbox] = field(default_factory=dict)

    def receive(self, event: JSON) -> None:
        """Take an event; one that was seen before, or is never wanted, is dropped."""
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
        """A mailbox with what is kept, and with what is to come."""
        box = Mailbox()
        box.items.extend(buffered for buffered in self.kept if not buffered.taken)
        self.listening[key] = box
        return box
