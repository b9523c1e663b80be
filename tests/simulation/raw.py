"""Statements that the platform has as text, and their effects on the simulated database.

`@register` takes the text as it is in the code, in any layout. A text that is not registered is
refused by name: register a new one here.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import insert
from sqlalchemy.dialects.postgresql import insert as upsert

from coe.audit.models import AuditEvent
from coe.events import delivery
from coe.outbox import OUTBOX
from coe.runs.inbox import TAKE
from coe.runs.journal import _SAVE_STEP
from coe.runs.journal_sql import END, ENTRY, EVENT, STEP, Part, statement
from coe.runs.leases import ACQUIRE, INSPECT
from coe.runs.models import ENDED, RunState
from coe.runs.tables import INBOX
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
        Unsupported: The statement has no equivalent yet.
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
    """Lock each row, and change it if it then matches; returns the new versions."""
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


@register(delivery._INSERT_DELIVERED.text)
async def _put_events(env: Env, given: Any) -> Answer:
    """Events into inboxes, with a wake-up each: `coe.events.delivery`."""
    notices = env.transaction.notices
    delivered = zip(given["ids"], given["messages"], given["events"], given["runs"], strict=True)
    for ident, message_id, event_id, run_id in delivered:
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
        message = {
            "id": message_id,
            "kind": given["wake"],
            "subject": run_id,
            "payload": {},
            "attempts": 0,
        }
        await _plan_of("outbox", insert(OUTBOX)).run(_again(env), [message | times])
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


@dataclass
class _Given:
    """The arguments of an append: columns as they come, absent ones as if empty."""

    parts: Part
    left: list[Sequence[Any]]

    def runs(self) -> list[tuple[Any, ...]]:
        """Of each append: run, fence, position, count, holder, seconds, steps_told, end."""
        number = len(self.left[0])
        columns = [self.left.pop(0) for _ in range(4)]
        for part, width in ((Part.TAKES, 2), (Part.PROJECTS, 1), (Part.ENDS, len(END))):
            there = part in self.parts
            columns += [self.left.pop(0) if there else [None] * number for _ in range(width)]
        return list(zip(*columns, strict=True))

    def rows(self, part: Part, names: Sequence[str]) -> list[tuple[int, Data]]:
        """The rows of a part, each with the number of its append."""
        if part not in self.parts:
            return []
        columns = [self.left.pop(0) for _ in range(1 + len(names))]
        lines = zip(*columns, strict=True)
        return [(batch, dict(zip(names, values, strict=True))) for batch, *values in lines]


def _append_of(parts: Part) -> Raw:
    """The group append of the journal: `coe.runs.journal_sql` says what it does."""

    async def append(env: Env, arguments: Sequence[Sequence[Any]]) -> Answer:
        given = _Given(parts, list(arguments))
        moved = await _moved(env, given.runs())
        await _write(env, moved, given)
        for run in moved.values():
            if Part.ENDS in parts and run["state"] in ENDED:
                await _leave_nothing(env, run)
        for batch, event in given.rows(Part.ENDS, EVENT):
            if batch in moved:
                await _plan_of("event", insert(EVENTS)).run(_again(env), [event])
        return Answer(["batch"], [(batch,) for batch in moved])

    return append


async def _write(env: Env, moved: dict[int, Data], given: _Given) -> None:
    """The facts of an append, its steps, and what it takes out of inboxes."""
    journal = env.store.relations["journal_entries"]
    for batch, entry in given.rows(Part(0), ENTRY):
        if batch in moved:
            run = moved[batch]
            row = entry | {"run_id": run["id"], "fence": run["fence"]}
            await env.transaction.insert(journal, {name: row.get(name) for name in journal.columns})
    for batch, step in given.rows(Part.PROJECTS, STEP):
        if batch in moved:
            run = moved[batch]
            mine = {"run_id": run["id"], "fence": run["fence"], "waits": _json(step["waits"])}
            await _save_step(env, step | mine)
    for batch, taken in given.rows(Part.CONSUMES, ["id"]):
        if batch in moved and Bugs.consumes:
            await delete_each(env, "run_inbox", taken["id"])


APPENDS: Final = frozenset(statement(Part(number)) for number in range(16))
for _parts in map(Part, range(16)):
    register(statement(_parts))(_append_of(_parts))


@register(INSPECT)
async def _inspect(env: Env, given: Sequence[Any]) -> Answer:
    """A central run as it is: `coe.runs.leases`."""
    relations, now = env.store.relations, env.clock()
    columns = relations["runs"].columns
    rows = []
    for found in relations["runs"].candidates("id", given[0]):
        run = found.seen(env.transaction, env.snapshot)
        if run is not None and run["id"] == given[0] and not run["local"]:
            rows.append((*(run[name] for name in columns), _is_free(run, now)))
    return Answer([*columns, "free"], rows)


@register(ACQUIRE)
async def _acquire(env: Env, given: Sequence[Any]) -> Answer:
    """Taking a run: `coe.runs.leases` says what it does."""
    run_id, holder, seconds = given
    now = env.clock()

    def matches(row: Data) -> bool:
        return row["id"] == run_id and _may_be_taken(row, now)

    def change(row: Data) -> Data:
        return row | {"fence": row["fence"] + Bugs.next_fence} | _taken(row, holder, seconds, now)

    found = list(env.store.relations["runs"].candidates("id", run_id))
    names = env.store.relations["runs"].columns
    taken = await update_each(env, "runs", [(row, matches, change) for row in found])
    return Answer(names, [tuple(row[name] for name in names) for row in taken])


def _is_free(row: Data, now: datetime) -> bool:
    over = row["lease_until"] is not None and row["lease_until"] < now
    return row["holder"] is None or over or not Bugs.leases_last


def _may_be_taken(row: Data, now: datetime) -> bool:
    return not row["local"] and row["state"] not in ENDED and _is_free(row, now)


def _taken(row: Data, holder: str, seconds: float, now: datetime) -> Data:
    return {
        "holder": holder,
        "state": RunState.RUNNING,
        "lease_until": now + timedelta(seconds=seconds),
        "started_at": row["started_at"] or now,
    }


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
    *("error_type", "error_status", "error_instance", "error_title", "error_sealed"),
)


async def _moved(env: Env, given: list[tuple[Any, ...]]) -> dict[int, Data]:
    moved: dict[int, Data] = {}
    now = env.clock()
    for batch, append in enumerate(given, 1):
        run_id, fence, position, count, holder, seconds, projected, *end = append

        def matches(
            row: Data, fence: int = fence, position: int = position, holder: str | None = holder
        ) -> bool:
            if row["journal_length"] != position:
                return False
            if holder is not None:
                mine = row["fence"] == fence - 1 or not Bugs.matches_fence
                return mine and _may_be_taken(row, now)
            return (row["fence"] == fence or not Bugs.matches_fence) and row["holder"] is not None

        def change(
            row: Data,
            count: int = count,
            projected: int | None = projected,
            end: list[Any] = end,
            taken: tuple[int, str | None, float] = (fence, holder, seconds),
        ) -> Data:
            last: Data = {} if projected is None else {"steps_told": projected}
            fence, holder, seconds = taken
            if holder is not None:
                last |= {"fence": fence - 1 + Bugs.next_fence} | _taken(row, holder, seconds, now)
            if end[0] is not None:
                last |= dict.fromkeys(_NO_MORE) | dict(zip(END, end, strict=True))
                last |= {"state": RunState(end[0]), "waits": _json(last["waits"])}
            return row | {"journal_length": row["journal_length"] + count} | last

        rows = list(env.store.relations["runs"].candidates("id", run_id))
        wanted = [(row, matches, change) for row in rows]
        for changed in await update_each(env, "runs", wanted):
            moved[batch] = changed
            env.transaction.appended.append((run_id, fence, changed["fence"]))
    return moved


def _json(text: str | None) -> Any:
    return None if text is None else json.loads(text)


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
