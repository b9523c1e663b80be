from __future__ import annotations

import pytest

from coe.errors import Problem, Severity
from coe.language.lint import MAX_LINT_PROBLEMS, NO_STANDARDS, Catalogued, KnownFlow, Stage, lint
from tests.factories.definitions import loaded

USE = """
use:
  secrets: [erpToken]
  retries: {often: {limit: {attempt: {count: 3}}}}
  errors: {bad: {type: https://x.example/bad, status: 400}}
  timeouts: {short: {after: PT5S}}
  functions: {helper: {set: {a: 1}}}
  authentications: {erp: {bearer: {use: erpToken}}}
  catalogs: {global: {endpoint: https://x.example/catalog}}
"""


def problems(tasks: str, *, more: str = "", **options: object) -> list[Problem]:
    return list(lint(loaded(tasks, more=more), standards=NO_STANDARDS, **options))  # type: ignore[arg-type]


# Each: a name, tasks that break a rule (with `USE` declared), and the codes and pointers found.
BROKEN: list[tuple[str, str, list[tuple[str, str]]]] = [
    ("an empty do", "- a: {do: []}", [("OWS017", "/do/0/a/do")]),
    (
        "an empty catch",
        "- a: {try: [{b: {wait: PT1S}}], catch: {do: []}}",
        [("OWS017", "/do/0/a/catch/do")],
    ),
    (
        "two tasks of one name",
        "- a: {wait: PT1S}\n- a: {wait: PT1S}",
        [("OWS020", "/do/1/a")],
    ),
    (
        "two cases of one name",
        "- a: {switch: [{x: {when: .p, then: end}}, {x: {then: end}}]}",
        [("OWS020", "/do/0/a/switch/0/x")],
    ),
    ("then to nowhere", "- a: {wait: PT1S, then: b}", [("OWS021", "/do/0/a/then")]),
    (
        "then out of the scope",
        "- a: {do: [{b: {wait: PT1S, then: c}}]}\n- c: {wait: PT1S}",
        [("OWS021", "/do/0/a/do/0/b/then")],
    ),
    (
        "then into a scope",
        "- a: {wait: PT1S, then: c}\n- b: {do: [{c: {wait: PT1S}}]}",
        [("OWS021", "/do/0/a/then")],
    ),
    (
        "a case to nowhere",
        "- a: {switch: [{x: {when: .p, then: z}}]}",
        [("OWS021", "/do/0/a/switch/0/x/then")],
    ),
    (
        "a catch to nowhere",
        "- a: {try: [{b: {wait: PT1S}}], catch: {then: z}}",
        [("OWS021", "/do/0/a/catch/then")],
    ),
    (
        "an unreachable task",
        "- a: {wait: PT1S, then: c}\n- b: {wait: PT1S}\n- c: {wait: PT1S}",
        [("OWS022", "/do/1/b")],
    ),
    ("after an end", "- a: {wait: PT1S, then: end}\n- b: {wait: PT1S}", [("OWS022", "/do/1/b")]),
    (
        "after a raise",
        "- a: {raise: {error: bad}}\n- b: {wait: PT1S}",
        [("OWS022", "/do/1/b")],
    ),
    (
        "after a switch that always leaves",
        "- a: {switch: [{x: {when: .p, then: end}}, {y: {then: exit}}]}\n- b: {wait: PT1S}",
        [("OWS022", "/do/1/b")],
    ),
    (
        "two defaults",
        "- a: {switch: [{x: {then: end}}, {y: {then: exit}}]}",
        [("OWS023", "/do/0/a/switch/1/y")],
    ),
    (
        "an undeclared retry",
        "- a: {try: [{b: {wait: PT1S}}], catch: {retry: oftn}}",
        [("OWS030", "/do/0/a/catch/retry")],
    ),
    ("an undeclared error", "- a: {raise: {error: worse}}", [("OWS031", "/do/0/a/raise/error")]),
    ("an undeclared timeout", "- a: {wait: PT1S, timeout: long}", [("OWS032", "/do/0/a/timeout")]),
    ("an undeclared function", "- a: {call: helpr}", [("OWS033", "/do/0/a/call")]),
    ("an undeclared catalog", "- a: {call: 'log:1@nowhere'}", [("OWS033", "/do/0/a/call")]),
    (
        "an undeclared authentication",
        """
        - a:
            call: http
            with: {method: get, endpoint: {uri: https://x, authentication: {use: crm}}}
        """,
        [("OWS034", "/do/0/a/with/endpoint/authentication/use")],
    ),
    (
        "an undeclared secret",
        """
        - a:
            call: http
            with:
              method: get
              endpoint: {uri: https://x, authentication: {basic: {use: other}}}
        """,
        [("OWS035", "/do/0/a/with/endpoint/authentication/basic/use")],
    ),
    (
        "an undeclared secret in an expression",
        "- a: {input: {from: '{t: $secrets.other, u: $secrets.erpToken}'}, wait: PT1S}",
        [("OWS035", "/do/0/a/input/from")],
    ),
    ("a broken expression", "- a: {set: {x: '${ .a | }'}}", [("OWS040", "/do/0/a/set/x")]),
    ("an open bracket", "- a: {if: '(.a', wait: PT1S}", [("OWS040", "/do/0/a/if")]),
    (
        "an unknown jq function",
        "- a: {if: 'frobnicate(.a)', wait: PT1S}",
        [("OWS040", "/do/0/a/if")],
    ),
    (
        "two expressions in one text",
        "- a: {set: {x: '${ .a } and ${ .b }'}}",
        [("OWS040", "/do/0/a/set/x")],
    ),
    ("the environment", "- a: {set: {x: '${ env.HOME }'}}", [("OWS041", "/do/0/a/set/x")]),
    ("the clock", "- a: {wait: '${ now | tostring }'}", [("OWS041", "/do/0/a/wait")]),
    ("a file", "- a: {if: 'import \"x\" as x; 1', wait: PT1S}", [("OWS041", "/do/0/a/if")]),
    ("input in if", "- a: {if: '$input.x', wait: PT1S}", [("OWS042", "/do/0/a/if")]),
    (
        "output outside export",
        "- a: {output: {as: '$output.x + 1'}, wait: PT1S}",
        [("OWS042", "/do/0/a/output/as")],
    ),
    (
        "secrets in a definition",
        "- a: {set: {x: '${ $secrets.erpToken }'}}",
        [("OWS042", "/do/0/a/set/x")],
    ),
    (
        "a loop's variable behind the loop",
        "- a: {for: {in: .l}, do: [{b: {set: {x: '${ $item }'}}}]}\n- c: {set: {x: '${ $item }'}}",
        [("OWS042", "/do/1/c/set/x")],
    ),
    (
        "the error inside the try",
        "- a: {try: [{b: {set: {x: '${ $error }'}}}], catch: {}}",
        [("OWS042", "/do/0/a/try/0/b/set/x")],
    ),
    ("text around an expression", "- a: {set: {x: 'no ${ .a }!'}}", [("OWS043", "/do/0/a/set/x")]),
    (
        "a variable that is no name",
        "- a: {for: {each: my-item, in: .l}, do: [{b: {wait: PT1S}}]}",
        [("OWS044", "/do/0/a/for/each")],
    ),
    (
        "a variable that hides another",
        "- a: {try: [{b: {wait: PT1S}}], catch: {as: context}}",
        [("OWS044", "/do/0/a/catch/as")],
    ),
    (
        "items that are no objects",
        "- a: {for: {in: [1]}, do: [{b: {wait: PT1S}}]}",
        [("OWS045", "/do/0/a/for/in")],
    ),
    ("nothing to set", "- a: {set: {}}", [("OWS045", "/do/0/a/set")]),
    (
        "a pattern that looks ahead, and text with a bracket",
        (
            "- a: {listen: {to: {any: [{with: {type: 'c(?=a)b'}}, {with: {type: t, data: {n: 'o-('"
            "}}}, {with: {type: 'a.b', subject: 'o-[0-9]+', source: '${ .a }'}}]}}}"
        ),
        [
            ("OWS063", "/do/0/a/listen/to/any/0/with/type"),
            ("OWS063", "/do/0/a/listen/to/any/1/with/data/n"),
        ],
    ),
    (
        "a number in a header",
        "- a: {call: http, with: {method: get, endpoint: https://x, headers: {n: 1}}}",
        [("OWS045", "/do/0/a/with/headers/n")],
    ),
    (
        "a number in a query",
        "- a: {call: http, with: {method: get, endpoint: https://x, query: {n: 1}}}",
        [("OWS045", "/do/0/a/with/query/n")],
    ),
    (
        "a source that is no URI",
        "- a: {emit: {event: {with: {type: t, source: /here}}}}",
        [("OWS045", "/do/0/a/emit/event/with/source")],
    ),
    (
        "an error type that is no URI",
        "- a: {raise: {error: {type: rejected, status: 422}}}",
        [("OWS045", "/do/0/a/raise/error/type")],
    ),
    (
        "a filter for every event",
        "- a: {listen: {to: {one: {with: {}}}}}",
        [("OWS045", "/do/0/a/listen/to/one/with")],
    ),
    (
        "an input that is one expression",
        "- a: {run: {workflow: {namespace: n, name: w, version: 1.0.0, input: '${ . }'}}}",
        [("OWS045", "/do/0/a/run/workflow/input")],
    ),
    ("a shell", "- a: {run: {shell: {command: ls}}}", [("OWS050", "/do/0/a/run/shell")]),
    (
        "an MCP server",
        "- a: {call: mcp, with: {method: tools/list, transport: {stdio: {command: x}}}}",
        [("OWS050", "/do/0/a/call")],
    ),
    ("another catalog's function", "- a: {call: 'log:1@global'}", [("OWS050", "/do/0/a")]),
    (
        "another format of schema",
        "- a: {wait: PT1S, input: {schema: {format: avro, document: {}}}}",
        [("OWS050", "/do/0/a/input/schema/format")],
    ),
    (
        "a schema elsewhere",
        "- a: {wait: PT1S, input: {schema: {resource: {endpoint: https://x.example/s.json}}}}",
        [("OWS050", "/do/0/a/input/schema/resource")],
    ),
    ("an unknown function", "- a: {call: 'humnTask:1@default'}", [("OWS051", "/do/0/a/call")]),
    ("an unknown version", "- a: {call: 'notify:9@default'}", [("OWS051", "/do/0/a/call")]),
    (
        "wrong arguments",
        "- a: {call: 'humanTask:1@default', with: {title: 3, candidates: {}, due: P1D}}",
        [
            ("OWS055", "/do/0/a/with/candidates/roles"),
            ("OWS055", "/do/0/a/with/due"),
            ("OWS055", "/do/0/a/with/title"),
        ],
    ),
    (
        "a whole number without a bound",
        "- a: {wait: PT1S, input: {schema: {document: {properties: {n: {type: integer}}}}}}",
        [("OWS060", "/do/0/a/input/schema/document/properties/n")],
    ),
    (
        "no schema",
        "- a: {wait: PT1S, output: {schema: {document: {type: text}}}}",
        [("OWS061", "/do/0/a/output/schema/document/type")],
    ),
    (
        "a misspelt keyword",
        "- a: {wait: PT1S, output: {schema: {document: {requird: [x]}}}}",
        [("OWS061", "/do/0/a/output/schema/document/requird")],
    ),
    (
        "a form that is no schema",
        """
        - a:
            call: humanTask:1@default
            with: {title: T, candidates: {roles: [r]}, form: {properties: []}}
        """,
        [("OWS061", "/do/0/a/with/form/properties")],
    ),
]


@pytest.mark.parametrize(
    ("tasks", "expected"), [each[1:] for each in BROKEN], ids=[e[0] for e in BROKEN]
)
def test_a_rule_finds_what_breaks_it(tasks: str, expected: list[tuple[str, str]]) -> None:
    found = problems(tasks, more=USE)
    assert sorted((problem.code, problem.path) for problem in found) == sorted(expected)
    assert all(problem.line is not None and problem.line > 6 for problem in found)


SOUND = [
    """
    - a: {switch: [{x: {when: .p, then: c}}, {y: {then: b}}]}
    - b: {wait: PT1S, then: end}
    - c: {wait: PT1S}
    """,
    # A switch without a default continues; so does a raise that may be skipped.
    "- a: {switch: [{x: {when: .p, then: end}}]}\n- b: {wait: PT1S}",
    "- a: {if: .p, raise: {error: bad}}\n- b: {wait: PT1S}",
    "- a: {if: .p, wait: PT1S, then: c}\n- c: {wait: PT1S}",
    # Branches run concurrently, whatever their order.
    "- a: {fork: {branches: [{b: {raise: {error: bad}}}, {c: {wait: PT1S}}]}}",
    # A loop backwards.
    "- a: {wait: PT1S}\n- b: {switch: [{again: {when: .p, then: a}}]}\n- c: {wait: PT1S}",
    "- a: {try: [{b: {wait: PT1S}}], catch: {then: d}, then: end}\n- d: {wait: PT1S}",
    # The same name in two scopes.
    "- a: {do: [{a: {wait: PT1S}}]}",
    # Variables by their place.
    "- a: {if: '$context.x and $task.name', input: {from: '$secrets.erpToken + .x'}, wait: PT1S}",
    "- a: {export: {as: '{x: $output, y: $input}'}, output: {as: $input}, wait: '${ $context.w }'}",
    "- a: {for: {each: line, in: '$input.l'}, while: '$line > $index', do: [{b: {set: '$line'}}]}",
    """
    - a:
        try: [{b: {wait: PT1S}}]
        catch:
          when: $error.status == 503
          as: error
          retry: often
          do: [{c: {set: {x: '${ $error.detail }'}}}]
    """,
    "- a: {call: 'parallelMap:1@default', with: {in: .l, each: x, do: [{b: {set: '$x'}}]}}",
    """
    - a:
        listen: {to: {any: [{with: {type: t}}], until: '. | length > 3'}}
        foreach: {item: e, do: [{b: {set: '$e'}}], export: {as: '$output + $e'}}
    """,
    """
    - a:
        call: http
        with:
          method: get
          endpoint:
            uri: https://x.example/{id}
            authentication: {bearer: {token: '${ $secrets.erpToken }'}}
          headers: {X-Trace: '${ $workflow.id }', X-No: "${ $runtime.name }"}
    """,
    "- a: {call: helper, with: {x: 1}}",
    # Arguments that only a run knows.
    """
    - a:
        call: humanTask:1@default
        with:
          title: '${ .t }'
          candidates: {roles: '${ .roles }'}
          approvals: '${ .n }'
          dueIn: '${ .due }'
          escalate: [{after: PT1H, to: '${ .to }'}]
    """,
    "- a: {set: {x: '$5 {braces}', y: 'a $ { b'}}",
    "- a: {wait: PT1S, input: {schema: {document: {type: integer, maximum: 9, x-note: true}}}}",
    "- a: {metadata: {note: '${ .not evaluated'}, wait: PT1S}",
]


@pytest.mark.parametrize("tasks", SOUND)
def test_a_correct_definition_has_no_problems(tasks: str) -> None:
    assert problems(tasks, more=USE) == []


@pytest.mark.parametrize(
    ("more", "code", "path"),
    [
        ("evaluate: {language: js}\n", "OWS019", "/evaluate/language"),
        ("evaluate: {mode: loose}\n", "OWS019", "/evaluate/mode"),
        ("timeout: long\n", "OWS032", "/timeout"),
        ("input: {from: $context}\n", "OWS042", "/input/from"),
        ("output: {as: $output}\n", "OWS042", "/output/as"),
        ("output: {as: '. | broken('}\n", "OWS040", "/output/as"),
        (
            "use: {extensions: [{log: {extend: all, before: [{x: {wait: PT1S}}]}}]}\n",
            "OWS050",
            "/use/extensions",
        ),
        (
            "use: {extensions: [{log: {extend: all, before: [{x: {wait: PT1S, then: q}}]}}]}\n",
            "OWS021",
            "/use/extensions/0/log/before/0/x/then",
        ),
        ("use: {functions: {f: {do: []}}}\n", "OWS017", "/use/functions/f/do"),
        (
            "use: {authentications: {a: {basic: {use: none}}}}\n",
            "OWS035",
            "/use/authentications/a/basic/use",
        ),
        (
            "input: {schema: {document: {required: [a], examples: [{a: 1}, {b: 1}]}}}\n",
            "OWS062",
            "/input/schema/document/examples/1/a",
        ),
    ],
)
def test_the_top_of_a_definition_is_checked(more: str, code: str, path: str) -> None:
    found = problems("- a: {wait: PT1S}", more=more)
    assert (code, path) in [(problem.code, problem.path) for problem in found]


def test_another_version_of_the_language_is_named() -> None:
    definition = loaded("- a: {wait: PT1S}")
    about = definition.document.model_copy(update={"dsl": "0.8.0"})
    other = definition.model_copy(update={"document": about})
    assert [problem.code for problem in lint(other, standards=NO_STANDARDS)] == ["OWS018"]


def test_did_you_mean() -> None:
    text = "- a: {try: [{b: {wait: PT1S}}], catch: {retry: oftn}, then: cc}\n- c: {wait: PT1S}"
    messages = " ".join(problem.message for problem in problems(text, more=USE))
    assert "did you mean `often`?" in messages
    assert "did you mean `c`?" in messages
    [problem] = problems("- a: {call: humanTask}")
    assert "did you mean `humanTask:1@default`?" in problem.message
    [problem] = problems("- a: {set: '$contxt.x'}")
    assert "did you mean `$context`?" in problem.message
    assert "$workflow" in (problem.help or "")


def test_unsupported_parts_are_refused_at_publication_only() -> None:
    text = "- a: {run: {shell: {command: ls}}}"
    assert [problem.severity for problem in problems(text)] == [Severity.WARNING]
    assert [problem.severity for problem in problems(text, stage=Stage.PUBLICATION)] == [
        Severity.ERROR
    ]


def test_a_compile_error_has_its_line() -> None:
    [problem] = problems("- a:\n    set:\n      x: |-\n        ${ .a\n        | .b |\n        }")
    assert problem.code == "OWS040"
    assert (problem.line, problem.column) == (9, 12)
    assert problem.message.endswith("in its line 3")


SCHEMA = {
    "type": "object",
    "required": ["orderId"],
    "additionalProperties": False,
    "properties": {"orderId": {"type": "string"}, "quantity": {"type": "number"}},
}
KNOWN = Catalogued(
    {
        "warehouse/pick@^1": KnownFlow("1.2.0", SCHEMA),
        "warehouse/pick@^9": KnownFlow(None),
        "warehouse/old@1.0.0": KnownFlow("1.0.0", lifecycle="RETIRED"),
        "warehouse/aging@1.0.0": KnownFlow("1.0.0", lifecycle="DEPRECATED"),
        "finance/invoice": KnownFlow("2.0.0", SCHEMA),
    }
)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("call: 'localFlow:1@default', with: {ref: warehouse/pick@^1, input: {orderId: A}}", []),
        ("call: 'localFlow:1@default', with: {ref: warehouse/pick@^1}", []),
        ("call: 'localFlow:1@default', with: {ref: warehouse/pick@^1, input: '${ . }'}", []),
        (
            (
                "run: {workflow: {namespace: finance, name: invoice, version: latest, "
                "input: {orderId: '${ .x }'}}}"
            ),
            [],
        ),
        ("call: 'localFlow:1@default', with: {ref: '${ .ref }'}", []),
        (
            "call: 'localFlow:1@default', with: {ref: warehouse/pik@^1}",
            [("OWS052", "/do/0/a/with/ref")],
        ),
        (
            "call: 'localFlow:1@default', with: {ref: warehouse/pick@^9}",
            [("OWS053", "/do/0/a/with/ref")],
        ),
        (
            "call: 'localFlow:1@default', with: {ref: warehouse/pick@^1, input: {order: 1}}",
            [
                ("OWS054", "/do/0/a/with/input/order"),
                ("OWS054", "/do/0/a/with/input/orderId"),
            ],
        ),
        (
            "run: {workflow: {namespace: finance, name: invoice, version: latest, input: {x: 1}}}",
            [
                ("OWS054", "/do/0/a/run/workflow/input/orderId"),
                ("OWS054", "/do/0/a/run/workflow/input/x"),
            ],
        ),
        (
            "run: {workflow: {namespace: finance, name: nothing, version: latest}}",
            [("OWS052", "/do/0/a/run/workflow/name")],
        ),
        (
            "call: 'localFlow:1@default', with: {ref: warehouse/old@1.0.0}",
            [("OWS056", "/do/0/a/with/ref")],
        ),
        (
            "call: 'localFlow:1@default', with: {ref: warehouse/aging@1.0.0}",
            [("OWS056", "/do/0/a/with/ref")],
        ),
    ],
)
def test_called_flows_are_looked_up(task: str, expected: list[tuple[str, str]]) -> None:
    found = problems(f"- a: {{{task}}}", known=KNOWN)
    assert sorted((problem.code, problem.path) for problem in found) == expected


def test_without_a_lookup_called_flows_are_not_checked() -> None:
    assert problems("- a: {call: 'localFlow:1@default', with: {ref: a/b@^1}}") == []


def test_of_very_many_problems_the_errors_are_reported() -> None:
    warnings = "".join(f"- w{n}: {{set: {{x: 'a ${{ b'}}}}\n" for n in range(600))
    found = problems("- first: {do: []}\n" + warnings + "- last: {do: []}\n")
    assert len(found) == MAX_LINT_PROBLEMS
    assert [problem.path for problem in found if problem.code == "OWS017"] == [
        "/do/0/first/do",
        "/do/601/last/do",
    ]


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ("- a: {call: htp, with: {}}", "did you mean `http`?"),
        ("- a: {call: opnapi, with: {}}", "did you mean `openapi`?"),
        ("- a: {call: notfy}", "did you mean `notify:1@default`?"),
        ("- a: {call: 'notify:1@defult'}", "did you mean `default`?"),
        ("- a: {set: '${ .x | tonumbr }'}", "did you mean `tonumber`?"),
        ("- a: {set: '${ .x | split }'}", "`split` takes another number of arguments"),
        ("- a: {input: {from: '${ $secrets.erpTokn }'}, wait: PT1S}", "did you mean `erpToken`?"),
        (
            "- a: {call: 'humanTask:1@default', with: {titel: x, candidates: {roles: [r]}}}",
            "did you mean `title`?",
        ),
    ],
)
def test_a_misspelt_name_is_recognised(tasks: str, words: str) -> None:
    found = problems(tasks, more="use: {secrets: [erpToken]}\n")
    messages = [f"{problem.message} {problem.help}" for problem in found]
    assert any(words in message for message in messages), messages
