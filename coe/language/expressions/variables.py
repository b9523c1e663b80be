"""The variables that an expression may use, by its place in the definition.

The specification's table of runtime expression arguments (dsl.md), but secrets are available in
`input.from` and in authentication only.
"""

from __future__ import annotations

from typing import Final

ALWAYS: Final = frozenset({"workflow", "runtime"})
# A task's `if`.
CONDITION: Final = ALWAYS | {"context", "task"}
# A task's `input.from`.
INPUT: Final = CONDITION | {"secrets"}
# A task's own definition, and its `output.as`.
DEFINITION: Final = CONDITION | {"input", "authorization"}
AUTHENTICATION: Final = DEFINITION | {"secrets"}
# A task's `export.as`.
EXPORT: Final = DEFINITION | {"output"}
# The flow's own `input.from` and `output.as`.
FLOW_INPUT: Final = ALWAYS | {"secrets"}
FLOW_OUTPUT: Final = ALWAYS | {"context"}

# Names that a loop or a `catch` may not take.
RESERVED: Final = EXPORT | INPUT
