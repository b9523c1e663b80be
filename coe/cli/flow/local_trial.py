"""Run a definition from a file in this process, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from coe.cli.api_client import ca_file_of_environment
from coe.cli.flow.definition_files import read_definition
from coe.errors import Invalid, errors_in
from coe.json_types import JSON
from coe.language.expressions.evaluator import Expressions
from coe.language.lint import NO_STANDARDS, Stage, lint
from coe.language.load import load, problems_of
from coe.language.model.definition import Definition
from coe.language.names.folders import names_in, root_above
from coe.language.source import Source, Unreadable, read
from coe.language.suggestions import did_you_mean
from coe.leaves.decision import DECISION_KIND
from coe.leaves.leaf import LeafIO, NotSentError
from coe.leaves.run import run_leaf
from coe.leaves.transport import open_client
from coe.machine.commands import RunLeaf
from coe.testing.cases import DEFAULT_START
from coe.testing.decision_files import DecisionFiles, decisions_beside
from coe.testing.missing_stubs import NoAnswerError
from coe.testing.run_definition import SimulationCase, Trace, simulate
from coe.testing.stubs import unused_stub
from coe.testing.suite_format import RunSetup
from coe.testing.suites import case_of

# The kinds of calls that can be made from here.
_CALLS: Final = frozenset({"http", "openapi"})
_SECTIONS: Final = frozenset({"stubs", "events", "secrets", "flows", "facts"})
# Problems of the linter that prevent a trial: unknown names, and features that are not supported.
# A wrong expression does not: the run faults when it evaluates it.
_REFUSED: Final = frozenset(
    {"OWS019", "OWS020", "OWS021", "OWS023", "OWS030", "OWS031", "OWS032", "OWS033", "OWS034",
     "OWS035", "OWS050", "OWS051"}
)  # fmt: skip


class BadValue(Exception):
    """The value cannot be read: correct it, or pass another file."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The trace of a trial, and notes on stubs that were not used."""

    trace: Trace
    notes: tuple[str, ...]


def read_value(text: str) -> JSON:
    """Parse a JSON or YAML text.

    Raises:
        BadValue: It is neither, an object has the same key twice, or a number would be rounded.
    """
    try:
        return read(text).data
    except Unreadable as error:
        problem = error.problem
        place = f"line {problem.line}, column {problem.column}: " if problem.line else ""
        raise BadValue(f"{place}{problem.message}") from None


def try_file(
    file: Path,
    *,
    value: JSON,
    stubs: str | None,
    resolve: Mapping[str, str],
    live: bool,
    now: datetime | None,
    decisions: Path | None = None,
) -> Trial:
    """Run a definition. Nothing leaves this process but the calls that `resolve` or `live` allow.

    Args:
        file: The definition.
        value: The run's input.
        stubs: YAML: answers by the name of a task; or `{stubs, events, secrets, flows, facts}`.
        resolve: Host to base URL: calls to these hosts are made, and sent there.
        live: Make every call that has no stub.
        now: The time of the simulated clock at which the run starts.
        decisions: The folder of decision tables; by default the nearest `catalog/decisions`.

    Raises:
        Invalid: The definition has problems.
        BadValue: The stubs are invalid, or one is of a step that the definition does not have.
    """
    given = _stubs(stubs)
    case = case_of(given | {"input": value})
    case = replace(case, now=now or DEFAULT_START, patience=timedelta(0), traced=True)
    case = replace(case, names=names_in(root_above(file)))
    tables = DecisionFiles(decisions) if decisions else decisions_beside(file)
    definition = _definition(read_definition(file), str(file))
    unknown = list(_unknown_steps(definition, given))
    if unknown:
        raise BadValue("; ".join(unknown))
    trace = asyncio.run(_try(definition, case, resolve, tables, live=live))
    unused = [unused_stub(name, case.stubs[name], calls) for name, calls in trace.unused.items()]
    return Trial(trace, (*trace.mistakes, *trace.event_mistakes, *unused))


async def _try(
    definition: Definition,
    case: SimulationCase,
    resolve: Mapping[str, str],
    tables: DecisionFiles | None,
    *,
    live: bool,
) -> Trace:
    expressions = Expressions(workers=1)
    try:
        async with open_client(ca_file_of_environment()) as client:
            handlers = {DECISION_KIND: tables} if tables else {}
            exact = tables.exact_refs(definition) if tables else {}
            advice = "`--resolve HOST=URL` sends the calls of a host elsewhere."
            io = LeafIO(
                client=client, resolve=resolve, handlers=handlers, how_to_allow=advice, live=live
            )

            async def runner(leaf: RunLeaf) -> JSON:
                if leaf.kind not in {*_CALLS, *handlers}:
                    raise NoAnswerError
                try:
                    return await run_leaf(leaf, io)
                except NotSentError as refused:
                    raise NoAnswerError(refused.host) from None

            return await simulate(
                definition, case, expressions.evaluate, runner=runner, exact=exact
            )
    finally:
        await expressions.close()


def _definition(text: str, file: str) -> Definition:
    loaded = load(text, file=file)
    problems = errors_in(loaded.problems)
    if loaded.definition is not None:
        found = lint(loaded.definition, standards=NO_STANDARDS, stage=Stage.PUBLICATION)
        problems += tuple(each for each in errors_in(found) if each.code in _REFUSED)
    if loaded.definition is None or problems:
        raise Invalid(problems, f"{file} cannot be run")
    return loaded.definition


def _stubs(text: str | None) -> dict[str, JSON]:
    """Parse a stub file into its sections; a file of answers alone is the section `stubs`."""
    data = {} if text is None or not text.strip() else read_value(text)
    if not isinstance(data, dict):
        raise BadValue("a stub file is an object: answers by the name of a step")
    sections: dict[str, JSON] = {"stubs": data}
    if data and data.keys() <= _SECTIONS:
        sections = data
    try:
        RunSetup.model_validate(sections)
    except ValidationError as error:
        found = problems_of(error, Source(sections), RunSetup)
        raise BadValue("; ".join(f"{each.path}: {each.message}" for each in found)) from None
    return sections


def _unknown_steps(definition: Definition, given: Mapping[str, JSON]) -> Iterator[str]:
    """Stubs whose name is not that of a step."""
    stubs = given.get("stubs")
    names = {task.name for task in definition.walk()}
    for name in stubs if isinstance(stubs, dict) else ():
        if name not in names and name not in definition.tasks:
            yield f"there is no step `{name}`{did_you_mean(name, sorted(names))}"
