"""What definitions in files can refer to: the flows, tables and names of the content folders."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from coe.catalog.semver import Version, parse_range, parse_version, precedence
from coe.json_types import JSON
from coe.language.lint.context import KnownFlow
from coe.language.names.directory import KnownNames
from coe.language.names.folders import names_in, root_above
from coe.language.source import Unreadable, read

_FLOWS: Final = Path("flows")
_DECISIONS: Final = Path("catalog") / "decisions"


class _Entry(NamedTuple):
    """A flow or table in a file."""

    ref: str
    version: Version
    input_schema: JSON


@dataclass(frozen=True)
class FolderLookup:
    """A lookup in the content folders below a root; without one, nothing is known.

    The catalog may have more flows and tables, such as those made from templates.
    """

    root: Path | None
    complete: bool = False

    @property
    def known_names(self) -> KnownNames:
        """The names in the folders."""
        return names_in(self.root)

    def names(self, *, decisions: bool) -> Collection[str] | None:
        """The refs of the folder, without versions; None if there is no such folder."""
        entries = self._decisions if decisions else self._flows
        return None if entries is None else sorted({each.ref for each in entries})

    def flow(self, ref: str) -> KnownFlow | None:
        """The flow of a ref."""
        return _chosen(ref, self._flows or ())

    def decision(self, ref: str) -> KnownFlow | None:
        """The decision table of a ref; its input is not checked, as no schema is made of it."""
        return _chosen(ref, self._decisions or ())

    @cached_property
    def _flows(self) -> tuple[_Entry, ...] | None:
        return self._entries(_FLOWS)

    @cached_property
    def _decisions(self) -> tuple[_Entry, ...] | None:
        return self._entries(_DECISIONS)

    def _entries(self, folder: Path) -> tuple[_Entry, ...] | None:
        if self.root is None or not (self.root / folder).is_dir():
            return None
        return tuple(_entries(self.root / folder))


@lru_cache(maxsize=16)
def _lookup_in(root: Path | None) -> FolderLookup:
    return FolderLookup(root)


def lookup_beside(file: Path) -> FolderLookup:
    """The lookup in the content folders at or above a file; each is read once."""
    return _lookup_in(root_above(file))


def _entries(folder: Path) -> Iterator[_Entry]:
    for file in sorted(folder.rglob("*.y*ml")):
        try:
            data: Any = read(file.read_text(encoding="utf-8-sig"), file=str(file)).data
        except (OSError, UnicodeDecodeError, Unreadable):
            continue
        if not isinstance(data, dict):
            continue
        head = data.get("document") or data.get("decision") or data
        version = parse_version(str(head.get("version"))) if isinstance(head, dict) else None
        if version is not None and "name" in head:
            yield _Entry(f"{head.get('namespace')}/{head['name']}", version, _input_schema(data))


def _input_schema(data: dict[str, Any]) -> JSON:
    part: Any = data
    for key in ("input", "schema", "document"):
        part = part.get(key) if isinstance(part, dict) else None
    return part if isinstance(part, dict) else None


def _chosen(ref: str, entries: Collection[_Entry]) -> KnownFlow | None:
    """The entry of a ref: its exact version, the highest in its range, or the highest of all."""
    name, _, selector = ref.partition("@")
    found = [each for each in entries if each.ref == name]
    if not found:
        return None
    exact = parse_version(selector) if selector else None
    bounds = parse_range(selector) if selector and exact is None else None
    fitting = [
        each
        for each in found
        if (each.version == exact if exact else bounds is None or bounds.contains(each.version))
    ]
    if not fitting:
        return KnownFlow(None)
    highest = max(fitting, key=lambda each: precedence(each.version))
    return KnownFlow(str(highest.version), highest.input_schema)
