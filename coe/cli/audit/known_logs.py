"""The keys of the logs that this user knows: what a bundle must be signed with.

`coe audit export` remembers the key of the server's log the first time, and `coe audit trust` the
key that the log's operator gave. The file is `coe/known_logs.json` in `$XDG_CONFIG_HOME` (by
default `~/.config`): the origin of each log, its key, and from where it is known.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from coe.cli.user_files import user_file, write_user_file
from coe.errors import CoeError
from coe.formats import instants
from coe.json_types import NotJson, read_json

_HEADER_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class KnownLog:
    """The key of a log (a C2SP verifier key), from where it is known, and since when."""

    key: str
    source: str
    since: str


def origin_of(key: str) -> str:
    """The name of the log whose verifier key this is."""
    return key.partition("+")[0]


def known_logs_file() -> Path:
    """Where the keys that this user knows are kept."""
    return user_file("known_logs.json")


def read_known_logs() -> dict[str, KnownLog]:
    """The known logs by their origins; none without the file.

    Raises:
        CoeError: The file cannot be read, or is not of this form.
    """
    path = known_logs_file()
    try:
        data: Any = read_json(path.read_bytes())
        return {str(origin): KnownLog(**each) for origin, each in data.items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CoeError(f"{path} cannot be read: {error.strerror}", code="INVALID") from None
    except (NotJson, TypeError, AttributeError):
        message = f"{path} is not a file of known logs: correct it, or remove it and export again"
        raise CoeError(message, code="INVALID") from None


def remember(key: str, source: str) -> KnownLog:
    """Keep the key for its log if none is known; return what is known then.

    Raises:
        CoeError: The file cannot be read or written.
    """
    known = read_known_logs().get(origin_of(key))
    return known if known is not None else trust(key, source)


def trust(key: str, source: str) -> KnownLog:
    """Keep the key for its log, in place of the one that is known.

    Raises:
        CoeError: The file cannot be read or written.
    """
    log = KnownLog(key, source, instants.write(datetime.now(UTC)))
    known = read_known_logs() | {origin_of(key): log}
    write_user_file(known_logs_file(), {name: asdict(each) for name, each in sorted(known.items())})
    return log


def key_in_bundle(path: Path) -> str | None:
    """The key that the header of a bundle names, None without one; it proves nothing by itself."""
    with path.open("rb") as file:
        line = file.readline(_HEADER_BYTES)
    try:
        header = read_json(line)
    except NotJson:
        return None
    key = header.get("vkey") if isinstance(header, dict) else None
    return key if isinstance(key, str) else None
