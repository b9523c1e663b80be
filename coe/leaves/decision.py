"""The leaf of `decision:1@default`: apply a decision table of the catalog to the call's input.

The version range of a ref is resolved when the run starts. The leaf accepts exact versions only,
so a version that is published later does not change how a run decides.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from coe.catalog.decision_tables.actions import signed_table
from coe.catalog.refs import read_ref
from coe.decisions.table import DecisionFault, DecisionFaultKind, DecisionTable
from coe.errors import CoeError
from coe.json_types import JSON
from coe.leaves.leaf import LeafFault, LeafHandler
from coe.machine.commands import RunLeaf
from coe.machine.errors import standard_error
from coe.work import Platform

DECISION_KIND: Final = "decision"
"""The kind of this leaf in `RunLeaf.kind`."""

_MAX_CACHED_TABLES: Final = 200
_RETRY_SECONDS: Final = (0.1, 0.5, 2.0)
_TITLES: Final = {
    DecisionFaultKind.INPUT: ("validation", "The input does not fit the decision table"),
    DecisionFaultKind.NO_RULE: ("runtime", "No rule of the decision table matches"),
    DecisionFaultKind.SUM: ("runtime", "The sum of the decision table is not exact as a number"),
    DecisionFaultKind.SEVERAL_RULES: ("runtime", "Several rules of the decision table match"),
}


def decision_handler(platform: Platform) -> LeafHandler:
    """Make the handler of decisions; it checks the signature of each table once and caches it."""
    cached: OrderedDict[str, DecisionTable] = OrderedDict()

    async def run_decision(command: RunLeaf) -> JSON:
        ref = ref_of(command)
        table = cached.get(ref)
        if table is None:
            table = cached[ref] = await _read(platform, ref, command.path)
            if len(cached) > _MAX_CACHED_TABLES:
                cached.popitem(last=False)
        cached.move_to_end(ref)
        return call_decision(table, command)

    return run_decision


def call_decision(table: DecisionTable, command: RunLeaf) -> JSON:
    """Apply a table to the input of a call and return the function's output.

    Raises:
        LeafFault: `validation` for an input that does not fit the table, `runtime` where no rule
            or several rules match, or a sum is not exact. The error names the input and never
            quotes it.
    """
    try:
        return table.answer(table.decide(input_of(command)))
    except DecisionFault as fault:
        name, title = _TITLES[fault.kind]
        detail = "; ".join(
            f"{each.path}: {each.message}" if each.path else each.message for each in fault.problems
        )
        located = f"{table.ref}: {detail}"
        error = standard_error(name, title=title, detail=located, instance=command.path)
        raise LeafFault(error) from None


def ref_of(command: RunLeaf) -> str:
    """The ref that a call of the function names."""
    arguments = command.arguments if isinstance(command.arguments, dict) else {}
    return str(arguments.get("ref"))


def input_of(command: RunLeaf) -> JSON:
    """The input of a call of the function."""
    return command.arguments.get("input") if isinstance(command.arguments, dict) else None


def table_unavailable(title: str, instance: str) -> LeafFault:
    """The error of a call whose table is not available."""
    return LeafFault(standard_error("configuration", title=title, instance=instance))


def unresolved(ref: str) -> str:
    """The title of the error of a ref that has no exact version."""
    return (
        f"The decision table {ref[:100]} could not be resolved when the run started: a ref that a "
        "run computes has an exact version"
    )


async def _read(platform: Platform, ref: str, instance: str) -> DecisionTable:
    parsed = read_ref(ref)
    if parsed is None or parsed.exact is None:
        raise table_unavailable(unresolved(ref), instance)
    for pause in (*_RETRY_SECONDS, None):
        try:
            async with platform.database.session() as session:
                return await signed_table(session, platform, ref)
        except CoeError as error:
            raise table_unavailable(error.message, instance) from None
        except (SQLAlchemyError, OSError):
            if pause is None:
                break
            await asyncio.sleep(pause)
    title = "The decision table cannot be read right now"
    raise LeafFault(standard_error("communication", title=title, status=503, instance=instance))
