"""Count the attempts of the attack suite: `python -m tests.attacks` prints their table.

A test is one attempt for each of its parameters; it passes if the platform holds.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]


def counted() -> Counter[str]:
    """The number of attempts of each module, by its name."""
    command = [sys.executable, "-m", "pytest", str(FOLDER), "--collect-only", "-q", "-n", "0"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if "::" in line]
    return Counter(Path(line.partition("::")[0]).stem for line in lines)


def table() -> str:
    """A row for each module: what is attempted, and how often; the sum below."""
    attempts = counted()
    rows = ["| what is attempted | module | attempts |", "|---|---|---|"]
    for name, count in sorted(attempts.items()):
        rows.append(f"| {_about(name)} | `{name}` | {count} |")
    rows.append(f"| all | | {attempts.total()} |")
    return "\n".join(rows) + "\n"


def _about(name: str) -> str:
    text = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text())) or ""
    return text.partition("\n")[0].removesuffix(".")


if __name__ == "__main__":
    sys.stdout.write(table())
