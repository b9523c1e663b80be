"""How fast runs are, beside others that keep a journal: `make bench`.

(a) In process: a bare journal (the floor, in two forms), ours, DBOS, and Temporal's dev server.
(b) On Prefect: our central flow, and plain Prefect doing the same on the same server.

All PostgreSQL work is done by one server with `fsync` and `synchronous_commit` on. Every contender
is a separate process and keeps running; the rounds are interleaved (A B C, A B C, …), and ratios
are taken within a round, so that a busy neighbour on the machine disturbs all of them alike.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import asyncpg
from race import Order, Racer, racer
from report import Results
from servers import postgres_server, prefect_server

HERE: Final = Path(__file__).resolve().parent
OTHERS: Final = HERE.parent / ".venv-bench" / "bin" / "python"
"""The environment of DBOS and Temporal: `benchmarks/requirements.lock`."""

ONE, MANY, FIVE, PREFECT = "one at a time", "sixteen at once", "five steps", "on Prefect"
ORDERS: Final = {ONE: Order(4, 50, 1), MANY: Order(48, 50, 16), FIVE: Order(20, 5, 1)}
ON_PREFECT: Final = Order(3, 20, 1)
SETTLE: Final = 3.0
"""Seconds that Prefect's server is given to record what a lap caused."""
SLOW: Final = {"dbos": (3, 1), "temporal": (8, 5)}
"""They get this part of the runs, and of a run's many steps, so that no round waits for them."""

FLOOR, TIGHT, OURS, DBOS, TEMPORAL = "floor", "floor, tight", "ours", "dbos", "temporal"
AIMS: Final = "half the floor, ten times DBOS at sixteen; five steps four times as fast as DBOS"


@dataclass(frozen=True, slots=True)
class Bench:
    """A run of the benchmark: its folder, its PostgreSQL, its contenders, the number of rounds."""

    folder: Path
    url: Mapping[str, str]
    postgres: int
    contenders: Sequence[str]
    rounds: int


def command(bench: Bench, name: str) -> list[str]:
    """How a contender is started."""
    ours, others = sys.executable, str(OTHERS)
    commands = {
        FLOOR: [ours, "floor.py", bench.url["floor"], "transaction"],
        TIGHT: [ours, "floor.py", bench.url["floor"], "statement"],
        OURS: [ours, "ours.py", bench.url["ours"], str(bench.folder / "keys")],
        DBOS: [others, "dbos_steps.py", bench.url["dbos"]],
        TEMPORAL: [others, "temporal_steps.py", str(bench.folder)],
    }
    python, script, *arguments = commands[name]
    return [python, str(HERE / script), *arguments]


async def in_process(bench: Bench, results: Results) -> dict[str, dict[str, str]]:
    """Part (a); gives the versions of the contenders."""
    async with AsyncExitStack() as stack:
        racers = [
            await stack.enter_async_context(
                racer(name, command(bench, name), folder=bench.folder, postgres=bench.postgres)
            )
            for name in bench.contenders
        ]
        for number in range(bench.rounds + 1):
            for discipline, order in ORDERS.items():
                for each in racers:
                    await _lap(each, discipline, order, results, warm=number > 0)
        return {each.name: each.versions for each in racers}


async def _lap(each: Racer, discipline: str, order: Order, results: Results, *, warm: bool) -> None:
    """One lap; those of the first round warm up, and are not kept."""
    part, shorter = SLOW.get(each.name, (1, 1))
    runs = max(order.concurrency, order.runs // part)
    steps = order.steps // shorter if discipline == MANY else order.steps
    lap = await each.lap(replace(order, runs=runs, steps=steps))
    if warm:
        results.add(each.name, discipline, lap)
        _report_line(f"{discipline}: {each.name} {lap.rate:,.0f} steps/s")


async def on_prefect(bench: Bench, results: Results) -> dict[str, dict[str, str]]:
    """Part (b)."""
    async with prefect_server(bench.folder, bench.url["prefect"]) as server:
        there = [server.api_url, server.auth]
        commands = {
            "plain": ["prefect_plain.py", *there, str(bench.folder / "home-plain")],
            OURS: [
                *("prefect_ours.py", *there, str(bench.folder / "home-ours")),
                *(bench.url["on_prefect"], str(bench.folder / "keys-prefect")),
            ],
        }
        async with AsyncExitStack() as stack:
            racers = [
                await stack.enter_async_context(
                    racer(
                        name,
                        [sys.executable, str(HERE / script), *arguments],
                        folder=bench.folder,
                        postgres=bench.postgres,
                        beside=(server.pid,),
                        settle=SETTLE,
                    )
                )
                for name, (script, *arguments) in commands.items()
            ]
            for number in range(2 * bench.rounds + 1):
                for each in racers if number % 2 else racers[::-1]:
                    await _lap(each, PREFECT, ON_PREFECT, results, warm=number > 0)
            return {f"{each.name} on Prefect": each.versions for each in racers}


async def _settings(url: str) -> str:
    connection = await asyncpg.connect(url)
    names = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers")
    values = [f"{name}={await connection.fetchval(f'SHOW {name}')}" for name in names]
    await connection.close()
    return ", ".join(values)


async def measure(given: argparse.Namespace, folder: Path) -> None:
    """Start what is needed, measure, and print."""
    databases = ("floor", "ours", "dbos", "prefect", "on_prefect")
    async with postgres_server(folder, databases) as postgres:
        url = {name: postgres.url(name) for name in databases}
        bench = Bench(folder, url, postgres.pid or 0, given.contenders.split(";"), given.rounds)
        results, versions = Results(), {}
        began = os.getloadavg()
        if "a" in given.parts:
            versions |= await in_process(bench, results)
        if "b" in given.parts:
            versions |= await on_prefect(bench, results)
        print(f"{platform.platform()}, {os.cpu_count()} processors, load before and after:")
        print(f"  {began[0]:.1f} {os.getloadavg()[0]:.1f}; {given.rounds} rounds, medians")
        print(f"PostgreSQL: {await _settings(url['floor'])}")
        for name, found in versions.items():
            print(f"{name}: {', '.join(f'{what} {which}' for what, which in found.items())}")
        print_results(results)
        if given.json:
            whole = {"versions": versions, "laps": results.as_json()}
            given.json.write_text(json.dumps(whole, indent=1))


def print_results(results: Results) -> None:
    """The tables, and the two aims."""
    for discipline in results.laps:
        print(f"\n{discipline}")
        against = [FLOOR, TIGHT, DBOS] if discipline != PREFECT else []
        print("\n".join(results.table(discipline, against)))
    if PREFECT in results.laps:
        wall, work = results.overhead(PREFECT, OURS, "plain")
        print(f"\nOver plain Prefect: {wall:+.1%} of its time, {work:+.1%} of its processor time")
    print(f"\nAims: {AIMS}; under 10 % over plain Prefect.")


def _report_line(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Read the arguments, measure in a temporary folder, and delete it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--parts", default="ab", help="a, b or ab")
    every = f"{FLOOR};{TIGHT};{OURS};{DBOS};{TEMPORAL}"
    parser.add_argument("--contenders", default=every, help="of part a, with ; between them")
    parser.add_argument("--json", type=Path, help="write all laps to this file")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left behind
    folder = Path(tempfile.mkdtemp(prefix="coe-bench-"))
    folder.chmod(0o755)
    try:
        asyncio.run(measure(given, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
