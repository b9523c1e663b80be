"""Decision tables from files, which offline runs and tests use instead of the catalog.

A ref is resolved among the files as in the catalog: an exact version to that version, a range to
the highest release within it, no version or an alias to the highest of all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from coe.catalog.links import decision_links
from coe.catalog.refs import Ref, read_ref
from coe.catalog.semver import Version, parse_range, parse_version, precedence
from coe.decisions.load import load_decision_source
from coe.decisions.table import DecisionTable
from coe.errors import Invalid
from coe.json_types import JSON
from coe.language.model.definition import Definition
from coe.language.source import Source, Unreadable, read
from coe.leaves.decision import (
    DECISION_KIND,
    call_decision,
    ref_of,
    table_unavailable,
)
from coe.machine.commands import RunLeaf
from coe.testing.missing_stubs import NoAnswerError
from coe.testing.simulation import LeafRunner

FOLDER: Final = Path("catalog") / "decisions"


@dataclass
class DecisionFiles:
    """The decision tables in the `*.yaml` files of a folder; other documents are ignored."""

    folder: Path
    _known: dict[str, DecisionTable] = field(default_factory=dict, repr=False)

    @cached_property
    def sources(self) -> tuple[tuple[Path, Source], ...]:
        """Every document with a `decision`, with its file."""
        return tuple(_documents(self.folder))

    def table(self, ref: str) -> DecisionTable | None:
        """The table of a ref; None where no file has it.

        Raises:
            Invalid: The table has problems.
        """
        if ref not in self._known:
            parsed = read_ref(ref)
            chosen = None if parsed is None else _chosen(parsed, self.sources)
            if chosen is None:
                return None
            loaded = load_decision_source(chosen)
            if loaded.table is None:
                raise Invalid(loaded.problems, f"{chosen.file} is not a valid decision table")
            self._known[ref] = loaded.table
        return self._known[ref]

    def exact_refs(self, definition: Definition) -> Mapping[str, str]:
        """The exact refs of the tables that a definition names, as a run resolves them.

        A ref that no file has, or whose table has problems, is left out: its call faults.
        """
        exact: dict[str, str] = {}
        for link in decision_links(definition.tasks.values()):
            try:
                table = self.table(str(link))
            except Invalid:
                continue
            if table is not None:
                exact[str(link)] = table.ref
        return exact

    async def __call__(self, command: RunLeaf) -> JSON:
        """Carry out a decision (a `LeafRunner`).

        Raises:
            LeafFault: As in a run; `configuration` also for a table that no file has.
            NoAnswerError: It is a call of another kind.
        """
        if command.kind != DECISION_KIND:
            raise NoAnswerError
        ref = ref_of(command)
        try:
            table = self.table(ref)
        except Invalid as error:
            raise table_unavailable(error.message, command.path) from None
        if table is None:
            title = f"There is no decision table {ref[:100]} in {self.folder}"
            raise table_unavailable(title, command.path)
        return call_decision(table, command)


class CatalogTables(DecisionFiles):
    """The tables of a catalog, as texts by their exact refs; `aliases` are other refs of them."""

    def __init__(self, texts: Mapping[str, str], aliases: Mapping[str, str]) -> None:
        super().__init__(Path("the catalog"))
        self._texts, self._aliases = texts, aliases

    @cached_property
    def sources(self) -> tuple[tuple[Path, Source], ...]:
        """Every table, with its ref in place of a file."""
        return tuple((Path(ref), read(text, file=ref)) for ref, text in self._texts.items())

    def table(self, ref: str) -> DecisionTable | None:
        """The table of a ref; None where the catalog has none."""
        return super().table(self._aliases.get(ref, ref))


def decisions_beside(place: Path) -> DecisionFiles | None:
    """The tables of the nearest `catalog/decisions` at or above a file or folder."""
    place = place.resolve()
    for above in (place, *place.parents):
        if (above / FOLDER).is_dir():
            return DecisionFiles(above / FOLDER)
    return None


def leaf_runner(tables: DecisionFiles | None) -> LeafRunner | None:
    """Carry out decisions with these tables; None without tables."""
    return tables


def _documents(folder: Path) -> Iterator[tuple[Path, Source]]:
    for path in sorted(folder.rglob("*.yaml")):
        try:
            source = read(path.read_text(encoding="utf-8-sig"), file=str(path))
        except (OSError, UnicodeDecodeError, Unreadable):
            continue
        if isinstance(source.data, dict) and "decision" in source.data:
            yield path, source


def _chosen(ref: Ref, sources: tuple[tuple[Path, Source], ...]) -> Source | None:
    found: list[tuple[str, Version, Source]] = []
    for _, source in sources:
        head = source.data.get("decision") if isinstance(source.data, dict) else None
        if not isinstance(head, dict):
            continue
        version = parse_version(str(head.get("version")))
        if version and f"{head.get('namespace')}/{head.get('name')}" == ref.entry:
            found.append((precedence(version), version, source))
    bounds = parse_range(ref.selector) if ref.selector and not ref.exact else None
    fitting = [
        (order, source)
        for order, version, source in found
        if (version == ref.exact if ref.exact else bounds is None or bounds.contains(version))
    ]
    return max(fitting, key=lambda each: each[0])[1] if fitting else None
