"""A worker process that evaluates jq: started as a script, it imports nothing of this project.

Arguments: the file of the jq extension module, the address space in bytes, the seconds after which
an evaluation kills the process. It reads requests on standard input and answers on standard output,
both one socket, and ends when that is closed.

A request to evaluate is two lines: `{"names": […], "programs": […]}`, and `{"v": {…}, "i": …}`
with the variables of those names and the input. The answer is one line: a list with an object for
each program, `{"r": [up to two results]}` or `{"e": error}`; or else `{"compile": message}`,
`{"failed": message}` or `{"too_large": bytes}`. A request to check is one line,
`{"check":[{"names": […], "program": …}]}`, answered by a list of messages, null where the program
compiles.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import resource
import signal
import sys
from typing import Any

# Most bytes of an answer: what is more would only move the trouble to the process that asked.
LARGEST = 32 * 1024 * 1024
# Most compiled programs to keep; above it all are dropped, which costs a millisecond each to mend.
KEPT = 500

# Programs that are checked as one: each compilation costs a millisecond, whatever the program.
TOGETHER = 100
# Broken programs after which no more are looked for: somebody has enough to mend.
MOST_TOLD = 200

# What would let a program see the machine it runs on, or behave otherwise on another.
UNAVAILABLE = (
    "env",
    "debug",
    "debug($x)",
    "stderr",
    "input",
    "inputs",
    "input_filename",
    "input_line_number",
    "halt",
    "halt_error",
    "halt_error($x)",
    "now",
    "localtime",
    "strflocaltime($x)",
    "get_search_list",
    "modulemeta",
)
PRELUDE = "".join(
    f'def {name}: error("{name.partition("(")[0]} is not available in a flow");'
    for name in UNAVAILABLE
)


def wrap(names: list[str], programs: list[str]) -> str:
    """One program that gives the outcome of each of these, their variables bound, in one array."""
    bound = f".v as {{{','.join('$' + name for name in names)}}} | " if names else ""
    outcomes = ",".join(
        f"(try {{r:[limit(2;(\n{program}\n))]}} catch {{e:.}})" for program in programs
    )
    return f"{PRELUDE} {{}} as $ENV | {bound}.i | [{outcomes}]"


def check(jq: Any, requests: list[dict[str, Any]]) -> list[str | None]:
    """The message of each program that does not compile, of the first `MOST_TOLD` at least."""
    found: list[str | None] = []
    for start in range(0, len(requests), TOGETHER):
        batch = requests[start : start + TOGETHER]
        parts = [wrap_check(request["names"], request["program"]) for request in batch]
        told = len(found) - found.count(None)
        whole = f"{PRELUDE} {{}} as $ENV | [{','.join(parts)}]"
        if told >= MOST_TOLD or message(jq, whole) is None:
            found += [None] * len(batch)
        else:
            found += [message(jq, f"{PRELUDE} {{}} as $ENV | {part}") for part in parts]
    return found


def wrap_check(names: list[str], program: str) -> str:
    """A program with its variables bound, as a term."""
    bound = f". as {{{','.join('$' + name for name in names)}}} | " if names else ""
    return f"({bound}(\n{program}\n))"


def message(jq: Any, program: str) -> str | None:
    """What jq says against a program, or None."""
    try:
        jq.compile(program)
    except ValueError as error:
        return str(error)
    return None


def evaluate(jq: Any, compiled: dict[bytes, Any], header: bytes, data: bytes) -> Any:
    """The outcomes of a request's programs."""
    program = compiled.get(header)
    if program is None:
        request = json.loads(header)
        try:
            program = jq.compile(wrap(request["names"], request["programs"]))
        except ValueError as error:
            return {"compile": str(error)}
        if len(compiled) >= KEPT:
            compiled.clear()
        compiled[header] = program
    try:
        return program.input_text(data.decode()).first()
    except ValueError as error:
        return {"failed": str(error)}


def load(file: str) -> Any:
    """The jq extension module, without a search path."""
    loader = importlib.machinery.ExtensionFileLoader("jq", file)
    spec = importlib.util.spec_from_file_location("jq", file, loader=loader)
    if spec is None:
        raise ImportError(file)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def confine(memory: int) -> None:
    """Give up what an evaluation does not need."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(file: str, memory: str, seconds: str) -> None:
    """Serve requests until standard input ends."""
    jq = load(file)
    confine(int(memory))
    # The starter kills what is over time; the alarm is for a worker whose starter died.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    compiled: dict[bytes, Any] = {}
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while header := requests.readline():
        signal.setitimer(signal.ITIMER_REAL, float(seconds))
        if header.startswith(b'{"check":'):
            answer = check(jq, json.loads(header)["check"])
        else:
            answer = evaluate(jq, compiled, header, requests.readline())
        line = json.dumps(answer).encode()
        if len(line) > LARGEST:
            line = json.dumps({"too_large": len(line)}).encode()
        answers.write(line + b"\n")
        answers.flush()
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
