"""`listen`: a run consumes events in the order of their arrival."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from coe.json_types import JSON
from coe.language.branches import outcomes
from coe.language.expression_syntax import program_of
from coe.language.model.events import EventConsumption
from coe.language.model.task import SubscriptionIterator
from coe.language.model.task_types import ListenTask
from coe.machine.commands import AwaitEvent, Phase
from coe.machine.data import DEFINITION, EXPORT, ExpressionSite
from coe.machine.errors import TaskFault
from coe.machine.event_buffer import BufferedEvent
from coe.machine.event_filters import Strategy, prepared_strategy, types_of
from coe.machine.fibers import Mailbox
from coe.machine.interpreter import Done, Interpreter
from coe.machine.scope import Frame
from coe.machine.tasks import execute_list, typed


async def run_listen(run: Interpreter, frame: Frame) -> Done:
    """Consume events until the strategy is satisfied; the output is the array of their data."""
    task = typed(frame, ListenTask)
    wanted, place = task.listen.to, f"{frame.pointer}/listen/to"
    failed: list[str] = []
    strategy = await prepared_strategy(run, frame, wanted, place, failed)
    until = (
        await prepared_strategy(run, frame, wanted.until, f"{place}/until", failed)
        if isinstance(wanted.until, EventConsumption)
        else None
    )
    command = AwaitEvent(frame.key, frame.pointer, frame.task.name, types_of(wanted))
    box = run.events.listen(frame.key)
    run.commands.issue(command, box)
    run.steps.move(frame, Phase.EVENT, run.now)
    try:
        output = await _consume(run, frame, box, _Offer(strategy, until, failed))
    finally:
        run.events.listening.pop(frame.key, None)
        run.commands.cancel(frame.key)
    return Done(output)


@dataclass(frozen=True, slots=True)
class _Offer:
    """To whom events are offered; `failed` has the pointers of expressions that fail on one."""

    strategy: Strategy
    until: Strategy | None
    failed: list[str]


async def _consume(run: Interpreter, frame: Frame, box: Mailbox, offer: _Offer) -> list[JSON]:
    strategy, until = offer.strategy, offer.until
    consumed: list[JSON] = []
    done = False
    while not done and not strategy.satisfied:
        buffered: BufferedEvent = await box.receive()
        offer.failed.clear()
        if until is not None and await until.takes(buffered.event):
            buffered.taken = True
            done = until.satisfied
            if done and not consumed:
                run.on_branch(frame, outcomes.NO_EVENT)
        else:
            done = await _take(run, frame, buffered, consumed, offer)
        if buffered.taken:
            run.events.note(buffered.event, frame.pointer, taken=True)
        elif offer.failed:
            run.events.note(buffered.event, offer.failed[0], taken=False)
            run.steps.unmatched(frame, offer.failed[0])
    return consumed


async def _take(
    run: Interpreter, frame: Frame, buffered: BufferedEvent, consumed: list[JSON], offer: _Offer
) -> bool:
    """Consume an event if it matches; returns whether the condition `until` holds then.

    An event on whose data the condition fails does not count: else it would fail ever after.
    """
    strategy = offer.strategy
    before = dict(strategy.seen)
    if not await strategy.takes(buffered.event):
        return False
    buffered.taken = True
    number = strategy.taken
    item = await _read(run, frame, buffered.event, len(consumed))
    until = typed(frame, ListenTask).listen.to.until
    ended = False
    if isinstance(until, str):
        site = ExpressionSite(DEFINITION, frame=frame)
        try:
            ended = await run.data.holds(program_of(until), [*consumed, item], site)
        except TaskFault:
            strategy.seen, buffered.taken = before, False
            offer.failed.append(f"{frame.pointer}/listen/to/until")
            return False
    run.on_branch(frame, outcomes.takes(number))
    consumed.append(item)
    return ended


async def _read(run: Interpreter, frame: Frame, event: Mapping[str, JSON], index: int) -> JSON:
    """The item that an event contributes: its data or envelope, transformed by `foreach`."""
    task = typed(frame, ListenTask)
    item: JSON
    match task.listen.read:
        case "envelope":
            item = dict(event)
        case "raw":
            item = _raw(event)
        case _:
            item = event.get("data")
    return item if task.foreach is None else await _each(run, frame, task.foreach, item, index)


def _raw(event: Mapping[str, JSON]) -> JSON:
    """The data as sent: base64 of bytes, or the text of JSON; null without data."""
    if "data_base64" in event:
        return event["data_base64"]
    if "data" not in event:
        return None
    data = event["data"]
    return data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))


async def _each(
    run: Interpreter, frame: Frame, each: SubscriptionIterator, item: JSON, index: int
) -> JSON:
    scope = frame.inside(variables={each.item: item, each.at: index}, iteration=index)
    output = item
    if each.do is not None:
        output = await execute_list(run, each.do, scope, item)
    site = ExpressionSite(DEFINITION, frame=frame, scope=scope)
    if each.output is not None:
        if each.output.as_ is not None:
            output = await run.data.render(each.output.as_, output, site)
        run.data.validate(each.output.schema_, output, site)
    if each.export is not None:
        if each.export.as_ is not None:
            site = ExpressionSite(EXPORT, frame=frame, scope=scope)
            scope.context.export(await run.data.render(each.export.as_, output, site))
        run.data.validate(each.export.schema_, scope.context.value, site)
    return output
