"""Rules about references: a name must be declared."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from coe.errors import Problem
from coe.language.functions import FUNCTIONS
from coe.language.lint.context import LintContext
from coe.language.model.authentication import ReferenceableAuthentication, Secret
from coe.language.model.calls import DEFAULT_CATALOG, CallFunction
from coe.language.model.task_types import CALLS, RaiseTask, TryTask
from coe.language.suggestions import closest, did_you_mean

# The kind of name of each rule, and the key that declares it.
_KINDS: Final = {
    "OWS030": ("retry", "retries"),
    "OWS031": ("error", "errors"),
    "OWS032": ("timeout", "timeouts"),
    "OWS034": ("authentication", "authentications"),
    "OWS035": ("secret", "secrets"),
}


def check_references(context: LintContext) -> Iterator[Problem]:
    """OWS030 to OWS032, OWS034 and OWS035: names that are not declared under `use`."""
    use = context.definition.use
    declared: dict[str, Collection[str]] = {
        "OWS030": use.retries,
        "OWS031": use.errors,
        "OWS032": use.timeouts,
        "OWS034": use.authentications,
        "OWS035": use.secrets,
    }
    for code, name, place in _named(context):
        if name not in declared[code]:
            kind, section = _KINDS[code]
            close = did_you_mean(name, declared[code])
            message = f"the {kind} `{name}` is not declared under `use.{section}`{close}"
            yield context.problem(code, message, place, value=True)


def _named(context: LintContext) -> Iterator[tuple[str, str, str]]:
    """Every reference by name: the code of its rule, the name, its pointer."""
    definition = context.definition
    if isinstance(definition.timeout, str):
        yield "OWS032", definition.timeout, "/timeout"
    for task in context.tasks:
        if isinstance(task.timeout, str):
            yield "OWS032", task.timeout, f"{task.pointer}/timeout"
        if isinstance(task, RaiseTask) and isinstance(task.raise_.error, str):
            yield "OWS031", task.raise_.error, f"{task.pointer}/raise/error"
        if isinstance(task, TryTask) and isinstance(task.catch.retry, str):
            yield "OWS030", task.catch.retry, f"{task.pointer}/catch/retry"
    for place, policy in context.parts(ReferenceableAuthentication):
        if policy.use is not None:
            yield "OWS034", policy.use, f"{place}/use"
    for place, secret in context.parts(Secret):
        if secret.use is not None:
            yield "OWS035", secret.use, f"{place}/use"


def check_functions(context: LintContext) -> Iterator[Problem]:
    """OWS033 and OWS051: a call of a function that is not declared, or not in the catalog."""
    use = context.definition.use
    for task in context.tasks:
        if not isinstance(task, CallFunction) or task.call in use.functions:
            continue
        where, ref = f"{task.pointer}/call", task.function
        if not ref.catalogued and ref.catalog is None:
            message = f"there is no function `{task.call}`{_meant(task.call, use.functions)}"
            yield context.problem("OWS033", message, where, value=True)
        elif ref.catalog == DEFAULT_CATALOG and (ref.name, ref.version) not in FUNCTIONS:
            known = tuple(function.call for function in FUNCTIONS.values())
            message = f"the catalog has no function `{task.call}`{did_you_mean(task.call, known)}"
            help = "there are " + ", ".join(known)
            yield context.problem("OWS051", message, where, value=True, help=help)
        elif ref.catalog != DEFAULT_CATALOG and ref.catalog not in use.catalogs:
            close = did_you_mean(str(ref.catalog), (DEFAULT_CATALOG, *use.catalogs))
            message = f"the catalog `{ref.catalog}` is not declared under `use.catalogs`{close}"
            yield context.problem("OWS033", message, where, value=True)


def _meant(call: str, declared: Collection[str]) -> str:
    """A guess at a call without a version: a kind of call, or a function by its bare name."""
    known = {name: name for name in (*CALLS, *declared)}
    known |= {function.name: function.call for function in FUNCTIONS.values()}
    close = closest(call, known)
    return f", did you mean `{known[close]}`?" if close else ""
