from __future__ import annotations

import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coe.language.load import load, load_source
from coe.language.model.calls import CallFunction, CallHttp, CallParallelMap, function_ref
from coe.language.model.task_types import ListenTask, SwitchTask, TryTask
from coe.language.source import Source
from tests.factories.definitions import HEAD, flow, loaded

EVERY_TASK = """
- http: {call: http, with: {method: get, endpoint: https://x.example/a}}
- api:
    call: openapi
    with:
      document: {endpoint: https://x.example/api.json}
      operationId: getOrder
      parameters: {id: 1}
- person: {call: 'humanTask:1@default', with: {title: Approve, candidates: {roles: [lead]}}}
- own: {call: helper}
- map: {call: 'parallelMap:1@default', with: {in: .lines, do: [{one: {set: {a: 1}}}]}}
- sequence: {do: [{inner: {set: {a: 1}}}]}
- emit: {emit: {event: {with: {type: com.example.done, custom: x}}}}
- loop: {for: {each: line, in: .lines, at: n}, while: .ok, do: [{inner: {set: {a: 1}}}]}
- split: {fork: {compete: true, branches: [{left: {set: {a: 1}}}, {right: {set: {a: 1}}}]}}
- received:
    listen: {to: {any: [{with: {type: a}}], until: '. | length > 1'}, read: envelope}
    foreach: {item: event, do: [{inner: {set: {a: 1}}}]}
- all: {listen: {to: {all: [{with: {type: a}, correlate: {id: {from: .data.id, expect: '1'}}}]}}}
- until: {listen: {to: {any: [], until: {one: {with: {type: stop}}}}}}
- fail: {if: .bad, raise: {error: {type: 'https://x.example/bad', status: 400}}}
- sub: {run: {workflow: {namespace: n, name: w, version: 1.0.0, input: {a: 1}}, await: false}}
- data: {set: {a: '${ .b }'}}
- whole: {set: '${ .b }'}
- route: {switch: [{a: {when: .x, then: end}}, {b: {then: continue}}]}
- guard:
    try: [{risky: {set: {a: 1}}}]
    catch:
      errors: {with: {status: 503}}
      as: problem
      when: .a
      exceptWhen: .b
      retry:
        when: .c
        delay: PT1S
        backoff: {exponential: {}}
        limit: {attempt: {count: 3, duration: PT5S}, duration: PT1M}
        jitter: {from: PT0S, to: PT1S}
      do: [{fix: {set: {a: 1}}}]
      then: end
- pause: {wait: {minutes: 5}}
"""
UNSUPPORTED = """
- grpc:
    call: grpc
    with:
      proto: {endpoint: https://x.example/a.proto}
      service: {name: S, host: h, port: 1}
      method: M
- async:
    call: asyncapi
    with:
      document: {endpoint: https://x.example/a.json}
      operation: op
      subscription: {consume: {amount: 1}, foreach: {do: [{inner: {set: {a: 1}}}]}}
- agent: {call: a2a, with: {method: message/send, parameters: {a: 1}}}
- tool: {call: mcp, with: {method: tools/list, transport: {http: {endpoint: https://x.example}}}}
- box: {run: {container: {image: i, lifetime: {cleanup: eventually, after: PT1S}}}}
- code: {run: {script: {language: python, code: pass}}}
- sh: {run: {shell: {command: ls}}}
"""


def test_every_task_of_the_profile_loads_with_its_pointer() -> None:
    definition = loaded(EVERY_TASK)
    pointers = set(definition.tasks)
    assert {
        "/do/0/http",
        "/do/4/map/with/do/0/one",
        "/do/5/sequence/do/0/inner",
        "/do/7/loop/do/0/inner",
        "/do/8/split/fork/branches/1/right",
        "/do/9/received/foreach/do/0/inner",
        "/do/17/guard/try/0/risky",
        "/do/17/guard/catch/do/0/fix",
    } <= pointers
    assert [task.kind for task in definition.do] == [
        *["call"] * 5,
        "do",
        "emit",
        "for",
        "fork",
        *["listen"] * 3,
        "raise",
        "run",
        "set",
        "set",
        "switch",
        "try",
        "wait",
    ]
    assert all(task.line is not None and task.column is not None for task in definition.walk())


def test_unsupported_tasks_load_and_name_their_key() -> None:
    definition = loaded(UNSUPPORTED)
    keys = [task.unsupported_key for task in definition.do]
    assert keys == [
        "call: grpc",
        "call: asyncapi",
        "call: a2a",
        "call: mcp",
        "run.container",
        "run.script",
        "run.shell",
    ]
    assert "/do/1/async/with/subscription/foreach/do/0/inner" in definition.tasks


def test_a_task_knows_its_place() -> None:
    definition = loaded("- first:\n    set: {a: 1}\n- second:\n    wait: PT1S\n")
    second = definition.tasks["/do/1/second"]
    assert (second.name, second.line, second.column) == ("second", 9, 5)


def test_bare_and_wrapped_expressions_are_one() -> None:
    definition = loaded(
        """
        - a: {if: '${ .x }', input: {from: .y}, set: .z, output: {as: '${ . }'}}
        - b: {for: {in: '.lines'}, do: [{c: {set: {a: .b}}}]}
        """
    )
    first, second = definition.do
    assert first.if_ == ".x"
    assert first.input
    assert first.input.from_ == "${ .y }"
    assert first.output
    assert first.output.as_ == "${ . }"
    assert first.set == "${ .z }"  # type: ignore[attr-defined]
    assert second.for_.in_ == "${ .lines }"  # type: ignore[attr-defined]
    # In data, only `${ … }` is an expression.
    assert definition.tasks["/do/1/b/do/0/c"].set == {"a": ".b"}  # type: ignore[attr-defined]


def test_an_endpoint_may_be_text() -> None:
    definition = loaded(
        "- a: {call: http, with: {method: get, endpoint: 'https://x.example/{id}'}}"
    )
    task = definition.do[0]
    assert isinstance(task, CallHttp)
    assert task.with_.endpoint.uri == "https://x.example/{id}"


def test_what_is_declared_is_found_by_name() -> None:
    definition = loaded(
        """
        - a:
            timeout: short
            try: [{b: {raise: {error: bad}}}]
            catch: {retry: often}
        - c: {call: helper, with: {x: 1}}
        - d:
            call: http
            with:
              method: get
              endpoint: {uri: https://x.example, authentication: {use: erp}}
        """,
        more="""
        timeout: {after: PT1H}
        use:
          timeouts: {short: {after: PT5S}}
          retries: {often: {delay: PT1S, limit: {attempt: {count: 9}}}}
          errors: {bad: {type: https://x.example/bad, status: 400}}
          functions: {helper: {set: {y: '${ .x }'}}}
          authentications: {erp: {bearer: {use: erpToken}}}
          secrets: [erpToken]
        """,
    )
    guard, call, http = definition.do
    assert isinstance(guard, TryTask)
    assert str(definition.timeout_of()) == "PT1H"
    assert str(definition.timeout_of(guard)) == "PT5S"
    assert definition.timeout_of(call) is None
    retry = definition.retry_of(guard.catch)
    assert retry
    assert retry.limit
    assert retry.limit.attempt
    assert retry.limit.attempt.count == 9
    raised = guard.try_[0]
    assert definition.error_of(raised.raise_).status == 400  # type: ignore[attr-defined]
    assert isinstance(call, CallFunction)
    function = definition.function_of(call)
    assert function
    assert function.pointer == "/use/functions/helper"
    assert isinstance(http, CallHttp)
    policy = http.with_.endpoint.authentication
    assert policy
    assert definition.authentication_of(policy).bearer


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("helper", ("helper", None, None)),
        ("log:0.5.2@global", ("log", "0.5.2", "global")),
        ("humanTask:1@default", ("humanTask", "1", "default")),
        ("humanTask:1", ("humanTask", "1", "default")),
        ("https://x.example/f.yaml", ("https://x.example/f.yaml", None, None)),
    ],
)
def test_a_call_names_a_function(call: str, expected: tuple[str, str | None, str | None]) -> None:
    assert tuple(function_ref(call)) == expected


def test_a_parallel_map_holds_tasks() -> None:
    task = loaded(EVERY_TASK).do[4]
    assert isinstance(task, CallParallelMap)
    assert task.with_.do.names == ("one",)
    assert (task.with_.each, task.with_.at) == ("item", "index")


def test_events_keep_their_own_attributes() -> None:
    definition = loaded(EVERY_TASK)
    event = definition.tasks["/do/6/emit"].emit.event.with_  # type: ignore[attr-defined]
    assert event.given() == {"type": "com.example.done", "custom": "x"}


def test_until_is_a_condition_or_events() -> None:
    received, until = (loaded(EVERY_TASK).do[index] for index in (9, 11))
    assert isinstance(received, ListenTask)
    assert isinstance(until, ListenTask)
    assert received.listen.to.until == ". | length > 1"
    assert not isinstance(until.listen.to.until, str)


def test_cases_are_found_by_name_and_place() -> None:
    task = loaded(EVERY_TASK).do[16]
    assert isinstance(task, SwitchTask)
    assert task.switch.names == ("a", "b")
    assert task.switch[1].pointer == "/do/16/route/switch/1/b"
    assert task.switch[1].when is None


def test_data_without_text_loads_too() -> None:
    data = {
        "document": {"dsl": "1.0.3", "namespace": "a", "name": "b", "version": "1.0.0"},
        "do": [{"x": {"set": {"a": 1}}}],
    }
    definition = load_source(Source(data)).definition
    assert definition
    assert definition.do[0].pointer == "/do/0/x"
    assert definition.do[0].line is None


def test_json_loads_with_places() -> None:
    text = (
        '{"document": {"dsl": "1.0.3", "namespace": "a", "name": "b", "version": "1.0.0"},\n'
        ' "do": [{"x": {"sett": {}}}]}'
    )
    [problem] = load(text).problems
    assert (problem.code, problem.line, problem.column) == ("OWS010", 2, 16)


# Each: the tasks, then the code, pointer, line, column and a part of the message of their problem.
BROKEN = [
    (
        "- a: {set: {x: 1}, thne: end}",
        ("OWS010", "/do/0/a/thne", 7, 22),
        "unknown key `thne`, did you mean `then`?",
    ),
    ("- a: {cal: http}", ("OWS010", "/do/0/a/cal", 7, 9), "did you mean `call`?"),
    ("- a: {with: {}}", ("OWS013", "/do/0/a", 7, 5), "has no type"),
    ("- a:", ("OWS013", "/do/0/a", 7, 5), "is empty"),
    ("- a: text", ("OWS013", "/do/0/a", 7, 5), "must be an object"),
    ("- a: {set: {x: 1}, wait: PT1S}", ("OWS010", "/do/0/a/wait", 7, 22), "has one type"),
    ("- a:\n  set: {x: 1}", ("OWS016", "/do/0", 7, 5), "not the keys `a`, `set`"),
    ("- {}", ("OWS016", "/do/0", 7, 5), "one name"),
    ("- a: {wait: P1M}", ("OWS015", "/do/0/a/wait", 7, 15), "give days"),
    ("- a: {wait: 5s}", ("OWS014", "/do/0/a/wait", 7, 15), "not an ISO 8601 duration"),
    (
        "- a: {wait: {second: 5}}",
        ("OWS014", "/do/0/a/wait", 7, 15),
        "unknown unit `second`, did you mean `seconds`?",
    ),
    ("- a: {wait: }", ("OWS012", "/do/0/a/wait", 7, 15), "`wait` is empty"),
    (
        "- a: {call: http, with: {methd: get, endpoint: https://x}}",
        ("OWS010", "/do/0/a/with/methd", 7, 28),
        "did you mean `method`?",
    ),
    (
        "- a: {call: http, with: {method: get}}",
        ("OWS011", "/do/0/a/with", 7, 21),
        "the key `endpoint` is missing",
    ),
    (
        "- a: {call: http, with: {method: get, endpoint: not-a-uri}}",
        ("OWS012", "/do/0/a/with/endpoint/uri", 7, 51),
        "must be a URI",
    ),
    (
        "- a: {call: http, with: {method: get, endpoint: https://x, output: body}}",
        ("OWS012", "/do/0/a/with/output", 7, 70),
        "must be one of 'raw', 'content' or 'response'",
    ),
    (
        "- a: {call: http, with: {method: get, endpoint: https://x, output: contnet}}",
        ("OWS012", "/do/0/a/with/output", 7, 70),
        "did you mean `content`?",
    ),
    (
        "- a: {listen: {to: {any: []}, read: envelop}}",
        ("OWS012", "/do/0/a/listen/read", 7, 39),
        "did you mean `envelope`?",
    ),
    (
        "- a: {call: http, with: {method: 1, endpoint: https://x}}",
        ("OWS012", "/do/0/a/with/method", 7, 36),
        "`method` must be text",
    ),
    (
        "- a: {fork: {branches: [], compete: 'yes'}}",
        ("OWS012", "/do/0/a/fork/compete", 7, 39),
        "must be true or false",
    ),
    ("- a: {set: [1]}", ("OWS012", "/do/0/a/set", 7, 14), "an expression or an object"),
    (
        "- a: {for: {in: {}}, do: []}",
        ("OWS012", "/do/0/a/for/in", 7, 19),
        "an expression or an array",
    ),
    (
        "- a: {listen: {to: {any: [], one: {with: {type: x}}}}}",
        ("OWS012", "/do/0/a/listen/to", 7, 22),
        "exactly one of",
    ),
    (
        "- a: {listen: {to: {one: {with: {type: x}}, until: .a}}}",
        ("OWS012", "/do/0/a/listen/to", 7, 22),
        "`until` is allowed with `any` only",
    ),
    (
        "- a: {emit: {event: {with: {source: https://x}}}}",
        ("OWS012", "/do/0/a/emit/event", 7, 23),
        "needs a `type`",
    ),
    (
        "- a: {raise: {error: {type: https://x, status: '400'}}}",
        ("OWS012", "/do/0/a/raise/error/status", 7, 50),
        "whole number",
    ),
    (
        "- a: {try: [], catch: {errors: {with: {}}}}",
        ("OWS012", "/do/0/a/catch/errors/with", 7, 41),
        "an empty filter",
    ),
    (
        "- a: {try: [], catch: {retry: {backoff: {linear: {}, constant: {}}}}}",
        ("OWS012", "/do/0/a/catch/retry/backoff", 7, 43),
        "exactly one of",
    ),
    (
        "- a: {try: [], catch: {retry: {limit: {attempt: {count: -1}}}}}",
        ("OWS012", "/do/0/a/catch/retry/limit/attempt/count", 7, 59),
        "0 or more",
    ),
    ("- a: {switch: []}", ("OWS012", "/do/0/a/switch", 7, 17), "must not be empty"),
    ("- a: {run: {await: false}}", ("OWS012", "/do/0/a/run", 7, 14), "it has none"),
    (
        "- a: {switch: [{x: {when: .a}}]}",
        ("OWS011", "/do/0/a/switch/0/x", 7, 19),
        "the key `then` is missing",
    ),
    (
        "- a: {input: {schema: {format: json}}, set: {x: 1}}",
        ("OWS012", "/do/0/a/input/schema", 7, 25),
        "`document`, `resource`",
    ),
    (
        "- a: {try: [{b: {catch: [{c: {set: {x: 1}}}]}}], catch: {}}",
        ("OWS013", "/do/0/a/try/0/b", 7, 16),
        "no type",
    ),
    (
        "- a: {<<: {set: {x: 1}}, set: {y: 1}}",
        ("OWS010", "/do/0/a/<<", 7, 9),
        "no merge key",
    ),
    (
        "- a: {call: 'parallelMap:1@default', with: {in: .x, do: [{b: {sett: 1}}]}}",
        ("OWS010", "/do/0/a/with/do/0/b/sett", 7, 65),
        "did you mean `set`?",
    ),
]


@pytest.mark.parametrize(("tasks", "place", "words"), BROKEN, ids=[each[2] for each in BROKEN])
def test_an_error_is_one_located_problem(
    tasks: str, place: tuple[str, str, int, int], words: str
) -> None:
    result = load(flow(tasks))
    assert result.definition is None
    [problem] = result.problems
    assert (problem.code, problem.path, problem.line, problem.column) == place
    assert words in problem.message


def test_many_errors_are_reported_at_once_in_the_order_of_the_text() -> None:
    text = """
    - a: {set: {x: 1}, thne: end}
    - b: {wait: P1Y}
    - c: {call: http, with: {method: get, uri: https://x}}
    """
    result = load(flow(text))
    assert [problem.code for problem in result.problems] == ["OWS010", "OWS015", "OWS011", "OWS010"]
    assert [problem.line for problem in result.problems] == [7, 8, 9, 9]


@pytest.mark.parametrize(
    ("head", "path", "words"),
    [
        ("namespace: sales", "/document/namespace", "letters, digits and hyphens"),
        ("name: order-to-cash", "/document/name", "letters, digits and hyphens"),
        ("version: '1.0.0'", "/document/version", "a semantic version"),
        ("dsl: '1.0.3'", "/document/dsl", "a semantic version"),
    ],
)
def test_the_keys_of_document_have_a_form(head: str, path: str, words: str) -> None:
    key = head.partition(":")[0]
    text = flow("- a: {wait: PT1S}").replace(head, f"{key}: '-no-'", 1)
    [problem] = load(text).problems
    assert problem.path == path
    assert words in problem.message


def test_top_level_keys_are_known() -> None:
    [problem] = load(flow("- a: {wait: PT1S}", more="inputt: {}\n")).problems
    assert problem.message == "unknown key `inputt`, did you mean `input`?"
    [problem] = load(HEAD + "dos:\n  - a: {wait: PT1S}\n").problems
    assert problem.code == "OWS010"


@pytest.mark.parametrize("text", ["[1]", "text", "1"])
def test_a_document_is_an_object(text: str) -> None:
    [problem] = load(text).problems
    assert problem.code == "OWS005"


def test_a_broken_document_never_raises() -> None:
    text = textwrap.dedent(flow(EVERY_TASK))
    for cut in range(0, len(text), 37):
        load(text[:cut])
        load(text[:cut] + text[cut + 20 :])


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="{}[]:,-&*!|>'\"%@`#\n \tab1?~<", max_size=40))
def test_no_text_makes_the_loader_raise(text: str) -> None:
    result = load(text)
    assert result.problems or result.definition
