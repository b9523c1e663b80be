"""The entries that the benchmarks of the search look through: the shipped library and a corpus."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

from coe import content
from coe.catalog.decision_tables.documents import read_decision
from coe.catalog.flows.documents import read_flow
from coe.catalog.search.document import SearchDocument
from coe.catalog.systems import SystemManifest
from coe.language.source import read
from coe.search.entries import IndexedEntry, VersionState
from coe.templates.manifest import read_template

_IDS: Final = UUID(int=0)
_DAY: Final = datetime(2026, 1, 1, tzinfo=UTC)
_CLASSES: Final = ("PUBLIC", "INTERNAL", "INTERNAL", "CONFIDENTIAL", "PERSONAL")


def entry_of(ref: str, kind: str, document: SearchDocument, **more: Any) -> IndexedEntry:
    """The entry of a search document, as a published one of its namespace's team."""
    namespace, name = ref.split("/", 1)
    given = {
        "team": namespace,
        "data_class": document.data_class.value,
        "lifecycle": "PUBLISHED",
        "updated_at": _DAY,
    } | more
    return IndexedEntry(
        id=uuid5(_IDS, ref),
        namespace=namespace,
        name=name,
        kind=kind,
        title=document.title,
        summary=document.summary,
        tags=document.tags,
        systems=document.systems,
        domain=document.domain,
        owners=tuple(filter(None, (document.process_owner, document.deputy))),
        description=document.description,
        parameters=document.parameters,
        steps=document.steps,
        versions=(VersionState(given["lifecycle"], given["data_class"]),),
        **given,
    )


def shipped() -> Iterator[IndexedEntry]:
    """The templates, flows, decision tables and systems that the platform comes with."""
    root = content.root()
    for folder in sorted((root / "templates").iterdir()):
        files = {each.name: each.read_text() for each in folder.iterdir() if each.is_file()}
        template, problems = read_template(files)
        assert template is not None, problems
        manifest = template.manifest
        document = template.search_document()
        yield entry_of(f"{manifest.namespace}/{manifest.name}", "TEMPLATE", document)
    for file in [
        *sorted(root.glob("flows/*/*/flow.yaml")),
        *sorted(root.glob("flows/teams/*/*.yaml")),
    ]:
        flow, problems = read_flow(file.read_text())
        assert flow is not None, problems
        yield entry_of(f"{flow.namespace}/{flow.name}", "FLOW", flow.search_document)
    for file in sorted(root.glob("catalog/decisions/*.yaml")):
        if file.name != "tests.yaml":
            decision, problems, _ = read_decision(file.read_text())
            assert decision is not None, problems
            about = decision.table.document.decision
            ref = f"{about.namespace}/{about.name}"
            yield entry_of(ref, "DECISION", decision.search_document)
    for file in sorted(root.glob("catalog/systems/*.yaml")):
        system = SystemManifest.model_validate(read(file.read_text()).data)
        ref = f"{system.namespace}/{system.name}"
        yield entry_of(ref, "SYSTEM", system.search_document())


def corpus(file: Path) -> Iterator[IndexedEntry]:
    """The entries of a corpus: one JSON object a line, with `id`, `title`, `summary` and so on."""
    for line in file.read_text().splitlines():
        given = json.loads(line)
        tags = tuple(str(tag).lower()[:60] for tag in given["tags"])
        document = SearchDocument(
            title=given["title"],
            summary=given["summary"] or "",
            description=given["description"] or "",
            tags=tags,
        )
        kind = "TEMPLATE" if given["id"].startswith("logicapps/") else "FLOW"
        yield entry_of(given["id"], kind, document)


def many(number: int, samples: list[IndexedEntry], *, teams: int = 2_000) -> Iterator[IndexedEntry]:
    """So many entries made of the words of the samples, of many teams; the same each time."""
    chance = random.Random(7)  # noqa: S311  # made the same each time, nothing is secret
    titles = sorted({word for each in samples for word in each.title.split()})
    words = sorted({word for each in samples for word in each.summary.split()})
    common = [1 / (place + 3) for place in range(len(words))]
    for place in range(number):
        sample = samples[place % len(samples)]
        title = " ".join([*chance.sample(titles, 3), str(place)])
        summary = " ".join(chance.choices(words, common, k=14))
        document = SearchDocument(
            title=title,
            summary=summary,
            description=" ".join(chance.choices(words, common, k=30)),
            tags=tuple(chance.sample(("order", "finance", "hr", "sox", "it", "sales", "legal"), 2)),
            systems=(f"sys/s{chance.randrange(40)}",),
            domain=("finance", "logistics", "people", "operations")[place % 4],
        )
        yield entry_of(
            f"team-{chance.randrange(teams)}/entry-{place}",
            sample.kind,
            document,
            data_class=_CLASSES[place % len(_CLASSES)],
            uses=int(chance.paretovariate(1.2)) - 1,
            updated_at=_DAY - timedelta(minutes=place * 3),
        )
