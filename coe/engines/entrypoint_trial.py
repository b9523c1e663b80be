"""A process that tries entrypoints: `python -m coe.engines.entrypoint_trial`.

It reads a JSON list of `[folder, entrypoint]` from stdin, and prints for each a JSON text: what is
wrong with it, or null. Whatever the files print goes to stderr. A file that ends the process leaves
its own line and those after it out.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TextIO

from coe.engines.entrypoints import LOAD_SECONDS, FlowBroken, in_thread, load_entrypoint


async def _try_all(entrypoints: list[tuple[str, str]], out: TextIO) -> None:
    for folder, entrypoint in entrypoints:
        print(json.dumps(await _try(Path(folder), entrypoint)), file=out, flush=True)


async def _try(folder: Path, entrypoint: str) -> str | None:
    try:
        await in_thread(LOAD_SECONDS, load_entrypoint, folder, entrypoint)
    except FlowBroken as error:
        return error.message
    except TimeoutError:
        return f"the file is still being imported after {LOAD_SECONDS:.0f} seconds"
    return None


def main() -> None:
    """Try what stdin names, then end at once, for a file that hangs would keep the process."""
    out, sys.stdout = sys.stdout, sys.stderr
    asyncio.run(_try_all(json.load(sys.stdin), out))
    os._exit(0)


if __name__ == "__main__":
    main()
