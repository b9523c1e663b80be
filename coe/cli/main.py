"""The command `coe`: a noun, then a verb. Slow modules are imported when a command needs them.

Exit codes: 0 done, 1 problems found or a proof failed, 2 wrong usage, 3 the run faulted or was
cancelled, 4 the run waits, 5 refused (authentication or policy), 6 not found, 7 a part of the
platform is not reachable, 8 conflict with the current state, 70 an internal error, 130 interrupted.
"""

from __future__ import annotations

from typing import Final

import click

from coe import __version__
from coe.cli.api_client import PROFILE
from coe.cli.grammar import DEBUG, Cli
from coe.cli.output import FORMATS, OUTPUT

COMMANDS: Final = {
    "access": "coe.cli.access",
    "api": "coe.cli.api",
    "audit": "coe.cli.audit.group",
    "backup": "coe.cli.installation.backup",
    "catalog": "coe.cli.catalog",
    "client": "coe.cli.identity.client",
    "completion": "coe.cli.completion",
    "config": "coe.cli.installation.config",
    "content": "coe.cli.content",
    "decision": "coe.cli.decision.group",
    "demo": "coe.cli.demo",
    "demo-api": "coe.cli.demo_api",
    "demo-company": "coe.cli.demo_company",
    "engine": "coe.cli.engine",
    "event": "coe.cli.event",
    "flow": "coe.cli.flow.group",
    "gateway": "coe.cli.processes.gateway",
    "key": "coe.cli.installation.key",
    "login": "coe.cli.profile:login",
    "logout": "coe.cli.profile:logout",
    "loops": "coe.cli.processes.loops",
    "migrate": "coe.cli.installation.migrate",
    "person": "coe.cli.identity.person",
    "profile": "coe.cli.profile",
    "restore": "coe.cli.installation.restore",
    "review": "coe.cli.review",
    "run": "coe.cli.run.group",
    "schedule": "coe.cli.schedule",
    "sealer": "coe.cli.processes.sealer",
    "session": "coe.cli.identity.session",
    "sink": "coe.cli.installation.sink",
    "status": "coe.cli.installation.status",
    "system": "coe.cli.system",
    "task": "coe.cli.task.group",
    "team": "coe.cli.team.group",
    "template": "coe.cli.template.group",
    "token": "coe.cli.identity.token",
    "trust": "coe.cli.identity.trust",
    "up": "coe.cli.processes.up",
    "worker": "coe.cli.identity.worker",
}
PROGRAM: Final = "coe"


@click.command(
    cls=Cli,
    nouns=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=" ".join((__doc__ or "").split("\n\n")[1].split()),
)
@click.version_option(__version__, prog_name=PROGRAM)
@click.option(
    "-o", "--output", type=click.Choice(FORMATS), help="How commands print; by default a table."
)
@click.option("--profile", metavar="NAME", help="The profile of `coe login` that commands use.")
@click.option("--debug", is_flag=True, help="Show where an error came from.")
@click.pass_context
def cli(ctx: click.Context, output: str | None, profile: str | None, debug: bool) -> None:  # noqa: FBT001  # click passes it by keyword
    """Work with the process-orchestration centre of excellence."""
    ctx.meta.update({OUTPUT: output, PROFILE: profile, DEBUG: debug})


def main() -> None:
    """Run the command line, and exit with its exit code."""
    cli(prog_name=PROGRAM)


if __name__ == "__main__":
    main()
