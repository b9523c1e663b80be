"""A worker process that evaluates jq: a script that imports nothing of this project.

Arguments: the file of the jq extension module, the address space in bytes, the seconds after which
an evaluation kills the process. It reads requests from standard input and answers on standard
output, both the same socket, and ends when that is closed.

A request to evaluate is two lines: `{"names": […], "programs": […]}`, and `{"v": {…}, "i": …}`
with the variables of those names and the input. The answer is one line: a list with an object for
each program, `{"r": [up to two results]}` or `{"e": error}`; or else `{"compile": message}`,
`{"failed": message}` or `{"too_large": bytes}`. A request to check is one line,
`{"check":[{"names": […], "program": …}]}`, answered by a list of messages, null where the program
compiles.

An answer that ends with a space before its newline is the worker's last: too much memory stays in
use for the next evaluation, which may belong to another run.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import mmap
import os
import resource
import signal
import sys
from typing import Any

# The limits of an answer in bytes and in values: the caller blocks while it parses the answer.
MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_ANSWER_VALUES = 1_000_000
# The limits of the cache of compiled programs, in programs and bytes of their text. Above them the
# cache is emptied; compiling a program again takes a millisecond.
MAX_CACHED_PROGRAMS = 500
MAX_CACHED_TEXT = 1024 * 1024

# How many programs are compiled as one: each compilation takes a millisecond, whatever the program.
CHECK_BATCH = 100
# The number of errors after which the other programs are not checked.
MAX_ERRORS = 200

# How many evaluations pass between two checks of the free memory.
MEMORY_CHECK_INTERVAL = 16

# Functions through which a program could read the machine, or depend on it.
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


def wrap_programs(names: list[str], programs: list[str]) -> str:
    """One program with the outcomes of several in an array, their variables bound.

    It gives the array as text: in jq, a number that is only passed on keeps all its digits.
    """
    bound = f".v as {{{','.join('$' + name for name in names)}}} | " if names else ""
    outcomes = ",".join(
        f"(try {{r:[limit(2;(\n{program}\n))]}} catch {{e:.}})" for program in programs
    )
    return f"{PRELUDE} {{}} as $ENV | {bound}.i | [{outcomes}] | tojson"


def compile_all(jq: Any, requests: list[dict[str, Any]]) -> list[str | None]:
    """The compile errors of programs, None for the others; complete up to `MAX_ERRORS` errors."""
    found: list[str | None] = []
    for start in range(0, len(requests), CHECK_BATCH):
        batch = requests[start : start + CHECK_BATCH]
        parts = [wrap_check(request["names"], request["program"]) for request in batch]
        failed = len(found) - found.count(None)
        whole = f"{PRELUDE} {{}} as $ENV | [{','.join(parts)}]"
        if failed >= MAX_ERRORS or message(jq, whole) is None:
            found += [None] * len(batch)
        else:
            found += [message(jq, f"{PRELUDE} {{}} as $ENV | {part}") for part in parts]
    return found


def wrap_check(names: list[str], program: str) -> str:
    """A program with its variables bound, as a term."""
    bound = f". as {{{','.join('$' + name for name in names)}}} | " if names else ""
    return f"({bound}(\n{program}\n))"


def message(jq: Any, program: str) -> str | None:
    """The compile error of a program, or None."""
    try:
        jq.compile(program)
    except ValueError as error:
        return str(error)
    return None


def evaluate(jq: Any, compiled: dict[bytes, Any], header: bytes, data: bytes) -> Any:
    """The outcomes of a request's programs as a text of JSON, or an object that says why not."""
    program = compiled.get(header)
    if program is None:
        request = json.loads(header)
        try:
            program = jq.compile(wrap_programs(request["names"], request["programs"]))
        except ValueError as error:
            return {"compile": str(error)}
        if len(compiled) >= MAX_CACHED_PROGRAMS or sum(map(len, compiled)) > MAX_CACHED_TEXT:
            compiled.clear()
        compiled[header] = program
    try:
        return program.input_text(data.decode()).first()
    except ValueError as error:
        return {"failed": str(error)}


def load_jq(file: str) -> Any:
    """The jq extension module, without a search path."""
    loader = importlib.machinery.ExtensionFileLoader("jq", file)
    spec = importlib.util.spec_from_file_location("jq", file, loader=loader)
    if spec is None:
        raise ImportError(file)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def confine(memory: int) -> None:
    """Limit the process to the resources that an evaluation needs."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


# The numbers of the system calls that a worker needs once all its files are open. All others fail
# with EPERM, among them open, socket, fork, execve, ptrace and kill of other processes.
# aarch64 shares its numbers with all newer architectures (asm-generic/unistd.h).
SYSTEM_CALLS = {
    "x86_64": (
        0xC000003E,
        (
            # read write close mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn
            *(0, 1, 3, 9, 10, 11, 12, 13, 14, 15),
            # sched_yield mremap madvise getitimer setitimer getpid exit gettid futex clock_gettime
            *(24, 25, 28, 36, 38, 39, 60, 186, 202, 228),
            # getrusage gettimeofday sigaltstack restart_syscall exit_group tgkill getrandom
            *(98, 96, 131, 219, 231, 234, 318),
        ),
    ),
    "aarch64": (
        0xC00000B7,
        (
            *(63, 64, 57, 222, 226, 215, 214, 134, 135, 139),
            *(124, 216, 233, 102, 103, 172, 93, 178, 98, 113),
            *(165, 169, 132, 128, 94, 131, 278),
        ),
    ),
}
# seccomp(2) and prctl(2): the constants of the kernel's headers.
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050001
NO_NEW_PRIVS, SECCOMP, FILTER = 38, 22, 2


def load_ctypes() -> Any:
    """Import ctypes while files can still be opened; None in a build of Python without it."""
    try:
        import ctypes  # noqa: PLC0415  # needed in a worker only
    except ImportError:
        return None
    return ctypes


def forbid_calls(ctypes: Any) -> None:
    """Have the kernel refuse all other system calls, if it can; the limits apply in any case."""
    if ctypes is None or os.uname().machine not in SYSTEM_CALLS:
        return
    architecture, allowed = SYSTEM_CALLS[os.uname().machine]
    steps = [(LOAD, 0, 0, 4), (JUMP_EQUAL, 1, 0, architecture), (RETURN, 0, 0, REFUSE)]
    steps.append((LOAD, 0, 0, 0))
    steps += [(JUMP_EQUAL, len(allowed) - at, 0, call) for at, call in enumerate(allowed)]
    steps += [(RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]
    code = b"".join(
        kind.to_bytes(2, sys.byteorder) + bytes((yes, no)) + value.to_bytes(4, sys.byteorder)
        for kind, yes, no, value in steps
    )
    text = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog { unsigned short len; struct sock_filter *filter; }, padded to the pointer.
    place = ctypes.sizeof(ctypes.c_void_p)
    program = len(steps).to_bytes(2, sys.byteorder).ljust(place, b"\0")
    program += ctypes.addressof(text).to_bytes(place, sys.byteorder)
    control = ctypes.CDLL(None).prctl
    control(NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0)))
    control(SECCOMP, ctypes.c_ulong(FILTER), ctypes.create_string_buffer(program, len(program)))


def has_free_memory(memory: int) -> bool:
    """Whether half of the memory is still free."""
    try:
        mmap.mmap(-1, memory // 2).close()
    except OSError:
        return False
    return True


def encode_answer(answer: Any) -> bytes:
    """An answer as a line without its newline; one that is too large is replaced by its size."""
    line = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
    values = line.count(b",") + line.count(b"[") + line.count(b"{")
    if len(line) > MAX_ANSWER_BYTES or values > MAX_ANSWER_VALUES:
        return json.dumps({"too_large": len(line)}).encode()
    return line


def main(file: str, memory: str, seconds: str) -> None:
    """Serve requests until standard input ends."""
    jq = load_jq(file)
    ctypes = load_ctypes()
    confine(int(memory))
    forbid_calls(ctypes)
    # The parent kills a worker that exceeds its time; the alarm ends one whose parent has died.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    compiled: dict[bytes, Any] = {}
    count = 0
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while header := requests.readline():
        signal.setitimer(signal.ITIMER_REAL, float(seconds))
        if header.startswith(b'{"check":'):
            answer = compile_all(jq, json.loads(header)["check"])
        else:
            answer = evaluate(jq, compiled, header, requests.readline())
        line = encode_answer(answer)
        del answer
        count += 1
        last = not count % MEMORY_CHECK_INTERVAL and not has_free_memory(int(memory))
        answers.write(line + (b" \n" if last else b"\n"))
        answers.flush()
        signal.setitimer(signal.ITIMER_REAL, 0)
        if last:
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
