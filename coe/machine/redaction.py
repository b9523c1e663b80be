"""Redaction: removes the texts of secrets from data before it is stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from coe.json_types import JSON

REDACTED = "[REDACTED]"
# Shorter texts protect nothing, and redacting them would damage ordinary data.
MIN_SECRET_LENGTH = 6


def secret_texts(value: object) -> tuple[str, ...]:
    """The texts in a secret that must not be stored, longest first."""
    return tuple(sorted(set(_texts(value)), key=lambda text: (-len(text), text)))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if len(value) >= MIN_SECRET_LENGTH:
            yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from _texts(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from _texts(member)


def redacted(value: JSON, secrets: Iterable[str]) -> JSON:
    """A copy of the value with each secret text replaced, in keys too."""
    if not secrets:
        return value
    if isinstance(value, str):
        for secret in secrets:
            if secret in value:
                value = value.replace(secret, REDACTED)
        return value
    if isinstance(value, dict):
        return {str(redacted(key, secrets)): redacted(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [redacted(item, secrets) for item in value]
    return value
