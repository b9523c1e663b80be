"""`coe audit`: export the log as a bundle, and prove a bundle offline."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from coe.cli.output import output_option, print_json
from coe.cli.server import Server, with_server


@click.group()
def command() -> None:
    """Export the audit log, and prove what was exported."""


@command.command()
@click.option("--to", "path", required=True, type=click.Path(path_type=Path))
@output_option()
@with_server
def export(server: Server, path: Path, output: str) -> None:
    """Write every event up to the newest checkpoint, each with its proof, to PATH."""
    from coe.cli.bundles import download  # noqa: PLC0415  # httpx is not needed by verify

    told = download(server, path)
    if output == "json":
        print_json(told)
    else:
        click.echo(f"{told['bytes']} bytes to {path}; prove them with: coe audit verify {path}")


@command.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--key", help="The log's public key that you trust, as a C2SP verifier key.")
@click.option(
    "--checkpoints",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of checkpoints kept elsewhere, with which the bundle must be consistent.",
)
@output_option()
def verify(path: Path, key: str | None, checkpoints: Path | None, output: str) -> None:
    """Prove the bundle at PATH, offline: every row, completeness, the signature.

    Exit code 0 if everything holds, 1 with the rows that do not.
    """
    from coe.cli.bundles import verify_bundle  # noqa: PLC0415  # only this command needs it

    told = verify_bundle(path, key=key, checkpoints=checkpoints)
    if output == "json":
        print_json(told)
    else:
        for problem in told["problems"]:
            where = f"{problem['path']}: " if problem["path"] else ""
            click.echo(f"{where}{problem['message']}", err=True)
        verdict = "proven" if told["ok"] else "NOT proven"
        click.echo(
            f"{verdict}: {told['checkedEvents']} events, tree of {told['treeSize']}, "
            f"root {told['rootHash']}, key {told['key']}",
        )
    sys.exit(0 if told["ok"] else 1)
