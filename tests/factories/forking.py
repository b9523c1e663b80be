"""`python -m tests.factories.forking`: start processes of `coe` by forking one that has the code.

Each is a process of its own, with its own signals, files and connections; but fifteen of them would
else import the same modules for a minute. Reads one JSON object a line: the command's arguments,
the environment, the folder and the log; writes `{"pid": …}` for it, and `{"pid": …, "code": …}`
when a process has ended.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import sys
import traceback
from typing import Any, NoReturn

MODULES = (
    *("coe.app", "coe.worker", "coe.cli.processes.up", "coe.cli.processes.gateway"),
    *("coe.cli.processes.loops", "coe.cli.processes.sealer", "coe.cli.identity.worker"),
    *("coe.processes.gateway", "coe.processes.loops", "coe.processes.sealer"),
    *("coe.processes.serving", "uvloop", "httptools"),
)


def main() -> None:
    """Fork as asked until the input ends."""
    for module in MODULES:
        importlib.import_module(module)
    _say({"ready": True})
    while True:
        asked, _, _ = select.select([sys.stdin], [], [], 0.02)
        if asked:
            line = sys.stdin.readline()
            if not line:
                return
            _say({"pid": _fork(json.loads(line))})
        _reap()


def _fork(asked: dict[str, Any]) -> int:
    pid = os.fork()
    if not pid:
        _become(asked)
    return pid


def _become(asked: dict[str, Any]) -> NoReturn:
    """Be the process that was asked for, in the child."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number, target in ((0, nothing), (1, log), (2, log)):
        os.dup2(target, number)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    code = 70
    try:
        from coe.cli.main import PROGRAM, cli  # noqa: PLC0415  # it is imported already

        cli.main(asked["arguments"], prog_name=PROGRAM)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except BaseException:  # noqa: BLE001  # the edge of a process
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _reap() -> None:
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            _say({"pid": pid, "code": os.waitstatus_to_exitcode(status)})
    except ChildProcessError:
        return


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
