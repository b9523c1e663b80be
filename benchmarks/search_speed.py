"""How fast the search is: ours, the one before (PostgreSQL full text) and `lunr`, in one run.

`python benchmarks/search_speed.py --corpus workflows.jsonl --entries 10000` makes so many entries
of the corpus's words, and asks for pages of twenty with an exact count and seven facets, by kind of
word, for a caller who may read everything and one who may read 1 %. Ours is measured as the index
(`index`) and with the rows of the page read from PostgreSQL (`page`); `lunr`, which Backstage
begins with, finds and ranks only: no counts, no facets, no rights. Times are in ms. Also: what a
build takes, and what a saved change costs with and without the trigger that the index follows.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import asyncpg
import search_old
import yaml
from search_entries import corpus, many
from search_quality import EVERYBODY

from coe import content
from coe.embedded_postgres import EmbeddedPostgres
from coe.search.asking import Question
from coe.search.entries import IndexedEntry
from coe.search.index import EntryIndex
from coe.search.parsing import parse
from coe.search.reach import Reach, Reader
from coe.search.synonyms import Synonyms

ROUNDS: Final = 5
TEAMS: Final = 2_000
CLASSES: Final = frozenset({"PUBLIC", "INTERNAL", "CONFIDENTIAL", "PERSONAL"})
FEW: Final = Reach(
    teams={f"team-{number}": CLASSES for number in range(TEAMS // 100)}, every=CLASSES
)
ONE_PERCENT: Final = Reader("nobody", FEW, FEW, FEW)
WORDS: Final = {
    "hot": ("workflow", "aws", "data", "using"),
    "middling": ("thumbnail", "approval", "inventory", "video"),
    "rare": ("montecarlo", "polly", "atm"),
    "three words": ("aws data workflow", "lambda step functions"),
    "prefix": ("wor", "inv"),
    "typo": ("invantory", "approvl"),
    "none": ("xylophone",),
}
LUNR: Final = """
const lunr = require("lunr");
const lines = require("readline").createInterface({input: process.stdin});
let index;
lines.on("line", line => {
  const asked = JSON.parse(line), began = process.hrtime.bigint();
  if (asked.file) {
    const entries = JSON.parse(require("fs").readFileSync(asked.file));
    index = lunr(function () {
      this.ref("id"); this.field("title", {boost: 10}); this.field("tags"); this.field("summary");
      this.field("body"); entries.forEach(each => this.add(each));
    });
  } else {
    index.search(asked.text).slice(0, 20);
  }
  console.log(Number(process.hrtime.bigint() - began) / 1e6);
});
"""


class Lunr:
    """`lunr` in a process of Node, installed into a folder by npm."""

    def __init__(self, folder: Path) -> None:
        subprocess.run(["npm", "install", "--silent", "lunr@2.3.9"], cwd=folder, check=True)  # noqa: S607  # npm of the machine
        (folder / "ask.js").write_text(LUNR)
        self._process = subprocess.Popen(
            ["node", "ask.js"],  # noqa: S607  # node of the machine
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, asked: dict[str, str]) -> float:
        """The milliseconds that it takes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def fill(self, folder: Path, entries: Sequence[IndexedEntry]) -> float:
        """Build its index; the milliseconds that it takes."""
        file = folder / "entries.json"
        texts = [
            {
                "id": each.ref,
                "title": each.title,
                "tags": " ".join(each.tags),
                "summary": each.summary,
                "body": each.description,
            }
            for each in entries
        ]
        file.write_text(json.dumps(texts))
        return self.ask({"file": str(file)})

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


async def timed(texts: Sequence[str], ask: Callable[[str], Awaitable[float]]) -> list[float]:
    """The milliseconds of each question; each is asked once before."""
    for each in texts:
        await ask(each)
    return sorted([await ask(each) for _ in range(ROUNDS) for each in texts])


def clocked(function: Callable[[str], Awaitable[Any]]) -> Callable[[str], Awaitable[float]]:
    """The function, giving the milliseconds that it takes."""

    async def ask(text: str) -> float:
        began = time.perf_counter()
        await function(text)
        return (time.perf_counter() - began) * 1000

    return ask


def line(who: str, kind: str, name: str, times: Sequence[float]) -> str:
    """A row of the table."""
    p95 = times[min(int(len(times) * 0.95), len(times) - 1)]
    return f"{who:12} {kind:12} {name:14} {times[len(times) // 2]:9.2f} {p95:9.2f}"


async def measure(entries: list[IndexedEntry], *, lunr: bool, old: bool) -> None:
    """Print the times of all."""
    document = yaml.safe_load((content.root() / "catalog/synonyms.yaml").read_text())
    index = EntryIndex(Synonyms.of(document))
    began = time.perf_counter()
    index.build(entries)
    print(f"build of the index: {time.perf_counter() - began:.1f} s")
    with tempfile.TemporaryDirectory(prefix="coe-bench-") as place:
        folder = Path(place)
        server = EmbeddedPostgres(folder / "data")
        server.start()
        try:
            connection = await asyncpg.connect(server.url("postgres"))
            await search_old.fill(connection, entries)
            await _searches(index, connection, old=old)
            await _saves(index, connection, entries[:200])
            await connection.close()
        finally:
            server.stop()
        if lunr:
            other = Lunr(folder)
            print(f"build of lunr: {other.fill(folder, entries) / 1000:.1f} s")

            async def ask(text: str) -> float:
                return other.ask({"text": text})

            for kind, texts in WORDS.items():
                print(line("everything", kind, "lunr", await timed(texts, ask)))
            other.close()


async def _searches(index: EntryIndex, connection: asyncpg.Connection, *, old: bool) -> None:
    hydrate = "SELECT * FROM old_entries WHERE id = ANY($1::uuid[])"
    print(f"{'who':12} {'words':12} {'search':14} {'p50':>9} {'p95':>9}")
    few = search_old.Readable(tuple(FEW.teams))
    for who, reader, readable in (
        ("everything", EVERYBODY, search_old.Readable()),
        ("1 %", ONE_PERCENT, few),
    ):

        async def ours(text: str, reader: Reader = reader) -> list[Any]:
            found = index.find(Question(parse(text), reader, facets=True))
            return [place.id for place in found.places]

        async def page(text: str, reader: Reader = reader) -> None:
            question = Question(parse(text), reader, facets=True)
            found = await asyncio.to_thread(index.find, question)
            await connection.fetch(hydrate, [place.id for place in found.places])

        async def before(text: str, readable: search_old.Readable = readable) -> None:
            await search_old.find(connection, text, readable, whole=True)

        for kind, texts in WORDS.items():
            print(line(who, kind, "index", await timed(texts, clocked(ours))))
            print(line(who, kind, "page", await timed(texts, clocked(page))))
            if old:
                print(line(who, kind, "before", await timed(texts, clocked(before))))


async def _saves(
    index: EntryIndex, connection: asyncpg.Connection, entries: Sequence[IndexedEntry]
) -> None:
    """What a saved change costs: the row alone, with a row of its change, and its application."""
    await connection.execute("CREATE TABLE changed (number bigserial PRIMARY KEY, entry uuid)")
    save = "UPDATE old_entries SET uses = uses + 1 WHERE id = $1"
    note = "INSERT INTO changed (entry) VALUES ($1)"
    alone, noted, applied = [], [], []
    for each in entries:
        began = time.perf_counter()
        async with connection.transaction():
            await connection.execute(save, each.id)
        alone.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        async with connection.transaction():
            await connection.execute(save, each.id)
            await connection.execute(note, each.id)
        noted.append((time.perf_counter() - began) * 1000)
    for each in entries[:20]:
        began = time.perf_counter()
        index.apply([each])
        applied.append((time.perf_counter() - began) * 1000)
    for name, times in (("save", alone), ("save, noted", noted), ("applied", applied)):
        print(line("", "", name, sorted(times)))


async def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    given = os.environ.get("COE_BENCH_CORPUS")
    options.add_argument("--corpus", type=Path, default=given, required=given is None)
    options.add_argument("--entries", type=int, default=10_000)
    options.add_argument("--lunr", action="store_true", help="also ask lunr, installed by npm")
    options.add_argument("--only-new", action="store_true", help="leave out the search of before")
    asked = options.parse_args()
    samples = list(corpus(Path(asked.corpus)))
    entries = list(many(asked.entries, samples, teams=TEAMS))
    print(f"{len(entries)} entries of {TEAMS} teams")
    await measure(entries, lunr=asked.lunr, old=not asked.only_new)


if __name__ == "__main__":
    asyncio.run(main())
