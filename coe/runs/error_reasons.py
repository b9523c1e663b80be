"""Why a run or a step faulted, in a sentence that contains no data.

The title and the detail of an error may quote data, so they are sealed. What may be told to
everyone who may read the run is the type, the status, and a title that the platform itself wrote:
those are constant texts, and `TITLES` lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from coe.language.error_types import standard_name

TITLES: Final = frozenset(
    {
        "A system of the team answered with an error",
        "A system of the team cannot be reached",
        "An external schema is not fetched; give it as `document`",
        "Expression failed",
        "Nobody answered in time",
        "Something failed on our side",
        "The OpenAPI document cannot be used",
        "The OpenAPI document does not say how to make this call",
        "The address of the authority is malformed",
        "The arguments make no valid request",
        "The called flow was not started",
        "The called run was cancelled",
        "The channels file of this installation cannot be used",
        "The client's secret cannot sign: it is empty or a public key",
        "The decision table cannot be read right now",
        "The event is not a valid CloudEvent",
        "The local flow cannot be loaded: its file cannot be imported",
        "The local flow cannot be loaded: its file cannot be read",
        "The local flow cannot be loaded: its file has no such function",
        "The local flow cannot be loaded: its file is not there",
        "The local flow cannot be loaded: its file takes too long to be imported",
        "The local flow cannot be loaded: its function is no async flow of one run_id",
        "The local flow did not carry out its run",
        "The local flow did not end within its timeout",
        "The local flow raised an error",
        "The local flow raised an exception",
        "The output of the local flow does not fit its schema",
        "The request cannot be sent: its address, method or a header is malformed",
        "The response has a whole number of more than 64 bits, which would be rounded",
        "The response is declared as JSON but is not valid JSON",
        "The service could not be reached",
        "The service took too long",
        "The task asks a role that does not exist",
        "There is no refresh token: give it in the secret or as `subject`",
    }
)
"""Every constant title in the code: a test compares them."""

_BY_TYPE: Final[Mapping[str, str]] = {
    "configuration": "The flow, or what it calls, is not set up correctly",
    "validation": "Data did not fit its schema",
    "expression": "An expression of the definition failed on the data",
    "authentication": "A system that was called did not accept the credentials",
    "authorization": "The call was not allowed",
    "timeout": "It took longer than its timeout",
    "communication": "A system that was called answered with an error, or could not be reached",
    "runtime": "It failed while it was running",
}


def public_title(title: object) -> str | None:
    """The title if it is one of the platform's own; None for any other, which may contain data."""
    return title if isinstance(title, str) and title in TITLES else None


def reason_of(kind: str, status: int, title: str | None) -> str:
    """A sentence on an error, from its type, its status and its public title, if it has one."""
    name = standard_name(kind)
    sentence = (
        title or _BY_TYPE.get(name or "") or "It raised an error of the type that stands here"
    )
    return f"{sentence}{_status(status)}." if name == "communication" else f"{sentence}."


def _status(status: int) -> str:
    try:
        return f" ({status} {HTTPStatus(status).phrase})"
    except ValueError:
        return f" ({status})"
