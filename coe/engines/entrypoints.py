"""Load a team's flow from its file, and say in a sentence why it cannot be loaded.

An entrypoint is `path/below/the/folder.py:function`. Loading executes the file, as any import does.
Prefect's own loader does not tell an error in the file from a function that is not there, and holds
a lock of the process while the file is executed.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import inspect
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

from prefect import Flow

from coe.errors import CoeError
from coe.language.suggestions import did_you_mean

LOAD_SECONDS: Final = 30.0
"""For executing a file: Prefect and the libraries of a team are imported within a few."""
WANTED: Final = "an `async def` under `@flow` of Prefect, with the one parameter `run_id`"

ResultT = TypeVar("ResultT")


class FlowBroken(CoeError):
    """The file cannot be loaded as an async Prefect flow with the one parameter `run_id`.

    `title` says so in a constant text, which everyone may read; the message may quote an exception.
    """

    code = "INVALID"

    def __init__(self, message: str, *, title: str) -> None:
        """Create the error."""
        super().__init__(message)
        self.title = title


def load_entrypoint(folder: Path, entrypoint: str) -> Flow[..., Any]:
    """The flow of an entrypoint below a folder; the file is executed.

    Raises:
        FlowBroken: There is no such file, it fails, or the function is no such flow.
    """
    path, function = find_entrypoint(folder, entrypoint)
    with_paths(path.parent, folder)
    found = _named(_execute(path), path, function)
    if not isinstance(found, Flow):
        kind = "a function" if inspect.isroutine(found) else f"of the type {type(found).__name__}"
        raise _not_a_flow(f"`{function}` in {path.name} is {kind}, not a flow")
    parameters = list(inspect.signature(found.fn).parameters)
    if not found.isasync:
        raise _not_a_flow(f"`{function}` in {path.name} is not async")
    if parameters != ["run_id"]:
        has = ", ".join(f"`{each}`" for each in parameters) or "no parameter"
        raise _not_a_flow(f"`{function}` in {path.name} has {has}")
    return found


def _not_a_flow(wrong: str) -> FlowBroken:
    title = "The local flow cannot be loaded: its function is no async flow of one run_id"
    return FlowBroken(f"{wrong}: write {WANTED}", title=title)


def find_entrypoint(folder: Path, entrypoint: str) -> tuple[Path, str]:
    """The file and the function that an entrypoint names; nothing is executed.

    Raises:
        FlowBroken: There is no such file in the folder.
    """
    name, _, function = entrypoint.rpartition(":")
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise _not_there(f"{name} lies outside of the folder of flows")
    if not name or not path.is_file():
        raise _not_there(f"there is no file {name or entrypoint} in the folder of flows")
    return path, function


def _not_there(message: str) -> FlowBroken:
    return FlowBroken(message, title="The local flow cannot be loaded: its file is not there")


def with_paths(*folders: Path) -> None:
    """Let the files import their neighbours."""
    for folder in folders:
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))


async def in_thread(seconds: float, call: Callable[..., ResultT], *arguments: Any) -> ResultT:
    """Call it in a thread of its own, so that one that hangs stops nobody, not even the process.

    Raises:
        TimeoutError: It takes longer; it is left behind.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[ResultT] = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        if result.done():
            return
        if error is None:
            result.set_result(value)
        else:
            result.set_exception(error)

    def run() -> None:
        value, failed = None, None
        try:
            value = call(*arguments)
        except Exception as error:  # noqa: BLE001  # it is raised where it is awaited
            failed = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, value, failed)

    threading.Thread(target=run, name="coe-load", daemon=True).start()
    async with asyncio.timeout(seconds):
        return await result


def _execute(path: Path) -> ModuleType:
    name = f"coe_flow_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise _not_imported(f"{path.name} is not a file of Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SystemExit:
        message = f"{path.name} ends the process when it is imported{_line(path)}"
        raise _not_imported(message) from None
    except Exception as error:
        raise _not_imported(f"{path.name} cannot be imported: {_told(error, path)}") from error
    return module


def _not_imported(message: str) -> FlowBroken:
    return FlowBroken(message, title="The local flow cannot be loaded: its file cannot be imported")


def _named(module: ModuleType, path: Path, function: str) -> Any:
    found = getattr(module, function, None)
    if found is None:
        near = did_you_mean(function, sorted(_public(module)))
        title = "The local flow cannot be loaded: its file has no such function"
        raise FlowBroken(f"{path.name} has no function `{function}`{near}", title=title)
    return found


def _public(module: ModuleType) -> Iterator[str]:
    for name, value in vars(module).items():
        if isinstance(value, Flow) or inspect.iscoroutinefunction(value):
            yield name


def _told(error: Exception, path: Path) -> str:
    """The type and the message of an error, and its line in the file."""
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg} (line {error.lineno})"
    return f"{type(error).__name__}: {error}{_line(path, error)}"


def _line(path: Path, error: BaseException | None = None) -> str:
    trace = error.__traceback__ if error is not None else sys.exc_info()[2]
    lines = [each.lineno for each in traceback.extract_tb(trace) if Path(each.filename) == path]
    return f" (line {lines[-1]})" if lines else ""
