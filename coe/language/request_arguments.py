"""What the arguments of an HTTP call must be, whether they are literal or come from data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

from coe.json_types import JSON, value_text

_MAX_DECODINGS: Final = 4
# RFC 9110, section 5.6.2: the names of methods and headers.
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")
_NOT_IN_URL: Final = re.compile(r"[\x00-\x1f\x7f]")


def request_problems(arguments: Mapping[str, JSON]) -> Iterator[str]:
    """Why arguments make no request; a member that is null is absent. No value is quoted."""
    if "method" in arguments and not _is_method(arguments["method"]):
        yield "`method` is not the name of a method, such as get"
    for name in ("headers", "query"):
        if not isinstance(arguments.get(name), dict | None):
            yield f"`{name}` is not an object"
    headers = arguments.get("headers")
    for name, value in headers.items() if isinstance(headers, dict) else ():
        if not _TOKEN.fullmatch(name):
            yield "a name in `headers` is not that of a header"
        elif not _HEADER_VALUE.fullmatch(value_text(value)):
            yield f"the header `{name}` has characters other than printable ASCII"
    for name in ("endpoint", "document"):
        if name in arguments:
            yield from _address_problems(name, str(arguments[name]))


def has_dot_segments(url: str) -> bool:
    """Whether a path contains `.` or `..`: data in a path must not lead to another resource.

    Servers and proxies decode a path before they resolve it, some of them twice; some take a
    backslash for a slash, and cut off what follows a semicolon in a segment. So the path is looked
    at after each decoding, and with each of these readings.
    """
    path = url.partition("?")[0].partition("#")[0].partition("://")[2].partition("/")[2]
    for _ in range(_MAX_DECODINGS):
        segments = path.replace("\\", "/").split("/")
        if any(each.partition(";")[0].strip() in {".", ".."} for each in segments):
            return True
        decoded = unquote(path)
        if decoded == path:
            return False
        path = decoded
    return True


def _is_method(value: JSON) -> bool:
    return isinstance(value, str) and bool(_TOKEN.fullmatch(value)) and value.lower() != "connect"


def _address_problems(name: str, url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        usable = parts.scheme.lower() in {"http", "https"} and bool(parts.hostname)
        usable = usable and parts.port != 0
    except ValueError:
        usable = False
    if not usable or _NOT_IN_URL.search(url):
        yield f"`{name}` is not an http or https address"
    elif has_dot_segments(url):
        yield f"the path of `{name}` contains `.` or `..`"
