"""`coe engine`: what carries out runs."""

from __future__ import annotations

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.grammar import Noun, example
from coe.cli.output import Result, printed

_SHOW = "query Engine { engine { name state detail queued } }"


@click.group(cls=Noun)
def command() -> None:
    """See whether runs are carried out now."""


@command.command()
@example("coe engine show")
@printed()
@with_api
def show(api: ApiClient) -> Result:
    """Show whether the engine is up; runs are accepted before it is, and start when it answers."""
    found = api.call(_SHOW)["engine"]
    queued = f"; {found['queued']} requests wait for it" if found["queued"] else ""
    return Result(found, f"{found['name']}: {found['state']}, {found['detail']}{queued}")
