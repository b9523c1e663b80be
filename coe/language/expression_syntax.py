"""The wrapping `${ … }` that tells a runtime expression from data."""

from __future__ import annotations

import re
from typing import Final, TypeGuard

# The specification's pattern (schema/workflow.yaml, $defs/runtimeExpression).
_EXPRESSION: Final = re.compile(r"\s*\$\{(.+)\}\s*", re.DOTALL)


class Program(str):
    """A bare jq program, told from other text by its type."""

    __slots__ = ()


def is_expression(value: object) -> TypeGuard[str]:
    """Whether a value is text that is, as a whole, one `${ … }`."""
    return isinstance(value, str) and _EXPRESSION.fullmatch(value) is not None


def strip(text: str) -> str:
    """The jq program inside `${ … }`; bare text is returned as it stands, trimmed."""
    match = _EXPRESSION.fullmatch(text)
    return (match[1] if match else text).strip()


def wrap(program: str) -> str:
    """Put a jq program into `${ … }`; one that is wrapped already stays as it is."""
    return program if is_expression(program) else f"${{ {program.strip()} }}"
