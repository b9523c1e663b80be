"""Evaluate runtime expressions: jq, in confined worker processes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import TracebackType
from typing import Any, Final, Self

import orjson

from coe.json_types import JSON, NotJson, read_json
from coe.language.expression_syntax import is_expression, program_of
from coe.language.expressions.jq_pool import TIME_LIMIT, JqPool, WorkerDied
from coe.language.expressions.jq_process import MEMORY_LIMIT
from coe.language.expressions.jq_syntax import key_path, scan

_NAME: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
# Perhaps a whole number that is written otherwise.
_OTHER_WHOLE: Final = re.compile(rb"\.0|[0-9][eE]")
_EXACT: Final = 2**53


class Reason(StrEnum):
    """Why an expression has no value."""

    COMPILE = "it does not compile"
    FAILED = "it failed"
    RESULTS = "it has more than one result"
    TIME = "it took too long"
    DIED = "it took too much memory"
    SIZE = "its result is too large"
    DATA = "its data is not JSON"
    RESULT = "its result cannot be kept as it is"


class ExpressionError(Exception):
    """An expression has no value.

    `str()` has the program and the reason. `detail` is jq's own message, which may contain data of
    the run: store it only where that data may be stored.
    """

    def __init__(self, program: str, reason: Reason, detail: str | None = None) -> None:
        super().__init__(f"the expression `{program[:200]}` has no value: {reason.value}")
        self.program = program
        self.reason = reason
        self.detail = detail


class Expressions:
    """Evaluates expressions in a pool of workers.

    Close it, or use it as an async context manager; use it in one event loop only.
    """

    def __init__(
        self,
        *,
        workers: int | None = None,
        time_limit: float = TIME_LIMIT,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        """Set the limits: seconds for an evaluation, bytes of address space for a worker.

        Workers (by default one for each processor, at most four) start when they are first needed.
        """
        self._pool = JqPool(workers=workers, time_limit=time_limit, memory_limit=memory_limit)

    async def evaluate(
        self,
        program: str,
        variables: Mapping[str, JSON] | None = None,
        input: JSON = None,  # noqa: A002 - jq's name for it
    ) -> JSON:
        """The value of one expression, bare or in `${ }`; None if it has no result.

        `variables` are bound by their name without `$`; any other variable is an error.

        Raises:
            ExpressionError: It does not compile, fails, has several results, or exceeds a limit.
        """
        [value] = await self._evaluate([program_of(program)], variables or {}, input)
        return value

    async def fill(
        self,
        template: JSON,
        variables: Mapping[str, JSON] | None = None,
        input: JSON = None,  # noqa: A002 - jq's name for it
    ) -> JSON:
        """Data with every text that is `${ … }`, at any depth, replaced by its value.

        Only the texts of the template are evaluated, never the values of its expressions.

        Raises:
            ExpressionError: As for `evaluate`, of the first expression that has no value.
        """
        programs: dict[str, int] = {}
        for text in _texts(template):
            programs.setdefault(program_of(text), len(programs))
        if not programs:
            return template
        values = await self._evaluate(list(programs), variables or {}, input)
        return _replaced(template, lambda text: values[programs[program_of(text)]])

    async def close(self) -> None:
        """End all workers and wait until they have ended."""
        await self._pool.close()

    async def __aenter__(self) -> Self:
        """Return itself: workers start when they are first needed."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        await self.close()

    async def _evaluate(
        self, programs: list[str], variables: Mapping[str, JSON], data: JSON
    ) -> list[JSON]:
        values = [_walk_path(program, variables, data) for program in programs]
        left = [program for program, value in zip(programs, values, strict=True) if value is _JQ]
        if not left:
            return values
        for program in left:
            _refuse_unavailable(program)
        outcomes = iter(await self._evaluate_in_worker(left, variables, data))
        return [next(outcomes) if value is _JQ else value for value in values]

    async def _evaluate_in_worker(
        self, programs: list[str], variables: Mapping[str, JSON], data: JSON
    ) -> list[JSON]:
        """Evaluate programs in a worker; they share the variables and the input."""
        request = _request(programs, variables, data)
        try:
            answer = _decoded(await self._pool.ask(request), programs[0])
        except TimeoutError:
            raise ExpressionError(programs[0], Reason.TIME) from None
        except WorkerDied:
            raise ExpressionError(programs[0], Reason.DIED) from None
        if isinstance(answer, list):
            return [_value(program, out) for program, out in zip(programs, answer, strict=True)]
        if "too_large" in answer:
            raise ExpressionError(programs[0], Reason.SIZE)
        if "failed" in answer:
            raise ExpressionError(programs[0], Reason.FAILED, answer["failed"])
        if len(programs) == 1:
            raise ExpressionError(programs[0], Reason.COMPILE, answer["compile"])
        # One of several does not compile: evaluate each alone to find it.
        return [
            (await self._evaluate_in_worker([program], variables, data))[0] for program in programs
        ]


# ---------------------------------------------------------------- requests and answers
def _refuse_unavailable(program: str) -> None:
    scanned = scan(program)
    if scanned.fault:
        raise ExpressionError(program, Reason.COMPILE, scanned.fault)
    if scanned.forbidden:
        detail = f"`{scanned.forbidden}` is not available in a flow"
        raise ExpressionError(program, Reason.COMPILE, detail)


def _request(programs: list[str], variables: Mapping[str, JSON], data: JSON) -> bytes:
    names = sorted(variables)
    for name in names:
        if not _NAME.fullmatch(name):
            raise ExpressionError(programs[0], Reason.COMPILE, f"`${name}` is not a variable name")
    header = orjson.dumps({"names": names, "programs": programs})
    try:
        body = _encoded({"v": dict(variables), "i": data})
    except (TypeError, ValueError, RecursionError) as error:
        raise ExpressionError(programs[0], Reason.DATA, str(error)) from None
    return header + b"\n" + body + b"\n"


def _encoded(data: Any) -> bytes:
    try:
        return orjson.dumps(data)
    except orjson.JSONEncodeError as error:
        if "64-bit" not in str(error):
            raise
        # Whole numbers of more than 64 bits, which the standard library can write.
        return json.dumps(data, allow_nan=False, ensure_ascii=False).encode()


def _decoded(answer: bytes, program: str) -> Any:
    try:
        value = read_json(answer, computed=True)
    except NotJson as error:
        raise ExpressionError(program, Reason.RESULT, error.reason) from None
    if _OTHER_WHOLE.search(answer):
        _write_whole(value)
    return value


def _write_whole(value: JSON) -> None:
    """Replace 3.0 and 1E+2 inside of a value by whole numbers: jq passes on how one was written."""
    waiting = [value]
    while waiting:
        part: Any = waiting.pop()
        places = enumerate(part) if isinstance(part, list) else part.items()
        for place, item in list(places):
            if isinstance(item, dict | list):
                waiting.append(item)
            elif isinstance(item, float) and item.is_integer() and abs(item) < _EXACT:
                part[place] = int(item)


def _value(program: str, outcome: dict[str, Any]) -> JSON:
    if "e" in outcome:
        error = outcome["e"]
        detail = error if isinstance(error, str) else orjson.dumps(error).decode()
        raise ExpressionError(program, Reason.FAILED, detail)
    results: list[JSON] = outcome["r"]
    if len(results) > 1:
        raise ExpressionError(program, Reason.RESULTS)
    return results[0] if results else None


# ---------------------------------------------------------------- paths, without jq
class _NeedsJq:
    """Marks an expression that is more than a path."""


_JQ: Final[Any] = _NeedsJq()


def _walk_path(program: str, variables: Mapping[str, JSON], data: JSON) -> Any:
    """The value of a program that only follows keys; `_JQ` for others, and if jq would fail."""
    path = key_path(program)
    if path is None or (path[0] and path[0] not in variables):
        return _JQ
    value = variables[path[0]] if path[0] else data
    for key in path[1]:
        if isinstance(value, dict):
            value = value.get(key)
        elif value is not None:
            return _JQ
    return value


# ---------------------------------------------------------------- templates
def _texts(template: JSON) -> list[str]:
    """The expressions of a template, in order."""
    if isinstance(template, str):
        return [template] if is_expression(template) else []
    if isinstance(template, dict):
        return [text for value in template.values() for text in _texts(value)]
    if isinstance(template, list):
        return [text for value in template for text in _texts(value)]
    return []


def _replaced(template: JSON, value_of: Callable[[str], JSON]) -> JSON:
    """A copy of a template with its expressions replaced."""
    if isinstance(template, str):
        return value_of(template) if is_expression(template) else template
    if isinstance(template, dict):
        return {key: _replaced(value, value_of) for key, value in template.items()}
    if isinstance(template, list):
        return [_replaced(value, value_of) for value in template]
    return template
