"""Why a sign-in is refused: each reason has one word for the log and a sentence for the person."""

from __future__ import annotations

from enum import Enum
from typing import Self

from coe.errors import CoeError


class Reason(Enum):
    """Why nobody was signed in."""

    def __new__(cls, code: str, text: str) -> Self:
        """`code` stands in the log, `text` on the page."""
        made = object.__new__(cls)
        made._value_ = code
        made.text = text
        return made

    text: str

    ACCOUNT_INACTIVE = "account-inactive", "This account is suspended or has left."
    ANOTHER_PERSON = "another-person", "Another person signed in than the one of this session."
    ANSWER_OF_ANOTHER = "issuer-mixed-up", "The answer is not of the issuer that was asked."
    CODE_REFUSED = "code-refused", "The issuer did not accept its own code; it may be used already."
    EMAIL_DOMAIN = (
        "email-domain",
        "The e-mail address is missing, not verified, or not of this firm.",
    )
    GROUPS_MISSING = "groups-missing", "The issuer has too many groups of this person to name them."
    ISSUER_REFUSED = "issuer-refused", "The issuer did not sign you in."
    NOT_FRESH = "not-fresh", "The issuer did not ask you to sign in afresh, as it has to here."
    NOT_INVITED = "not-invited", "There is no account for you here; ask those who manage accounts."
    NOT_THIS_BROWSER = "state", "This sign-in was not begun in this browser, or too long ago."
    SUBJECT_MISSING = "subject-missing", "The issuer sent no name that can be an account's."
    SUBJECT_TAKEN = (
        "subject-taken",
        "This account belongs to another identity. Nothing was changed.",
    )
    TOKEN_REFUSED = "token-refused", "What the issuer sent about you cannot be trusted."


class SignInRefused(CoeError):
    """Nobody was signed in."""

    code = "UNAUTHENTICATED"
    status = 403

    def __init__(self, reason: Reason, detail: str | None = None) -> None:
        """`detail` is for the log: it has no secret, and the person does not see it."""
        super().__init__(reason.text)
        self.reason = reason
        self.detail = detail
