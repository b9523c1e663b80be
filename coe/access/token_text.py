"""The text of a token: recognisable by its prefix, and whole by its checksum.

`coe_<kind>_<random>_<checksum>`: the kind says what leaked, the random part has 256 bits, and the
checksum is the CRC-32 of all before it. So a scanner of secrets finds a token in a repository or a
log without many false alarms, and a mistyped one is refused without a query. The checksum proves
nothing: that a token is ours, the code in the database says (`coe.access.tokens`).
"""

from __future__ import annotations

import re
import secrets
import zlib
from enum import StrEnum
from typing import Final

from coe.access.actor import ActorKind

PREFIX: Final = "coe_"
PATTERN: Final = r"coe_(?:pat|svc)_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}"
"""What a scanner of secrets looks for."""

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_DIGITS: Final = 43  # 62^43 > 2^256
_CHECK_DIGITS: Final = 6  # 62^6 > 2^32
_FORM: Final = re.compile(PATTERN)


class TokenKind(StrEnum):
    """What a token is of, in its text: a person, or a service."""

    PERSON = "pat"
    SERVICE = "svc"

    @classmethod
    def of(cls, kind: ActorKind) -> TokenKind:
        """The kind for an actor; a run has no token."""
        return cls.PERSON if kind is ActorKind.PERSON else cls.SERVICE


def new_token(kind: TokenKind) -> str:
    """A new token: 256 random bits in base 62, and its checksum."""
    random = "".join(secrets.choice(_DIGITS) for _ in range(_RANDOM_DIGITS))
    start = f"{PREFIX}{kind}_{random}"
    return f"{start}_{checksum(start)}"


def is_token(text: str) -> bool:
    """Whether a text has the form of a token, and its checksum fits."""
    if not _FORM.fullmatch(text):
        return False
    start, _, check = text.rpartition("_")
    return check == checksum(start)


def checksum(start: str) -> str:
    """The CRC-32 of a text, as six digits in base 62."""
    number = zlib.crc32(start.encode())
    digits = ""
    for _ in range(_CHECK_DIGITS):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits
