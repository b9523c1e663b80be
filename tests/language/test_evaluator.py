from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coe.language.expressions.evaluator import ExpressionError, Expressions, Reason

INPUT = {"a": 1, "text": "x", "list": [1, 2], "none": None, "deep": {"b": {"c": True}}}
VARIABLES: dict[str, Any] = {"context": {"n": 2}, "task": {"name": "t"}}


@pytest.fixture
async def expressions() -> AsyncIterator[Expressions]:
    async with Expressions(workers=1, time_limit=1.5) as pool:
        yield pool


def workers_of(pool: Expressions) -> list[int]:
    return [worker._process.pid for worker in pool._pool._idle]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.parametrize(
    ("program", "value"),
    [
        (".a", 1),
        ("${ .a }", 1),
        ("${.a}", 1),
        (".a + $context.n", 3),
        ("$task.name", "t"),
        ("$context", {"n": 2}),
        (".", INPUT),
        (".deep.b.c", True),
        (".missing", None),
        (".missing.more", None),
        (".none.more", None),
        ("empty", None),
        ("[.list[] | . * 2]", [2, 4]),
        ('"\\(.text)-\\(.a)"', "x-1"),
        (". as $x | $x.a", 1),
        ("def f: .a; f", 1),
        ('.text | test("^x$")', True),
        (".a # a comment", 1),
        ("123456789012345678901234567890 | tostring | length > 5", True),
        ("{a, env: 1}", {"a": 1, "env": 1}),
        ('try error("x") catch .', "x"),
    ],
)
async def test_an_expression_has_its_value(
    expressions: Expressions, program: str, value: object
) -> None:
    assert await expressions.evaluate(program, VARIABLES, INPUT) == value


@pytest.mark.parametrize(
    ("program", "reason", "detail"),
    [
        (".a |", Reason.COMPILE, "syntax error"),
        ("", Reason.COMPILE, "empty"),
        ("$input", Reason.COMPILE, "$input is not defined"),
        ("$secrets.x", Reason.COMPILE, "$secrets is not defined"),
        ("f(1)", Reason.COMPILE, "f/1 is not defined"),
        (".a.b", Reason.FAILED, "Cannot index number"),
        ("error({x: 1})", Reason.FAILED, '{"x":1}'),
        ("error(null)", Reason.FAILED, "null"),
        ("1, 2", Reason.RESULTS, None),
        (".list[]", Reason.RESULTS, None),
        ("def f: f; f", Reason.TIME, None),
        ("[range(1; 1e12)] | length", Reason.TIME, None),
        ('[limit(3e7; repeat("abcdefgh"))] | length', Reason.DIED, None),
        ("reduce range(1e9) as $i (0; [.])", Reason.DIED, None),
    ],
)
async def test_an_expression_without_a_value_has_a_reason(
    expressions: Expressions, program: str, reason: Reason, detail: str | None
) -> None:
    with pytest.raises(ExpressionError) as caught:
        await expressions.evaluate(program, {"context": {}}, INPUT)
    # Either the time or the memory limit may come first.
    limits = {Reason.TIME, Reason.DIED}
    assert caught.value.reason == reason or {caught.value.reason, reason} == limits
    assert (detail or "") in (caught.value.detail or "")
    # The pool still works.
    assert await expressions.evaluate(".a + 1", {}, INPUT) == 2


async def test_the_message_has_no_data_of_the_run(expressions: Expressions) -> None:
    with pytest.raises(ExpressionError) as caught:
        await expressions.evaluate(".name | tonumber", {}, {"name": "Ada Lovelace"})
    assert "Ada" not in str(caught.value)
    assert "Ada" in (caught.value.detail or "")


@pytest.mark.parametrize(
    "program",
    [
        "env",
        "$ENV",
        "$ENV.PATH",
        "env | keys",
        '"\\(env)"',
        "input",
        "[inputs]",
        "debug",
        'debug("x")',
        "stderr",
        "halt",
        "halt_error",
        '"x" | halt_error(1)',
        "now",
        "localtime",
        "input_filename",
        "input_line_number",
        "get_search_list",
        '"a" | modulemeta',
        'import "/etc/passwd" as $x; $x',
        'import "passwd" as $x {search: "/etc"}; $x',
        'include "/etc/x"; 1',
        "1) | env | (1",
        '1); import "a" as a; (1',
        "$__prog_args",
        "# \\",
        '"\\("',
        "def f: env; f",
        "[.[] | env]",
        '@json "\\(env)"',
        "{a: env}",
        "{(env | tostring): 1}",
        ".a as $x | env",
    ],
)
async def test_an_expression_cannot_read_the_machine(
    expressions: Expressions, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", "canary-value")
    with pytest.raises(ExpressionError) as caught:
        await expressions.evaluate(program, {}, INPUT)
    assert caught.value.reason is Reason.COMPILE
    assert "canary-value" not in (caught.value.detail or "")


async def test_a_worker_has_an_empty_environment(expressions: Expressions) -> None:
    await expressions.evaluate(".a + 1", {}, INPUT)
    [pid] = workers_of(expressions)
    process = Path(f"/proc/{pid}")
    assert (process / "environ").read_bytes() == b""
    assert (process / "cwd").readlink() == Path("/")
    limits = (process / "limits").read_text()
    assert "Max file size             0 " in limits
    assert "Max open files            3 " in limits
    files = {str(each.readlink()) for each in (process / "fd").iterdir()}
    assert all(file.startswith("socket:") or file == "/dev/null" for file in files)


async def test_even_without_the_scan_the_worker_itself_refuses(expressions: Expressions) -> None:
    import orjson  # noqa: PLC0415

    programs = ["env", "$ENV", "now", "input", "halt", '"x" | modulemeta', "get_search_list"]
    request = orjson.dumps({"names": [], "programs": programs}) + b'\n{"v":{},"i":1}\n'
    outcomes = orjson.loads(await expressions._pool.ask(request))
    assert outcomes[1] == {"r": [{}]}
    assert all("is not available" in str(each["e"]) for each in outcomes[:1] + outcomes[2:])


async def test_variables_must_have_names(expressions: Expressions) -> None:
    with pytest.raises(ExpressionError):
        await expressions.evaluate(".a + 1", {'x}|env|{"a': 1}, INPUT)


async def test_a_template_is_filled_and_its_data_is_not(expressions: Expressions) -> None:
    template = {
        "whole": "${ .deep }",
        "list": ["${ .a }", "${ .a + 1 }", 3, None, True],
        "same": "${ .a + 1 }",
        "text": "no ${ .a } here",
        "bare": ".a",
        "inner": {"${ .a }": "${ .evil }"},
    }
    data = INPUT | {"evil": "${ env }"}
    assert await expressions.fill(template, {}, data) == {
        "whole": {"b": {"c": True}},
        "list": [1, 2, 3, None, True],
        "same": 2,
        "text": "no ${ .a } here",
        "bare": ".a",
        "inner": {"${ .a }": "${ env }"},
    }


async def test_a_broken_expression_in_a_template_is_the_one_that_is_named(
    expressions: Expressions,
) -> None:
    for broken, reason in (("$zz + 1", Reason.COMPILE), (".a.b + 1", Reason.FAILED)):
        with pytest.raises(ExpressionError) as caught:
            await expressions.fill({"a": "${ .a + 1 }", "b": f"${{ {broken} }}"}, {}, INPUT)
        assert caught.value.program == broken
        assert caught.value.reason is reason


@pytest.mark.parametrize(
    "data",
    [2**53, -(2**53), 0.1, "\u0000\u2028😀", {"k": [[], {}, ""]}, [None, False]],
)
async def test_data_goes_through_jq_unchanged(expressions: Expressions, data: object) -> None:
    assert await expressions.evaluate("[.][0]", {}, data) == data  # type: ignore[arg-type]


async def test_data_that_is_no_json_is_an_error(expressions: Expressions) -> None:
    for data in ("\ud800", {1: 2}, {"x": object()}):
        with pytest.raises(ExpressionError) as caught:
            await expressions.evaluate(". + 1", {}, data)  # type: ignore[arg-type]
        assert caught.value.reason is Reason.DATA


async def test_jq_passes_numbers_on_exactly() -> None:
    """Ids of 64 bits go through a process unchanged; only arithmetic is that of floating point."""
    data = {"id": 2**64 - 1, "least": -(2**63), "n": 2**53 + 1, "rate": 0.00001}
    async with Expressions() as expressions:
        for program, expected in (
            ("{id, least, n}", {"id": 2**64 - 1, "least": -(2**63), "n": 2**53 + 1}),
            ("[.[]] | .[0:3]", [2**64 - 1, -(2**63), 2**53 + 1]),
            ("12345678901234567890", 12345678901234567890),
            (".n + 0", 2**53),
            ('"\\(.id) \\(.rate)"', "18446744073709551615 0.00001"),
            ("[1.0, 1e2, 1E2, 1.50, 2 / 2, -0]", [1, 100, 100, 1.5, 1, 0]),
        ):
            found = await expressions.evaluate(program, {}, data)
            assert repr(found) == repr(expected), program
        for program in ("18446744073709551616", "1e400"):
            with pytest.raises(ExpressionError, match="cannot be kept as it is"):
                await expressions.evaluate(program, {}, data)


async def test_a_result_that_is_too_large_is_an_error() -> None:
    async with Expressions(workers=1, time_limit=10) as pool:
        with pytest.raises(ExpressionError) as caught:
            await pool.evaluate('"x" * 4e7', {}, None)
    assert caught.value.reason in (Reason.SIZE, Reason.DIED)


async def test_evaluations_run_beside_each_other() -> None:
    async with Expressions(workers=2, time_limit=60) as pool:
        await asyncio.gather(pool.evaluate("1 + 1"), pool.evaluate("1 + 1"))
        slow = asyncio.ensure_future(pool.evaluate("def f: f; f"))
        await asyncio.sleep(0.05)
        assert await pool.evaluate("1 + 2") == 3
        assert not slow.done()
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow


async def test_many_waiters_share_a_worker(expressions: Expressions) -> None:
    values = await asyncio.gather(
        *(expressions.evaluate(". + 1", {}, number) for number in range(200))
    )
    assert values == list(range(1, 201))


async def test_a_cancelled_evaluation_leaves_no_answer_behind(expressions: Expressions) -> None:
    task = asyncio.ensure_future(expressions.evaluate("def f: f; f"))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await expressions.evaluate("1 + 1") == 2


async def test_a_worker_that_was_killed_is_replaced(expressions: Expressions) -> None:
    await expressions.evaluate("1 + 1")
    [pid] = workers_of(expressions)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ExpressionError) as caught:
        await expressions.evaluate("1 + 1")
    assert caught.value.reason is Reason.DIED
    assert await expressions.evaluate("1 + 1") == 2
    assert workers_of(expressions) != [pid]


async def test_closing_ends_every_worker() -> None:
    pool = Expressions(workers=3)
    await asyncio.gather(*(pool.evaluate(f"{number} + 1") for number in range(9)))
    pids = workers_of(pool)
    assert len(pids) == 3
    await pool.close()
    assert not any(alive(pid) for pid in pids)
    with pytest.raises(RuntimeError):
        await pool.evaluate("1 + 1")


PARENT = """
import asyncio, sys
from coe.language.expressions.evaluator import Expressions

async def main():
    pool = Expressions(workers=2, time_limit=60 if sys.argv[1] == "busy" else 1)
    pool._pool._time_limit = 1
    await asyncio.gather(pool.evaluate("1 + 1"), pool.evaluate("1 + 1"))
    pool._pool._time_limit = 60
    if sys.argv[1] == "busy":
        asyncio.ensure_future(pool.evaluate("def f: f; f"))
    await asyncio.sleep(0.1)
    print(*[w._process.pid for w in [*pool._pool._idle, *pool._pool._busy]], flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("state", ["idle", "busy"])
def test_no_worker_outlives_a_killed_parent(state: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, state], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    assert all(alive(pid) for pid in pids)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    # An idle worker sees the closed socket at once; a busy one has its alarm (twice 1 s, and 1 s).
    deadline = time.monotonic() + 15
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in pids)


FRAGMENTS = st.sampled_from(
    [
        *("env", "$ENV", "$ENV.PATH", "input", "inputs", "debug", "stderr", "halt", "now", "."),
        *("import", "include", '"/etc/passwd"', "modulemeta", "get_search_list", "input_filename"),
        *("(", ")", "[", "]", "{", "}", '"', "\\(", "|", ",", ";", ":", "#", "\n", "\\", "as"),
        *("$x", "def f:", "f", "1", ".a", "..", "?", "//", "try", "catch", "error", "reduce"),
        *("foreach", "limit(3;", "repeat(.)", "range(9)", "recurse", "until(", "while(", "@sh"),
        *(
            "$__prog_args",
            "$__loc__",
            "tojson",
            "getpath([])",
            "splits(.)",
            "ltrimstr(.)",
            "=",
            "+",
        ),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(FRAGMENTS, max_size=10), st.sampled_from(["", " "]))
def test_no_program_gets_out(fragments: list[str], joint: str) -> None:
    """Whatever is written, the environment stays unseen and the limit holds."""

    async def attempt() -> None:
        pool = POOLS.setdefault(asyncio.get_running_loop(), Expressions(workers=1, time_limit=0.3))
        before = time.monotonic()
        try:
            found = str(await pool.evaluate(joint.join(fragments), {"x": 1}, {"a": [1, "b"]}))
        except ExpressionError as error:
            found = f"{error} {error.detail}"
        assert time.monotonic() - before < 5
        assert CANARY not in found
        assert "root:" not in found

    os.environ["COE_CANARY"] = CANARY
    try:
        RUNNER.run(attempt())
    finally:
        del os.environ["COE_CANARY"]


CANARY = "canary-5f3a"
RUNNER = asyncio.Runner()
POOLS: dict[asyncio.AbstractEventLoop, Expressions] = {}


@pytest.fixture(scope="module", autouse=True)
def _close_runner() -> Iterator[None]:
    yield
    for pool in POOLS.values():
        RUNNER.run(pool.close())
    RUNNER.close()
