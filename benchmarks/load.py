"""How long do a sealing and the renewal of a lease take while others have much checked?

`python benchmarks/load.py` prints the 99th percentile of both, in an API that has eight requests at
once which check a hostile document of 1,400 bytes (each from another subject), and its ratio to the
same API without them, round by round. The third row is the same load computed in the process of
the API, as it was before there were processes for it.

A sealing is measured from the commit of an event until its position is read by another connection;
a renewal from the moment at which it is due until its commit, in the event loop of the API.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
from processes import START, bench_platform, published, sequence
from sqlalchemy import text

from coe.audit.events import Tag
from coe.catalog.flows.contents import runnable
from coe.confined.pool import Computing, InThisProcess
from coe.db import Database
from coe.demo.api import create_demo_app
from coe.demo.personas import PERSONAS, persona_token
from coe.embedded_postgres import EmbeddedPostgres
from coe.runs.leases import renew
from coe.runs.requests import NewRun, insert_request, seal_request
from coe.work import Platform

REQUESTS: Final = 8
PAUSE: Final = 0.02
_QUERY: Final = "query ($text: String!) { checkFlow(manifest: $text) { problems { code } } }"
_LEVELS: Final = "".join(
    f"      d{level}: {{anyOf: [" + ", ".join([f"{{$ref: '#/$defs/d{level + 1}'}}"] * 4) + "]}\n"
    for level in range(5)
)
_HOSTILE: Final = (
    "document: {dsl: '1.0.3', namespace: sales, name: hostile, version: '1.0.0'}\n"
    "input:\n  schema:\n    document:\n     $defs:\n"
    + _LEVELS
    + "      d5: {enum: [1], maxItems: 2, type: string}\n     $ref: '#/$defs/d0'\n"
    "     examples:\n"
    "     - &a [1,1,1,1,1,1,1,1,1,1]\n     - &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
    "     - &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n     - &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
    + "     - *d\n" * 30
    + "do: [{a: {set: {b: 1}}}]\n# "
)


@dataclass(slots=True)
class Measured:
    """Seconds of one phase."""

    sealing: list[float] = field(default_factory=list)
    renewal: list[float] = field(default_factory=list)
    checks: int = 0


@dataclass(frozen=True, slots=True)
class Bench:
    """An application with its loops, a lease that is held, and a connection that looks on."""

    platform: Platform
    client: httpx.AsyncClient
    onlooker: Database
    held: dict[object, int]

    async def phase(self, seconds: float, *, load: bool) -> Measured:
        """Measure for so long, with the load or without."""
        found, end = Measured(), time.perf_counter() + seconds
        tasks = [self._seal(found.sealing, end), self._renew(found.renewal, end)]
        if load:
            subjects = list(PERSONAS)[:REQUESTS]
            tasks += [self._check(found, subject, end) for subject in subjects]
        await asyncio.gather(*tasks)
        return found

    async def _seal(self, found: list[float], end: float) -> None:
        while time.perf_counter() < end:
            since = time.perf_counter()
            async with self.platform.work(START) as work:
                await work.record(Tag.ACCESS_PERMISSION_REFUSE, resource=f"b:{since}", team="sales")
            await self._sealed(f"b:{since}")
            found.append(time.perf_counter() - since)
            await asyncio.sleep(PAUSE)

    async def _sealed(self, resource: str) -> None:
        query = text("SELECT position FROM audit_events WHERE resource = :resource")
        while True:
            async with self.onlooker.session() as session:
                if await session.scalar(query, {"resource": resource}) is not None:
                    return
            await asyncio.sleep(PAUSE)

    async def _renew(self, found: list[float], end: float) -> None:
        while (due := time.perf_counter() + PAUSE) < end:
            await asyncio.sleep(PAUSE)
            async with self.platform.database.session() as session:
                await renew(session, self.held, seconds=30)  # type: ignore[arg-type]  # ids of runs
                await session.commit()
            found.append(time.perf_counter() - due)

    async def _check(self, found: Measured, subject: str, end: float) -> None:
        headers = {"Authorization": f"Bearer {persona_token(subject)}"}
        while time.perf_counter() < end:
            variables = {"text": f"{_HOSTILE}{subject} {found.checks}\n"}
            body = {"query": _QUERY, "variables": variables}
            answer = await self.client.post("/graphql", json=body, headers=headers, timeout=None)
            assert answer.is_success, answer.text
            found.checks += 1


@contextlib.asynccontextmanager
async def opened(url: str, folder: Path) -> AsyncIterator[Bench]:
    """The application over an empty database."""
    async with bench_platform(url, folder) as prepared:
        ref = await published(prepared, sequence(1))
        settings = prepared.settings.model_copy(update={"rate_limits": {"check": "off"}})
        async with prepared.database.session() as session:
            flow = await runnable(session, prepared, ref)
        now = prepared.clock()
        new = NewRun(flow, {"customer": "Ada"}, "bench", START, now, START.subject, [START.subject])
        row = await seal_request(prepared.keyring, new)
        async with prepared.database.session() as session:
            await insert_request(session, row)
            take = text("UPDATE runs SET holder = 'bench', fence = 1 WHERE id = :id")
            await session.execute(take, {"id": row["id"]})
            await session.commit()
    app = create_demo_app(settings)
    onlooker = Database(url, name="onlooker", pool_size=2)
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 50000))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8700") as client,
    ):
        yield Bench(app.state.services.platform, client, onlooker, {row["id"]: 1})
    await onlooker.close()


async def measure(url: str, folder: Path, rounds: int, seconds: float) -> None:
    """Print the percentiles of each phase, and the median of the ratios to the quiet one."""
    async with opened(url, folder) as bench:
        pool = bench.platform.computing
        await bench.phase(2, load=True)
        phases: dict[str, tuple[Computing, bool]] = {
            "quiet": (pool, False),
            "eight requests": (pool, True),
            "eight, in the API's process": (InThisProcess(), True),
        }
        found: dict[str, list[Measured]] = {name: [] for name in phases}
        for _ in range(rounds):
            for name, (computing, load) in phases.items():
                bench.platform.computing = computing
                found[name].append(await bench.phase(seconds, load=load))
    print(f"{'':30}{'sealing p99':>14}{'ratio':>8}{'renewal p99':>14}{'ratio':>8}{'checks/s':>10}")
    for name, rows in found.items():
        cells = [_cells(rows, found["quiet"], part) for part in ("sealing", "renewal")]
        checks = sum(each.checks for each in rows) / (rounds * seconds)
        print(f"{name:30}{''.join(cells)}{checks:>10.1f}")


def _cells(rows: list[Measured], quiet: list[Measured], part: str) -> str:
    own, base = ([_p99(getattr(each, part)) for each in some] for some in (rows, quiet))
    ratio = statistics.median(one / other for one, other in zip(own, base, strict=True))
    return f"{1000 * statistics.median(own):>11.0f} ms{ratio:>8.2f}"


def _p99(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]


async def main(run: Callable[[str, Path], Awaitable[None]]) -> None:
    """Start a PostgreSQL in a temporary folder, and measure."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = EmbeddedPostgres(folder / "data")
        await asyncio.to_thread(server.start)
        try:
            await server.prepare({"bench": "postgres"})
            (folder / "coe").mkdir()
            await run(server.url("bench"), folder / "coe")
        finally:
            await asyncio.to_thread(server.stop)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    asyncio.run(main(lambda url, folder: measure(url, folder, given.rounds, given.seconds)))
