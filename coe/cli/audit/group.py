"""The group of `coe audit`, with its commands."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.output import output_option, print_json


@click.group()
def command() -> None:
    """Export the audit log, and verify an export."""


@command.command()
@click.option("--to", "path", required=True, type=click.Path(path_type=Path))
@output_option()
@with_api
def export(api: ApiClient, path: Path, output: str) -> None:
    """Write every event up to the newest checkpoint, each with its proof, to PATH."""
    from coe.cli.audit.bundle import download  # noqa: PLC0415  # httpx is slow to import

    written = download(api, path)
    if output == "json":
        print_json(written)
    else:
        size = written["bytes"]
        click.echo(f"{size} bytes written to {path}; verify them with: coe audit verify {path}")


@command.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--key", help="The log's public key that you trust, as a C2SP verifier key.")
@click.option(
    "--checkpoints",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of checkpoints kept elsewhere; the bundle must be consistent with them.",
)
@output_option()
def verify(path: Path, key: str | None, checkpoints: Path | None, output: str) -> None:
    """Verify the bundle at PATH, offline: every row, completeness, the signature.

    Exit code 0 if everything is proven, 1 if not, with the rows that are not.
    """
    from coe.cli.audit.bundle import verify_bundle_file  # noqa: PLC0415  # cryptography is slow to import

    result = verify_bundle_file(path, key=key, checkpoints=checkpoints)
    if output == "json":
        print_json(result)
    else:
        for problem in result["problems"]:
            where = f"{problem['path']}: " if problem["path"] else ""
            click.echo(f"{where}{problem['message']}", err=True)
        verdict = "proven" if result["ok"] else "NOT proven"
        click.echo(
            f"{verdict}: {result['checkedEvents']} events, tree of {result['treeSize']}, "
            f"root {result['rootHash']}, key {result['key']}",
        )
    sys.exit(0 if result["ok"] else 1)
