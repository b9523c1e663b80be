"""Rules of expressions: they compile, and name only what is there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from coe.errors import Problem, Severity
from coe.language.expressions.jq_process import Check, compile_errors
from coe.language.expressions.jq_syntax import key_path, scan
from coe.language.lint.context import Context
from coe.language.lint.expression_sites import Site
from coe.language.suggestions import closest, did_you_mean

_UNDEFINED: Final = re.compile(r"error: (\$?)(\w+)(?:/(\d+))? is not defined")
_SYNTAX: Final = re.compile(r"error: (.*?) at <top-level>, line (\d+)(?:, column (\d+))?")
_SECRET: Final = re.compile(r"\$secrets\s*\.\s*([A-Za-z_]\w*)|\$secrets\s*\[\s*\"([^\"]+)\"")

# Functions of jq that flows use; the names of others are not guessed.
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
    """.split()  # noqa: SIM905  # a hundred words are read better so
)

# Most outcomes to remember; above it all are forgotten.
_REMEMBERED: Final = 20_000
_outcomes: dict[Check, str | None] = {}


def compile_sites(sites: Iterable[Site]) -> None:
    """Compile the expressions of many sites at once, in hardly more time than of one."""
    checks = {check for site in sites if (check := _check(site)) is not None}
    missing = sorted(checks - _outcomes.keys())
    if not missing:
        return
    if len(_outcomes) + len(missing) > _REMEMBERED:
        _outcomes.clear()
    _outcomes.update(zip(missing, compile_errors(missing), strict=True))


def check_expressions(context: Context) -> Iterator[Problem]:
    """OWS040 to OWS043: expressions that have no value whatever the data."""
    for site in context.sites:
        if site.program is None:
            yield context.problem(
                "OWS043",
                "this text holds `${` but is no expression as a whole, so it stays as it is",
                site.pointer,
                severity=Severity.WARNING,
                value=True,
                help='write ${ "… \\(.name) …" }, jq\'s own interpolation',
            )
        else:
            yield from _examine(context, site, site.program)


def check_secrets(context: Context) -> Iterator[Problem]:
    """OWS035: `$secrets` names a secret that is not declared."""
    declared = context.definition.use.secrets
    for site in context.sites:
        for match in _SECRET.finditer(site.program or ""):
            name = match[1] or match[2]
            if name not in declared:
                close = did_you_mean(name, declared)
                message = f"the secret `{name}` is not declared under `use.secrets`{close}"
                yield context.problem("OWS035", message, site.pointer, value=True)


def _examine(context: Context, site: Site, program: str) -> Iterator[Problem]:
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
    told = _outcomes.get(Check(program, tuple(sorted(site.names))))
    if told is not None:
        yield _explained(context, site, told)


def _check(site: Site) -> Check | None:
    """What is to be compiled for a site; nothing for a mere path or what is refused anyway."""
    if site.program is None or key_path(site.program) is not None:
        return None
    scanned = scan(site.program)
    if scanned.fault or scanned.forbidden:
        return None
    return Check(site.program, tuple(sorted(site.names)))


def _explained(context: Context, site: Site, told: str) -> Problem:
    """A problem from what jq says."""
    undefined = _UNDEFINED.search(told)
    if undefined and undefined[1]:
        return _unbound(context, site, undefined[2])
    if undefined:
        name, arguments = undefined[2], undefined[3]
        message = f"the expression does not compile: there is no function `{name}/{arguments}`"
        message += _meant(name)
        return context.problem("OWS040", message, site.pointer, value=True)
    syntax = _SYNTAX.search(told)
    what = syntax[1] if syntax else told.split("\n", 1)[0]
    # The worker puts the program on lines of its own, below one line.
    line = int(syntax[2]) - 1 if syntax else 1
    where = f" at its line {line}" if line > 1 else ""
    message = f"the expression does not compile: {what}{where}"
    return context.problem("OWS040", message, site.pointer, value=True)


def _meant(name: str) -> str:
    """What a function's name means that jq does not know; of a known one, that its arguments do."""
    if name in _FUNCTIONS:
        return f": `{name}` takes another number of arguments"
    close = closest(name, _FUNCTIONS)
    return f", did you mean `{close}`?" if close else ""


def _unbound(context: Context, site: Site, name: str) -> Problem:
    close = closest(name, site.names)
    guess = f", did you mean `${close}`?" if close else ""
    help = "bound here: " + ", ".join(f"${known}" for known in sorted(site.names))
    message = f"`${name}` is not bound here{guess}"
    return context.problem("OWS042", message, site.pointer, value=True, help=help)
