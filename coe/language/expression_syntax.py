"""The syntax `${ … }` that marks text as a runtime expression."""

from __future__ import annotations

import re
from typing import Final, TypeGuard

# The specification's pattern (schema/workflow.yaml, $defs/runtimeExpression).
_EXPRESSION: Final = re.compile(r"\s*\$\{(.+)\}\s*", re.DOTALL)


class JqProgram(str):
    """A bare jq program."""

    __slots__ = ()


def is_expression(value: object) -> TypeGuard[str]:
    """Whether a value is text and, as a whole, one `${ … }`."""
    return isinstance(value, str) and _EXPRESSION.fullmatch(value) is not None


def program_of(text: str) -> str:
    """The jq program inside `${ … }`; of bare text the text, trimmed."""
    match = _EXPRESSION.fullmatch(text)
    return (match[1] if match else text).strip()


def to_expression(program: str) -> str:
    """A jq program in `${ … }`; an expression is returned unchanged."""
    return program if is_expression(program) else f"${{ {program.strip()} }}"
