"""Which files make a suite: a definition, its tests, and the other files of its folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from coe.cli.flow.file_kinds import FileKind, kind_of, yaml_files
from coe.errors import CoeError
from coe.templates.manifest import FLOW, MANIFEST, TESTS


@dataclass(frozen=True, slots=True)
class SuiteFiles:
    """A folder, with the names of a definition in it and of its tests.

    They are `flow.yaml` and `tests.yaml`, or `order.yaml` and `order.tests.yaml`; the only
    definition of a folder, whatever its name, may have its tests in `tests.yaml`.
    """

    folder: Path
    flow: str = FLOW
    tests: str = TESTS
    # Whether the folder has further definitions, so that its name does not tell them apart.
    shared: bool = False

    def __str__(self) -> str:
        """The folder, or the definition where a folder has several."""
        return str(self.folder / self.flow if self.shared else self.folder)

    def file(self, name: str) -> str:
        """The path of a file; `flow.yaml` and `tests.yaml` stand for those of the suite."""
        return str(self.folder / {FLOW: self.flow, TESTS: self.tests}.get(name, name))

    def renamed(self, text: str) -> str:
        """A text that speaks of `flow.yaml` and `tests.yaml`, with the names of the suite."""
        return text.replace(FLOW, self.flow).replace(TESTS, self.tests)

    def texts(self) -> dict[str, str]:
        """The texts of the folder's files by their path, as a suite has them.

        Other files that are not UTF-8 are left out.

        Raises:
            CoeError: One of the suite's own files is not UTF-8.
        """
        names = {self.flow: FLOW, self.tests: TESTS}
        texts: dict[str, str] = {}
        for path in sorted(each for each in self.folder.rglob("*.*") if each.is_file()):
            name = str(path.relative_to(self.folder))
            if name in {FLOW, TESTS} - names.keys():  # of another suite in the folder
                continue
            try:
                texts[names.get(name, name)] = path.read_text(encoding="utf-8-sig")
            except UnicodeDecodeError:
                if name in {self.flow, self.tests, MANIFEST}:
                    raise CoeError(f"{path} is not UTF-8", code="INVALID") from None
        return texts


def suites_in(place: Path) -> list[SuiteFiles]:
    """The suites of a definition, or of every definition and template at or below a folder."""
    if place.is_file():
        beside = [each for each in _definitions(place.parent) if each.parent == place.parent]
        return [_suite(place, alone=len(beside) == 1)] if place in beside else []
    found: list[SuiteFiles] = []
    by_folder: dict[Path, list[Path]] = {}
    for path in _definitions(place):
        by_folder.setdefault(path.parent, []).append(path)
    for folder, paths in by_folder.items():
        if (folder / MANIFEST).exists():
            found.append(SuiteFiles(folder))
        else:
            found += [_suite(path, alone=len(paths) == 1) for path in paths]
    return found


def _definitions(folder: Path) -> Iterator[Path]:
    kinds = {FileKind.DEFINITION, FileKind.TEMPLATE_FLOW, FileKind.TEMPLATE}
    return (path for path in yaml_files(folder) if kind_of(path) in kinds)


def _suite(path: Path, *, alone: bool) -> SuiteFiles:
    own = f"{path.stem}.{TESTS}"
    takes_tests = path.name == FLOW or (alone and not path.with_name(own).exists())
    return SuiteFiles(path.parent, path.name, TESTS if takes_tests else own, shared=not alone)
