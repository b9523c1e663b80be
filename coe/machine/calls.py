"""Calls of services: HTTP and OpenAPI, with URI templates and authentication."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

from coe.json_types import JSON, value_text
from coe.language.expression_syntax import is_expression
from coe.language.model.authentication import (
    OAuth2Authentication,
    OidcAuthentication,
    ReferenceableAuthentication,
    Secret,
)
from coe.language.model.calls import CallHttp, CallOpenApi
from coe.language.request_arguments import request_problems
from coe.machine.commands import RunLeaf
from coe.machine.data import AUTHENTICATION, DEFINITION, MAX_VIOLATIONS, ExpressionSite
from coe.machine.errors import TaskFault, normalised_error, standard_error
from coe.machine.facts import Fact, FactKind
from coe.machine.interpreter import Done, Interpreter
from coe.machine.redaction import secret_texts
from coe.machine.scope import Frame
from coe.machine.tasks import declared, typed

# Members of a policy, and of `$authorization`, that are secret.
_SECRET_MEMBERS: Final = frozenset({"password", "token", "secret", "assertion", "parameter"})
_SCHEMES: Final = ("basic", "bearer", "digest", "oauth2", "oidc")
_TEMPLATE: Final = re.compile(r"\{([^{}]*)\}")
# In a pattern, a number in braces is a repetition.
_FAULTS: Final = frozenset({FactKind.CHILD_FAULTED, FactKind.LEAF_FAULTED, FactKind.TASK_FAULTED})
_NAMED: Final = re.compile(r"\{([A-Za-z_][^{}]*)\}")


# ---------------------------------------------------------------- leaves
async def run_http(run: Interpreter, frame: Frame) -> Done:
    """Call an HTTP endpoint."""
    given = typed(frame, CallHttp).with_
    policy = await evaluate_authentication(run, frame, given.endpoint.authentication)
    arguments: dict[str, JSON] = {"method": given.method}
    for name in ("headers", "query", "body"):
        if name in given.model_fields_set:
            arguments[name] = getattr(given, name)
    arguments = await render_arguments(run, frame, arguments)
    arguments |= {"output": given.output, "redirect": given.redirect}
    arguments["endpoint"] = await expand_uri(run, frame, given.endpoint.uri)
    _check_request(frame, arguments)
    return Done(await perform_leaf(run, frame, "http", arguments, policy))


async def run_openapi(run: Interpreter, frame: Frame) -> Done:
    """Call an operation that an OpenAPI document describes."""
    given = typed(frame, CallOpenApi).with_
    fetching = await evaluate_authentication(run, frame, given.document.endpoint.authentication)
    frame.authorization = None
    policy = await evaluate_authentication(run, frame, given.authentication)
    arguments = await render_arguments(run, frame, {"parameters": given.parameters})
    arguments |= {"output": given.output, "redirect": given.redirect}
    arguments["operationId"] = given.operation_id
    arguments["document"] = await expand_uri(run, frame, given.document.endpoint.uri)
    _check_request(frame, arguments)
    return Done(await perform_leaf(run, frame, "openapi", arguments, policy, fetching=fetching))


def _check_request(frame: Frame, arguments: dict[str, JSON]) -> None:
    """Refuse arguments that make no request, before anything is sent.

    Raises:
        TaskFault: `validation` (400), whose detail quotes no value.
    """
    problems = list(request_problems(arguments))
    if problems:
        title, detail = "The arguments make no valid request", "; ".join(problems[:MAX_VIOLATIONS])
        raise TaskFault(
            standard_error("validation", title=title, detail=detail, instance=frame.pointer)
        )


async def perform_leaf(
    run: Interpreter,
    frame: Frame,
    kind: str,
    arguments: JSON,
    policy: JSON = None,
    *,
    fetching: JSON = None,
) -> JSON:
    """Have a leaf task carried out, and give its output.

    Raises:
        TaskFault: the error of the call.
    """
    fact = await run.perform(
        frame,
        RunLeaf(
            key=frame.key,
            path=frame.pointer,
            name=frame.task.name,
            kind=kind,
            arguments=arguments,
            attempt=frame.attempt,
            authentication=policy,
            traceparent=_traceparent(run.descriptor.trace_id, frame.key),
            secrets=secret_texts(
                [list(run.secrets), *_credentials(policy, fetching, frame.authorization)]
            ),
            team=run.definition.document.namespace,
            run=run.descriptor.id,
            document_authentication=fetching,
        ),
    )
    return output_of(fact, frame)


def _traceparent(trace_id: str | None, key: str) -> str | None:
    """The W3C trace context (level 1) in which the step is the parent of the call."""
    return None if trace_id is None else f"00-{trace_id}-{key[:16]}-01"


def output_of(fact: Fact, frame: Frame) -> JSON:
    """The output in a fact.

    Raises:
        TaskFault: the error in the fact, with this task as its instance.
    """
    data = fact.data if isinstance(fact.data, dict) else {}
    if fact.kind in _FAULTS:
        error = normalised_error(data.get("error"), frame.pointer)
        raise TaskFault({**error, "instance": frame.pointer})
    return data.get("output")


async def render_arguments(run: Interpreter, frame: Frame, template: JSON) -> dict[str, JSON]:
    """Evaluate the expressions in arguments over the input of the task."""
    value = await run.data.render(template, frame.input, ExpressionSite(DEFINITION, frame=frame))
    if not isinstance(value, dict):
        raise TypeError("arguments must be an object")
    return value


async def expand_uri(run: Interpreter, frame: Frame, uri: str, *, pattern: bool = False) -> str:
    """Evaluate a URI: an expression, or a template whose `{key}` is a member of the input.

    With `pattern` the URI may be a regular expression, in which `{2}` stays as it is.

    Raises:
        TaskFault: `expression` (400), when a value is an object or an array, or when an
            expression gives no text.
    """
    site = ExpressionSite(DEFINITION, frame=frame)
    if is_expression(uri):
        computed = await run.data.render(uri, frame.input, site)
        if not isinstance(computed, str):
            raise run.data.fault(site, "the expression of a URI gives no text")
        return computed
    values = frame.input if isinstance(frame.input, dict) else {}

    def text(match: re.Match[str]) -> str:
        value = values.get(match[1])
        if isinstance(value, dict | list):
            raise run.data.fault(site, f"`{{{match[1]}}}` in a URI is an object or an array")
        if value is None:
            return ""
        return quote(value_text(value), safe="")

    return (_NAMED if pattern else _TEMPLATE).sub(text, uri)


# ---------------------------------------------------------------- authentication
async def evaluate_authentication(
    run: Interpreter, frame: Frame, reference: ReferenceableAuthentication | None
) -> JSON:
    """Evaluate an authentication policy, and bind `$authorization` to its result."""
    if reference is None:
        return None
    policy = declared(frame.pointer, lambda: run.definition.authentication_of(reference))
    scheme = next(name for name in _SCHEMES if getattr(policy, name, None))
    given: Secret = getattr(policy, scheme)
    evaluated: JSON
    if "use" in given.model_fields_set:
        evaluated = _from_secret(run, frame, str(given.use))
    else:
        site = ExpressionSite(AUTHENTICATION, frame=frame)
        document = given.model_dump(exclude_none=True)
        evaluated = await run.data.render(document, frame.input, site)
        if isinstance(given, OidcAuthentication) and isinstance(evaluated, dict):
            evaluated |= await _expand_authority(run, frame, given)
    frame.authorization = _authorization(scheme, evaluated)
    return {scheme: evaluated}


async def _expand_authority(
    run: Interpreter, frame: Frame, given: OidcAuthentication
) -> dict[str, JSON]:
    """Expand the authority and its paths, which are URI templates."""
    found: dict[str, JSON] = {"authority": await expand_uri(run, frame, str(given.authority))}
    if isinstance(given, OAuth2Authentication) and given.endpoints is not None:
        found["endpoints"] = {
            name: await expand_uri(run, frame, path)
            for name, path in given.endpoints.model_dump().items()
        }
    return found


def _from_secret(run: Interpreter, frame: Frame, name: str) -> JSON:
    secret = run.descriptor.secrets.get(name)
    if name not in run.descriptor.declared_secrets or not isinstance(secret, dict):
        title = f"The secret {name} is not available"
        raise TaskFault(standard_error("authorization", title=title, instance=frame.pointer))
    return secret


def _credentials(*given: JSON) -> Iterator[JSON]:
    """The secret values of policies and of `$authorization`; paths are not secret."""
    for value in given:
        if isinstance(value, dict):
            yield from (value[name] for name in _SECRET_MEMBERS & value.keys())
            yield from _credentials(*(part for name, part in value.items() if name != "endpoints"))


def _authorization(scheme: str, policy: JSON) -> JSON:
    """The specification's descriptor; schemes that fetch a token have no parameter."""
    given = policy if isinstance(policy, dict) else {}
    if scheme == "basic":
        pair = f"{given.get('username')}:{given.get('password')}"
        return {"scheme": "Basic", "parameter": base64.b64encode(pair.encode()).decode()}
    if scheme == "bearer":
        return {"scheme": "Bearer", "parameter": given.get("token")}
    return {"scheme": "Digest" if scheme == "digest" else "Bearer", "parameter": None}
