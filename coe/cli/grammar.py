"""The grammar of the command line: a noun, then a verb; each verb has its examples.

`Cli` is the top: it imports a noun only when it is used, and turns every error into a message and
an exit code. Nothing that a file or an argument contains leads to a traceback.
"""

from __future__ import annotations

import errno
import importlib
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import click

from coe.errors import CoeError, Invalid, Unavailable

CommandT = TypeVar("CommandT", bound=Callable[..., object])

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
INTERRUPTED: Final = 130
DEBUG: Final = "coe.debug"
"""The key in a context's `meta` under which `--debug` is kept."""
_EXAMPLES: Final = "__coe_examples__"


class Verb(click.Command):
    """A command that does something; its help ends with its examples."""

    @property
    def examples(self) -> tuple[str, ...]:
        """Command lines, each as one would type it."""
        found: tuple[str, ...] = getattr(self.callback, _EXAMPLES, ())
        return found

    def examples_of(self, noun: str) -> list[str]:
        """The examples of a verb that several nouns have, written with this noun."""
        return [re.sub(r"^coe [a-z]+ (?=[a-z])", f"coe {noun} ", each) for each in self.examples]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, and check what holds for those of every command."""
        from coe.cli.arguments import check_given  # noqa: PLC0415  # it needs no grammar

        if not ctx.resilient_parsing:
            given, _, _ = self.make_parser(ctx).parse_args(list(args))
            if not given.get("help"):
                check_given(ctx, self.get_params(ctx), given)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what the server refuses of an option is said of the option."""
        from coe.cli.arguments import as_usage, said_of_options  # noqa: PLC0415  # the same

        try:
            return super().invoke(ctx)
        except Invalid as error:
            usage = as_usage(error, ctx)
            raise (usage or said_of_options(error, ctx)) from None

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        noun = ctx.parent.info_name if ctx.parent and ctx.parent.parent else None
        examples = self.examples_of(noun) if noun else self.examples
        if examples:
            with formatter.section("Example" if len(examples) == 1 else "Examples"):
                for line in examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
        super().format_epilog(ctx, formatter)


class Noun(click.Group):
    """The group of the verbs of a noun.

    Args:
        elsewhere: For a verb that one may look for here, the command that does it.
    """

    command_class = Verb

    def __init__(
        self, *args: Any, elsewhere: Mapping[str, str] | None = None, **attributes: Any
    ) -> None:
        super().__init__(*args, **attributes)
        self._elsewhere = dict(elsewhere or {})

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a verb; a shell completes what the server knows."""
        from coe.cli.ref_completion import add_completion  # noqa: PLC0415  # it needs the grammar

        add_completion(cmd)
        super().add_command(cmd, name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; name the command that does what one that does not exist promises."""
        if args[0] in self._elsewhere:
            message = f"No such command {args[0]!r}: use {self._elsewhere[args[0]]}"
            raise click.UsageError(message, ctx)
        return super().resolve_command(ctx, args)


def verb(name: str | None = None, **attributes: Any) -> Callable[[CommandT], Verb]:
    """Make a function a verb, for `add_command`; `Noun.command` makes one and adds it."""
    return click.command(name, cls=Verb, **attributes)


class Cli(click.Group):
    """The top of the command line, over nouns that are imported when they are used.

    Args:
        nouns: For each noun its module, whose `command` it is, or `module:name`.
    """

    def __init__(self, *args: Any, nouns: Mapping[str, str], **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self._nouns = nouns

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """The names of all nouns."""
        return sorted(self._nouns)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        """Import one noun."""
        place = self._nouns.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name or "command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the noun; suggest a similar one for one that does not exist."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from coe.language.suggestions import did_you_mean  # noqa: PLC0415  # only on this path

            message = error.message.rstrip(".") + did_you_mean(args[0], self._nouns)
            raise click.UsageError(message, ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; every error becomes a message and its exit code."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # for characters that the terminal cannot show
                stream.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            sys.exit(INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # noqa: BLE001  # the top of the process
            if ctx.meta.get(DEBUG):
                traceback.print_exception(error)
            sys.exit(report(_as_reported(error)))


def example(*lines: str) -> Callable[[CommandT], CommandT]:
    """Say how a command is used; tests run each of these lines."""

    def add(function: CommandT) -> CommandT:
        setattr(function, _EXAMPLES, lines)
        return function

    return add


def report(error: CoeError) -> int:
    """Print an error for a person, and return its exit code."""
    from coe.cli.output import printable, problem_line  # noqa: PLC0415  # only on this path

    problems = error.problems if isinstance(error, Invalid) else ()
    located = [each for each in problems if each.path or each.line]
    if len(problems) == 1 and located and located[0].message == error.message:
        click.echo(problem_line(located[0]), err=True)
    else:
        click.echo(printable(f"error: {error.message}"), err=True)
        for problem in problems:
            if problem in located or problem.message != error.message:
                click.echo(f"  {problem_line(problem)}", err=True)
    for name in ("permission", "rule", "errorId"):
        if name in error.extensions:
            click.echo(f"  {name}: {error.extensions[name]}", err=True)
    if error.of_operator:
        return EXIT_CODES[Invalid.code]
    code = str(error.extensions.get("code", error.code))
    return EXIT_CODES.get(code, INTERNAL_ERROR)


def _as_reported(error: Exception) -> CoeError:
    """The error to report: bad input that no reader located is the input's, the rest is ours."""
    if isinstance(error, CoeError):
        return error
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        raise error  # `coe … | head`: click ends quietly
    if isinstance(error, ConnectionError):  # the clients of servers have their own errors
        return Unavailable(f"the database or another server cannot be reached: {error}")
    if isinstance(error, OSError) and error.filename is not None:
        return CoeError(f"{error.filename}: {error.strerror}", code="INVALID")
    if isinstance(error, RecursionError):
        return CoeError("the input is nested too deeply to be read", code="INVALID")
    if isinstance(error, UnicodeError):
        return CoeError("the input has text that is not valid Unicode", code="INVALID")
    return CoeError(
        f"{type(error).__name__}: {error}\n  This is a fault of coe, not of your input; "
        "`coe --debug …` shows where. Please report it."
    )
