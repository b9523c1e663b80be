"""Which files of a folder are flows, told by their content and not by their names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Final

from coe.language.source import MAX_BYTES

_FLOW: Final = "flow.yaml"
_SUFFIXES: Final = (".yaml", ".yml")
# A key at the top of a document, in block style or in the braces of flow style and JSON.
_TOP_KEY: Final = r"^(?:\{\s*)?[\"']?%s[\"']?\s*:"
_KIND: Final = re.compile(_TOP_KEY.encode() % rb"kind" + rb"\s*[\"']?(\w+)", re.MULTILINE)


class FileKind(Enum):
    """What a file is; the value says why `coe flow check` skips it."""

    DEFINITION = "a definition"
    MANIFEST = "a manifest of a local flow"
    TEMPLATE_FLOW = "a template, whose placeholders are not filled in: coe template render"
    TEMPLATE = "a manifest of a template: coe template render"
    TESTS = "tests: coe flow test"
    DECISION = "a decision table: coe decision check"
    CONTENT = "a team or a system, which is checked when it is loaded"
    OTHER = "neither a definition (`document` and `do`) nor a manifest (`kind: localFlow`)"
    UNREADABLE = "it cannot be read"


_KINDS: Final = {
    "localFlow": FileKind.MANIFEST,
    "template": FileKind.TEMPLATE,
    "Team": FileKind.CONTENT,
    "System": FileKind.CONTENT,
}
_KEYS: Final = {
    "document": FileKind.DEFINITION,
    "decision": FileKind.DECISION,
    "tests": FileKind.TESTS,
    "do": FileKind.DEFINITION,
}


def kind_of(file: Path) -> FileKind:
    """What a file is, by its keys; a file with mistakes is still told by the keys that it has."""
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES)
    except OSError:
        return FileKind.UNREADABLE
    found = _KIND.search(content)
    kind = _KINDS.get(found[1].decode()) if found else None
    if kind is None:
        kinds = (kind for key, kind in _KEYS.items() if _has_key(content, key))
        kind = next(kinds, FileKind.OTHER)
    if kind is FileKind.OTHER and file.name == _FLOW:
        kind = FileKind.DEFINITION  # by its name, with whatever mistakes
    if kind is FileKind.DEFINITION and file.with_name("template.yaml").exists():
        return FileKind.TEMPLATE_FLOW
    return kind


def flow_files(folder: Path) -> tuple[dict[Path, FileKind], dict[Path, FileKind]]:
    """The definitions and manifests at or below a folder, and its other YAML files."""
    flows: dict[Path, FileKind] = {}
    others: dict[Path, FileKind] = {}
    for file in yaml_files(folder):
        kind = kind_of(file)
        is_flow = kind in {FileKind.DEFINITION, FileKind.MANIFEST}
        (flows if is_flow else others)[file] = kind
    return flows, others


def _has_key(content: bytes, key: str) -> bool:
    return re.search(_TOP_KEY.encode() % key.encode(), content, re.MULTILINE) is not None


def yaml_files(folder: Path) -> Iterator[Path]:
    """The YAML files at or below a folder, without those in hidden folders."""
    for file in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if file.suffix in _SUFFIXES and not hidden and file.is_file():
            yield file
