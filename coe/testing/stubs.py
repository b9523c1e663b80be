"""Stubs: the answer to one call of a step, in the forms that people write.

A call, a flow or a decision gives `{output: …}`, or fails with `{fault: …}` or, as a complete error
object, `{error: {type, status, …}}`. `{silent: true}` means that no answer ever arrives. A person
answers `{outcome: approved, answer: {}, reason: …, by: finance-lead}`, and several people, where a
task needs their approvals, `{answers: [{by: finance-lead, answer: …}, {by: cfo, answer: …}]}`
(`coe.testing.people`).

A fault is an HTTP status (`503` is the standard error `communication`), the name of a standard
error (`timeout`), or an RFC 7807 object, whose `type` may be such a name (`{status: 422}`).
"""

from __future__ import annotations

from http import HTTPStatus

from coe.json_types import JSON
from coe.language.error_types import BASE, STATUSES
from coe.language.suggestions import did_you_mean
from coe.machine.errors import type_of


def fault_of(value: JSON) -> dict[str, JSON]:
    """The error object (RFC 7807) for the short form of a fault.

    Raises:
        ValueError: it is not a fault.
    """
    if isinstance(value, bool) or not isinstance(value, int | str | dict):
        raise ValueError("a fault is a status, the name of a standard error, or an object")  # noqa: TRY004 - a bad document
    if isinstance(value, int):
        return _of_status(value)
    if isinstance(value, str):
        return _of_name(value)
    given: dict[str, JSON] = dict(value)
    status = given.get("status")
    kind = given.get("type")
    base = _of_name(str(kind)) if kind is not None else {}
    if kind is None:
        base = _of_status(status) if isinstance(status, int) else _of_name("runtime")
    return base | {key: part for key, part in given.items() if key != "type"}


def _of_status(status: int) -> dict[str, JSON]:
    try:
        title = HTTPStatus(status).phrase
    except ValueError:
        title = f"Status {status}"
    return {"type": type_of("communication"), "status": status, "title": title}


def _of_name(name: str) -> dict[str, JSON]:
    if name in STATUSES:
        title = name.capitalize()
        return {"type": type_of(name), "status": STATUSES[name], "title": title}
    if ":" not in name:
        known = did_you_mean(name, STATUSES) or f": those are {', '.join(sorted(STATUSES))}"
        raise ValueError(f"`{name}` is not a standard error{known}")
    return {"type": name, "status": STATUSES.get(name.removeprefix(BASE), 500)}


def unused_stub(name: str, answers: JSON, calls: int) -> str:
    """What is wrong with a stub that has more answers than the run asks for."""
    if calls == 0:
        return f"the run never asks for the answer of `{name}`"
    count = len(answers) if isinstance(answers, list) else 1
    return f"the run asks for {calls} of the {count} answers of `{name}`"
