"""The tests of what changed: `python -m tests.changed --since HEAD`.

A changed test file runs itself. A changed module runs the tests of its name, and where there are
none the tests of its package. Other changed files run no test: `make test` runs them all.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Each of these takes more than a minute, so that it is not quick.
SLOW = ("tests/e2e", "tests/engines", "tests/chaos", "tests/mutation", "tests/simulation")


def main() -> int:
    """Run the tests that belong to the changed files."""
    parser = argparse.ArgumentParser(prog="python -m tests.changed", description=__doc__)
    parser.add_argument("--since", default="HEAD", help="the commit to compare with")
    since = parser.parse_args().since
    chosen = sorted(select_tests(changed_files(since)))
    if not chosen:
        sys.stdout.write("no test belongs to what changed\n")
        return 0
    command = [sys.executable, "-m", "pytest", "-q", "--maxfail", "5", *chosen]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def changed_files(since: str) -> list[str]:
    """Paths of files that differ from a commit, and of those that git does not know yet."""
    known = _git("diff", "--name-only", "--diff-filter=d", since)
    new = _git("ls-files", "--others", "--exclude-standard")
    return [*known, *new]


def select_tests(files: Iterable[str]) -> set[str]:
    """The test files and folders that belong to changed files."""
    chosen: set[str] = set()
    for file in map(Path, files):
        if file.suffix != ".py":
            continue
        if file.parts[0] == "tests":
            chosen |= {str(file)} if file.name.startswith("test_") else set()
        elif file.parts[0] == "coe":
            chosen |= _tests_of_module(file)
    return {test for test in chosen if not test.startswith(SLOW)}


def _tests_of_module(file: Path) -> set[str]:
    folder = Path("tests", *file.parts[1:2]) if len(file.parts) > 2 else Path("tests")
    named = {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob(f"test_{file.stem}.py")}
    whole = {str(folder)} if folder != Path("tests") and (ROOT / folder).is_dir() else set()
    return named or whole


def _git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


if __name__ == "__main__":
    sys.exit(main())
