"""The calls that a team's worker may make to Prefect, each restricted to the pool of the team.

The list is what Prefect's worker (3.8.8) needs to get flow runs, run them and report their states.
Only the platform registers pools and deployments.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from coe.engines.prefect_http import PrefectHTTP, segment
from coe.errors import NotFound

MAX_CACHED: Final = 10_000
"""How many owned resources are remembered for a team."""


class Owned(StrEnum):
    """The kind of resource in a path that the team must own."""

    NOTHING = ""
    POOL = "pool"
    FLOW = "flow"
    DEPLOYMENT = "deployment"
    WORK_QUEUE = "work_queue"
    FLOW_RUN = "flow_run"
    TASK_RUN = "task_run"
    LOGS = "logs"


@dataclass(frozen=True, slots=True)
class CallRule:
    """One allowed call. `query` are the parameters that are passed on."""

    method: str
    path: str
    owned: Owned
    query: frozenset[str] = frozenset()
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        """Compile the pattern: an id is a UUID, a pool is a name, and nothing else varies."""
        text = re.escape(self.path).replace(r"\{pool\}", "(?P<id>[a-z0-9-]+)")
        text = re.sub(r"\\{\w+\\}", "(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", text)
        object.__setattr__(self, "pattern", re.compile(text))


ASKS_FOR_RUNS: Final = CallRule("POST", "/work_pools/{pool}/get_scheduled_flow_runs", Owned.POOL)
HTTP_CALLS: Final = (
    CallRule("GET", "/csrf-token", Owned.NOTHING, frozenset({"client"})),
    CallRule("GET", "/admin/version", Owned.NOTHING),
    CallRule("GET", "/admin/storage", Owned.NOTHING),
    CallRule("GET", "/flows/{flow}", Owned.FLOW),
    CallRule("GET", "/deployments/{deployment}", Owned.DEPLOYMENT),
    CallRule("GET", "/work_queues/{work_queue}", Owned.WORK_QUEUE),
    CallRule("GET", "/flow_runs/{flow_run}", Owned.FLOW_RUN),
    CallRule("GET", "/work_pools/{pool}", Owned.POOL),
    ASKS_FOR_RUNS,
    CallRule("POST", "/work_pools/{pool}/queues/filter", Owned.POOL),
    CallRule("POST", "/flow_runs/{flow_run}/set_state", Owned.FLOW_RUN),
    CallRule("POST", "/logs/", Owned.LOGS),
    CallRule("PATCH", "/flow_runs/{flow_run}", Owned.FLOW_RUN),
    CallRule("PATCH", "/flow_runs/{flow_run}/labels", Owned.FLOW_RUN),
)
WEBSOCKET_CALLS: Final = (
    CallRule("WEBSOCKET", "/work_pools/{pool}/workers/connect", Owned.POOL),
    CallRule("WEBSOCKET", "/events/in", Owned.NOTHING),
    CallRule("WEBSOCKET", "/events/out", Owned.NOTHING),
)


@dataclass(frozen=True, slots=True)
class AllowedCall:
    """A call that matches a rule, and the id or name in its path."""

    rule: CallRule
    path: str
    subject: str


def match_call(method: str, path: str) -> AllowedCall | None:
    """The call, if a rule allows it; `path` is decoded and begins with a slash."""
    for rule in WEBSOCKET_CALLS if method == "WEBSOCKET" else HTTP_CALLS:
        match = rule.pattern.fullmatch(path)
        if rule.method == method and match is not None:
            return AllowedCall(rule, path, match.groupdict().get("id", ""))
    return None


class Ownership:
    """The resources of one team's pool. A resource never changes its pool, so it is cached."""

    def __init__(self, http: PrefectHTTP, pool: str) -> None:
        self._http = http
        self._pool = pool
        self._owned: OrderedDict[tuple[Owned, str], None] = OrderedDict()
        self._pool_id: str | None = None

    async def covers(self, call: AllowedCall, body: object) -> bool:
        """Whether the team owns all resources that the call names.

        Raises:
            Unavailable: The Prefect server cannot be reached.
        """
        match call.rule.owned:
            case Owned.NOTHING:
                return True
            case Owned.POOL:
                return call.subject == self._pool
            case Owned.LOGS:
                return await self._owns_logs(body)
            case kind:
                return await self.owns(kind, call.subject)

    async def owns(self, kind: Owned, subject: str) -> bool:
        """Whether the team owns the resource with this id."""
        key = (kind, subject)
        if key in self._owned:
            self._owned.move_to_end(key)
            return True
        try:
            is_owned = await self._look_up(kind, subject)
        except NotFound:
            return False
        if is_owned:
            self._remember(key)
        return is_owned

    async def pool_id(self) -> str:
        """The id of the team's pool.

        Raises:
            NotFound: The team has no pool yet.
        """
        if self._pool_id is None:
            found = await self._http.get(f"/work_pools/{segment(self._pool)}")
            self._pool_id = str(found["id"])
        return self._pool_id

    async def owns_resources(self, event: Mapping[str, Any]) -> bool:
        """Whether an event names flow runs or pools, and the team owns all that it names.

        The event of a task run names its flow run. A task run that is not known yet is of that one.
        """
        named = _resources(event)
        if not any(kind in {Owned.FLOW_RUN, Owned.POOL} for kind, _ in named):
            return False
        subject = _subject_kind(event)
        if subject is Owned.TASK_RUN and not any(kind is Owned.FLOW_RUN for kind, _ in named):
            return False
        return all([await self._owns_named(kind, each) for kind, each in named])

    async def _owns_named(self, kind: Owned, subject: str) -> bool:
        match kind:
            case Owned.POOL:
                return subject == await self.pool_id()
            case Owned.TASK_RUN:
                return await self._owns_task_run(subject)
            case _:
                return await self.owns(kind, subject)

    async def _owns_task_run(self, subject: str) -> bool:
        """Whether a task run is one of the team's, or of nobody yet."""
        key = (Owned.TASK_RUN, subject)
        if key in self._owned:
            return True
        try:
            found = await self._http.get(f"/task_runs/{segment(subject)}")
        except NotFound:
            return True
        flow_run = found.get("flow_run_id")
        if not flow_run or not await self.owns(Owned.FLOW_RUN, str(flow_run)):
            return False
        self._remember(key)
        return True

    async def _owns_logs(self, body: object) -> bool:
        if not isinstance(body, list) or not all(isinstance(each, dict) for each in body):
            return False
        runs = {str(each.get("flow_run_id") or "") for each in body}
        task_runs = {str(each["task_run_id"]) for each in body if each.get("task_run_id")}
        own_runs = [_is_id(each) and await self.owns(Owned.FLOW_RUN, each) for each in runs]
        own_task_runs = [_is_id(each) and await self._owns_task_run(each) for each in task_runs]
        return all(own_runs) and all(own_task_runs)

    def _remember(self, key: tuple[Owned, str]) -> None:
        self._owned[key] = None
        if len(self._owned) > MAX_CACHED:
            self._owned.popitem(last=False)

    async def _look_up(self, kind: Owned, subject: str) -> bool:
        if kind is Owned.FLOW:
            return await self._owns_flow(subject)
        found = await self._http.get(f"/{kind.value}s/{segment(subject)}")
        return bool(found.get("work_pool_name") == self._pool)

    async def _owns_flow(self, subject: str) -> bool:
        """A flow has no pool; the team owns it if a deployment of it is in the team's pool."""
        conditions = {
            "flows": {"id": {"any_": [subject]}},
            "work_pools": {"name": {"any_": [self._pool]}},
        }
        return bool(await self._http.post("/deployments/count", conditions))


_KINDS: Final = {
    "prefect.deployment": Owned.DEPLOYMENT,
    "prefect.flow": Owned.FLOW,
    "prefect.flow-run": Owned.FLOW_RUN,
    "prefect.task-run": Owned.TASK_RUN,
    "prefect.work-pool": Owned.POOL,
    "prefect.work-queue": Owned.WORK_QUEUE,
}
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _is_id(text: str) -> bool:
    return bool(_ID.fullmatch(text))


def _resources(event: Mapping[str, Any]) -> list[tuple[Owned, str]]:
    """The resources of an event that belong to a team, by kind and id."""
    related = event.get("related")
    listed = [event.get("resource"), *(related if isinstance(related, list) else ())]
    named = [_named(each) for each in listed if isinstance(each, Mapping)]
    return [each for each in named if each is not None]


def _named(resource: Any) -> tuple[Owned, str] | None:
    prefix, _, subject = str(resource.get("prefect.resource.id", "")).rpartition(".")
    kind = _KINDS.get(prefix)
    return None if kind is None or not _is_id(subject) else (kind, subject)


def _subject_kind(event: Mapping[str, Any]) -> Owned | None:
    resource = event.get("resource")
    named = _named(resource) if isinstance(resource, Mapping) else None
    return named[0] if named else None
