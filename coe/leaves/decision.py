"""The leaf of `decision:1@default`: a table of the catalog is asked, in the version of the run.

The range of a ref was resolved when the run started; here only exact versions are taken, so that
the same run is decided by the same table whatever was published meanwhile.
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
from coe.leaves.leaf import Handler, LeafFault
from coe.machine.commands import RunLeaf
from coe.machine.errors import standard
from coe.work import Platform

DECISION: Final = "decision"
"""The kind of the leaf."""

_MOST_TABLES: Final = 200
_PAUSES: Final = (0.1, 0.5, 2.0)
_TITLES: Final = {
    DecisionFaultKind.INPUT: ("validation", "The decision table refuses its input"),
    DecisionFaultKind.NO_RULE: ("runtime", "The decision table has no answer to this case"),
    DecisionFaultKind.SEVERAL_RULES: ("runtime", "The decision table gives two answers"),
}


def deciding(platform: Platform) -> Handler:
    """What carries out decisions: tables are read once, checked against their signature, kept."""
    kept: OrderedDict[str, DecisionTable] = OrderedDict()

    async def decide(command: RunLeaf) -> JSON:
        ref = ref_of(command)
        table = kept.get(ref)
        if table is None:
            table = kept[ref] = await _read(platform, ref, command.path)
            if len(kept) > _MOST_TABLES:
                kept.popitem(last=False)
        kept.move_to_end(ref)
        return ask(table, command)

    return decide


def ask(table: DecisionTable, command: RunLeaf) -> JSON:
    """The output of the function for this call.

    Raises:
        LeafFault: `validation` for an input that the table does not take, `runtime` where it has no
            answer or two. The input is named, never quoted.
    """
    try:
        return table.told(table.decide(input_of(command)))
    except DecisionFault as fault:
        name, title = _TITLES[fault.kind]
        detail = "; ".join(
            f"{each.path}: {each.message}" if each.path else each.message for each in fault.problems
        )
        told = f"{table.ref}: {detail}"
        error = standard(name, title=title, detail=told, instance=command.path)
        raise LeafFault(error) from None


def ref_of(command: RunLeaf) -> str:
    """The ref that a call of the function names."""
    arguments = command.arguments if isinstance(command.arguments, dict) else {}
    return str(arguments.get("ref"))


def input_of(command: RunLeaf) -> JSON:
    """The data that a call of the function decides on."""
    return command.arguments.get("input") if isinstance(command.arguments, dict) else None


def configuration(title: str, instance: str) -> LeafFault:
    """The fault of a call whose table cannot be had."""
    return LeafFault(standard("configuration", title=title, instance=instance))


async def _read(platform: Platform, ref: str, instance: str) -> DecisionTable:
    parsed = read_ref(ref)
    if parsed is None or parsed.exact is None:
        title = f"The decision table {ref[:100]} could not be resolved when the run started"
        raise configuration(title, instance)
    for pause in (*_PAUSES, None):
        try:
            async with platform.database.session() as session:
                return await signed_table(session, platform, ref)
        except CoeError as error:
            raise configuration(error.message, instance) from None
        except (SQLAlchemyError, OSError):
            if pause is None:
                break
            await asyncio.sleep(pause)
    title = "The decision table cannot be read right now"
    raise LeafFault(standard("communication", title=title, status=503, instance=instance))
