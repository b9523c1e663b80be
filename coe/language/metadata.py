"""The metadata of a document: the keys that the platform reads, beside those of its author."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from coe.errors import Problem, Severity
from coe.json_types import JSON
from coe.language.schedules import TIME_ZONE
from coe.language.source import Source, point
from coe.language.suggestions import closest

METADATA_KEYS: Final = (
    "dataClass",
    "deputy",
    "description",
    "domain",
    "owner",
    "processOwner",
    "systems",
    "tags",
    TIME_ZONE,
)


def misspelt_keys(source: Source, metadata: Mapping[str, JSON], place: str) -> Iterator[Problem]:
    """OWS057: keys that nothing reads, and that look like one which the platform reads."""
    for key in metadata:
        meant = None if key in METADATA_KEYS else closest(key, METADATA_KEYS, likeness=0.8)
        if meant is not None:
            message = f"nothing reads the metadata `{key}`, did you mean `{meant}`?"
            where = place + point(key)
            yield source.problem("OWS057", message, where, severity=Severity.WARNING)
