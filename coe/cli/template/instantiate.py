"""Make a flow from a template of the catalog: preview it, or save it as a draft."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document
from coe.cli.form import read_values, values_options
from coe.cli.grammar import example, verb
from coe.cli.output import Result, has_errors, printed
from coe.errors import NotFound
from coe.json_types import JSON

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
_PARAMETERS: Final = """
query Parameters($ref: String!, $version: String) {
  template(ref: $ref) { ref title version(ref: $version) { ref parameters } }
}
"""
_PREVIEW: Final = document("""
query Preview($input: InstantiateTemplateInput!) {
  previewTemplate(input: $input) {
    ref template definition digest diagram diff { breaking unified } problems { ...problem }
  }
}
""")
_INSTANTIATE: Final = document("""
mutation Instantiate($input: InstantiateTemplateInput!) {
  instantiateTemplate(input: $input) {
    flow { ref flowKind }
    version { ref lifecycle digest definition }
    problems { ...problem }
  }
}
""")


def target_options(function: FunctionT) -> FunctionT:
    """Add the options that say what the flow will be called, and whose it is."""
    for option in (
        click.option("--title", help="The flow's title; by default the template's."),
        click.option("--process-owner", help="Who is responsible for the process."),
        click.option("--name", help="The flow's name."),
        click.option("--namespace", help="The team that will own the flow."),
    ):
        function = option(function)
    return function


@verb()
@click.argument("ref")
@target_options
@values_options("parameters", "the parameters")
@example(
    "coe template preview coe/purchase-approval --namespace sales --name buy"
    " --process-owner sales-owner --set dueIn=P2D"
)
@printed()
@with_api
def preview(
    api: ApiClient, /, ref: str, file: str | None, pairs: tuple[str, ...], **target: str | None
) -> Result:
    """Show the flow that the template REF would give, and its problems; nothing is saved."""
    given = instantiation(api, ref, target, file=file, pairs=pairs)
    answer = api.call(_PREVIEW, {"input": given})["previewTemplate"]
    failed = has_errors(answer["problems"])
    view = answer["definition"].removesuffix("\n") or ()
    notes = [f"{answer['ref']}, from {answer['template']}"] if answer["ref"] else []
    return Result(answer, view, notes=notes, problems=answer["problems"], code=int(failed))


@verb()
@click.argument("ref")
@target_options
@values_options("parameters", "the parameters")
@example(
    "coe template instantiate coe/purchase-approval",
    "coe template instantiate coe/purchase-approval@1.0.0 --namespace sales --name buy"
    " --process-owner sales-owner --parameters parameters.json",
)
@printed()
@with_api
def instantiate(
    api: ApiClient, /, ref: str, file: str | None, pairs: tuple[str, ...], **target: str | None
) -> Result:
    """Save a draft version of a flow made from the template REF (namespace/name[@version]).

    On a terminal, what is not given is asked: the team, the name, and each parameter.
    """
    given = instantiation(api, ref, target, file=file, pairs=pairs)
    answer = api.call(_INSTANTIATE, {"input": given})["instantiateTemplate"]
    version = answer["version"]
    view = f"{version['ref']} {version['lifecycle']} sha256:{version['digest']}" if version else ()
    return Result(answer, view, problems=answer["problems"], code=0 if version else 1)


def instantiation(
    api: ApiClient,
    ref: str,
    target: dict[str, str | None],
    *,
    file: str | None,
    pairs: tuple[str, ...],
) -> dict[str, Any]:
    """The input of the API; what is missing is asked on a terminal.

    Raises:
        NotFound: There is no such version of a template, or it may not be read.
        UsageError: Something is missing, and there is no terminal.
    """
    name, _, version = ref.partition("@")
    found = api.call(_PARAMETERS, {"ref": name, "version": version or None})["template"]
    if found is None or found["version"] is None:
        raise NotFound(f"there is no {ref}, or you may not read it: coe template versions {name}")
    asked = {
        "namespace": ("Team that will own the flow", None),
        "name": ("Name of the flow", name.partition("/")[2]),
        "process_owner": ("Process owner", None),
    }
    given = {key: value or _ask(key, *asked[key]) for key, value in target.items() if key in asked}
    schema: JSON = found["version"]["parameters"]
    heading = f"Parameters of {found['version']['ref']}"
    return {
        "template": ref,
        "namespace": given["namespace"],
        "name": given["name"],
        "processOwner": given["process_owner"],
        "title": target.get("title"),
        "parameters": read_values(schema, file=file, pairs=pairs, asking=heading),
    }


def _ask(key: str, question: str, default: str | None) -> str:
    if not sys.stdin.isatty():
        raise click.UsageError(f"give --{key.replace('_', '-')}")
    return str(click.prompt(question, default=default, err=True))
