"""Statements that the platform writes as text, and what they do to the simulated database.

`@register` takes the text as it stands in the code, in whatever layout. A text that is not here is
refused by name: whoever writes a new one teaches it here, beside the others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import insert
from sqlalchemy.dialects.postgresql import insert as upsert

from coe.audit.models import AuditEvent
from coe.runs import events_delivery
from coe.runs.inbox import TAKE
from coe.runs.journal import _SAVE_STEP
from coe.runs.journal_sql import APPEND, END, ENTRY, EVENT, STEP
from coe.runs.leases import ACQUIRE, ENDED
from coe.runs.models import RunState
from coe.runs.tables import INBOX, OUTBOX
from tests.simulation.expressions import Env, Unsupported
from tests.simulation.reading import Answer
from tests.simulation.statements import plan
from tests.simulation.storage import NO_KEY_UPDATE, UPDATE, Data, Row

Raw = Callable[[Env, Any], Awaitable[Answer]]
"""Gets the parameters: by name in a mapping, or `$1`, `$2`, … in a sequence."""

EVENTS: Final = AuditEvent.metadata.tables["audit_events"]

_KNOWN: Final[dict[str, Raw]] = {}


class Bugs:
    """What mutants take away from the statements that are texts (`tests.simulation.mutants`)."""

    matches_fence = True
    next_fence = 1
    leases_last = True
    consumes = True


def normal(text: str) -> str:
    """The text without its layout."""
    return " ".join(text.split()).replace("( ", "(").replace(" )", ")")


def register(text: str) -> Callable[[Raw], Raw]:
    """Say what a statement does."""

    def keep(raw: Raw) -> Raw:
        _KNOWN[normal(text)] = raw
        return raw

    return keep


def raw(text: str) -> Raw:
    """What a statement does.

    Raises:
        Unsupported: Nobody has said so yet.
    """
    found = _KNOWN.get(normal(text))
    if found is None:
        raise Unsupported(f"the text {normal(text)!r}: register it in tests/simulation/raw.py")
    return found


async def update_each(
    env: Env,
    relation: str,
    wanted: list[tuple[Row, Callable[[Data], bool], Callable[[Data], Data]]],
) -> list[Data]:
    """Lock each row, and change it if it matches then; gives the new versions."""
    transaction, table = env.transaction, env.store.relations[relation]
    changed = []
    for row, matches, change in wanted:
        seen = row.seen(transaction, env.snapshot)
        if seen is None or not matches(seen):
            continue
        await transaction.lock(row, NO_KEY_UPDATE)
        current = row.newest(transaction)
        if current is None or not matches(current):
            continue
        new = change(current)
        transaction.write(table, row, new)
        changed.append(new)
    return changed


@register("SELECT pg_notify(:channel, '')")
async def _notify_nothing(env: Env, params: Any) -> Answer:
    env.transaction.notices[params["channel"], ""] = None
    return Answer(["pg_notify"], [("",)])


@register("SELECT pg_notify(:channel, :run)")
async def _notify(env: Env, params: Any) -> Answer:
    env.transaction.notices[params["channel"], params["run"]] = None
    return Answer(["pg_notify"], [("",)])


@register(events_delivery._PUT.text)
async def _put_events(env: Env, given: Any) -> Answer:
    """Events into inboxes, with a wake-up each: `coe.runs.events_delivery`."""
    notices = env.transaction.notices
    brought = zip(given["ids"], given["wishes"], given["events"], given["runs"], strict=True)
    for ident, wish, event_id, run_id in brought:
        row = {
            "id": ident,
            "run_id": run_id,
            "dedupe": f"{given['dedupe']}{event_id}",
            "kind": given["kind"],
            "key": "",
            "at": given["now"],
            "event_id": event_id,
        }
        await _plan_of("inbox", upsert(INBOX).on_conflict_do_nothing()).run(_again(env), [row])
        times = {"created_at": given["now"], "due_at": given["now"]}
        wished = {"id": wish, "kind": "wake", "subject": run_id, "payload": {}, "attempts": 0}
        await _plan_of("outbox", insert(OUTBOX)).run(_again(env), [wished | times])
        notices[given["runs_channel"], str(run_id)] = None
    notices[given["outbox_channel"], ""] = None
    return Answer(["pg_notify"], [("",)])


def _again(env: Env) -> Env:
    return Env(env.store, env.transaction, env.snapshot, [], env.clock)


_plans: dict[str, Any] = {}


def _plan_of(name: str, statement: Any) -> Any:
    if name not in _plans:
        _plans[name] = plan(statement, {})
    return _plans[name]


@register("SELECT 1")
async def _one(_: Env, __: Any) -> Answer:
    return Answer(["?column?"], [(1,)])


@register(APPEND)
async def _append(env: Env, given: Sequence[Sequence[Any]]) -> Answer:
    """The group append of the journal: `coe.runs.journal_sql` says what it does."""
    moved = await _moved(env, [*given[:4], *given[29:32]])
    store, transaction = env.store, env.transaction
    journal = store.relations["journal_entries"]
    for batch, *values in zip(*given[4:10], strict=True):
        if batch in moved:
            run = moved[batch]
            row = dict(zip(ENTRY, values, strict=True))
            row |= {"run_id": run["id"], "fence": run["fence"]}
            await transaction.insert(journal, {name: row.get(name) for name in journal.columns})
    for batch, ident in zip(*given[10:12], strict=True):
        if batch in moved and Bugs.consumes:
            await delete_each(env, "run_inbox", ident)
    for run in moved.values():
        if run["state"] in ENDED:
            await _leave_nothing(env, run)
    for batch, *values in zip(*given[32:42], strict=True):
        if batch in moved:
            event = dict(zip(EVENT, values, strict=True))
            await _plan_of("event", insert(EVENTS)).run(_again(env), [event])
    steps = [
        dict(zip(STEP, values, strict=True))
        | {"run_id": moved[batch]["id"], "fence": moved[batch]["fence"], "waited_seconds": 0.0}
        for batch, *values in zip(*given[12:29], strict=True)
        if batch in moved
    ]
    for step in steps:
        await _save_step(env, step)
    return Answer(["batch"], [(batch,) for batch in moved])


@register(ACQUIRE)
async def _acquire(env: Env, given: Sequence[Any]) -> Answer:
    """Taking a run: `coe.runs.leases` says what it does."""
    run_id, holder, seconds = given
    now = env.clock()

    def matches(row: Data) -> bool:
        over = row["lease_until"] and row["lease_until"] < now
        free = row["holder"] is None or over or not Bugs.leases_last
        return row["id"] == run_id and not row["local"] and row["state"] not in ENDED and free

    def change(row: Data) -> Data:
        return row | {
            "holder": holder,
            "fence": row["fence"] + Bugs.next_fence,
            "state": RunState.RUNNING,
            "lease_until": now + timedelta(seconds=seconds),
            "started_at": row["started_at"] or now,
        }

    found = list(env.store.relations["runs"].candidates("id", run_id))
    names = env.store.relations["runs"].columns
    taken = await update_each(env, "runs", [(row, matches, change) for row in found])
    return Answer(names, [tuple(row[name] for name in names) for row in taken])


@register(TAKE)
async def _take(env: Env, given: Sequence[Any]) -> Answer:
    """What has arrived for a run: `coe.runs.inbox`."""
    inbox = env.store.relations["run_inbox"]
    seen = [row.seen(env.transaction, env.snapshot) for row in inbox.candidates("run_id", given[0])]
    rows = [row for row in seen if row is not None and row["run_id"] == given[0]]
    rows.sort(key=lambda row: row["arrival"])
    return Answer(inbox.columns, [tuple(row[name] for name in inbox.columns) for row in rows])


async def _leave_nothing(env: Env, run: Data) -> None:
    for left in ("run_inbox", "timers"):
        rows = list(env.store.relations[left].candidates("run_id", run["id"]))
        for seen in [row.seen(env.transaction, env.snapshot) for row in rows]:
            if seen is not None and seen["run_id"] == run["id"]:
                await delete_each(env, left, seen["id"])


_NO_MORE = (
    *("holder", "lease_until"),
    *("error_type", "error_status", "error_instance", "error_sealed"),
)


async def _moved(env: Env, given: Sequence[Sequence[Any]]) -> dict[int, Data]:
    moved: dict[int, Data] = {}
    for batch, (run_id, fence, position, count, *end) in enumerate(zip(*given, strict=True), 1):

        def matches(row: Data, fence: int = fence, position: int = position) -> bool:
            mine = row["fence"] == fence or not Bugs.matches_fence
            here = row["journal_length"] == position
            return mine and here and row["holder"] is not None

        def change(row: Data, count: int = count, end: list[Any] = end) -> Data:
            last = {}
            if end[0] is not None:
                last = dict.fromkeys(_NO_MORE) | dict(zip(END, end, strict=True))
                last["state"] = RunState(end[0])
            return row | {"journal_length": row["journal_length"] + count} | last

        rows = list(env.store.relations["runs"].candidates("id", run_id))
        wanted = [(row, matches, change) for row in rows]
        for changed in await update_each(env, "runs", wanted):
            moved[batch] = changed
            env.transaction.appended.append((run_id, fence, changed["fence"]))
    return moved


async def _save_step(env: Env, step: Data) -> None:
    statement = _SAVE_STEP
    cached = statement._generate_cache_key()
    if not _step_plan:
        binds = {bind.key: place for place, bind in enumerate(cached.bindparams)}
        _step_plan.append(plan(statement, binds))
    inner = Env(env.store, env.transaction, env.snapshot, [], env.clock)
    inner.params = [bind.effective_value for bind in cached.bindparams]
    await _step_plan[0].run(inner, [step])


_step_plan: list[Any] = []


async def delete_each(env: Env, relation: str, ident: Any) -> None:
    """Delete the row with this id, if the statement sees it and it is still there."""
    table, transaction = env.store.relations[relation], env.transaction
    for row in list(table.candidates("id", ident)):
        seen = row.seen(transaction, env.snapshot)
        if seen is None or seen["id"] != ident:
            continue
        await transaction.lock(row, UPDATE)
        if row.newest(transaction) is not None:
            transaction.write(table, row, None)
