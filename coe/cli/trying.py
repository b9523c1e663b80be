"""`coe flow try`: a definition run in this process, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from coe.db import JSON
from coe.errors import Invalid, errors_in
from coe.language.expressions import Expressions
from coe.language.load import load
from coe.language.model import Definition
from coe.language.source import read
from coe.runs.commands import RunLeaf
from coe.runs.decision_files import DecisionFiles, decisions_beside
from coe.runs.leaves import LeafIO, run_leaf
from coe.runs.leaves_decision import DECISION
from coe.runs.leaves_transport import open_client
from coe.runs.testing import Case, Trace, simulate
from coe.runs.testing_cases import START

_SECTIONS: Final = frozenset({"stubs", "events", "secrets", "flows"})


def try_file(
    file: Path,
    *,
    value: JSON,
    stubs: str | None,
    resolve: Mapping[str, str],
    now: datetime | None,
    decisions: Path | None = None,
) -> Trace:
    """Run a definition; calls without a stub are really made.

    Args:
        file: The definition.
        value: The run's input.
        stubs: YAML: answers by the name of a task; or `{stubs, events, secrets, flows}`.
        resolve: Host to base URL, the one way to a loopback address.
        now: When the run starts on its simulated clock.
        decisions: The folder of decision tables; by default the nearest `catalog/decisions`.

    Raises:
        Invalid: The definition does not load.
    """
    given = _stubs(stubs)
    case = Case(
        input=value,
        stubs=_object(given.get("stubs")),
        events=[_object(event) for event in _list(given.get("events"))],
        secrets=_object(given.get("secrets")),
        flows={ref: str(exact) for ref, exact in _object(given.get("flows")).items()},
        now=now or START,
        patience=timedelta(0),
    )
    tables = DecisionFiles(decisions) if decisions else decisions_beside(file)
    definition = _definition(file.read_text(), str(file))
    return asyncio.run(_try(definition, case, resolve, tables))


async def _try(
    definition: Definition,
    case: Case,
    resolve: Mapping[str, str],
    tables: DecisionFiles | None,
) -> Trace:
    expressions = Expressions(workers=1)
    try:
        async with open_client() as client:
            handlers = {DECISION: tables.carry} if tables else {}
            io = LeafIO(client=client, resolve=resolve, handlers=handlers)

            async def carry(leaf: RunLeaf) -> JSON:
                return await run_leaf(leaf, io)

            return await simulate(definition, case, expressions.evaluate, carry=carry)
    finally:
        await expressions.close()


def _definition(text: str, file: str) -> Definition:
    loaded = load(text, file=file)
    if loaded.definition is None or errors_in(loaded.problems):
        raise Invalid(loaded.problems, f"{file} is no definition that can be run")
    return loaded.definition


def _stubs(text: str | None) -> dict[str, JSON]:
    data = _object(read(text).data) if text else {}
    return data if data and data.keys() <= _SECTIONS else {"stubs": data}


def _object(value: object) -> dict[str, JSON]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[JSON]:
    return value if isinstance(value, list) else []
