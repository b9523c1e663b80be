"""The processes that run jq: their command line, and a short-lived one that compiles programs."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from coe.language.expressions import jq_worker

# The default address space of a process in bytes.
MEMORY_LIMIT: Final = 512 * 1024 * 1024

# The limit of one process that compiles programs, in seconds.
_PROCESS_LIMIT: Final = 3.0

# The limit of all processes of a call: a document may have many programs that take that long.
_CALL_LIMIT: Final = 9.0


def worker_command(memory: int, seconds: float) -> list[str]:
    """The command line of a worker: an interpreter without site packages, and the script."""
    spec = importlib.util.find_spec("jq")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the package jq is not installed")
    script = str(Path(jq_worker.__file__).resolve())
    return [sys.executable, "-I", "-S", script, spec.origin, str(memory), str(seconds)]


class CompileCheck(NamedTuple):
    """A program to compile, and the names of the variables that are bound in its place."""

    program: str
    names: tuple[str, ...]


def compile_errors(checks: Sequence[CompileCheck]) -> list[str | None]:
    """The compile error of each program, None if it compiles. Blocks: about 30 ms for hundreds.

    The programs must have passed `jq_syntax.scan`. A program that kills the process, or takes too
    long, is found by halving; after nine seconds the search ends.
    """
    return _errors(checks, time.monotonic() + _CALL_LIMIT)


def _errors(checks: Sequence[CompileCheck], deadline: float) -> list[str | None]:
    if not checks:
        return []
    request = {"check": [{"names": check.names, "program": check.program} for check in checks]}
    limit = min(_PROCESS_LIMIT, deadline - time.monotonic())
    if limit <= 0:
        return ["it was not compiled: other expressions took too much time or memory"] * len(checks)
    try:
        done = subprocess.run(  # noqa: S603 - our own script
            worker_command(MEMORY_LIMIT, _PROCESS_LIMIT),
            input=json.dumps(request, separators=(",", ":")).encode() + b"\n",
            capture_output=True,
            check=True,
            timeout=limit,
            env={},
            cwd="/",
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        if len(checks) == 1:
            return ["it takes too much time or memory to compile"]
        middle = len(checks) // 2
        return _errors(checks[:middle], deadline) + _errors(checks[middle:], deadline)
    messages: list[str | None] = json.loads(done.stdout)
    return messages
