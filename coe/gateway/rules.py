"""What a team's worker may ask of Prefect: a closed list, each call bound to the team's own pool.

The list is what Prefect's own worker (3.8.8) needs in order to take flow runs, run them and tell
their states. Registering pools and deployments is ours alone.
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

MAX_KNOWN: Final = 10_000


class Owned(StrEnum):
    """What in a path must be the team's own."""

    NOTHING = ""
    POOL = "pool"
    FLOW = "flow"
    DEPLOYMENT = "deployment"
    WORK_QUEUE = "work_queue"
    FLOW_RUN = "flow_run"
    LOGS = "logs"


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the list. `query` are the parameters that are passed on."""

    method: str
    path: str
    owned: Owned
    query: frozenset[str] = frozenset()
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        """Make the pattern: an id is a UUID, a pool is a name, and nothing else varies."""
        text = re.escape(self.path).replace(r"\{pool\}", "(?P<id>[a-z0-9-]+)")
        text = re.sub(r"\\{\w+\\}", "(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", text)
        object.__setattr__(self, "pattern", re.compile(text))


RULES: Final = (
    Rule("GET", "/csrf-token", Owned.NOTHING, frozenset({"client"})),
    Rule("GET", "/admin/version", Owned.NOTHING),
    Rule("GET", "/admin/storage", Owned.NOTHING),
    Rule("GET", "/flows/{flow}", Owned.FLOW),
    Rule("GET", "/deployments/{deployment}", Owned.DEPLOYMENT),
    Rule("GET", "/work_queues/{work_queue}", Owned.WORK_QUEUE),
    Rule("GET", "/flow_runs/{flow_run}", Owned.FLOW_RUN),
    Rule("GET", "/work_pools/{pool}", Owned.POOL),
    Rule("POST", "/work_pools/{pool}/get_scheduled_flow_runs", Owned.POOL),
    Rule("POST", "/work_pools/{pool}/queues/filter", Owned.POOL),
    Rule("POST", "/flow_runs/{flow_run}/set_state", Owned.FLOW_RUN),
    Rule("POST", "/logs/", Owned.LOGS),
    Rule("PATCH", "/flow_runs/{flow_run}", Owned.FLOW_RUN),
    Rule("PATCH", "/flow_runs/{flow_run}/labels", Owned.FLOW_RUN),
)
SOCKETS: Final = (
    Rule("WEBSOCKET", "/work_pools/{pool}/workers/connect", Owned.POOL),
    Rule("WEBSOCKET", "/events/in", Owned.NOTHING),
    Rule("WEBSOCKET", "/events/out", Owned.NOTHING),
)


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is on the list, and the id or name in its path."""

    rule: Rule
    path: str
    subject: str


def find(method: str, path: str) -> Call | None:
    """The call, if it is on the list; `path` is decoded and begins with a slash."""
    for rule in SOCKETS if method == "WEBSOCKET" else RULES:
        match = rule.pattern.fullmatch(path)
        if rule.method == method and match is not None:
            return Call(rule, path, match.groupdict().get("id", ""))
    return None


class Ownership:
    """What belongs to one team's pool. What did once, does for ever, so that is remembered."""

    def __init__(self, http: PrefectHTTP, pool: str) -> None:
        """Take the server and the name of the team's pool."""
        self._http = http
        self._pool = pool
        self._known: OrderedDict[tuple[Owned, str], None] = OrderedDict()
        self._pool_id: str | None = None

    async def of(self, call: Call, body: object) -> bool:
        """Whether all that the call names is the team's own.

        Raises:
            Unavailable: The server cannot be asked.
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
        """Whether the thing with this id is the team's own."""
        key = (kind, subject)
        if key in self._known:
            self._known.move_to_end(key)
            return True
        try:
            own = await self._ask(kind, subject)
        except NotFound:
            return False
        if own:
            self._known[key] = None
            if len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        return own

    async def pool_id(self) -> str:
        """The id of the team's pool.

        Raises:
            NotFound: There is none yet.
        """
        if self._pool_id is None:
            found = await self._http.get(f"/work_pools/{segment(self._pool)}")
            self._pool_id = str(found["id"])
        return self._pool_id

    async def owns_resources(self, event: Mapping[str, Any]) -> bool:
        """Whether the flow runs and the pools of an event, one at least, are all the team's own."""
        ids = _resource_ids(event)
        runs = [each.removeprefix(_RUN) for each in ids if each.startswith(_RUN)]
        pools = [each.removeprefix(_POOL) for each in ids if each.startswith(_POOL)]
        own_pools = [each == await self.pool_id() for each in pools]
        own_runs = [await self.owns(Owned.FLOW_RUN, each) for each in runs]
        return bool(own_pools or own_runs) and all(own_pools) and all(own_runs)

    async def _owns_logs(self, body: object) -> bool:
        if not isinstance(body, list):
            return False
        runs = {each.get("flow_run_id") if isinstance(each, dict) else None for each in body}
        return all([each and await self.owns(Owned.FLOW_RUN, str(each)) for each in runs])

    async def _ask(self, kind: Owned, subject: str) -> bool:
        if kind is Owned.FLOW:
            return await self._owns_flow(subject)
        found = await self._http.get(f"/{kind.value}s/{segment(subject)}")
        return bool(found.get("work_pool_name") == self._pool)

    async def _owns_flow(self, subject: str) -> bool:
        """A flow has no pool; it is the team's if a deployment of it is in the team's pool."""
        wanted = {
            "flows": {"id": {"any_": [subject]}},
            "work_pools": {"name": {"any_": [self._pool]}},
        }
        return bool(await self._http.post("/deployments/count", wanted))


_RUN: Final = "prefect.flow-run."
_POOL: Final = "prefect.work-pool."


def _resource_ids(event: Mapping[str, Any]) -> list[str]:
    related = event.get("related")
    resources = [event.get("resource"), *(related if isinstance(related, list) else ())]
    return [
        str(each.get("prefect.resource.id", "")) for each in resources if isinstance(each, Mapping)
    ]
