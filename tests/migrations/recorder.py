"""Record the statements that the platform issues while its tests run.

`python -m pytest -p tests.migrations.recorder tests` writes them to `recorded/`, in the file of the
newest revision: each statement once, with the types of its parameters and of what it returns. What
tests themselves ask of the database is left out.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any

import asyncpg

from coe.db.known_revisions import newest_known

RECORDED = Path(__file__).parent / "recorded"
ROOT = Path(__file__).resolve().parents[2]
_OURS, _DATABASE, _TESTS = (f"{ROOT / each}/" for each in ("coe", "coe/db", "tests"))
_MIGRATING = f"{ROOT / 'coe' / 'migrations'}/"
_PARAMETER = r"\$\d+(?:::[A-Za-z_ ]+(?:\[\])?)?"
_LIST = re.compile(rf"{_PARAMETER}(?:, {_PARAMETER})+")
_ROWS = re.compile(r"(\((?:\?|[^()?]*\?[^()]*)\))(?:, \((?:\?|[^()?]*\?[^()]*)\))+")
_DATA = re.compile(r"\s*(?:WITH|SELECT|INSERT|UPDATE|DELETE|MERGE)\b", re.IGNORECASE)

found: dict[str, dict[str, Any]] = {}


def normal(statement: str) -> str:
    """The statement without its layout, and without how many values its lists have."""
    return _ROWS.sub(r"\1", _LIST.sub("?", " ".join(statement.split())))


def read(file: Path) -> list[dict[str, Any]]:
    """The statements of a recording."""
    with gzip.open(file, "rt") as lines:
        return [json.loads(line) for line in lines]


def recordings() -> list[Path]:
    """The recordings that are kept, the oldest first."""
    return sorted(RECORDED.glob("*.jsonl.gz"))


def _by_the_platform() -> bool:
    """Whether the nearest caller above the database layer is the platform, and no test."""
    frame = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith((_TESTS, _MIGRATING)):
            return False
        if file.startswith(_OURS) and not file.startswith(_DATABASE):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def pytest_configure() -> None:
    """Note each statement that the server prepares."""
    prepare = asyncpg.Connection._get_statement

    async def noting(self: Any, query: str, *args: Any, **options: Any) -> Any:
        ours = _by_the_platform()
        made = await prepare(self, query, *args, **options)
        key = normal(query)
        if ours and key not in found and _DATA.match(query):
            found[key] = {
                "sql": " ".join(query.split()),
                "takes": [each.name for each in made._get_parameters()],
                "returns": [[name, of.name] for name, of in _columns(made)],
            }
        return made

    asyncpg.Connection._get_statement = noting


def _columns(made: Any) -> list[tuple[str, Any]]:
    return [(each.name, each.type) for each in made._get_attributes()]


def pytest_sessionfinish() -> None:
    """Add what was found to the recording of the newest revision."""
    RECORDED.mkdir(exist_ok=True)
    file = RECORDED / f"{newest_known()}.jsonl.gz"
    known = {normal(each["sql"]): each for each in read(file)} if file.exists() else {}
    lines = [json.dumps(each) + "\n" for _, each in sorted({**known, **found}.items())]
    with file.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as packed:
        packed.write("".join(lines).encode())
