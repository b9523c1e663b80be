"""Processes that compute: they answer with data, are killed at their limit, and are replaced."""

from __future__ import annotations

import asyncio
import operator
import os
import pickle
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from coe.confined.budget import AT_ONCE, WAITING, Budget, BudgetSpent, Turns
from coe.confined.messages import NotData, read_data
from coe.confined.pool import Pool
from coe.errors import Conflict, RateLimited, Unavailable
from coe.language.source import read


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    made = Pool(1)
    yield made
    made.close()


async def test_a_request_that_uses_its_time_is_ended_and_the_next_one_is_answered(
    pool: Pool,
) -> None:
    budget = Budget(0.2)
    with pytest.raises(BudgetSpent) as ended:
        await pool.run(budget, max, range(10**12))
    [problem] = ended.value.problems
    assert (problem.code, problem.line, problem.column) == ("INPUT_BUDGET", 1, 1)
    assert "fewer examples" in (problem.help or "")
    assert pool.killed == 1
    with pytest.raises(BudgetSpent):
        await pool.run(budget, len, "abc")
    assert await pool.run(Budget(), len, "abc") == 3


async def test_a_process_has_neither_the_environment_nor_much_memory(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COE_CANARY", "secret")
    assert await pool.run(Budget(), os.getenv, "COE_CANARY") is None
    with pytest.raises(BudgetSpent) as ended:
        await pool.run(Budget(), operator.mul, b"x", 3 * 2**30)
    assert "memory" in ended.value.problems[0].message
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        await pool.run(Budget(), operator.truediv, 1, 0)


async def test_documents_come_back_whole(pool: Pool) -> None:
    text = "a: {b: [1, 2.5, c]}\nd: &x {e: 1}\nf: *x\n"
    source = await pool.run(Budget(), read, text)
    here = read(text)
    assert source.data == here.data
    for place in ("/a/b/2", "/d/e", "/f/e", "/f"):
        assert source.locate(place, value=True) == here.locate(place, value=True)


@pytest.mark.parametrize(
    "value", [os.system, sys.exit, operator.attrgetter("x"), Pool, pickle.Unpickler], ids=str
)
def test_an_answer_is_data(value: object) -> None:
    with pytest.raises(NotData):
        read_data(pickle.dumps((value, None)))


def test_an_answer_may_be_an_error_of_ours() -> None:
    _, fault = read_data(pickle.dumps((None, Conflict("why"))))
    assert isinstance(fault, Conflict)
    assert fault.message == "why"


async def test_one_subject_leaves_room_for_the_others() -> None:
    turns, going, gate = Turns(), [], asyncio.Event()

    async def compute(subject: str) -> None:
        async with turns.turn(subject):
            going.append(subject)
            await gate.wait()

    tasks = [asyncio.create_task(compute("anna")) for _ in range(AT_ONCE + WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited) as refused:
        await compute("anna")
    assert refused.value.extensions == {"limit": "at_once", "retry_after": 1}
    tasks.append(asyncio.create_task(compute("bert")))
    await asyncio.sleep(0)
    assert going == ["anna"] * AT_ONCE + ["bert"]
    gate.set()
    await asyncio.gather(*tasks)
    await compute("anna")


async def test_a_process_that_ends_by_itself_is_replaced_and_the_answer_says_so(
    pool: Pool,
) -> None:
    before = pool.killed
    with pytest.raises(BudgetSpent) as ended:
        await pool.run(Budget(), os._exit, 3)
    assert "has ended" in ended.value.problems[0].message
    assert pool.killed == before + 1


async def test_what_somebody_else_ends_is_tried_again(pool: Pool) -> None:
    for end in (signal.SIGKILL, signal.SIGTERM):
        with pytest.raises(Unavailable):
            await pool.run(Budget(), signal.raise_signal, end)


async def test_what_is_too_deep_to_be_sent_is_refused(pool: Pool) -> None:
    deep: Any = None
    for _ in range(20_000):
        deep = [deep]
    with pytest.raises(BudgetSpent) as refused:
        await pool.run(Budget(), len, deep)
    assert "depth" in refused.value.problems[0].message
    assert await pool.run(Budget(), len, "ab") == 2
