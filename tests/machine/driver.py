"""Applies facts by hand, a second apart, for tests of single commands."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import orjson

from coe.json_types import JSON
from coe.machine.facts import Fact, FactKind
from coe.machine.machine import EvaluateJq, Machine, RunContext
from coe.testing.cases import DEFAULT_START
from tests.machine.scenarios import definition

HTTP: dict[str, Any] = {"call": "http", "with": {"method": "get", "endpoint": "https://a.example"}}


class Driver:
    """One run, to which a test applies facts."""

    def __init__(self, flow: dict[str, Any], evaluate: EvaluateJq, **context: Any) -> None:
        self.machine = Machine(definition(flow), RunContext("run-1", **context), evaluate)
        self.now = DEFAULT_START

    async def fact(self, kind: FactKind, key: str = "", data: JSON = None) -> list[Any]:
        commands = await self.machine.apply(Fact(kind, self.now, key, data))
        self.now += timedelta(seconds=1)
        return list(commands)

    async def start(self, value: JSON = None) -> list[Any]:
        return await self.fact(FactKind.RUN_STARTED, data={"input": value})

    async def done(self, command: Any, output: JSON = None) -> list[Any]:
        return await self.fact(FactKind.LEAF_COMPLETED, command.key, {"output": output})

    async def failed(self, command: Any, status: int = 500) -> list[Any]:
        return await self.fact(FactKind.LEAF_FAULTED, command.key, {"error": {"status": status}})


def key(
    pointer: str,
    *,
    iterations: tuple[int, ...] = (),
    visits: tuple[int, ...] = (1,),
    attempts: tuple[int, ...] = (1,),
    parts: tuple[str | int, ...] = (),
    base: str = "run-1",
) -> str:
    """The key of an execution, as in every release."""
    place = [base, pointer, iterations, visits, attempts, parts]
    return hashlib.sha256(orjson.dumps(place)).hexdigest()
