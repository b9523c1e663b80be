"""A process that computes: it is started with a socket as its standard input, and without secrets.

It has no environment, no database and no file to write, a limit of memory, and the processor time
of the request that it works on: the kernel ends it when that is used up.
"""

from __future__ import annotations

import os
import pickle
import resource
import signal
import socket
import sys
from importlib import import_module
from typing import Final

from coe.confined.messages import receive, send
from coe.errors import CoeError

MEMORY_LIMIT: Final = 2 * 2**30
"""The address space in bytes, most of it the code of libraries."""
_FILES: Final = 64


def main(modules: list[str]) -> None:
    """Answer requests until the socket is closed; import these modules before the first."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    for module in modules:
        import_module(module)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with socket.socket(fileno=os.dup(0)) as platform:
        while True:
            try:
                seconds, message = receive(platform)
            except EOFError:
                return
            signal.setitimer(signal.ITIMER_PROF, seconds)
            before = _used()
            answer = _answer(message)
            signal.setitimer(signal.ITIMER_PROF, 0)
            send(platform, _used() - before, answer)


def _answer(message: bytes) -> bytes:
    """`(value, None)`, or `(None, what went wrong)`: an error of ours, or the name of another."""
    try:
        function, arguments = pickle.loads(message)  # noqa: S301  # the platform wrote it
        return pickle.dumps((function(*arguments), None))
    except CoeError as error:
        return pickle.dumps((None, error))
    except Exception as error:  # noqa: BLE001  # the top of a loop: the platform says what it means
        return pickle.dumps((None, type(error).__name__))


def _used() -> float:
    """Seconds of processor time, those of processes that it started among them."""
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(whose) for whose in both]
    return sum((each.ru_utime + each.ru_stime for each in used), 0.0)


if __name__ == "__main__":
    main(sys.argv[1:])
