"""What one page costs over HTTP: ours, Strawberry and Ariadne by their guides, a bare floor.

`python benchmarks/api.py` asks each contender for 20 flows with their owners and live versions
(200 leaves) over one connection that is kept, and prints the processor time of its process for one
request. All read the same rows of one PostgreSQL; rounds are interleaved, and ratios are taken
within a round. Ours alone knows who asks: it verifies a token, and shows what the policy allows.
The others ask nobody, and have no limits, no totals and no cursors.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson
import psutil
from processes import START, bench_platform, published, sequence
from sqlalchemy import text

from coe.access import tokens
from coe.db import utcnow
from coe.embedded_postgres import EmbeddedPostgres
from coe.work import Platform

HERE: Final = Path(__file__).resolve().parent
OTHERS: Final = HERE.parent / ".venv-bench" / "bin" / "python"
FLOWS, PAGE = 35, 20
TEAMS: Final = ("sales", "finance", "fulfilment", "warehouse", "coe")
FLOOR, OURS, ME, STRAWBERRY, ARIADNE = "floor", "ours", "ours, me", "strawberry", "ariadne"

_NODES: Final = """
nodes {{ ref title summary lifecycle owner {{ slug name }} {flow} }}
""".strip()
_FLOW: Final = "flowKind version { version digest publishedAt }"
PAGE_OF_OTHERS: Final = (
    "query Page($first: Int!) { flows(first: $first) { " + _NODES.format(flow=_FLOW) + " } }"
)
PAGE_OF_OURS: Final = (
    "query Page($first: Int!) { flows: catalog(first: $first, filter: {kinds: [FLOW]}, "
    "orderBy: TITLE) { " + _NODES.format(flow="... on Flow { " + _FLOW + " }") + " } }"
)

_SPREAD: Final = """
WITH spread AS (
  UPDATE entries SET team = ($1::text[])[1 + abs(hashtext(name)) % 5], data_class = 'INTERNAL'
  WHERE kind = 'FLOW' RETURNING id, team
)
UPDATE entry_versions v SET team = spread.team, data_class = 'INTERNAL'
FROM spread WHERE spread.id = v.entry_id
"""


@dataclass(slots=True)
class Served:
    """A contender that answers: its connection, its process, and times of requests in ms."""

    connection: http.client.HTTPConnection
    process: psutil.Process
    body: bytes
    headers: Mapping[str, str]
    spent: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)

    def ask(self) -> Any:
        """Send one request and read its answer."""
        self.connection.request("POST", "/graphql", self.body, self.headers)
        return orjson.loads(self.connection.getresponse().read())

    def round(self, requests: int) -> None:
        """Send some requests over a new connection, and note what one of them took."""
        self.connection.close()
        self.ask()
        before, began = self._processor(), time.perf_counter()
        for _ in range(requests):
            self.ask()
        self.waited.append((time.perf_counter() - began) * 1000 / requests)
        self.spent.append((self._processor() - before) * 1000 / requests)

    def _processor(self) -> float:
        """Seconds of all its threads: Linux counts them in nanoseconds, other systems in ticks."""
        tasks = list(Path(f"/proc/{self.process.pid}/task").glob("*/schedstat"))
        if tasks:
            return sum(int(each.read_text().split()[0]) for each in tasks) / 1e9
        used = self.process.cpu_times()
        return float(used.user + used.system)


def commands(url: str, folder: Path) -> dict[str, list[str]]:
    """How each contender is started; its port follows the database."""
    ours, others = sys.executable, str(OTHERS)
    return {
        FLOOR: [others, "api_floor.py", url],
        OURS: [ours, "api_ours.py", url, str(folder)],
        STRAWBERRY: [others, "api_strawberry.py", url],
        ARIADNE: [others, "api_ariadne.py", url],
    }


@contextlib.contextmanager
def running(command: list[str], log: Path) -> Iterator[tuple[int, psutil.Process]]:
    """Run a contender on a free port until it is not needed; gives the port and the process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    python, script, url, *more = command
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603  # our own scripts
            [python, str(HERE / script), url, str(port), *more],
            stdout=out,
            stderr=out,
            env=os.environ | {"PYTHONPATH": str(HERE.parent)},
        )
    try:
        until = time.monotonic() + 60
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(log.read_text())
            time.sleep(0.1)
        yield port, psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def filled(platform: Platform) -> str:
    """Publish the flows, share them among teams, and issue a token that may read them."""
    manifest = sequence(2)
    for place in range(FLOWS):
        own = manifest.replace("name: sequence-2\n", f"name: process-{place:02}\n")
        await published(platform, own.replace("A process of", f"Process {place:02} of"))
    async with platform.database.session() as session:
        await session.execute(
            text(_SPREAD.replace("$1::text[]", "CAST(:teams AS text[])")), {"teams": list(TEAMS)}
        )
        new = tokens.NewToken(
            name="benchmark",
            subject=START.subject,
            scopes=["*"],
            expires_at=utcnow() + timedelta(days=1),
            created_by=START.subject,
        )
        bearer, _ = await tokens.issue(session, platform.macs, new)
        await session.commit()
    return bearer


async def _prepare(url: str, folder: Path) -> str:
    async with bench_platform(url, folder) as platform:
        return await filled(platform)


def requests_of(bearer: str) -> dict[str, tuple[str, bytes, dict[str, str]]]:
    """What is asked of each contender: the process that answers, the body, the headers."""
    page, plain = {"variables": {"first": PAGE}}, {"content-type": "application/json"}
    known = plain | {"authorization": f"Bearer {bearer}"}
    others = orjson.dumps(page | {"query": PAGE_OF_OTHERS})
    return {
        FLOOR: (FLOOR, others, plain),
        OURS: (OURS, orjson.dumps(page | {"query": PAGE_OF_OURS}), known),
        ME: (OURS, orjson.dumps({"query": "{ me { subject } }"}), known),
        STRAWBERRY: (STRAWBERRY, others, plain),
        ARIADNE: (ARIADNE, others, plain),
    }


def _plain(answer: Any) -> Any:
    """The answer with its times in one form, to compare what contenders answer."""
    nodes = answer["data"]["flows"]["nodes"]
    for node in nodes:
        at = node["version"]["publishedAt"]
        node["version"]["publishedAt"] = datetime.fromisoformat(at).timestamp()
    return nodes


def measure(url: str, folder: Path, bearer: str, rounds: int, each: int) -> dict[str, Served]:
    """Warm every contender, check that all answer alike, and measure in rounds."""
    with contextlib.ExitStack() as stack:
        started = {
            name: stack.enter_context(running(command, folder / f"{name}.log"))
            for name, command in commands(url, folder).items()
        }
        served = {}
        for name, (process, body, headers) in requests_of(bearer).items():
            port, found = started[process]
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            served[name] = Served(connection, found, body, headers)
        pages = {name: _plain(one.ask()) for name, one in served.items() if name != ME}
        if len(pages[FLOOR]) != PAGE or any(page != pages[FLOOR] for page in pages.values()):
            raise RuntimeError(f"the contenders answer differently: {pages}")
        for one in served.values():
            one.round(each)
            one.spent.clear()
            one.waited.clear()
        for _ in range(rounds):
            for one in served.values():
                one.round(each)
    return served


def print_table(served: Mapping[str, Served]) -> None:
    """Print medians, and the ratios within the rounds."""
    print(f"a page of {PAGE}, ms a request  processor     wall  over floor  under ours")
    for name, one in served.items():
        floor = statistics.median(
            spent / least for spent, least in zip(one.spent, served[FLOOR].spent, strict=True)
        )
        ours = statistics.median(
            spent / own for spent, own in zip(one.spent, served[OURS].spent, strict=True)
        )
        spent, waited = statistics.median(one.spent), statistics.median(one.waited)
        print(f"{name:29} {spent:9.2f} {waited:8.2f} {floor:11.1f} {ours:11.2f}")


def main() -> None:
    """Measure over a temporary PostgreSQL, print a table and, with an option, JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=100, help="of each contender in a round")
    parser.add_argument("--json", type=Path, help="write the times to this file too")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left behind
    folder = Path(tempfile.mkdtemp(prefix="coe-api-"))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "data", ephemeral=True)
    server.start()
    try:
        asyncio.run(server.prepare({"bench": "postgres"}))
        url = server.url("bench")
        bearer = asyncio.run(_prepare(url, folder / "keys"))
        served = measure(url, folder / "keys", bearer, given.rounds, given.requests)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print_table(served)
    if given.json:
        times = {name: {"processor": one.spent, "wall": one.waited} for name, one in served.items()}
        given.json.write_text(json.dumps(times, indent=2))


if __name__ == "__main__":
    main()
