"""The access files, read and checked without a database; each problem has its file and line.

- `policies/model.conf`: how a request matches a line;
- `policies/roles.yaml`: every role, with its purpose;
- `policies/rules/<area>.csv`: the lines, `p, subject, team, permission, data class, effect`; a
  comment explains the lines below it, up to the next blank line;
- `policies/approvals.csv` (optional): the roles that two people give and take, `a, team, role`;
- `policies/network.csv` (optional): the private addresses that flows may reach, `n, team, host,
  network, port`, each with its reason in a comment above it;
- `policies/step-up.csv` (optional): where people sign in afresh, `s, team, permission, data class,
  minutes`;
- `catalog/teams/<team>.yaml`: a team, its members and its services.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from coe.access.actor import ActorKind, subject_kind
from coe.access.approval_lines import APPROVALS_FILE, ApprovalLine
from coe.access.membership_changes import MembersSource
from coe.access.network import NETWORK_FILE, NetworkLine
from coe.access.policy_lines import ANY, PolicyLine, is_role
from coe.access.step_up import StepUpLine
from coe.errors import Invalid, Problem
from coe.identifiers import is_slug
from coe.language.source import Source, Unreadable, point, read

ACCESS_FILE_CODE: Final = "INPUT_ACCESS_FILE"
_MAX_BYTES: Final = 1_000_000
LineT = TypeVar("LineT", PolicyLine, NetworkLine, ApprovalLine, StepUpLine)


def _slug(value: str) -> str:
    if not is_slug(value):
        raise ValueError("must be words of a-z and 0-9 with hyphens between them")
    return value


def _role(value: str) -> str:
    if not is_role(value):
        raise ValueError("must be words of a-z and 0-9 with hyphens, and no derived role")
    return value


def _person(value: str) -> str:
    if subject_kind(value) is not ActorKind.PERSON:
        raise ValueError("must be a person: letters, digits and . _ @ + -")
    return value


def _service(value: str) -> str:
    if subject_kind(value) is not ActorKind.SERVICE:
        raise ValueError("must be a service: service:name or service:name/team")
    return value


Roles = Annotated[list[Annotated[str, AfterValidator(_role)]], Field(max_length=50)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class MemberDocument(_Document):
    """A person in a team, with the roles held there beside `member`."""

    subject: Annotated[str, AfterValidator(_person)]
    name: Name
    roles: Roles = Field(default_factory=list)


class ServiceDocument(_Document):
    """A service that acts for a team."""

    subject: Annotated[str, AfterValidator(_service)]
    name: Name
    roles: Annotated[Roles, Field(min_length=1)]


class TeamDocument(_Document):
    """A file of `catalog/teams/`: a team, its members and its services.

    `members_source` names another source of its people: then the file has no members.
    """

    kind: Literal["Team"]
    team: Annotated[str, AfterValidator(_slug)]
    name: Name
    domain: Annotated[str, AfterValidator(_slug)] | None = None
    contact: Name | None = None
    members_source: Literal["api", "content", "oidc", "scim"] | None = None
    members: list[MemberDocument] = Field(default_factory=list)
    services: list[ServiceDocument] = Field(default_factory=list)

    @property
    def people(self) -> tuple[MemberDocument | ServiceDocument, ...]:
        """Members and services, in their order."""
        return (*self.members, *self.services)


class RolesDocument(_Document):
    """`policies/roles.yaml`: each role with its purpose."""

    roles: dict[Annotated[str, AfterValidator(_role)], Name]


@dataclass(frozen=True, slots=True)
class AccessFiles:
    """The content of all access files."""

    model: str
    roles: dict[str, str]
    lines: tuple[PolicyLine, ...]
    teams: tuple[TeamDocument, ...]
    network: tuple[NetworkLine, ...] = ()
    approvals: tuple[ApprovalLine, ...] = ()
    step_up: tuple[StepUpLine, ...] = ()


@dataclass(slots=True)
class _Reader:
    """Reads the files under one root and collects their problems."""

    root: Path
    problems: list[Problem] = field(default_factory=list)

    def report(self, file: Path, line: int | None, message: str, help: str | None = None) -> None:
        name = file.relative_to(self.root).as_posix()
        place = f"{name}:{line}" if line else name
        self.problems.append(
            Problem(ACCESS_FILE_CODE, f"{place}: {message}", path=name, line=line, help=help),
        )

    def text(self, file: Path) -> str | None:
        try:
            if file.stat().st_size > _MAX_BYTES:
                self.report(file, None, "the file is over 1 MB")
                return None
            return file.read_text(encoding="utf-8")
        except FileNotFoundError:
            self.report(file, None, "the file is missing")
        except UnicodeDecodeError:
            self.report(file, None, "the file is not UTF-8")
        return None

    def document(self, file: Path, model: type[_Document]) -> tuple[Any, Source] | None:
        text = self.text(file)
        if text is None:
            return None
        try:
            source = read(text, file=str(file))
        except Unreadable as error:
            self.report(file, error.problem.line, error.problem.message, error.problem.help)
            return None
        if not isinstance(source.data, dict):
            self.report(file, 1, "must hold a mapping")
            return None
        try:
            return model.model_validate(source.data), source
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                where = ".".join(str(part) for part in detail["loc"])
                message = detail["msg"].removeprefix("Value error, ")
                self.report(file, _line(source, *detail["loc"]), f"{where}: {message}")
            return None


def read_files(root: Path) -> AccessFiles:
    """Read and check all access files; `root` holds `policies/` and `catalog/`.

    Raises:
        Invalid: Every problem, each with its file (as `path`) and line.
    """
    reader = _Reader(root)
    model = reader.text(root / "policies" / "model.conf")
    roles = _read_roles(reader)
    lines = tuple(_read_lines(reader, roles))
    teams = tuple(_read_teams(reader, roles))
    network = tuple(_read_network(reader))
    approvals = tuple(_read_approvals(reader, roles))
    step_up = tuple(_read_step_up(reader))
    if reader.problems:
        raise Invalid(reader.problems)
    return AccessFiles(model or "", roles, lines, teams, network, approvals, step_up)


def _line(source: Source, *location: str | int) -> int | None:
    """The line, from 1, of a location, or of its nearest existing parent."""
    return source.line(point(*location))


def _read_roles(reader: _Reader) -> dict[str, str]:
    found = reader.document(reader.root / "policies" / "roles.yaml", RolesDocument)
    return dict(found[0].roles) if found else {}


def _read_lines(reader: _Reader, roles: dict[str, str]) -> Iterator[PolicyLine]:
    seen: dict[tuple[str, ...], str] = {}
    files = sorted((reader.root / "policies" / "rules").glob("*.csv"))
    if not files:
        reader.report(
            reader.root / "policies" / "rules", None, "the folder has no file of policy lines"
        )
    for file in files:
        for line in _read_area(reader, file, "p", PolicyLine.of):
            number = _number(line)
            role = line.role
            if role and role[0] not in roles:
                reader.report(file, number, f"there is no role {role[0]!r}", _near(role[0], roles))
            before = seen.setdefault(line.fields[:-1], line.source)
            if before != line.source:
                reader.report(file, number, f"{before} already has it, or its opposite")
            yield line


def _read_network(reader: _Reader) -> Iterator[NetworkLine]:
    teams = _team_names(reader)
    for file, line in _read_reasoned(reader, NETWORK_FILE, "n", NetworkLine.of):
        if line.team != ANY and line.team not in teams:
            number = _number(line)
            reader.report(file, number, f"there is no team {line.team!r}", _near(line.team, teams))
        yield line


def _read_approvals(reader: _Reader, roles: dict[str, str]) -> Iterator[ApprovalLine]:
    for file, line in _read_reasoned(reader, APPROVALS_FILE, "a", ApprovalLine.of):
        if line.role != ANY and line.role not in roles:
            number = _number(line)
            reader.report(file, number, f"there is no role {line.role!r}", _near(line.role, roles))
        yield line


def _team_names(reader: _Reader) -> set[str]:
    return {each.stem for each in (reader.root / "catalog" / "teams").glob("*.yaml")}


def _number(line: PolicyLine | NetworkLine | ApprovalLine | StepUpLine) -> int:
    return int(line.source.rpartition(":")[2])


def _read_reasoned(
    reader: _Reader, name: str, kind: str, make: Callable[..., LineT]
) -> Iterator[tuple[Path, LineT]]:
    """The lines of a file that may be missing; each has a reason, and stands there once."""
    file = reader.root / name
    if not file.is_file():
        return
    seen: set[tuple[str, ...]] = set()
    for line in _read_area(reader, file, kind, make):
        number = _number(line)
        if not line.note:
            reader.report(file, number, "the reason is missing", "say why in a comment above it")
        if line.fields in seen:
            reader.report(file, number, "the same line stands above")
        seen.add(line.fields)
        yield file, line


def _read_step_up(reader: _Reader) -> Iterator[StepUpLine]:
    file = reader.root / "policies" / "step-up.csv"
    teams = {each.stem for each in (reader.root / "catalog" / "teams").glob("*.yaml")}
    if not file.is_file():
        return
    seen: set[tuple[str, ...]] = set()
    for line in _read_area(reader, file, "s", StepUpLine.of):
        number = int(line.source.rpartition(":")[2])
        if line.team != ANY and line.team not in teams:
            reader.report(file, number, f"there is no team {line.team!r}", _near(line.team, teams))
        if line.fields[:-1] in seen:
            reader.report(file, number, "a line above is about the same")
        seen.add(line.fields[:-1])
        yield line


def _read_area(
    reader: _Reader, file: Path, kind: str, make: Callable[..., LineT]
) -> Iterator[LineT]:
    name = file.relative_to(reader.root).as_posix()
    note: list[str] = []
    last_was_comment = False
    for number, raw in enumerate((reader.text(file) or "").splitlines(), start=1):
        written = raw.strip()
        is_comment = written.startswith("#")
        if not written or (is_comment and not last_was_comment):
            note = []
        if is_comment:
            note.append(written.lstrip("# "))
        elif written:
            try:
                fields = _fields(written, kind)
                yield make(fields, note=" ".join(note) or None, source=f"{name}:{number}")
            except ValueError as error:
                reader.report(file, number, str(error))
        last_was_comment = is_comment


def _fields(written: str, kind: str) -> list[str]:
    try:
        (cells,) = csv.reader([written], skipinitialspace=True, strict=True)
    except csv.Error as error:
        raise ValueError(f"not a line of CSV: {error}") from error
    first, *fields = (cell.rstrip() for cell in cells)
    if first != kind:
        elsewhere = "roles are in catalog/teams" if kind == "p" else "others are in policies/rules"
        raise ValueError(f"a line begins with {kind}, not with {first!r}; {elsewhere}")
    return fields


def _read_teams(reader: _Reader, roles: dict[str, str]) -> Iterator[TeamDocument]:
    files = sorted((reader.root / "catalog" / "teams").glob("*.yaml"))
    if not files:
        reader.report(reader.root / "catalog" / "teams", None, "the folder has no team")
    for file in files:
        found = reader.document(file, TeamDocument)
        if found is None:
            continue
        team, source = found
        if file.stem != team.team:
            line = _line(source, "team")
            reader.report(file, line, f"the file of team {team.team!r} is {team.team}.yaml")
        _check_people(reader, file, team, source, roles)
        if team.members and team.members_source not in {None, MembersSource.CONTENT}:
            message = f"the members of {team.team} come from {team.members_source}, not from here"
            help_ = "take out `members`, or write `members_source: content`"
            reader.report(file, _line(source, "members"), message, help_)
        yield team


def _check_people(
    reader: _Reader, file: Path, team: TeamDocument, source: Source, roles: dict[str, str]
) -> None:
    seen: set[str] = set()
    for part in ("members", "services"):
        for index, person in enumerate(getattr(team, part)):
            where: tuple[str | int, ...] = (part, index)
            if person.subject in seen:
                line = _line(source, *where)
                reader.report(file, line, f"{person.subject} is already in {team.team}")
            seen.add(person.subject)
            for role in person.roles:
                if role not in roles:
                    line = _line(source, *where, "roles")
                    reader.report(file, line, f"there is no role {role!r}", _near(role, roles))


def _near(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    meant = f"did you mean {close[0]}? " if close and name != ANY else ""
    kind = "roles are in policies/roles.yaml" if isinstance(known, dict) else "teams: catalog/teams"
    return f"{meant}the {kind}"


def read_roles(root: Path) -> dict[str, str]:
    """Every role of `policies/roles.yaml`, with its purpose.

    Raises:
        Invalid: The file has problems.
    """
    reader = _Reader(root)
    roles = _read_roles(reader)
    if reader.problems:
        raise Invalid(reader.problems)
    return roles
