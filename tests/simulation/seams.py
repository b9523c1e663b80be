"""What the simulation replaces: time, chance, ids, keys, policies, the catalog.

The code of `coe.runs` and `coe.execution` runs unchanged. `install` replaces the process-wide parts
by simulated ones, once a process; each call looks up the present world.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Collection
from contextvars import ContextVar
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import jq
import orjson
import uuid_utils.compat
from sqlalchemy import select

import coe.db
import coe.engines.prefect_engine
import coe.execution.children
import coe.execution.dispatch
import coe.execution.loops
import coe.execution.replay
import coe.execution.runtime
import coe.execution.sweep
import coe.execution.turn
import coe.human_tasks.opening
import coe.runs.actions
import coe.runs.event_subscriptions
import coe.runs.local_runs
import coe.sdk.client
from coe.access.actor import DataClass
from coe.access.decision import Decision
from coe.access.scope import AccessScope
from coe.access.step_up import StepUp
from coe.catalog.models import EntryKind, FlowKind, Lifecycle
from coe.catalog.records import RunnableFlow, VersionRecord
from coe.crypto.envelope import Cell
from coe.errors import NotFound
from coe.language.expressions import jq_worker
from coe.language.expressions.evaluator import Expressions
from coe.language.load import load
from coe.runs.tables import RUNS

if TYPE_CHECKING:
    from tests.simulation.nodes import Node
    from tests.simulation.world import World

SWEEP_SECONDS: Final = 8.0
GRACE_SECONDS: Final = 6.0
"""Shorter than in an installation, so that the end of a world need not wait for minutes."""
NODE: ContextVar[Node | None] = ContextVar("simulated_node", default=None)
_current: list[World] = []


def world() -> World:
    """The world that is simulated at the moment."""
    return _current[-1]


def enter(new: World) -> None:
    """Make a world the present one."""
    _current[:] = [new]


# ---------------------------------------------------------------------- time, chance, ids


class SimulatedDatetime(datetime):
    """`datetime` whose `now` is the clock of the simulated process that asks."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # noqa: ARG003  # datetime's
        node = NODE.get()
        return node.clock() if node is not None else world().clock()


def _uuid7() -> UUID:
    """Version 7: in the order of the asking process's clock, the rest by the world's dice."""
    here = world()
    now = SimulatedDatetime.now()
    milliseconds = int(now.timestamp() * 1000)
    here.ids += 1
    low = here.dice.getrandbits(46)
    value = (milliseconds << 80) | (0x7 << 76) | ((here.ids & 0xFFF) << 64)
    return UUID(int=value | (0b10 << 62) | ((here.ids & 0xFFFF) << 46) | low)


class _Secrets:
    @staticmethod
    def randbelow(limit: int) -> int:
        return world().dice.randrange(limit)


# ---------------------------------------------------------------------- keys and policies


class ComputedAtOnce:
    """In the place of `Pool`: a function is called in this process, at one time of its clock."""

    async def run(self, _: object, function: Callable[..., Any], *args: Any) -> Any:
        """Call the function."""
        return function(*args)

    def warm(self) -> None:
        """Nothing is to be prepared."""


class NoCodes:
    """In the place of `MacKeys`: every code is the same, and fits."""

    def code(self, *_: object) -> bytes:
        """The one code."""
        return bytes(32)

    def verify(self, *_: object) -> bool:
        """It fits."""
        return True


class ClearKeys:
    """A keyring that seals by writing beside a value where it belongs, and looks when opening."""

    macs: Final = NoCodes()

    async def seal(self, place: Cell, purpose: str, data: bytes) -> bytes:
        return f"{place.table}|{place.row}|{place.column}|{place.team}|{purpose}\n".encode() + data

    async def open(self, place: Cell, purpose: str, sealed: bytes) -> bytes:
        head, _, data = bytes(sealed).partition(b"\n")
        expected = f"{place.table}|{place.row}|{place.column}|{place.team}|{purpose}"
        if head.decode() != expected:
            message = f"sealed for {head.decode()}, opened as {expected}"
            raise AssertionError(message)
        return data

    async def open_json(self, place: Cell, purpose: str, sealed: bytes) -> Any:
        return orjson.loads(await self.open(place, purpose, sealed))


class NoSigner:
    """A signing key that signs nothing; the keys for machines follow from it."""

    def derive(self, purpose: str) -> bytes:
        return hashlib.sha256(purpose.encode()).digest()


def opened(sealed: bytes | None) -> Any:
    """The value in a sealed column, for the oracles."""
    return None if sealed is None else orjson.loads(bytes(sealed).partition(b"\n")[2])


class OpenPolicy:
    """A policy that allows everything but what the shipped one denies to whom a task excludes.

    They may still give a task back that they have. Other tests check permissions.
    """

    version = 1
    step_up: Final = StepUp()
    memberships: Final = frozenset[str]()

    def decide(
        self, _: Any, permission: str, *, relations: Collection[str] = (), **__: Any
    ) -> Decision:
        denied = {"human_task:claim", "human_task:complete"}
        allowed = "excluded" not in relations or str(permission) not in denied
        return Decision(allowed=allowed, permission=str(permission), rules=(), explanation="")

    def scope(self, *_: Any, **__: Any) -> AccessScope:
        return AccessScope(frozenset(DataClass))

    def roles(self, _: str) -> frozenset[tuple[str, str]]:
        return frozenset({("clerk", "sales")})

    def teams(self, _: str) -> frozenset[str]:
        return frozenset({"sales"})

    def enabling_roles(self, *_: Any) -> tuple[str, ...]:
        return ()

    def holds(self, _: str, __: str) -> bool:
        return True

    def names(self, _: str) -> bool:
        return True

    def role_names(self) -> frozenset[str]:
        return frozenset({"boss", "clerk"})

    def lines(self, _: str) -> tuple[Any, ...]:
        return ()


class OpenPolicies:
    """The store of that policy."""

    policy: Final = OpenPolicy()

    async def current(self, _: Any, **__: Any) -> Any:
        return self.policy


# ---------------------------------------------------------------------- the catalog


def version_of(flow: str, ident: UUID, *, local: bool) -> VersionRecord:
    """The row of a published version."""
    namespace, name = flow.split("/")
    at = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    return VersionRecord(
        id=ident,
        entry_id=ident,
        kind=EntryKind.FLOW,
        flow_kind=FlowKind.LOCAL if local else FlowKind.CENTRAL,
        namespace=namespace,
        name=name,
        team=namespace,
        data_class=DataClass.INTERNAL,
        version="1.0.0",
        lifecycle=Lifecycle.PUBLISHED,
        digest="",
        signature="",
        publication=None,
        engine="prefect",
        created_at=at,
        created_by="somebody",
        submitted_at=at,
        submitted_by="somebody",
        published_at=at,
        published_by="somebody",
        tests_digest=None,
        edited_at=None,
        editors=(),
        author_persons=(),
    )


def runnable_flow(version: VersionRecord, definition: str, *, local: bool) -> RunnableFlow:
    """The flow as `coe.catalog.flows.contents` returns it."""
    return RunnableFlow(
        entry=None,  # type: ignore[arg-type]  # nobody looks at it
        version=version,
        definition=definition,
        input_schema=None,
        output_schema=None,
        entrypoint="flows/local.py:flow" if local else None,
        timeout="PT1H" if local else None,
    )


async def _runnable(_: Any, __: Any, ref: str) -> RunnableFlow:
    found = world().catalog.get(ref.partition("@")[0])
    if found is None:
        raise NotFound(f"there is no flow {ref}")
    return found


async def _runnable_version(_: Any, __: Any, version_id: UUID) -> RunnableFlow:
    for flow in world().catalog.values():
        if flow.version.id == version_id:
            return flow
    raise NotFound


async def _find_version(_: Any, ref: str, __: Any) -> VersionRecord | None:
    found = world().catalog.get(ref.partition("@")[0])
    return found.version if found else None


@lru_cache(maxsize=512)
def loaded(text: str) -> Any:
    """A definition, read once a process."""
    return load(text)


# ---------------------------------------------------------------------- expressions


class _Pool:
    """jq in this process: the programs of the simulation are known to be harmless."""

    compiled: Final[dict[bytes, Any]] = {}

    async def ask(self, request: bytes) -> bytes:
        header, _, data = request.partition(b"\n")
        answer = jq_worker.evaluate(jq, self.compiled, header, data.strip())
        return answer.encode() if isinstance(answer, str) else orjson.dumps(answer)

    async def close(self) -> None: ...


def expressions() -> Expressions:
    """The platform's own evaluation, but without worker processes."""
    made = Expressions(workers=1)
    made._pool = _Pool()  # type: ignore[assignment]
    return made


# ---------------------------------------------------------------------- installation


async def _root(session: Any, run: Any) -> UUID | None:
    """The run at the root of the calls, one run after the other: the twin knows no recursion."""
    root: UUID | None = None
    above = run.parent_id
    while above is not None:
        root = above
        above = await session.scalar(select(RUNS.c.parent_id).where(RUNS.c.id == root))
    return root


def _monotonic() -> float:
    return world().loop.time()


def _uniform(low: float, high: float) -> float:
    return world().dice.uniform(low, high)


def install() -> Callable[[], None]:
    """Install the simulated parts in this process; returns the function that undoes it."""
    places: list[tuple[Any, str, Any]] = [
        (coe.db, "datetime", SimulatedDatetime),
        (coe.engines.prefect_engine, "datetime", SimulatedDatetime),
        (uuid_utils.compat, "uuid7", _uuid7),
        (coe.execution.turn, "secrets", _Secrets),
        (coe.execution.runtime, "load", loaded),
        (coe.runs.event_subscriptions, "load", loaded),
        (coe.human_tasks.opening, "_root", _root),
        (coe.execution.loops, "LONGEST_SLEEP", 8.0),
        (coe.execution.loops, "SWEEP_SECONDS", SWEEP_SECONDS),
        (coe.execution.sweep, "GRACE", timedelta(seconds=GRACE_SECONDS)),
        (coe.runs.actions, "find_version", _find_version),
        (coe.sdk.client, "time", SimpleNamespace(monotonic=_monotonic)),
        (coe.sdk.client, "random", SimpleNamespace(uniform=_uniform)),
    ]
    by_ref = (coe.runs.actions, coe.execution.children, coe.execution.replay)
    by_id = (coe.execution.runtime, coe.runs.local_runs, coe.execution.dispatch)
    places += [(module, "runnable", _runnable) for module in by_ref]
    places += [(module, "runnable_version", _runnable_version) for module in by_id]
    before = [(place, name, getattr(place, name)) for place, name, _ in places]
    for place, name, value in places:
        setattr(place, name, value)

    def undo() -> None:
        for place, name, value in before:
            setattr(place, name, value)

    return undo


def dice(*parts: Any) -> random.Random:
    """A separate generator for each part of a world, so that one does not shift another."""
    return random.Random(":".join(str(part) for part in parts))  # noqa: S311  # it must replay
