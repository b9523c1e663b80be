"""The events that a listening task consumes: filters, correlation, and strategies over them.

An expression may fail on the data of an event, such as `.data.order` where the data is a text.
Such an event does not match, and the place of the expression is kept (`failed`). What a filter
expects is computed on the input of the task; where that fails, the task faults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from coe.json_types import JSON
from coe.language.expression_syntax import is_expression, program_of
from coe.language.json_schema.patterns import has_signs, matches_whole
from coe.language.model.definition import Definition
from coe.language.model.events import EventConsumption, EventFilter
from coe.language.model.task_types import ListenTask
from coe.machine.calls import expand_uri
from coe.machine.data import DEFINITION, ExpressionSite, pointer_token
from coe.machine.errors import TaskFault
from coe.machine.interpreter import Interpreter
from coe.machine.scope import Frame, json_equal


def event_types(definition: Definition) -> frozenset[str] | None:
    """The CloudEvent types that a run can consume; None where a filter leaves the type open."""
    types: set[str] = set()
    for task in definition.tasks.values():
        if isinstance(task, ListenTask):
            wanted = types_of(task.listen.to)
            if wanted is None:
                return None
            types.update(wanted)
    return frozenset(types)


def types_of(consumption: EventConsumption) -> tuple[str, ...] | None:
    """The event types that a strategy can match; None if any."""
    types: list[str] = []
    for item in filters_of(consumption):
        kind = item.with_.type
        if kind is None or has_signs(kind):
            return None
        types.append(kind)
    if isinstance(consumption.until, EventConsumption):
        until = types_of(consumption.until)
        if until is None:
            return None
        types.extend(until)
    return tuple(dict.fromkeys(types)) or None


def filters_of(consumption: EventConsumption) -> tuple[EventFilter, ...]:
    """The filters of a strategy; an empty `any` has none, and consumes every event."""
    if consumption.one is not None:
        return (consumption.one,)
    return consumption.all or consumption.any or ()


class _Filter:
    """A filter with the expected values of its correlations.

    `pointer` leads to it; the pointers of expressions that fail on an event are added to `failed`.
    """

    def __init__(
        self, run: Interpreter, frame: Frame, given: EventFilter, pointer: str, failed: list[str]
    ) -> None:
        self._run = run
        self._frame = frame
        self._given = given
        self._pointer = pointer
        self._failed = failed
        self._site = ExpressionSite(DEFINITION, frame=frame)
        self._expected: dict[str, JSON] = {}
        self._wanted = given.with_.given()

    async def prepare(self) -> None:
        """Evaluate the addresses and the expected values, once, on the input of the task."""
        for name, uri in self._given.with_.templates().items():
            self._wanted[name] = await expand_uri(self._run, self._frame, uri, pattern=True)
        for name, correlation in self._given.correlate.items():
            if correlation.expect is not None:
                self._expected[name] = await self._run.data.render(
                    correlation.expect, self._frame.input, self._site
                )

    async def takes(self, event: Mapping[str, JSON], seen: dict[str, JSON]) -> bool:
        """Whether the event passes and correlates; `seen` then has the values that it set."""
        for name, wanted in self._wanted.items():
            place = f"/with/{pointer_token(name)}"
            if not await self._equal(wanted, event.get(name), event, name, place):
                return False
        values: dict[str, JSON] = {}
        for name, correlation in self._given.correlate.items():
            place = f"/correlate/{pointer_token(name)}/from"
            value = await self._evaluate(correlation.from_, dict(event), place)
            expected = self._expected.get(name, seen.get(name, value))
            if value is None or not json_equal(value, expected):
                return False
            values[name] = value
        seen.update({name: value for name, value in values.items() if name not in self._expected})
        return True

    async def _equal(
        self, wanted: JSON, value: JSON, event: Mapping[str, JSON], name: str, place: str
    ) -> bool:
        """Whether an attribute matches; `${ … }` is evaluated over the data, or over the event."""
        if is_expression(wanted):
            over = value if name == "data" else dict(event)
            found = await self._evaluate(program_of(wanted), over, place)
            return (
                found if isinstance(found, bool) else found is not None and json_equal(found, value)
            )
        if isinstance(wanted, dict):
            return isinstance(value, dict) and all(
                [
                    await self._equal(
                        one, value.get(key), event, "data", f"{place}/{pointer_token(key)}"
                    )
                    for key, one in wanted.items()
                ]
            )
        if isinstance(wanted, str) and isinstance(value, str):
            return wanted == value or matches_whole(wanted, value)
        return json_equal(wanted, value)

    async def _evaluate(self, program: str, data: JSON, place: str) -> JSON:
        """The value of an expression; null, which matches nothing, where it fails on the event."""
        try:
            return await self._run.data.evaluate(program, data, self._site)
        except TaskFault:
            self._failed.append(self._pointer + place)
            return None


class Strategy(Protocol):
    """The events that a listening task waits for: consumes them until it is satisfied."""

    # The number of the filter that matched the last event, from 1; 1 without filters.
    taken: int
    # The values that the events so far have set for correlation, by name.
    seen: dict[str, JSON]

    @property
    def satisfied(self) -> bool:
        """Whether the task has all its events."""
        ...

    async def takes(self, event: Mapping[str, JSON]) -> bool:
        """Whether the strategy consumes the event."""


class _Slots:
    """`one` and `all`: each filter matches one event, each event one filter."""

    def __init__(self, filters: Sequence[_Filter]) -> None:
        self._open = list(enumerate(filters, start=1))
        self.taken: int
        self.seen: dict[str, JSON] = {}

    @property
    def satisfied(self) -> bool:
        return not self._open

    async def takes(self, event: Mapping[str, JSON]) -> bool:
        for entry in self._open:
            self.taken, item = entry
            if await item.takes(event, self.seen):
                self._open.remove(entry)
                return True
        return False


class _Any:
    """`any`: every event that passes one of the filters; without `until`, one is enough."""

    def __init__(self, filters: Sequence[_Filter], *, once: bool) -> None:
        self._filters = filters
        self._once = once
        self.seen: dict[str, JSON] = {}
        self.taken = 1
        self.satisfied = False

    async def takes(self, event: Mapping[str, JSON]) -> bool:
        for number, item in enumerate(self._filters, start=1):
            if await item.takes(event, self.seen):
                self.taken = number
                break
        else:
            if self._filters:
                return False
        self.satisfied = self._once
        return True


async def prepared_strategy(
    run: Interpreter, frame: Frame, consumption: EventConsumption, pointer: str, failed: list[str]
) -> Strategy:
    """The strategy at `pointer`, with everything evaluated that is evaluated only once.

    It adds the pointers of expressions that fail on an event to `failed`.
    """
    place = pointer + ("/one" if consumption.one else "/all" if consumption.all else "/any")
    filters = [
        _Filter(run, frame, given, place if consumption.one else f"{place}/{number}", failed)
        for number, given in enumerate(filters_of(consumption))
    ]
    for item in filters:
        await item.prepare()
    if consumption.any is not None:
        return _Any(filters, once=consumption.until is None)
    return _Slots(filters)
