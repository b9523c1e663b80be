"""The command `coe`: a noun, then a verb. Slow modules are imported when a command needs them.

Exit codes: 0 done, 1 problems found or a proof failed, 2 wrong usage, 3 the run faulted or was
cancelled, 4 the run waits, 5 refused (authentication or policy), 6 not found, 7 a part of the
platform is not reachable, 8 conflict with the current state, 70 an internal error.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from typing import Final

import click

from coe import __version__
from coe.errors import CoeError, Invalid

COMMANDS: Final = {
    "audit": "coe.cli.audit.group",
    "catalog": "coe.cli.catalog",
    "content": "coe.cli.content",
    "decision": "coe.cli.decision.group",
    "demo": "coe.cli.demo",
    "demo-api": "coe.cli.demo_api",
    "demo-company": "coe.cli.demo_company",
    "event": "coe.cli.event",
    "flow": "coe.cli.flow.group",
    "migrate": "coe.cli.migrate",
    "template": "coe.cli.template.group",
    "token": "coe.cli.token",
    "up": "coe.cli.up",
    "worker": "coe.cli.worker",
}
EXIT_CODES: Final = {
    "UNAUTHENTICATED": 5,
    "FORBIDDEN": 5,
    "NOT_FOUND": 6,
    "UNAVAILABLE": 7,
    "CONFLICT": 8,
    "INVALID": 1,
    "TOO_COSTLY": 1,
}
INTERNAL_ERROR: Final = 70


class Nouns(click.Group):
    """A group that imports a command only when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """The names of all commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        """Import one command."""
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = importlib.import_module(module).command
        return command


@click.command(
    cls=Nouns,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=" ".join((__doc__ or "").split("\n\n")[1].split()),
)
@click.version_option(__version__, prog_name="coe")
def cli() -> None:
    """Work with the process-orchestration centre of excellence."""


def report(error: CoeError) -> int:
    """Print an error for a person, and return its exit code."""
    click.echo(f"error: {error.message}", err=True)
    if isinstance(error, Invalid):
        from coe.cli.output import problem_line  # noqa: PLC0415  # only on this path

        for problem in error.problems:
            if problem.message == error.message and not (problem.path or problem.line):
                continue
            click.echo(f"  {problem_line(problem)}", err=True)
    for name in ("permission", "rule", "errorId"):
        if name in error.extensions:
            click.echo(f"  {name}: {error.extensions[name]}", err=True)
    code = str(error.extensions.get("code", error.code))
    return EXIT_CODES.get(code, INTERNAL_ERROR)


def main() -> None:
    """Run the command line, and exit with its exit code."""
    try:
        cli()
    except CoeError as error:
        sys.exit(report(error))
    except Exception:  # noqa: BLE001  # the top of the process: an internal error
        traceback.print_exc()
        sys.exit(INTERNAL_ERROR)


if __name__ == "__main__":
    main()
