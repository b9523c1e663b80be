"""Rules about expressions: they compile, and use only known names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from coe.errors import Problem, Severity
from coe.language.expressions.jq_process import CompileCheck, compile_errors
from coe.language.expressions.jq_syntax import key_path, scan
from coe.language.lint.context import LintContext
from coe.language.lint.expression_sites import Site
from coe.language.suggestions import closest, did_you_mean

_UNDEFINED: Final = re.compile(r"error: (\$?)(\w+)(?:/(\d+))? is not defined")
_SYNTAX: Final = re.compile(r"error: (.*?) at <top-level>, line (\d+)(?:, column (\d+))?")
_SECRET: Final = re.compile(r"\$secrets\s*\.\s*([A-Za-z_]\w*)|\$secrets\s*\[\s*\"([^\"]+)\"")

# Functions of jq that flows use; only these are suggested.
_FUNCTIONS: Final = frozenset(
    """
    abs add all any arrays ascii_downcase ascii_upcase booleans bsearch capture ceil combinations
    contains del delpaths empty endswith error explode finites first flatten floor format
    from_entries fromdate fromdateiso8601 fromjson fromstream getpath gmtime group_by gsub has
    implode in index indices infinite inside isempty isfinite isinfinite isnan isnormal iterables
    join keys keys_unsorted last length limit localtime ltrim ltrimstr map map_values match max
    max_by min min_by mktime nan normals not nth nulls numbers objects path paths pick pow range
    recurse repeat reverse rindex round rtrim rtrimstr scalars scan select setpath skip sort
    sort_by split splits sqrt startswith strftime strings strptime sub test to_entries toboolean
    todate todateiso8601 tojson tonumber tostream tostring transpose trim trimstr trunc
    truncate_stream type unique unique_by until utf8bytelength values walk while with_entries
    """.split()  # noqa: SIM905  # easier to read than a hundred strings
)

# The limit of the cache of compile errors; above it the cache is emptied.
_MAX_CACHED: Final = 20_000
_compiled: dict[CompileCheck, str | None] = {}


def compile_sites(sites: Iterable[Site]) -> None:
    """Compile the expressions of many sites at once, in hardly more time than one."""
    checks = {check for site in sites if (check := _check(site)) is not None}
    missing = sorted(checks - _compiled.keys())
    if not missing:
        return
    if len(_compiled) + len(missing) > _MAX_CACHED:
        _compiled.clear()
    _compiled.update(zip(missing, compile_errors(missing), strict=True))


def check_expressions(context: LintContext) -> Iterator[Problem]:
    """OWS040 to OWS043: expressions that have no value, whatever the data."""
    for site in context.sites:
        if site.program is None:
            yield context.problem(
                "OWS043",
                "this text is not evaluated: it contains `${` but is not an expression as a whole",
                site.pointer,
                severity=Severity.WARNING,
                value=True,
                help='write ${ "… \\(.name) …" }, jq\'s own interpolation',
            )
        else:
            yield from _examine(context, site, site.program)


def check_secrets(context: LintContext) -> Iterator[Problem]:
    """OWS035: `$secrets` names a secret that is not declared."""
    declared = context.definition.use.secrets
    for site in context.sites:
        for match in _SECRET.finditer(site.program or ""):
            name = match[1] or match[2]
            if name not in declared:
                close = did_you_mean(name, declared)
                message = f"the secret `{name}` is not declared under `use.secrets`{close}"
                yield context.problem("OWS035", message, site.pointer, value=True)


def _examine(context: LintContext, site: Site, program: str) -> Iterator[Problem]:
    scanned = scan(program)
    if scanned.fault:
        message = f"the expression does not compile: {scanned.fault}"
        yield context.problem("OWS040", message, site.pointer, value=True)
        return
    if scanned.forbidden:
        message = f"`{scanned.forbidden}` is not available in a flow"
        yield context.problem("OWS041", message, site.pointer, value=True)
        return
    path = key_path(program)
    if path is not None:
        if path[0] and path[0] not in site.names:
            yield _unbound(context, site, path[0])
        return
    error = _compiled.get(CompileCheck(program, tuple(sorted(site.names))))
    if error is not None:
        yield _explained(context, site, error)


def _check(site: Site) -> CompileCheck | None:
    """The program to compile for a site; None for a path, and for what is refused anyway."""
    if site.program is None or key_path(site.program) is not None:
        return None
    scanned = scan(site.program)
    if scanned.fault or scanned.forbidden:
        return None
    return CompileCheck(site.program, tuple(sorted(site.names)))


def _explained(context: LintContext, site: Site, error: str) -> Problem:
    """The problem of a compile error of jq."""
    undefined = _UNDEFINED.search(error)
    if undefined and undefined[1]:
        return _unbound(context, site, undefined[2])
    if undefined:
        name, arguments = undefined[2], undefined[3]
        message = f"the expression does not compile: there is no function `{name}/{arguments}`"
        message += _meant(name)
        return context.problem("OWS040", message, site.pointer, value=True)
    syntax = _SYNTAX.search(error)
    what = syntax[1] if syntax else error.split("\n", 1)[0]
    # The worker puts one line above the program.
    line = int(syntax[2]) - 1 if syntax else 1
    where = f" in its line {line}" if line > 1 else ""
    message = f"the expression does not compile: {what}{where}"
    return context.problem("OWS040", message, site.pointer, value=True)


def _meant(name: str) -> str:
    """The end of a message about an unknown function; for a known name about its arguments."""
    if name in _FUNCTIONS:
        return f": `{name}` takes another number of arguments"
    close = closest(name, _FUNCTIONS)
    return f", did you mean `{close}`?" if close else ""


def _unbound(context: LintContext, site: Site, name: str) -> Problem:
    close = closest(name, site.names)
    guess = f", did you mean `${close}`?" if close else ""
    help = "bound here: " + ", ".join(f"${known}" for known in sorted(site.names))
    message = f"`${name}` is not bound here{guess}"
    return context.problem("OWS042", message, site.pointer, value=True, help=help)
