"""Hostile programs: they read nothing of the machine, and do not delay others.

`COE_NIGHTLY=1` generates many more, and new ones each time.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
from hypothesis import HealthCheck, given, settings

from coe.language.expressions import jq_worker
from coe.language.expressions.evaluator import ExpressionError, Expressions, Reason
from coe.language.expressions.jq_pool import WorkerDied
from coe.language.expressions.jq_process import CompileCheck, compile_errors
from coe.language.expressions.jq_syntax import MAX_PROGRAM_LENGTH, scan
from tests.language.hostile import CLOSING, GREEDY, LOOKING, programs

NIGHTLY = bool(os.environ.get("COE_NIGHTLY"))
CANARY = "canary-7c1e55"
LIMIT = 0.3
MEMORY = 256 * 1024 * 1024


class Arena:
    """A loop and a pool that live as long as the module's tests."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.pool = Expressions(workers=1, time_limit=LIMIT, memory_limit=MEMORY)

    def evaluate(self, program: str) -> str:
        """The value or the error of a program, as its author sees it."""
        return self.runner.run(self._evaluate(program))

    async def _evaluate(self, program: str) -> str:
        try:
            return str(await self.pool.evaluate(program, {"x": 1}, {"a": [1, "b"]}))
        except ExpressionError as error:
            return f"{error} {error.detail}"

    def unscanned(self, program: str) -> str:
        """The answer of a worker that is asked directly, as if the scan had a hole."""
        header = orjson.dumps({"names": ["x"], "programs": [program]})
        data = b'{"v":{"x":1},"i":{"a":[1,"b"]}}'
        try:
            return self.runner.run(self.pool._pool.ask(header + b"\n" + data + b"\n")).decode()
        except (TimeoutError, WorkerDied) as error:
            return repr(error)

    def confined(self) -> None:
        """A worker that is there has no children, no more files, and no more memory than it may."""
        for worker in self.pool._pool._idle:
            if not worker.is_ready:
                continue
            process = psutil.Process(worker._process.pid)
            with _while_there():
                assert process.children() == []
                assert len(list(Path(f"/proc/{process.pid}/fd").iterdir())) <= 3
                assert process.memory_info().vms <= MEMORY
                assert process.net_connections() == []


@contextmanager
def _while_there() -> Iterator[None]:
    """A worker may end while it is looked at."""
    try:
        yield
    except (psutil.NoSuchProcess, FileNotFoundError):
        return


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    os.environ["COE_CANARY"] = CANARY
    made = Arena()
    yield made
    made.runner.run(made.pool.close())
    made.runner.close()
    del os.environ["COE_CANARY"]


def unseen(text: str) -> None:
    assert CANARY not in text
    assert "root:" not in text
    assert "PATH" not in text or "PATH" in "".join(LOOKING)


@pytest.mark.parametrize("program", LOOKING + CLOSING, ids=lambda text: repr(text)[:40])
def test_no_known_trick_shows_anything(program: str, arena: Arena) -> None:
    unseen(arena.evaluate(program))
    unseen(arena.unscanned(program.encode(errors="replace").decode()))
    arena.confined()


@pytest.mark.parametrize("program", GREEDY, ids=lambda text: repr(text)[:40])
def test_no_greedy_program_is_more_than_an_error(program: str, arena: Arena) -> None:
    unseen(arena.evaluate(program))
    arena.confined()
    assert arena.evaluate("1 + 1") in {"2"} | _slow()


def _slow() -> set[str]:
    """What an honest program may meet on a machine that does much else."""
    return {f"the expression `1 + 1` has no value: {Reason.TIME.value} None"}


FUZZ: dict[str, Any] = {
    "deadline": None,
    "derandomize": not NIGHTLY,
    "suppress_health_check": list(HealthCheck),
}


@settings(max_examples=5000 if NIGHTLY else 200, **FUZZ)
@given(program=programs(greedy=False))
def test_no_program_sees_anything(program: str, arena: Arena) -> None:
    unseen(arena.evaluate(program))
    unseen(arena.unscanned(program))
    arena.confined()


@settings(max_examples=1000 if NIGHTLY else 30, **FUZZ)
@given(program=programs(greedy=True))
def test_no_program_takes_more_than_its_share(program: str, arena: Arena) -> None:
    unseen(arena.evaluate(program))
    arena.confined()


# ---------------------------------------------------------------- other evaluations
class _Watch:
    """How long each callback of the loop kept it busy, in processor time: load changes nothing."""

    def __init__(self) -> None:
        self.longest = 0.0

    @contextmanager
    def on(self) -> Iterator[None]:
        run = asyncio.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            before = time.thread_time()
            run(handle)
            self.longest = max(self.longest, time.thread_time() - before)

        asyncio.Handle._run = timed  # type: ignore[method-assign]
        try:
            yield
        finally:
            asyncio.Handle._run = run  # type: ignore[method-assign]


async def test_others_continue_while_hostile_programs_run() -> None:
    """Neither our loop nor the evaluations of others wait for them, and nothing is left behind."""
    before = _belongings()
    watch = _Watch()
    hostile = [*GREEDY, "def f: f; f", "[range(999000)]", '"x" * 15e6', *CLOSING[20:]]
    ended = 0

    async def attack(pool: Expressions, number: int) -> None:
        nonlocal ended
        for place in range(len(hostile)):
            program = hostile[(place + 7 * number) % len(hostile)]
            try:
                await pool.evaluate(program, {}, {"a": number})
            except ExpressionError:
                ended += 1

    async def work(pool: Expressions, number: int) -> int:
        right = 0
        for place in range(40):
            try:
                right += await pool.evaluate(". + 1", {}, number + place) == number + place + 1
            except ExpressionError as error:
                assert error.reason in {Reason.TIME, Reason.DIED}
        return right

    async with Expressions(workers=2, time_limit=1.0) as pool:
        with watch.on():
            attackers = [asyncio.ensure_future(attack(pool, number)) for number in range(4)]
            await asyncio.sleep(0)
            right = await asyncio.gather(*(work(pool, number) for number in range(4)))
            for attacker in attackers:
                attacker.cancel()
            await asyncio.gather(*attackers, return_exceptions=True)
        assert sum(right) >= 150
        assert await pool.evaluate("1 + 1") == 2
    assert watch.longest < 1.0
    assert _belongings() == before


async def test_a_program_that_is_slow_again_and_again_does_not_take_every_worker() -> None:
    async with Expressions(workers=2, time_limit=LIMIT) as pool:
        late = 0

        async def attack() -> None:
            nonlocal late
            while True:
                with pytest.raises(ExpressionError):
                    await pool.evaluate("def f: f; f")
                late += 1

        with pytest.raises(ExpressionError):
            await pool.evaluate("def f: f; f")
        attackers = [asyncio.ensure_future(attack()) for _ in range(8)]
        await asyncio.sleep(0)
        for number in range(30):
            assert await pool.evaluate(". + 1", {}, number) == number + 1
        # If both workers were busy, each evaluation would have waited for a hostile one.
        assert late < 15
        for attacker in attackers:
            attacker.cancel()
        await asyncio.gather(*attackers, return_exceptions=True)


async def test_a_worker_that_keeps_too_much_memory_is_replaced() -> None:
    async with Expressions(workers=1, time_limit=30, memory_limit=MEMORY // 4) as pool:
        await pool.evaluate("1 + 1")
        [first] = pool._pool._idle
        for number in range(4 * jq_worker.MEMORY_CHECK_INTERVAL):
            # Programs that stay compiled in the cache, each a megabyte.
            many = ",".join([f"[{number}]"] * 2000)
            assert await pool.evaluate(f"[{many}] | length") == 2000
        assert first not in pool._pool._idle
        assert await pool.evaluate("1 + 1") == 2


async def test_results_that_block_the_reader_are_refused() -> None:
    async with Expressions(workers=1, time_limit=30) as pool:
        assert len(str(await pool.evaluate("[range(1000)]"))) > 1000
        for program in ("[range(1100000)]", "[limit(600000; repeat([]))]", '"x" * 17e6'):
            with pytest.raises(ExpressionError) as caught:
                await pool.evaluate(program)
            assert caught.value.reason is Reason.SIZE


def _belongings() -> tuple[int, int, int]:
    """Our children (zombies too), open files and threads."""
    process = psutil.Process()
    threads = sum("asyncio" not in each.name for each in threading.enumerate())
    return len(process.children()), process.num_fds(), threads


# ---------------------------------------------------------------- scanning
@pytest.mark.parametrize(
    "program",
    [
        "{" + ",".join(["a"] * 32_000) + "}",
        '"' + "\\n" * 32_000 + '"',
        "." + " " * 65_000,
        "$" + "a::" * 21_000,
        "a::" * 21_000,
        "(" * 65_000,
        '"\\(' * 21_000,
        "#" * 65_000,
        "1" * 65_000 + "e",
        "{" + "a " * 32_000,
    ],
    ids=lambda text: repr(text)[:12],
)
def test_scanning_a_program_is_fast(program: str) -> None:
    before = time.thread_time()
    scan(program)
    assert time.thread_time() - before < 1.0


def test_long_programs_and_nul_are_refused() -> None:
    assert "longer than 65,536 characters" in str(scan("1" * (MAX_PROGRAM_LENGTH + 1)).fault)
    assert scan("1" * MAX_PROGRAM_LENGTH).fault is None
    assert "NUL" in str(scan("1 \0").fault)


def test_documents_full_of_slow_programs_are_checked_in_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Each kills its process, so that finding them all takes hundreds of processes.
    monkeypatch.setattr("coe.language.expressions.jq_process.MEMORY_LIMIT", 25 * 1024 * 1024)
    monkeypatch.setattr("coe.language.expressions.jq_process._CALL_LIMIT", 1.0)
    killer = "[1,2,3]|map(.+1)," * 3800
    errors = compile_errors([CompileCheck(f"{killer}{number}", ()) for number in range(200)])
    assert len(errors) == 200
    assert all("too much time or memory" in str(each) for each in errors)
    assert str(errors[-1]).startswith("it was not compiled")


# ---------------------------------------------------------------- confinement by the kernel
TRIES = """
import importlib.util, os, socket, subprocess, sys
spec = importlib.util.spec_from_file_location("worker", sys.argv[1])
worker = importlib.util.module_from_spec(spec)
spec.loader.exec_module(worker)
ctypes = worker.load_ctypes()
worker.forbid_calls(ctypes)
for name, attempt in {
    "open": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "socket": lambda: socket.socket(),
    "fork": lambda: os.fork(),
    "execve": lambda: os.execv("/bin/true", ["true"]),
    "kill": lambda: os.kill(1, 0),
    "memfd": lambda: os.memfd_create("x"),
    "unlink": lambda: os.unlink("/tmp/none"),
    "ptrace": lambda: [][ctypes.CDLL(None, use_errno=True).ptrace(16, 1, 0, 0)],
}.items():
    try:
        attempt()
        print(name, "done")
    except (PermissionError, IndexError):
        print(name, "refused")
print("still here")
"""


@pytest.mark.skipif(
    os.uname().machine not in jq_worker.SYSTEM_CALLS,
    reason="the calls of this machine are not listed",
)
def test_the_kernel_refuses_a_worker_whatever_it_does_not_need() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", TRIES, jq_worker.__file__],
        capture_output=True,
        text=True,
        check=True,
    )
    names = ["open", "socket", "fork", "execve", "kill", "memfd", "unlink", "ptrace"]
    assert done.stdout.splitlines() == [*(f"{name} refused" for name in names), "still here"]


async def test_a_worker_is_confined_by_the_kernel() -> None:
    async with Expressions(workers=1) as pool:
        await pool.evaluate("1 + 1")
        [worker] = pool._pool._idle
        place = Path(f"/proc/{worker._process.pid}")
        limits = (place / "limits").read_text()
        assert "Max processes             0 " in limits
        assert "Max core file size        0 " in limits
        if os.uname().machine in jq_worker.SYSTEM_CALLS:
            status = (place / "status").read_text()
            assert "NoNewPrivs:\t1" in status
            assert "Seccomp:\t2" in status
