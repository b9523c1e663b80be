"""Rules about keys that the language has and nothing here evaluates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coe.errors import Problem, Severity
from coe.language.lint.context import LintContext
from coe.language.metadata import misspelt_keys
from coe.language.model.authentication import OAuth2Endpoints, OidcAuthentication
from coe.language.model.components import DataSchema
from coe.language.model.task_types import RunTask

_SCHEMA_FORMATS: Final = ("json", "json:2020-12")
# The grant needs a person at a browser.
_INTERACTIVE_GRANT: Final = "authorization_code"


def check_effects(context: LintContext) -> Iterator[Problem]:
    """OWS050: keys that would be ignored, refused at publication."""
    for task in context.tasks:
        if (
            isinstance(task, RunTask)
            and task.run.workflow
            and "return_" in task.run.model_fields_set
        ):
            message = "`return` is not supported for a workflow, whose output is its run's"
            yield context.problem("OWS050", message, f"{task.pointer}/run/return")
    for place, endpoints in context.parts(OAuth2Endpoints):
        for key in ("revocation", "introspection"):
            if key in endpoints.model_fields_set:
                message = f"the endpoint `{key}` is not supported: tokens are only requested"
                yield context.problem("OWS050", message, f"{place}/{key}")
    for place, policy in context.parts(OidcAuthentication):
        if policy.grant == _INTERACTIVE_GRANT:
            message = f"the grant `{policy.grant}` is not supported: nobody is there to log in"
            yield context.problem("OWS050", message, f"{place}/grant", value=True)
    for place, schema in context.parts(DataSchema):
        if schema.format not in _SCHEMA_FORMATS:
            message = f"a schema of the format `{schema.format}` is not supported"
            help = "write `json`, which is JSON Schema 2020-12"
            yield context.problem("OWS050", message, f"{place}/format", help=help)


def check_metadata(context: LintContext) -> Iterator[Problem]:
    """OWS057: metadata that looks like a key which the platform reads, and is not read."""
    about = context.definition.document
    yield from misspelt_keys(context.definition.source, about.metadata, "/document/metadata")
    if about.tags:
        message = "the catalog does not show `document.tags`"
        help = "write a list under `document.metadata.tags`, by which the catalog is searched"
        yield context.problem(
            "OWS057", message, "/document/tags", severity=Severity.WARNING, help=help
        )
