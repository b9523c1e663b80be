"""The keys of an installation are given: no process that serves ever makes one.

A second process with a folder of its own would otherwise make keys of its own, which open and prove
nothing of what the first one wrote. `coe key new` makes them, once, and only where the database has
nothing that other keys sealed, signed or vouched for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import asyncpg

from coe.audit.own_key import NEWEST_CODES, wrote_some
from coe.crypto import mac
from coe.crypto.kek import create_keks, read_keks
from coe.crypto.signing import NoteRefused, SigningKey
from coe.db import Database, why_unreachable
from coe.errors import Conflict, Unavailable
from coe.secret_files import SecretFileRefused
from coe.settings import Settings

_DATA_KEYS: Final = "SELECT DISTINCT kek_id FROM data_keys"
_CHECKPOINTS: Final = """
    (SELECT note FROM audit_checkpoints ORDER BY tree_size LIMIT 1) UNION
    (SELECT note FROM audit_checkpoints ORDER BY tree_size DESC LIMIT 1)
"""
_POLICY: Final = "SELECT 1 FROM policy_state WHERE signature IS NOT NULL"
_NOT_YET: Final = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError)


class KeysRefused(SecretFileRefused):
    """Keys are missing, or they are those of another installation."""


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file of keys: what it is for, the variable that names it, how it is made and read."""

    name: str
    purpose: str
    variable: str
    path: Path
    create: Callable[[Path], bool]
    read: Callable[[Path], Sequence[str]]
    """The public ids of its keys."""


@dataclass(frozen=True, slots=True)
class KeyState:
    """A file of keys, beside what the database has of them.

    Attributes:
        file: The file.
        ids: The public ids of its keys, the one in use last; none if it cannot be read.
        missing: Whether there is no such file.
        needed: What in the database only these keys open or prove; None if there is nothing.
        problem: Why the file cannot be used; None if it can.
    """

    file: KeyFile
    ids: tuple[str, ...] = ()
    missing: bool = False
    needed: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """What the database has: ids that wrap data keys, checkpoints, events with codes, a policy."""

    keks: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    codes: tuple[Mapping[str, Any], ...] = ()
    policy: bool = False


def key_files(settings: Settings) -> tuple[KeyFile, ...]:
    """The files of keys that the settings name."""
    return _files(
        settings.kek_path, settings.mac_key_path, settings.signing_key_path, settings.log_origin
    )


async def key_states(settings: Settings) -> list[KeyState]:
    """Each file of keys, compared with the database.

    Raises:
        Unavailable: The database cannot be asked.
    """
    found = await _ask(settings)
    return [await asyncio.to_thread(_state, each, settings, found) for each in key_files(settings)]


async def require_keys(settings: Settings) -> bool:
    """Refuse to start without the keys, or with those of another installation.

    While the database does not answer, only the files are looked at: a process that serves then
    compares them (`compare_keys`) once it does.

    Returns:
        Whether they were compared with the database.

    Raises:
        KeysRefused: The message has what is missing or wrong, and what mends it.
    """
    try:
        await compare_keys(settings)
    except Unavailable:
        _refuse([_state(each, settings, None) for each in key_files(settings)])
        return False
    return True


async def compare_keys(settings: Settings) -> None:
    """Refuse to go on without the keys, or with those of another installation.

    Raises:
        KeysRefused: As `require_keys`.
        Unavailable: The database does not answer; try again.
    """
    _refuse(await key_states(settings))


def _refuse(states: Sequence[KeyState]) -> None:
    wrong = [each for each in states if each.problem is not None]
    if wrong:
        raise KeysRefused("; ".join(f"{each.file.variable}: {each.problem}" for each in wrong))


async def make_keys(settings: Settings) -> list[KeyFile]:
    """Make the files of keys that are missing, for a new installation; return those made.

    Raises:
        Conflict: The database has what only the missing keys open or prove.
        Unavailable: The database cannot be asked whether it does.
    """
    states = await key_states(settings)
    lost = [each for each in states if each.missing and each.needed]
    if lost:
        raise Conflict("; ".join(f"{each.file.path}: {each.problem}" for each in lost))
    missing = [each.file for each in states if each.missing]
    return [each for each in missing if await asyncio.to_thread(each.create, each.path)]


def write_keys(folder: Path, origin: str) -> list[KeyFile]:
    """Make new keys in a folder, to be given to an installation; the files are named by their key.

    Raises:
        Conflict: The folder has one of the files already.
    """
    files = _files(folder / "kek", folder / "mac", folder / "signing", origin)
    for each in files:
        if not each.create(each.path):
            raise Conflict(f"{each.path} is there already: name a new folder")
    return list(files)


def _files(kek: Path, mac_key: Path, signing: Path, origin: str) -> tuple[KeyFile, ...]:
    return (
        KeyFile(
            "kek",
            "encrypts the data keys",
            "COE_KEK_FILE",
            kek,
            create_keks,
            lambda path: [each.id for each in read_keks(path)],
        ),
        KeyFile(
            "mac",
            "vouches for tokens, sessions and unsealed events",
            "COE_MAC_KEY_FILE",
            mac_key,
            mac.create_keys,
            lambda path: [mac.fingerprint(each) for each in mac.read_keys(path)],
        ),
        KeyFile(
            "signing",
            "signs the audit log, publications and the policy",
            "COE_SIGNING_KEY_FILE",
            signing,
            partial(SigningKey.create, name=origin),
            lambda path: [SigningKey.load(path, origin).vkey],
        ),
    )


def _state(file: KeyFile, settings: Settings, found: _Found | None) -> KeyState:
    """Look at a file, and compare it with what was found; without that, look at it only."""
    needed = _needs(file, found) if found else None
    if not file.path.exists():
        return KeyState(file, missing=True, needed=needed, problem=_missing(file, found, needed))
    try:
        ids = tuple(file.read(file.path))
    except SecretFileRefused as error:
        return KeyState(file, needed=needed, problem=error.message)
    except (OSError, UnicodeDecodeError) as error:
        unread = f"{file.path} cannot be read ({type(error).__name__})"
        return KeyState(file, needed=needed, problem=unread)
    problem: str | None = None
    if found and needed and not _fits(file, ids, settings, found):
        problem = (
            f"{file.path} has other keys than those of {needed} in the database: it is of another"
            " installation, or was made anew; give every process the keys that were there first"
        )
    return KeyState(file, ids, needed=needed, problem=problem)


def _needs(file: KeyFile, found: _Found) -> str | None:
    """What in the database needs the keys of this file."""
    if file.name == "kek":
        return "the data keys" if found.keks else None
    if file.name == "mac":
        return "the codes of events" if found.codes else None
    if found.notes:
        return "the signed checkpoints"
    return "the signed policy" if found.policy else None


def _missing(file: KeyFile, found: _Found | None, needed: str | None) -> str:
    if needed:
        return (
            f"{file.path} is missing, and {needed} in the database need it: restore its backup;"
            " a new key would open and prove nothing of what is there"
        )
    if found is None:
        return (
            f"{file.path} is missing: restore its backup, or make the keys of a new installation"
            " with `coe key new`"
        )
    return f"{file.path} is missing: make the keys of this new installation with `coe key new`"


def _fits(file: KeyFile, ids: Sequence[str], settings: Settings, found: _Found) -> bool:
    """Whether any of what is in the database is of these keys.

    One row that somebody added says nothing: else whoever can write a row would stop every start.
    """
    if file.name == "kek":
        return not found.keks.isdisjoint(ids)
    if file.name == "signing" and found.notes:
        key = SigningKey.load(file.path, settings.log_origin).public
        for note in found.notes:
            with suppress(NoteRefused):
                key.open_note(note)
                return True
        return False
    if file.name == "mac":
        return wrote_some(mac.MacKeys(file.path), found.codes)
    return True


async def _ask(settings: Settings) -> _Found:
    """What the database has; nothing if it has no tables yet."""
    try:
        connection = await Database(settings.direct_url, name="coe-keys").dedicated()
        try:
            keks = await _rows(connection, _DATA_KEYS)
            notes = await _rows(connection, _CHECKPOINTS)
            codes = await _records(connection, NEWEST_CODES)
            policy = await _rows(connection, _POLICY)
        finally:
            await connection.close(timeout=1)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        raise Unavailable(f"the database does not answer ({why_unreachable(error)})") from None
    return _Found(frozenset(keks), tuple(notes), tuple(codes), bool(policy))


async def _rows(connection: Any, statement: str) -> list[Any]:
    return [row[0] for row in await _records(connection, statement)]


async def _records(connection: Any, statement: str) -> list[Any]:
    with suppress(*_NOT_YET):
        return list(await connection.fetch(statement))
    return []
