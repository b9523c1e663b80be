"""Try the entrypoints of manifests where their code is at hand: import the file, find the function.

The import happens in another process: a file may hang, end the process, or change its modules.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coe.catalog.flows.documents import FlowDocument
from coe.errors import Problem, Severity

CODE: Final = "INPUT_ENTRYPOINT"
PATH: Final = "/entrypoint"
_SECONDS: Final = 40.0
"""For a process, and again for each file: it gives a file up sooner by itself."""


@dataclass(frozen=True, slots=True)
class Found:
    """An entrypoint of a manifest, and the folder below which its file should be."""

    document: FlowDocument
    entrypoint: str
    folder: Path | None


def find(document: FlowDocument, file: Path, flows_dir: Path | None) -> Found | None:
    """Where the code of a local flow is; None for a central flow, which has none."""
    if document.manifest is None:
        return None
    entrypoint = document.manifest.entrypoint
    path = entrypoint.rpartition(":")[0]
    return Found(document, entrypoint, flows_dir or _folder_around(file.absolute(), path))


def try_all(found: Sequence[Found]) -> list[Problem | None]:
    """For each entrypoint what is wrong with it; a note for one whose code is not at hand."""
    here = [each for each in found if each.folder is not None]
    told = iter(_try_in_processes([(str(each.folder), each.entrypoint) for each in here]))
    return [_unknown(each) if each.folder is None else _problem(each, next(told)) for each in found]


def _folder_around(file: Path, path: str) -> Path | None:
    """The nearest folder around the manifest with this file, or the one that should have it."""
    for folder in file.parents:
        if (folder / path).is_file():
            return folder
    top = Path(path).parts[0]
    for folder in file.parents:
        if len(Path(path).parts) > 1 and file.relative_to(folder).parts[0] == top:
            return folder
    return None


def _unknown(found: Found) -> Problem:
    message = f"{found.entrypoint} was not tried: its file is not here"
    help = "give its folder with --flows-dir; a worker without it faults the runs"
    source = found.document.source
    return source.problem(CODE, message, PATH, severity=Severity.INFO, help=help, value=True)


def _problem(found: Found, told: str | None) -> Problem | None:
    if told is None:
        return None
    help = f"tried in {found.folder}; the runs of this version would fault"
    return found.document.source.problem(CODE, told, PATH, help=help, value=True)


def _try_in_processes(entrypoints: list[tuple[str, str]]) -> list[str | None]:
    """What is wrong with each; a process that a file ends is followed by another for the rest."""
    told: list[str | None] = []
    while len(told) < len(entrypoints):
        answers, code = _run(entrypoints[len(told) :])
        told += answers
        if len(told) < len(entrypoints):
            told.append(f"the file ends the process when it is imported ({_ending(code)})")
    return told


def _run(entrypoints: list[tuple[str, str]]) -> tuple[list[str | None], int | None]:
    with tempfile.TemporaryDirectory(prefix="coe-entrypoints-") as home:
        environment = os.environ | {
            "PREFECT_HOME": home,
            "PREFECT_LOGGING_LEVEL": "ERROR",
            "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        }
        for name in ("COE_TOKEN", "COE_TOKEN_FILE"):
            environment.pop(name, None)
        try:
            done = subprocess.run(
                [sys.executable, "-m", "coe.engines.entrypoint_trial"],
                input=json.dumps(entrypoints).encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                timeout=_SECONDS * (1 + len(entrypoints)),
                check=False,
            )
        except subprocess.TimeoutExpired as expired:
            return _answers(expired.stdout or b""), None
    return _answers(done.stdout), done.returncode


def _answers(out: bytes) -> list[str | None]:
    return [json.loads(line) for line in out.decode().splitlines() if line]


def _ending(code: int | None) -> str:
    if code is None:
        return "it took too long"
    return f"signal {-code}" if code < 0 else f"exit code {code}"
