"""Programs that try to read the machine or to block others: a list and a grammar."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

# Each of these must find nothing, whatever program is around it.
LOOKING = [
    *("env", "$ENV", "env.COE_CANARY", "$ENV.COE_CANARY", "env | tostring", "[$ENV]", "path(env)"),
    *("input", "inputs", "[inputs]", "first(inputs)", "input as $v | $v", "try input catch ."),
    *("debug", 'debug("x")', "stderr", "halt", "halt_error", '"x" | halt_error(1)', "now"),
    *("input_filename", "input_line_number", "$__prog_args", "$__prog_name", "get_search_list"),
    *("localtime", '0 | strflocaltime("%Z")', '"a" | modulemeta', "builtins", "$__loc__"),
    *('import "/etc/passwd" as $p; $p', 'include "/etc/passwd"; .', 'import "a" as a; a::env'),
    *('import "passwd" as $p {search: "/etc"}; $p', "a::env", "$a::ENV", "@base32d", "@sh"),
    *("getpath([])", "getpath(1)", "ltrimstr(.)", "tojson", "fromjson", "implode", "explode"),
    *("error", "error(null)", "error(env)", "ascii_downcase", 'splits("a")', "have_decnum"),
    *("def env: $ENV; env", "(def env: 1; env), env", "def f(env): env; f(1)", "label $env | 1"),
]
# Each of these uses all the time, memory or stack that it can get.
GREEDY = [
    *("def f: f; f", "def f: (f, f); f", "[recurse]", "repeat(.)", "[repeat(1)]", "range(1e18)"),
    *("[range(1e9)]", "[limit(infinite; repeat(1))]", "until(false; .)", "while(true; . + 1)"),
    *(
        '"x" * 1e9',
        '"x" * 3e7',
        "[range(3e6)]",
        "[limit(3e6; repeat([]))]",
        "[range(1e6)] | tojson",
    ),
    *(
        "reduce range(1e9) as $i (0; . + $i)",
        "reduce range(1e6) as $i (0; [.])",
        "last(range(1e9))",
    ),
    *("reduce range(60) as $i ([1]; . + .) | length", "[range(1e5)] | combinations | length"),
    *('("a" * 5000) | test("(a+)+$"; "x")', '("a" * 40 + "b") | test("^(a|aa)+$")'),
    *('[match("a*"; "g")]', '("a" * 1e6) | [splits("a")] | length', "infinite | tostring"),
    *('("[" * 20000) | fromjson', "reduce range(9999) as $i (1; {a: .}) | tojson | length"),
    *('[range(9e5) | tostring] | join(",") | @base64 | @base64d', "[.[]?] | transpose"),
    *(
        "foreach range(1e9) as $i (0; . + 1; select(false))",
        "limit(1; range(1e12) | select(. < 0))",
    ),
    *(
        "input_line_number + (def g: 1 + g; g)",
        "[paths] | getpath([range(1e5)])",
        "[1e9] | implode",
    ),
    *("([range(2e5)] | sort_by(-.)) as $x | [$x, $x, $x, $x, $x] | flatten | unique | length"),
]
# Programs that try to break out of the program around them.
CLOSING = [
    *(") | env | (", "1) | env | (1", "1]) | env | ([1", "1} catch {e: env}) | (try {r: [1"),
    *(")) , env , ((", "\n)) | env | ((\n", '") | env | ("', '\\") | env | (\\"', "# ) | env | ("),
    *(
        "1 # \\\n ) | env | (1",
        "1 # \\\\\n | env",
        "1 # \r | env",
        "1 \u2028 | env",
        "1 \x00 | env",
    ),
    *(
        "1\x00)) | env | ((",
        "#\x00\n env",
        "(" * 3000 + "env" + ")" * 3000,
        "[" * 9000 + "]" * 9000,
    ),
    *(
        "{" * 500 + "}" * 500,
        "." + "a" * 60_000,
        "{" + ",".join(["a"] * 30_000) + "}",
        "1" * 65_000,
    ),
    *(
        "-" * 30_000 + "1",
        "try " * 9000 + "error",
        "." + "[0]" * 20_000,
        ". as $x ?// $y | " * 40 + "1",
    ),
    *(
        "[" + "1," * 32_000 + "1]",
        '"' + "\\n" * 30_000 + '"',
        "." * 60_000,
        "\\(" * 9,
        '"\\(' * 200,
    ),
    *(
        "def a: 1; " * 6000 + "a",
        "if 1 then " * 6000 + "1" + " else 1 end" * 6000,
        "\ud800",
        "\ufeffenv",
    ),
    *("e\u200bnv", "\uff45nv", "ENV", "$\nENV", "$ ENV", "$#\nENV", "en\\\nv", '@json "\\(env)"'),
    *(
        "{env}",
        "{env: env}",
        '{"env": 1, (env|tostring): 2}',
        "{$ENV}",
        "{$__loc__}",
        '{@json "\\(env)": 1}',
    ),
]
_PLAIN = [".", ".a", "..", "1", "-1", "1e400", '"x"', '"\\(.)"', "null", "[]", "{}", "$x", "empty"]
_FORMS = [
    *("{a} | {b}", "{a}, {b}", "[{a}]", "({a})", "try {a} catch {b}", "{a} // {b}", "{a}?"),
    *("{a} as $v | {b}", "{a} as [$v] ?// $v | {b}", "reduce {a} as $v (0; {b})", "-({a})"),
    *("foreach {a} as $v (0; {b})", "def f: {a}; {b}", "def f(g): g | {a}; f({b})", "{a} # {b}\n"),
    *("if {a} then {b} else . end", '"\\({a})"', '@json "\\({a})"', "limit(3; {a})", "path({a})"),
    *("label $out | {a} | break $out", "getpath({a})", "({a}) |= {b}", "({a}) = {b}", '"x" * {a}'),
    *(
        "{a} # \\\n{b}",
        "{{k: {a}}}",
        "{{({a} | tostring): {b}}}",
        "input as $v | {a}",
        "{a}) | ({b}",
    ),
    *(
        'import "/etc/passwd" as $p; {a}',
        'include "x"; {a}',
        "{a}\x00{b}",
        "{a}\r{b}",
        "{a}\u2028{b}",
    ),
    *(
        "{a}] | env | [{b}",
        "{a}}} catch {{e: env}}) | (try {{r: {b}",
        "def env: {a}; {b}",
        "{a}{b}",
    ),
    *(
        "first({a})",
        "[{a}] | sort_by({b})",
        "ltrimstr({a})",
        "splits({a})",
        "error({a})",
        "({a})[{b}]?",
    ),
]


def programs(greedy: bool) -> Any:  # noqa: FBT001  # one of two grammars
    """Programs that are put together from what looks out (and from what never ends)."""
    atoms = st.sampled_from(LOOKING + CLOSING[:14] + _PLAIN + (GREEDY if greedy else []))

    def formed(parts: Any) -> Any:
        return st.builds(
            lambda form, a, b: form.format(a=a, b=b), st.sampled_from(_FORMS), parts, parts
        )

    return st.recursive(atoms, formed, max_leaves=6)


# A schema of 1,200 bytes whose examples took two minutes: each has its errors at every level.
_ALTERNATIVES = [
    f"  d{level}: {{anyOf: [" + ", ".join([f"{{$ref: '#/$defs/d{level + 1}'}}"] * 4) + "]}\n"
    for level in range(5)
]
EXPENSIVE_SCHEMA = (
    "$defs:\n" + "".join(_ALTERNATIVES) + "  d5: {enum: [1], maxItems: 2, type: string}\n"
    "$ref: '#/$defs/d0'\n"
    "examples:\n"
    "- &a [1,1,1,1,1,1,1,1,1,1]\n"
    "- &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
    "- &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
    "- &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n" + "- *d\n" * 36
)
