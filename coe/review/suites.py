"""Run the tests of a version in a process of its own, and make evidence of their result."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import orjson

from coe.catalog.models import EntryKind
from coe.catalog.versions.evidence import TestCaseEvidence, TestEvidence
from coe.catalog.versions.sealing import problems_from_json
from coe.errors import Problem
from coe.language.lint import Standards
from coe.language.lint.standards_rules import COVERAGE_STANDARD
from coe.language.names.directory import NOTHING_KNOWN, KnownNames
from coe.work import Platform

MEMORY_LIMIT: Final = 4 * 2**30
"""The address space of the process in bytes, most of it the code of libraries."""
_CODE: Final = str(Path(__file__).resolve().parents[2])
"""The folder of the package, so that the process runs this code."""
_COMMAND: Final = (sys.executable, "-m", "coe.review.suite_process")


@dataclass(frozen=True, slots=True)
class SuiteRequest:
    """The tests of one version.

    `files` are the version's files with its tests among them, `tables` the texts of the decision
    tables that it may ask, by their exact refs, and `aliases` other refs of those. `template` is as
    in `TestEvidence`: the bound of coverage does not apply to the flow alone. `names` are the roles
    and teams that its tasks may ask.
    """

    kind: EntryKind
    digest: str
    tests_digest: str | None
    files: Mapping[str, str]
    tables: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    template: str | None = None
    names: KnownNames = NOTHING_KNOWN


async def run_tests(
    platform: Platform, request: SuiteRequest, standards: Standards
) -> TestEvidence:
    """The evidence of a version's tests; no transaction may be open, because they take seconds.

    Tests that take too long, or too much memory, are ended; the evidence says so.
    """
    at = platform.clock()
    bare = TestEvidence(request.digest, request.tests_digest, at, template=request.template)
    if not request.files:
        return bare
    if request.template is not None:
        standards = _without_coverage(standards)
    given = {
        "kind": request.kind,
        "files": dict(request.files),
        "tables": dict(request.tables),
        "aliases": dict(request.aliases),
        "names": {kind.name: sorted(names.exist) for kind, names in request.names.by_kind.items()},
        "standards": standards.model_dump(mode="json"),
        "memory": MEMORY_LIMIT,
    }
    seconds = platform.settings.test_seconds
    try:
        async with platform.test_slots:
            result = await asyncio.wait_for(_run(orjson.dumps(given)), seconds)
    except TimeoutError:
        result = _stopped(f"the tests took more than {seconds:g} s, and were ended")
    if "stopped" in result:
        problems = problems_from_json([result["stopped"]])
        return replace(bare, problems=problems)
    numbers = ("branches", "branches_reached", "steps", "steps_reached", "seconds")
    return replace(
        bare,
        cases=tuple(
            TestCaseEvidence(case["name"], problems_from_json(case["failures"]))
            for case in result["cases"]
        ),
        missed=tuple(result["missed"]),
        problems=problems_from_json(result["problems"]),
        **{name: result[name] for name in numbers},
    )


def _without_coverage(standards: Standards) -> Standards:
    others = {code: each for code, each in standards.standards.items() if code != COVERAGE_STANDARD}
    return Standards(standards=others)


async def _run(request: bytes) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *_COMMAND,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PYTHONPATH": _CODE},
        cwd="/",
        start_new_session=True,
    )
    try:
        written, _ = await process.communicate(request)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its jq workers too
            await asyncio.shield(process.wait())
    try:
        result: dict[str, Any] = orjson.loads(written)
    except orjson.JSONDecodeError:
        return _stopped("the process of the tests ended without a result: they may need too much")
    return result


def _stopped(message: str) -> dict[str, Any]:
    problem = Problem("TEST_FAILED", message)
    return {
        "stopped": {
            "code": problem.code,
            "message": problem.message,
            "severity": problem.severity.value,
        }
    }
